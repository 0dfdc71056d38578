//! Which containers of a host are unhealthy or down, so that a container is not blamed for its dependency.
//!
//! It keeps only unhealthy containers, and for a minute those that have just recovered, because containers that depend
//! on them need time to recover, too.

use std::collections::BTreeMap;

use hemostat_schema::{
    ContainerName, Span, Timestamp,
    container::{Exit, ExitBy, Facts, Health, State},
};
use serde::{Deserialize, Serialize};

/// How long a container that depends on a recovered one gets to recover by itself.
const RECOVERY_GRACE: Span = Span::from_secs(60);

/// The unhealthy containers of a host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostHealth(BTreeMap<ContainerName, UnhealthyContainer>);

/// A container that is unhealthy or down.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct UnhealthyContainer {
    state: State,
    health: Health,
    exit: Option<Exit>,
    /// When it recovered; `None`: it has not.
    #[serde(rename = "well")]
    recovered_at: Option<Timestamp>,
}

impl HostHealth {
    /// Applies the facts of a container at `at`; `None`: the container was removed.
    pub(super) fn update(&mut self, name: &ContainerName, facts: Option<&Facts>, at: Timestamp) {
        match facts {
            None => drop(self.0.remove(name)),
            Some(facts) if problem(facts.state, facts.health, facts.exit).is_some() => {
                let Facts { state, health, exit, .. } = *facts;
                self.0.insert(name.clone(), UnhealthyContainer { state, health, exit, recovered_at: None });
            }
            // Its health is not known yet.
            Some(facts) if facts.state == State::Running && facts.health == Health::Starting => {}
            Some(_) => {
                if let Some(unhealthy) = self.0.get_mut(name) {
                    unhealthy.recovered_at = unhealthy.recovered_at.or(Some(at));
                }
            }
        }
        self.0
            .retain(|_, unhealthy| unhealthy.recovered_at.is_none_or(|recovered| at < RECOVERY_GRACE.after(recovered)));
    }

    /// What is wrong with the container of this name at `now`; `None` if it is healthy and the grace period is over.
    pub fn problem(&self, name: &ContainerName, now: Timestamp) -> Option<&'static str> {
        let unhealthy = self.0.get(name)?;
        match unhealthy.recovered_at {
            None => problem(unhealthy.state, unhealthy.health, unhealthy.exit),
            Some(recovered) => (now < RECOVERY_GRACE.after(recovered)).then_some("has only just recovered"),
        }
    }
}

/// What is wrong with a container, for those that depend on it. A container that finished its work is fine.
pub(super) fn problem(state: State, health: Health, exit: Option<Exit>) -> Option<&'static str> {
    match (state, health) {
        (State::Exited | State::Dead, _) if exit.is_some_and(|exit| exit.by == ExitBy::Itself) => None,
        (State::Exited | State::Dead, _) => Some("is down"),
        (State::Restarting, _) => Some("is in a restart loop"),
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
    fn an_unhealthy_container_is_remembered_until_a_minute_after_it_recovered() {
        let name: ContainerName = "db".parse().unwrap();
        let mut host = HostHealth::default();
        let mut check = |second: i64, state: State, health: Health, by: Option<ExitBy>, expected: Option<&str>| {
            let exit = by.map(|by| Exit { at: at(second), code: 1, by });
            host.update(&name, Some(&Facts { state, health, exit, ..facts() }), at(second));
            assert_eq!(host.problem(&name, at(second)), expected, "at {second}");
        };
        check(0, State::Running, Health::Healthy, None, None);
        check(10, State::Running, Health::Unhealthy, None, Some("is unhealthy"));
        check(20, State::Exited, Health::Unhealthy, Some(ExitBy::Crash), Some("is down"));
        check(30, State::Running, Health::Starting, None, Some("is down"));
        check(40, State::Running, Health::Healthy, None, Some("has only just recovered"));
        check(99, State::Running, Health::Healthy, None, Some("has only just recovered"));
        check(100, State::Running, Health::Healthy, None, None);
        check(110, State::Exited, Health::None, Some(ExitBy::Itself), None);
        check(120, State::Paused, Health::None, None, Some("is paused"));
        host.update(&name, None, at(130));
        assert_eq!(host, HostHealth::default());
    }
}
