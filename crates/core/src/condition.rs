//! How a container is at present: its facts, the symptoms that stand, and whether an operator holds his hand over it.
//!
//! Judging, authorising and alerting all ask this, so they share one answer. The delicate part is whose deed an exit
//! was: our own restart is, to Docker, a stop by somebody like any other. An exit of the very run that an open authority
//! names is therefore our own deed, and no wish of an operator's.

use std::collections::BTreeMap;

use hemostat_schema::{
    Action, Event, EventId, IncidentId, Observation, Recorded, Timestamp,
    action::Remedy,
    container::{ExitBy, Facts, Health, State, Target},
    observation::{Cleared, Evidence, Severity, Symptom},
};
use serde::{Deserialize, Serialize};

use crate::lifecycle;

/// How a container is at present.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Condition {
    /// What is known of it; none before it was seen and after it was removed.
    pub facts: Option<Facts>,
    /// The symptoms that stand.
    pub standing: BTreeMap<Symptom, Standing>,
    /// When and why the last illness was over.
    pub cleared: Option<(Timestamp, Cleared)>,
    /// An operator's hand.
    pub halted: Option<Halted>,
    /// When it was last observed while ill.
    pub observed_at: Option<Timestamp>,
    /// Our own hand: the run that an open authority stops.
    deed: Option<(EventId, Target)>,
}

/// A symptom that stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The illness that it is part of.
    pub incident: Option<IncidentId>,
    /// Since when.
    pub since: Timestamp,
    /// How bad it is.
    pub severity: Severity,
    /// The run in which it was last seen.
    pub target: Target,
    /// What says so.
    pub evidence: Evidence,
}

impl Standing {
    /// Whether it is an illness, and not merely worth knowing.
    pub fn is_illness(&self) -> bool {
        self.severity > Severity::Low
    }
}

/// How an operator keeps a container from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Halted {
    /// By `docker stop`, `kill` or `compose stop`.
    Stopped,
    /// By `docker pause`.
    Frozen,
}

impl Condition {
    /// Takes an event of the container in.
    pub fn evolve(&mut self, event: &Recorded) {
        match event.event() {
            Some(Event::Observation(seen)) => self.observe(event, seen),
            Some(Event::Action(Action::Authorised(intent))) if !intent.dry_run => {
                self.deed = match intent.remedy {
                    Remedy::Restart => Some((event.id, intent.target.clone())),
                    _ => None,
                };
            }
            Some(Event::Action(Action::Failed(failed))) => self.done(failed.action),
            Some(Event::Action(Action::Verified(verdict))) => self.done(verdict.action),
            _ => {}
        }
    }

    fn observe(&mut self, event: &Recorded, seen: &Observation) {
        match seen {
            Observation::Seen(seen) => self.halted = self.halted_by(&seen.facts),
            Observation::Exited(exited) => {
                let by_operator = exited.exit.by == ExitBy::Operator && !self.is_our_deed(&exited.target);
                self.halted = by_operator.then_some(Halted::Stopped);
            }
            Observation::Frozen(_) => self.halted = Some(Halted::Frozen),
            Observation::Started(_) | Observation::Thawed(_) => self.halted = None,
            Observation::Removed(_) => {
                if self.is_ill() {
                    self.cleared = Some((event.at, Cleared::Removed));
                }
                self.standing.clear();
                self.halted = None;
            }
            Observation::SymptomRaised(raised) => {
                let standing = Standing {
                    incident: event.incident.clone(),
                    since: raised.since,
                    severity: raised.severity,
                    target: raised.target.clone(),
                    evidence: raised.evidence.clone(),
                };
                self.standing.insert(raised.symptom, standing);
            }
            Observation::SymptomWorsened(worse) => {
                if let Some(standing) = self.standing.get_mut(&worse.symptom) {
                    standing.severity = worse.severity;
                    standing.target = worse.target.clone();
                    standing.evidence = worse.evidence.clone();
                }
            }
            Observation::SymptomCleared(cleared) => {
                if self.standing.remove(&cleared.symptom).is_none_or(|standing| standing.is_illness()) {
                    self.cleared = Some((event.at, cleared.why));
                }
            }
            Observation::HealthChanged(_)
            | Observation::Sampled(_)
            | Observation::Stored(_)
            | Observation::Examined(_)
            | Observation::DiskMeasured(_)
            | Observation::EngineLost(_)
            | Observation::EngineFound(_) => {}
        }
        lifecycle::follow(&mut self.facts, seen);
        self.observed_at = if self.is_ill() { self.observed_at.max(Some(event.at)) } else { None };
    }

    fn halted_by(&self, facts: &Facts) -> Option<Halted> {
        match facts.state {
            State::Paused => Some(Halted::Frozen),
            State::Exited | State::Dead => {
                let by_operator = facts.exit.is_some_and(|exit| exit.by == ExitBy::Operator);
                (by_operator && !self.is_our_deed(&facts.target())).then_some(Halted::Stopped)
            }
            State::Created | State::Running | State::Restarting | State::Removing => None,
        }
    }

    fn is_our_deed(&self, ended: &Target) -> bool {
        self.deed.as_ref().is_some_and(|(_, target)| target == ended)
    }

    fn done(&mut self, action: EventId) {
        self.deed = self.deed.take().filter(|(deed, _)| *deed != action);
    }

    /// Whether it is ill: a symptom stands that is more than worth knowing.
    pub fn is_ill(&self) -> bool {
        self.standing.values().any(Standing::is_illness)
    }

    /// Whether it is ill in this way.
    pub fn ails(&self, symptom: Symptom) -> bool {
        self.standing.get(&symptom).is_some_and(Standing::is_illness)
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.state == State::Running)
    }

    /// What its health check says; none where nothing is known of it.
    pub fn health(&self) -> Option<Health> {
        self.facts.as_ref().map(|facts| facts.health)
    }

    /// Whether `symptom` stands and shows in its present run, `diagnosed` being the run that a diagnosis was about.
    ///
    /// A symptom stands for a while after the container got well (hysteresis), and after a restart it speaks of the run
    /// before. Acting on it then would strike a container that is getting well. What is merely worth knowing never shows.
    pub fn shows(&self, symptom: Symptom, diagnosed: &Target) -> bool {
        let standing = self.standing.get(&symptom).filter(|standing| standing.is_illness());
        let (Some(standing), Some(facts)) = (standing, &self.facts) else { return false };
        match symptom {
            Symptom::Unhealthy => facts.health == Health::Unhealthy && facts.state == State::Running,
            Symptom::Exited | Symptom::OomKilled => facts.state != State::Running,
            // Another run does not change either.
            Symptom::RestartLoop | Symptom::DiskFilling => true,
            Symptom::CpuHigh
            | Symptom::MemoryHigh
            | Symptom::OomChild
            | Symptom::Flapping
            | Symptom::CpuThrottled
            | Symptom::Pressure
            | Symptom::PidsHigh
            | Symptom::MemoryLeak
            | Symptom::CpuUnusual
            | Symptom::MemoryUnusual
            | Symptom::NetworkUnusual
            | Symptom::BlockUnusual => {
                let present = facts.target();
                standing.target == present || *diagnosed == present
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, facts, id, run, started};

    /// The condition after these events.
    fn after(events: Vec<hemostat_schema::NewEvent>) -> Condition {
        let mut condition = Condition::default();
        for (n, event) in (1..).zip(events) {
            condition.evolve(&event.recorded(id(n), &[]));
        }
        condition
    }

    #[test]
    fn what_stands_shows_in_the_run_it_speaks_of_and_in_the_one_that_was_diagnosed() {
        let check = |symptom: Symptom, here: bool, in_another_run: bool| {
            let ill = || vec![testing::seen(0, facts()), testing::raised(10, symptom, run(0))];
            assert_eq!(after(ill()).shows(symptom, &run(0)), here, "{symptom}");
            let mut restarted = ill();
            restarted.push(started(20));
            assert_eq!(after(restarted.clone()).shows(symptom, &run(0)), in_another_run, "{symptom}, restarted");
            assert!(after(restarted).ails(symptom), "{symptom}");
        };
        for symptom in [
            Symptom::CpuHigh,
            Symptom::MemoryHigh,
            Symptom::CpuThrottled,
            Symptom::Pressure,
            Symptom::PidsHigh,
            Symptom::MemoryLeak,
            Symptom::OomChild,
            Symptom::Flapping,
        ] {
            check(symptom, true, false);
        }
        check(Symptom::RestartLoop, true, true);
        check(Symptom::DiskFilling, true, true);
        check(Symptom::Exited, false, false);
    }

    #[test]
    fn what_is_merely_unusual_stands_and_is_no_illness() {
        let unusual = testing::unusual(10, Symptom::CpuUnusual, run(0));
        let condition = after(vec![testing::seen(0, facts()), unusual]);
        assert!(condition.standing.contains_key(&Symptom::CpuUnusual));
        assert!(!condition.is_ill() && !condition.ails(Symptom::CpuUnusual));
        assert!(!condition.shows(Symptom::CpuUnusual, &run(0)));
        assert_eq!(condition.observed_at, None);
    }
}
