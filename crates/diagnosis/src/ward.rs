//! Which containers of a host are not well, so that a container is not blamed for what it depends on.
//!
//! Only the unwell are kept, and for a while those that have just got well: what depended on them needs a moment, too.

use std::collections::BTreeMap;

use hemostat_schema::{
    ContainerName, Span, Timestamp,
    container::{Exit, ExitBy, Facts, Health, State},
};
use serde::{Deserialize, Serialize};

/// Who depended on a container that has just got well is given so long to get well by itself.
const MOMENT: Span = Span::from_secs(60);

/// The containers of a host that are not well.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ward(BTreeMap<ContainerName, Unwell>);

/// A container that is not well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Unwell {
    state: State,
    health: Health,
    exit: Option<Exit>,
    /// Since when it is well again.
    well: Option<Timestamp>,
}

impl Ward {
    /// Takes in what is known of a container since `at`; none where it is gone.
    pub(super) fn take(&mut self, name: &ContainerName, facts: Option<&Facts>, at: Timestamp) {
        match facts {
            None => drop(self.0.remove(name)),
            Some(facts) if ails(facts.state, facts.health, facts.exit).is_some() => {
                let unwell = Unwell { state: facts.state, health: facts.health, exit: facts.exit, well: None };
                self.0.insert(name.clone(), unwell);
            }
            // Not known yet.
            Some(facts) if facts.state == State::Running && facts.health == Health::Starting => {}
            Some(_) => {
                if let Some(unwell) = self.0.get_mut(name) {
                    unwell.well = unwell.well.or(Some(at));
                }
            }
        }
        self.0.retain(|_, unwell| unwell.well.is_none_or(|well| at < MOMENT.after(well)));
    }

    /// What ails the container of this name at `now`; none where it is well, or has been for long enough.
    pub fn ails(&self, name: &ContainerName, now: Timestamp) -> Option<&'static str> {
        let unwell = self.0.get(name)?;
        match unwell.well {
            None => ails(unwell.state, unwell.health, unwell.exit),
            Some(well) => (now < MOMENT.after(well)).then_some("has only just got well"),
        }
    }
}

/// What ails a container for those who need it. One that ended because its work was done does not ail.
pub(super) fn ails(state: State, health: Health, exit: Option<Exit>) -> Option<&'static str> {
    match (state, health) {
        (State::Exited | State::Dead, _) if exit.is_some_and(|exit| exit.by == ExitBy::Itself) => None,
        (State::Exited | State::Dead, _) => Some("is down"),
        (State::Restarting, _) => Some("is being restarted again and again"),
        (State::Paused, _) => Some("is paused"),
        (State::Running, Health::Unhealthy) => Some("is unhealthy"),
        (State::Created | State::Removing, _) | (State::Running, Health::None | Health::Starting | Health::Healthy) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hemostat_core::testing::{at, facts};

    #[test]
    fn who_is_not_well_is_known_until_a_moment_after() {
        let name: ContainerName = "db".parse().unwrap();
        let mut ward = Ward::default();
        let mut check = |second: i64, state: State, health: Health, by: Option<ExitBy>, expected: Option<&str>| {
            let exit = by.map(|by| Exit { at: at(second), code: 1, by });
            ward.take(&name, Some(&Facts { state, health, exit, ..facts() }), at(second));
            assert_eq!(ward.ails(&name, at(second)), expected, "at {second}");
        };
        check(0, State::Running, Health::Healthy, None, None);
        check(10, State::Running, Health::Unhealthy, None, Some("is unhealthy"));
        check(20, State::Exited, Health::Unhealthy, Some(ExitBy::Crash), Some("is down"));
        check(30, State::Running, Health::Starting, None, Some("is down"));
        check(40, State::Running, Health::Healthy, None, Some("has only just got well"));
        check(99, State::Running, Health::Healthy, None, Some("has only just got well"));
        check(100, State::Running, Health::Healthy, None, None);
        check(110, State::Exited, Health::None, Some(ExitBy::Itself), None);
        check(120, State::Paused, Health::None, None, Some("is paused"));
        ward.take(&name, None, at(130));
        assert_eq!(ward, Ward::default());
    }
}
