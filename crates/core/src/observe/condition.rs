//! The present condition of a container: its facts, its active symptoms, and whether an operator keeps it from running.
//!
//! The deciders that diagnose, authorise, judge and alert share this fold. Its delicate part is who ended a run: to
//! Docker, HemoStat's own restart or stop is a stop like an operator's. The end of the very run that an open authorisation
//! targets is therefore HemoStat's doing and not an operator's.

use std::collections::BTreeMap;

use hemostat_schema::{
    Action, Event, EventId, IncidentId, Observation, Recorded, Timestamp,
    container::{ExitBy, Facts, Health, Run, State},
    observation::{Cleared, Evidence, Severity, Symptom},
};
use serde::{Deserialize, Serialize};

use super::lifecycle;

/// The present condition of a container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Condition {
    /// What is known of it; none before it was seen and after it was removed.
    pub facts: Option<Facts>,
    /// Its active symptoms.
    #[serde(rename = "standing")]
    pub symptoms: BTreeMap<Symptom, ActiveSymptom>,
    /// When and why the last symptom of an incident was cleared.
    pub cleared: Option<(Timestamp, Cleared)>,
    /// How an operator keeps it from running, if one does.
    #[serde(rename = "halted")]
    pub operator_halt: Option<OperatorHalt>,
    /// When it was last observed while sick.
    pub observed_at: Option<Timestamp>,
    /// The open authorisation of a remedy that ends a run, and that run.
    #[serde(rename = "deed")]
    own_stop: Option<(EventId, Run)>,
}

/// A symptom that was raised and not cleared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActiveSymptom {
    /// The incident that it belongs to.
    pub incident: Option<IncidentId>,
    /// Since when the container has had it.
    pub since: Timestamp,
    /// Its severity.
    pub severity: Severity,
    /// The run in which it was last seen.
    pub target: Run,
    /// The evidence for it.
    pub evidence: Evidence,
}

impl ActiveSymptom {
    /// Whether it belongs to an incident; a symptom of low severity is only worth knowing.
    pub fn opens_incident(&self) -> bool {
        self.severity > Severity::Low
    }
}

/// How an operator keeps a container from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorHalt {
    /// By `docker stop`, `kill` or `compose stop`.
    Stopped,
    /// By `docker pause`.
    #[serde(rename = "frozen")]
    Paused,
}

impl Condition {
    /// Applies an event of the container.
    pub fn evolve(&mut self, event: &Recorded) {
        match event.event() {
            Some(Event::Observation(seen)) => {
                self.observe(event, seen);
                self.observed(event.at);
            }
            Some(Event::Action(Action::Authorised(intent))) if !intent.dry_run => {
                let ended = intent.target.run().filter(|_| intent.remedy.info().on_run.ends_it());
                self.own_stop = ended.map(|run| (event.id, run.clone()));
            }
            Some(Event::Action(Action::Failed(failed))) => self.ended(failed.action),
            Some(Event::Action(Action::Verified(verdict))) => self.ended(verdict.action),
            // No decider reads samples.
            Some(Event::Action(_) | Event::Diagnosis(_) | Event::Alert(_) | Event::Sample(_)) | None => {}
        }
    }

    fn observe(&mut self, event: &Recorded, seen: &Observation) {
        match seen {
            Observation::Seen(seen) => self.operator_halt = self.halt_of(&seen.facts),
            Observation::Exited(exited) => {
                let by_operator = exited.exit.by == ExitBy::Operator && !self.is_own_stop(&exited.target);
                self.operator_halt = by_operator.then_some(OperatorHalt::Stopped);
            }
            Observation::Paused(_) => self.operator_halt = Some(OperatorHalt::Paused),
            Observation::Started(_) | Observation::Unpaused(_) => self.operator_halt = None,
            Observation::Removed(_) => {
                if self.is_sick() {
                    self.cleared = Some((event.at, Cleared::Removed));
                }
                self.symptoms.clear();
                self.operator_halt = None;
            }
            Observation::SymptomRaised(raised) => {
                let symptom = ActiveSymptom {
                    incident: event.incident.clone(),
                    since: raised.since,
                    severity: raised.severity,
                    target: raised.target.clone(),
                    evidence: raised.evidence.clone(),
                };
                self.symptoms.insert(raised.symptom, symptom);
            }
            Observation::SymptomWorsened(worse) => {
                if let Some(symptom) = self.symptoms.get_mut(&worse.symptom) {
                    symptom.severity = worse.severity;
                    symptom.target = worse.target.clone();
                    symptom.evidence = worse.evidence.clone();
                }
            }
            Observation::SymptomCleared(cleared) => {
                if self.symptoms.remove(&cleared.symptom).is_none_or(|symptom| symptom.opens_incident()) {
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
        lifecycle::apply(&mut self.facts, seen);
    }

    fn observed(&mut self, at: Timestamp) {
        self.observed_at = if self.is_sick() { self.observed_at.max(Some(at)) } else { None };
    }

    fn halt_of(&self, facts: &Facts) -> Option<OperatorHalt> {
        match facts.state {
            State::Paused => Some(OperatorHalt::Paused),
            State::Exited | State::Dead => {
                let by_operator = facts.exit.is_some_and(|exit| exit.by == ExitBy::Operator);
                (by_operator && !self.is_own_stop(&facts.target())).then_some(OperatorHalt::Stopped)
            }
            State::Created | State::Running | State::Restarting | State::Removing => None,
        }
    }

    fn is_own_stop(&self, ended: &Run) -> bool {
        self.own_stop.as_ref().is_some_and(|(_, target)| target == ended)
    }

    fn ended(&mut self, action: EventId) {
        self.own_stop = self.own_stop.take().filter(|(open, _)| *open != action);
    }

    /// Whether a symptom is active that belongs to an incident.
    pub fn is_sick(&self) -> bool {
        self.symptoms.values().any(ActiveSymptom::opens_incident)
    }

    /// Whether this symptom is active and belongs to an incident.
    pub fn is_sick_with(&self, symptom: Symptom) -> bool {
        self.symptoms.get(&symptom).is_some_and(ActiveSymptom::opens_incident)
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.state == State::Running)
    }

    /// The result of its health check; none while nothing is known of the container.
    pub fn health(&self) -> Option<Health> {
        self.facts.as_ref().map(|facts| facts.health)
    }

    /// Whether `symptom` is active and visible in the present run; `diagnosed` is the run that a diagnosis was about, if it
    /// was about one.
    ///
    /// A symptom stays active for a while after the container got well (hysteresis), and after a restart it describes
    /// the earlier run. Acting on it then would disturb a container that is recovering. A symptom that belongs to no
    /// incident is never visible.
    pub fn shows(&self, symptom: Symptom, diagnosed: Option<&Run>) -> bool {
        let active = self.symptoms.get(&symptom).filter(|active| active.opens_incident());
        let (Some(active), Some(facts)) = (active, &self.facts) else { return false };
        match symptom {
            Symptom::Unhealthy => facts.health == Health::Unhealthy && facts.state == State::Running,
            Symptom::Exited | Symptom::OomKilled => facts.state != State::Running,
            // A new run changes neither.
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
                active.target == present || diagnosed == Some(&present)
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
    fn a_symptom_shows_in_the_run_it_was_seen_in_and_in_the_diagnosed_run() {
        let check = |symptom: Symptom, here: bool, in_another_run: bool| {
            let sick = || vec![testing::seen(0, facts()), testing::raised(10, symptom, run(0))];
            assert_eq!(after(sick()).shows(symptom, Some(&run(0))), here, "{symptom}");
            let mut restarted = sick();
            restarted.push(started(20));
            assert_eq!(after(restarted.clone()).shows(symptom, Some(&run(0))), in_another_run, "{symptom}, restarted");
            assert!(after(restarted).is_sick_with(symptom), "{symptom}");
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
    fn an_unusual_symptom_is_active_and_belongs_to_no_incident() {
        let unusual = testing::unusual(10, Symptom::CpuUnusual, run(0));
        let condition = after(vec![testing::seen(0, facts()), unusual]);
        assert!(condition.symptoms.contains_key(&Symptom::CpuUnusual));
        assert!(!condition.is_sick() && !condition.is_sick_with(Symptom::CpuUnusual));
        assert!(!condition.shows(Symptom::CpuUnusual, Some(&run(0))));
        assert_eq!(condition.observed_at, None);
    }
}
