//! Remembers the recent changes of each container: starts, ends, health, image and limits.
//!
//! By name, as a new image means a new container under the same name. It is only in memory: after a restart of the monitor
//! it starts empty, and the full history is on the log.

use std::collections::{HashMap, VecDeque};

use hemostat_schema::{
    ContainerId, ContainerName, Event, NewEvent, Observation, Span, Timestamp,
    container::{Facts, Health, Limits},
    examination::{Change, Changed},
};

/// Maximum changes kept per container.
const MAX_CHANGES: usize = 20;
/// How long a removed container stays remembered.
const FORGET_AFTER: Span = Span::from_secs(3600);

/// The recent changes of all containers of a host.
#[derive(Debug, Default)]
pub struct RecentChanges(HashMap<ContainerName, ChangesOfContainer>);

#[derive(Debug, Default)]
struct ChangesOfContainer {
    created_as: Option<CreatedAs>,
    changes: VecDeque<Change>,
    removed_at: Option<Timestamp>,
}

/// The identity and configuration of a container.
#[derive(Debug)]
struct CreatedAs {
    id: ContainerId,
    image_id: String,
    limits: Limits,
}

impl From<&Facts> for CreatedAs {
    fn from(facts: &Facts) -> Self {
        Self { id: facts.id.clone(), image_id: facts.image_id.clone(), limits: facts.limits }
    }
}

impl RecentChanges {
    /// Adds a container that was known before the monitor started.
    pub fn add_known(&mut self, name: &ContainerName, facts: &Facts) {
        self.0.entry(name.clone()).or_default().created_as = Some(facts.into());
    }

    /// Records the changes among these observations of a container.
    pub fn record(&mut self, name: &ContainerName, events: &[NewEvent]) {
        for event in events {
            let Event::Observation(observation) = &event.event else { continue };
            match observation {
                Observation::Seen(seen) => {
                    let past = self.entry(name);
                    let before = past.created_as.replace((&seen.facts).into());
                    past.removed_at = None;
                    if let Some(what) = before.and_then(|before| changed(&before, &seen.facts)) {
                        past.push(event.at, what);
                    }
                }
                Observation::Started(_) => self.entry(name).push(event.at, Changed::Started),
                Observation::Exited(exited) => {
                    self.entry(name).push(event.at, Changed::Ended { exit: exited.exit });
                }
                Observation::HealthChanged(changed) if changed.to != Health::Starting => {
                    self.entry(name).push(event.at, Changed::Health { to: changed.to });
                }
                Observation::Removed(_) => self.entry(name).removed_at = Some(event.at),
                // No change of configuration or life cycle.
                Observation::HealthChanged(_)
                | Observation::Paused(_)
                | Observation::Unpaused(_)
                | Observation::Sampled(_)
                | Observation::Stored(_)
                | Observation::SymptomRaised(_)
                | Observation::SymptomWorsened(_)
                | Observation::SymptomCleared(_)
                | Observation::Examined(_)
                | Observation::DiskMeasured(_)
                | Observation::EngineLost(_)
                | Observation::EngineFound(_) => {}
            }
        }
    }

    /// The changes of a container, oldest first.
    pub fn of(&self, name: &ContainerName) -> Vec<Change> {
        self.0.get(name).map(|past| past.changes.iter().cloned().collect()).unwrap_or_default()
    }

    /// Forgets containers that were removed long ago.
    pub fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, past| past.removed_at.is_none_or(|at| Span::between(at, now) < FORGET_AFTER));
    }

    fn entry(&mut self, name: &ContainerName) -> &mut ChangesOfContainer {
        self.0.entry(name.clone()).or_default()
    }
}

impl ChangesOfContainer {
    fn push(&mut self, at: Timestamp, what: Changed) {
        if self.changes.len() == MAX_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(Change { at, what });
    }
}

/// What changed in a container's identity or configuration.
fn changed(before: &CreatedAs, now: &Facts) -> Option<Changed> {
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
        container::{Exit, ExitBy, Run},
        observation::{Exited, HealthChanged, Removed, Seen, Started},
    };

    use super::*;
    use crate::examine::tests::{at, facts};

    fn event(second: i64, event: impl Into<Event>) -> NewEvent {
        let subject = Subject::container("host".parse().unwrap(), "api".parse().unwrap());
        NewEvent::new(subject, at(second), event)
    }

    fn target() -> Run {
        facts("api").target()
    }

    #[test]
    fn the_changes_of_a_name_are_remembered_in_order() {
        let name: ContainerName = "api".parse().unwrap();
        let exit = Exit { at: at(3), code: 3, by: ExitBy::Crash };
        let limited = Facts { limits: Limits { cpus: Some(1.0), memory: None }, ..facts("api") };
        let remade = Facts { id: facts("other").id, ..limited.clone() };
        let updated = Facts { id: facts("third").id, image_id: "sha256:new".into(), ..limited.clone() };
        let seen = |second, facts: &Facts| event(second, Seen { facts: facts.clone() });
        let health = |second, from, to| event(second, HealthChanged { target: target(), from, to });
        let mut changes = RecentChanges::default();
        changes.add_known(&name, &facts("api"));
        changes.record(
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
    fn only_the_latest_changes_are_kept_and_removed_containers_are_forgotten() {
        let name: ContainerName = "api".parse().unwrap();
        let mut changes = RecentChanges::default();
        for second in 0..30 {
            changes.record(&name, &[event(second, Started { target: target() })]);
        }
        let kept = changes.of(&name);
        assert_eq!((kept.len(), kept[0].at), (MAX_CHANGES, at(10)));
        changes.record(&name, &[event(40, Removed { target: target() })]);
        changes.forget(at(3600));
        assert_eq!(changes.of(&name).len(), MAX_CHANGES);
        changes.forget(at(3640));
        assert_eq!(changes.of(&name), []);
    }
}
