//! What changed about a container lately?
//!
//! Kept by name, as an image is changed by making another container under the same name. It is memory, not truth: after
//! a restart of the monitor it begins anew, and what matters of the past is on the log.

use std::collections::{HashMap, VecDeque};

use hemostat_schema::{
    ContainerId, ContainerName, Event, NewEvent, Observation, Span, Timestamp,
    container::{Facts, Health, Limits},
    examination::{Change, Changed},
};

/// So many changes of each container.
const CHANGES: usize = 20;
/// A container that has been gone for so long does not come back as the same.
const FORGOTTEN: Span = Span::from_secs(3600);

/// The changes of all containers of a host.
#[derive(Debug, Default)]
pub struct Changes(HashMap<ContainerName, Past>);

#[derive(Debug, Default)]
struct Past {
    make: Option<Make>,
    changes: VecDeque<Change>,
    gone: Option<Timestamp>,
}

/// As what a container was made.
#[derive(Debug)]
struct Make {
    id: ContainerId,
    image_id: String,
    limits: Limits,
}

impl From<&Facts> for Make {
    fn from(facts: &Facts) -> Self {
        Self { id: facts.id.clone(), image_id: facts.image_id.clone(), limits: facts.limits }
    }
}

impl Changes {
    /// A container that was known before this began.
    pub fn met(&mut self, name: &ContainerName, facts: &Facts) {
        self.0.entry(name.clone()).or_default().make = Some(facts.into());
    }

    /// Takes in what was observed of a container.
    pub fn take(&mut self, name: &ContainerName, events: &[NewEvent]) {
        for event in events {
            let Event::Observation(observation) = &event.event else { continue };
            match observation {
                Observation::Seen(seen) => {
                    let past = self.of_name(name);
                    let before = past.make.replace((&seen.facts).into());
                    past.gone = None;
                    if let Some(what) = before.and_then(|before| changed(&before, &seen.facts)) {
                        past.push(event.at, what);
                    }
                }
                Observation::Started(_) => self.of_name(name).push(event.at, Changed::Started),
                Observation::Exited(exited) => {
                    self.of_name(name).push(event.at, Changed::Ended { exit: exited.exit });
                }
                Observation::HealthChanged(changed) if changed.to != Health::Starting => {
                    self.of_name(name).push(event.at, Changed::Health { to: changed.to });
                }
                Observation::Removed(_) => self.of_name(name).gone = Some(event.at),
                // Neither about how it was made nor about how it lives.
                _ => {}
            }
        }
    }

    /// The changes of a container, oldest first.
    pub fn of(&self, name: &ContainerName) -> Vec<Change> {
        self.0.get(name).map(|past| past.changes.iter().cloned().collect()).unwrap_or_default()
    }

    /// Forgets those who have been gone for long.
    pub fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, past| past.gone.is_none_or(|gone| Span::between(gone, now) < FORGOTTEN));
    }

    fn of_name(&mut self, name: &ContainerName) -> &mut Past {
        self.0.entry(name.clone()).or_default()
    }
}

impl Past {
    fn push(&mut self, at: Timestamp, what: Changed) {
        if self.changes.len() == CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(Change { at, what });
    }
}

/// What is not as it was about how a container was made.
fn changed(before: &Make, now: &Facts) -> Option<Changed> {
    if before.id == now.id {
        return (before.limits != now.limits).then_some(Changed::Limits);
    }
    Some(if before.image_id == now.image_id {
        Changed::Recreated
    } else {
        Changed::Image { from: before.image_id.clone(), to: now.image_id.clone() }
    })
}

#[cfg(test)]
mod tests {
    use hemostat_schema::{
        Subject,
        container::{Exit, ExitBy, Target},
        observation::{Exited, HealthChanged, Removed, Seen, Started},
    };

    use super::*;
    use crate::examine::tests::{at, facts};

    fn event(second: i64, event: impl Into<Event>) -> NewEvent {
        let subject = Subject::container("host".parse().unwrap(), "api".parse().unwrap());
        NewEvent::new(subject, at(second), event)
    }

    fn target() -> Target {
        facts("api").target()
    }

    #[test]
    fn what_becomes_of_a_name_is_remembered_in_order() {
        let name: ContainerName = "api".parse().unwrap();
        let exit = Exit { at: at(3), code: 3, by: ExitBy::Crash };
        let limited = Facts { limits: Limits { cpus: Some(1.0), memory: None }, ..facts("api") };
        let remade = Facts { id: facts("other").id, ..limited.clone() };
        let updated = Facts { id: facts("third").id, image_id: "sha256:new".into(), ..limited.clone() };
        let seen = |second, facts: &Facts| event(second, Seen { facts: facts.clone() });
        let health = |second, from, to| event(second, HealthChanged { target: target(), from, to });
        let mut changes = Changes::default();
        changes.met(&name, &facts("api"));
        changes.take(
            &name,
            &[
                seen(0, &facts("api")),
                event(1, Started { target: target() }),
                health(2, Health::Healthy, Health::Starting),
                health(2, Health::Starting, Health::Unhealthy),
                event(3, Exited { target: target(), exit }),
                seen(4, &limited),
                event(5, Removed { target: target() }),
                seen(6, &remade),
                seen(7, &updated),
            ],
        );
        let from = facts("api").image_id;
        let expected = [
            (1, Changed::Started),
            (2, Changed::Health { to: Health::Unhealthy }),
            (3, Changed::Ended { exit }),
            (4, Changed::Limits),
            (6, Changed::Recreated),
            (7, Changed::Image { from, to: "sha256:new".into() }),
        ];
        assert_eq!(changes.of(&name), expected.map(|(second, what)| Change { at: at(second), what }));
    }

    #[test]
    fn only_the_latest_are_kept_and_those_long_gone_are_forgotten() {
        let name: ContainerName = "api".parse().unwrap();
        let mut changes = Changes::default();
        for second in 0..30 {
            changes.take(&name, &[event(second, Started { target: target() })]);
        }
        let kept = changes.of(&name);
        assert_eq!((kept.len(), kept[0].at), (CHANGES, at(10)));
        changes.take(&name, &[event(40, Removed { target: target() })]);
        changes.forget(at(3600));
        assert_eq!(changes.of(&name).len(), CHANGES);
        changes.forget(at(3640));
        assert_eq!(changes.of(&name), []);
    }
}
