//! The view `containers`: the condition of each container, and why it is or is not being healed.
//!
//! Only `seen` creates a row, so that a late event about a removed container does not bring it back. The row is deleted
//! when the container is removed, unless a remedy is pending or a symptom is active: then it stays, marked as removed,
//! until that is over.

use hemostat_schema::{
    Action, Diagnosis, Event, EventId, Family, IncidentId, Observation, Recorded, Timestamp,
    action::Outcome,
    container::{ExitBy, Facts, Health, State},
    diagnosis::{Reached, Verdict},
    observation::{Evidence, Severity, Symptom},
};
use serde::{Deserialize, Serialize};

use super::{attempt::Attempt, attention::Attention};
use crate::{
    observe::{condition::OperatorHalt, lifecycle},
    projection::Projection,
};

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Containers;

/// One container, by `host/name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is known of it; every observation updates it.
    pub facts: Facts,
    /// Since when `facts.state` holds: when it was last started, paused or ended.
    pub since: Timestamp,
    /// Its active symptoms.
    pub symptoms: Vec<ActiveSymptom>,
    /// Its open incident.
    pub incident: Option<IncidentId>,
    /// Its last diagnosis, possibly of an earlier incident.
    pub diagnosis: Option<Conclusion>,
    /// Its last attempt, possibly of an earlier incident.
    pub action: Option<Attempt>,
    /// What prevents healing now, or the answer that HemoStat waits for.
    pub obstacle: Option<Attention>,
    /// Counters since the row was created.
    pub counters: Counters,
    /// When it was removed, if the row still exists.
    pub removed: Option<Timestamp>,
    /// The last event applied.
    pub last: EventId,
}

/// A symptom that was raised and not cleared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActiveSymptom {
    /// The symptom.
    pub symptom: Symptom,
    /// Its severity.
    pub severity: Severity,
    /// Since when.
    pub since: Timestamp,
    /// The evidence for it.
    pub evidence: Evidence,
}

/// A diagnosis on the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conclusion {
    /// The event.
    pub id: EventId,
    /// When it was reached.
    pub at: Timestamp,
    /// The diagnosis.
    pub reached: Reached,
}

/// Counters of a container since its row was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Incidents.
    pub incidents: u64,
    /// Remedies that were authorised.
    pub attempts: u64,
    /// Remedies that helped.
    pub recovered: u64,
    /// Refusals, one per change of the reason.
    pub refused: u64,
    /// Runs.
    pub starts: u64,
}

impl Row {
    fn new(facts: &Facts, event: &Recorded) -> Self {
        Self {
            since: facts.exit.map_or(facts.started_at.unwrap_or(facts.created_at), |exit| exit.at),
            facts: facts.clone(),
            symptoms: vec![],
            incident: None,
            diagnosis: None,
            action: None,
            obstacle: None,
            counters: Counters::default(),
            removed: None,
            last: event.id,
        }
    }

    /// The attempt that has no outcome yet.
    pub fn pending_attempt(&self) -> Option<&Attempt> {
        self.action.as_ref().filter(|attempt| attempt.is_pending())
    }

    /// Why it is or is not being healed.
    pub fn attention(&self) -> Attention {
        if let Some(Attempt { remedy, attempt, of, at, .. }) = self.pending_attempt() {
            return Attention::InHand { remedy: remedy.clone(), attempt: *attempt, of: *of, since: *at };
        }
        let symptoms = || self.symptoms.iter().map(|active| active.symptom).collect();
        if self.is_sick() {
            return self.obstacle.clone().unwrap_or_else(|| Attention::Sick { symptoms: symptoms() });
        }
        match (self.facts.state, self.facts.exit) {
            (State::Running, _) if self.facts.health == Health::Starting => Attention::Starting,
            (State::Running, _) if !self.symptoms.is_empty() => Attention::Unusual { symptoms: symptoms() },
            (State::Running, _) => Attention::Healthy,
            (State::Paused, _) => Attention::LeftAlone { how: OperatorHalt::Paused, since: self.since },
            (_, Some(exit)) if exit.by == ExitBy::Operator => {
                Attention::LeftAlone { how: OperatorHalt::Stopped, since: exit.at }
            }
            (State::Created | State::Restarting | State::Removing | State::Exited | State::Dead, exit) => {
                Attention::Idle { exit, docker_restarts: self.facts.state == State::Restarting }
            }
        }
    }

    fn apply(&mut self, event: &Event, at: &Recorded) {
        match event {
            Event::Observation(observation) => self.observe(observation, at),
            Event::Diagnosis(Diagnosis::Reached(reached)) => {
                self.diagnosis = Some(Conclusion { id: at.id, at: at.at, reached: reached.clone() });
                match (&reached.remedy, &self.obstacle) {
                    (None, _) if reached.verdict == Verdict::Sick => {
                        self.obstacle = Some(Attention::NoRemedy { root_cause: reached.root_cause.clone() });
                    }
                    (Some(_), Some(Attention::NoRemedy { .. })) => self.obstacle = None,
                    _ => {}
                }
            }
            Event::Diagnosis(Diagnosis::OpinionSought(_) | Diagnosis::Opined(_) | Diagnosis::Failed(_))
            | Event::Alert(_)
            | Event::Sample(_) => {}
            Event::Action(action) => self.act(action, at),
        }
    }

    fn observe(&mut self, observation: &Observation, at: &Recorded) {
        match observation {
            Observation::Seen(_)
            | Observation::Started(_)
            | Observation::Exited(_)
            | Observation::Paused(_)
            | Observation::Unpaused(_)
            | Observation::HealthChanged(_) => self.follow(observation, at),
            Observation::Removed(removed) if removed.target.id == self.facts.id => self.removed = Some(at.at),
            // Another container has taken over the name.
            Observation::Removed(_) => {}
            Observation::SymptomRaised(raised) => {
                let opens_incident = raised.severity > Severity::Low;
                if opens_incident && self.incident != at.incident {
                    self.counters.incidents += 1;
                    self.obstacle = None;
                    self.incident.clone_from(&at.incident);
                }
                self.symptoms.retain(|active| active.symptom != raised.symptom);
                self.symptoms.push(ActiveSymptom {
                    symptom: raised.symptom,
                    severity: raised.severity,
                    since: raised.since,
                    evidence: raised.evidence.clone(),
                });
            }
            Observation::SymptomWorsened(worsened) => {
                for active in self.symptoms.iter_mut().filter(|active| active.symptom == worsened.symptom) {
                    active.severity = worsened.severity;
                    active.evidence = worsened.evidence.clone();
                }
            }
            Observation::SymptomCleared(cleared) => {
                self.symptoms.retain(|active| active.symptom != cleared.symptom);
                self.settle();
            }
            Observation::Sampled(_)
            | Observation::Stored(_)
            | Observation::Examined(_)
            | Observation::DiskMeasured(_)
            | Observation::EngineLost(_)
            | Observation::EngineFound(_) => {}
        }
    }

    fn act(&mut self, action: &Action, at: &Recorded) {
        match action {
            Action::Authorised(authorised) => {
                self.counters.attempts += 1;
                self.action = Some(Attempt::new(at.id, at.at, authorised));
                self.obstacle = None;
            }
            Action::Succeeded(_) | Action::Failed(_) => self.attempted(action),
            Action::Verified(verified) => {
                self.counters.recovered += u64::from(verified.outcome == Outcome::Recovered);
                self.attempted(action);
            }
            Action::Proposed(proposed) => {
                self.obstacle =
                    Some(Attention::WaitingForApproval { remedy: proposed.remedy.clone(), expires: proposed.expires });
            }
            Action::Approved(_) => self.obstacle = None,
            Action::Denied(_) | Action::Expired(_) => self.obstacle = Some(Attention::NotApproved),
            Action::Refused(refused) => {
                self.counters.refused += 1;
                let (remedy, refusal) = (refused.remedy.clone(), refused.refusal.clone());
                if let Some(obstacle) = Attention::refused(remedy, refusal, at.at) {
                    self.obstacle = Some(obstacle);
                }
                if refused.refusal.unexecuted_intent().is_some() {
                    self.attempted(action);
                }
            }
            Action::GaveUp(gave_up) => self.obstacle = Some(Attention::GivenUp { until: gave_up.until }),
            Action::BreakerReset(_) => self.obstacle = None,
            Action::Paused(_)
            | Action::Resumed(_)
            | Action::DeadLetterRedriven(_)
            | Action::DeadLetterDiscarded(_)
            | Action::PolicyChanged(_)
            | Action::PolicyRefused(_)
            | Action::PoliciesCompared(_) => {}
        }
    }

    fn attempted(&mut self, action: &Action) {
        if let Some(attempt) = &mut self.action {
            attempt.apply(action);
        }
        self.settle();
    }

    /// Whether a symptom is active that belongs to an incident.
    fn is_sick(&self) -> bool {
        self.symptoms.iter().any(|active| active.severity > Severity::Low)
    }

    /// The incident is over once the container is not sick and no attempt is pending.
    fn settle(&mut self) {
        if !self.is_sick() && self.pending_attempt().is_none() {
            self.incident = None;
            self.obstacle = None;
        }
    }

    fn follow(&mut self, observation: &Observation, at: &Recorded) {
        let mut known = Some(self.facts.clone());
        lifecycle::apply(&mut known, observation);
        if let Some(facts) = known {
            let run = |facts: &Facts| (facts.state, facts.target());
            if run(&facts) != run(&self.facts) {
                self.since = at.at;
            }
            self.facts = facts;
        }
        match observation {
            Observation::Seen(_) => self.removed = None,
            Observation::Started(_) => self.counters.starts += 1,
            _ => {}
        }
    }

    /// Whether it was removed and nothing about it is pending.
    fn is_over(&self) -> bool {
        self.removed.is_some() && self.symptoms.is_empty() && self.pending_attempt().is_none()
    }
}

impl Projection for Containers {
    const NAME: &'static str = "containers";
    const VERSION: u16 = 2;
    const READS: &'static [Family] = &Family::WITHOUT_SAMPLES;
    type Row = Row;

    fn keys(event: &Recorded) -> Vec<String> {
        match (&event.subject.container, event.event()) {
            (None, _) | (_, None | Some(Event::Alert(_) | Event::Sample(_))) => vec![],
            (_, Some(event)) if event.measurement().is_some() => vec![],
            (Some(_), Some(_)) => vec![event.subject.to_string()],
        }
    }

    fn evolve(row: Option<Row>, _: &str, event: &Recorded) -> Option<Row> {
        let Some(known) = event.event() else { return row };
        let mut row = match (row, known) {
            (Some(row), _) if event.id <= row.last => return Some(row),
            (Some(row), _) => row,
            (None, Event::Observation(Observation::Seen(seen))) => Row::new(&seen.facts, event),
            (None, _) => return None,
        };
        row.apply(known, event);
        row.last = event.id;
        (!row.is_over()).then_some(row)
    }
}
