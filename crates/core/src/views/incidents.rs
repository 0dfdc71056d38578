//! The view `incidents`: what happened in one incident, in which order, and how it ended.
//!
//! The first symptom creates the row. The row keeps the ids of the incident's events, so that the causal chain can be
//! shown by reading only those.

use hemostat_schema::{
    Action, Alert, Confidence, Diagnosis, Event, EventId, Family, Observation, Recorded, Subject, Timestamp,
    action::{Outcome, Refusal, Remedy},
    diagnosis::{Method, Verdict},
    observation::{Cleared, Severity, Symptom},
};
use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use crate::projection::Projection;

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Incidents;

/// How many of the first and of the last events of an incident are kept; those between are only counted.
const ENDS: usize = 100;

/// Maximum diagnoses, attempts and alert events; the latest are kept.
const MAX_LATEST: usize = 20;

/// One incident, by its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The container.
    pub subject: Subject,
    /// Since when, according to its first symptom.
    pub begun: Timestamp,
    /// Its state.
    pub state: State,
    /// When it ended; none while it is open.
    pub ended: Option<Timestamp>,
    /// All its symptoms.
    pub symptoms: Vec<IncidentSymptom>,
    /// Its latest diagnoses.
    pub diagnoses: Vec<Conclusion>,
    /// Its last refusal.
    pub refused: Option<(Timestamp, Refusal)>,
    /// Its latest attempts.
    pub attempts: Vec<Attempt>,
    /// The events of its alert: raised, escalated, resolved, and their delivery.
    pub alerts: Vec<EventId>,
    /// Its events in order: the first hundred and the last hundred.
    pub events: Vec<EventId>,
    /// How many events between those are omitted.
    pub omitted: u64,
    /// HemoStat has given up on it for now.
    given_up: bool,
    /// Why the last symptom was cleared.
    cleared: Option<Cleared>,
    /// The last event applied.
    pub last: EventId,
}

/// The state of an incident.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum State {
    /// A symptom is active, or a remedy has no verdict yet.
    Open,
    /// A remedy helped.
    Recovered,
    /// HemoStat gave up after unsuccessful attempts, and a symptom is still active.
    GivenUp,
    /// It passed by itself, or something other than HemoStat healed it.
    Passed,
    /// An operator stopped or paused the container.
    Stopped,
    /// The container was removed.
    Removed,
}

/// A symptom of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentSymptom {
    /// The symptom.
    pub symptom: Symptom,
    /// Its highest severity.
    pub severity: Severity,
    /// Since when.
    pub since: Timestamp,
    /// When it was cleared; none while it is active.
    pub cleared: Option<Timestamp>,
}

/// A diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conclusion {
    /// The event.
    pub id: EventId,
    /// When it was reached.
    pub at: Timestamp,
    /// Whether the container is sick.
    pub verdict: Verdict,
    /// The cause.
    pub root_cause: String,
    /// The remedy that would help.
    pub remedy: Option<Remedy>,
    /// How certain it is.
    pub confidence: Confidence,
    /// The rule or model that reached it.
    pub method: Method,
}

impl Row {
    fn new(event: &Recorded, since: Timestamp) -> Self {
        Self {
            subject: event.subject.clone(),
            begun: since,
            state: State::Open,
            ended: None,
            symptoms: vec![],
            diagnoses: vec![],
            refused: None,
            attempts: vec![],
            alerts: vec![],
            // The cause of the first symptom belongs to the incident, though it happened before.
            events: event.cause.into_iter().collect(),
            omitted: 0,
            given_up: false,
            cleared: None,
            last: event.id,
        }
    }

    fn apply(&mut self, known: &Event, event: &Recorded) {
        match known {
            Event::Observation(observation) => self.observe(observation, event),
            Event::Diagnosis(Diagnosis::Reached(reached)) => {
                let (id, at) = (event.id, event.at);
                keep_latest(
                    &mut self.diagnoses,
                    Conclusion {
                        id,
                        at,
                        verdict: reached.verdict,
                        root_cause: reached.root_cause.clone(),
                        remedy: reached.remedy.clone(),
                        confidence: reached.confidence,
                        method: reached.method.clone(),
                    },
                );
            }
            Event::Diagnosis(Diagnosis::OpinionSought(_) | Diagnosis::Opined(_) | Diagnosis::Failed(_)) => {}
            Event::Action(action) => self.act(action, event),
            Event::Alert(alert) => match alert {
                Alert::Raised(_)
                | Alert::Escalated(_)
                | Alert::Resolved(_)
                | Alert::Delivered(_)
                | Alert::Undelivered(_) => keep_latest(&mut self.alerts, event.id),
                Alert::Suppressed(_) | Alert::Tested(_) => {}
            },
            Event::Sample(_) => {}
        }
        self.add_event(event.id);
        self.settle(event.at);
    }

    fn observe(&mut self, observation: &Observation, event: &Recorded) {
        match observation {
            Observation::SymptomRaised(raised) => {
                self.symptoms.retain(|symptom| symptom.symptom != raised.symptom);
                self.symptoms.push(IncidentSymptom {
                    symptom: raised.symptom,
                    severity: raised.severity,
                    since: raised.since,
                    cleared: None,
                });
            }
            Observation::SymptomWorsened(worsened) => {
                for symptom in self.symptoms.iter_mut().filter(|symptom| symptom.symptom == worsened.symptom) {
                    symptom.severity = symptom.severity.max(worsened.severity);
                }
            }
            Observation::SymptomCleared(cleared) => {
                for symptom in self.symptoms.iter_mut().filter(|symptom| symptom.symptom == cleared.symptom) {
                    symptom.cleared = Some(event.at);
                }
                self.cleared = Some(cleared.why);
            }
            Observation::Seen(_)
            | Observation::Removed(_)
            | Observation::Started(_)
            | Observation::Exited(_)
            | Observation::Paused(_)
            | Observation::Unpaused(_)
            | Observation::HealthChanged(_)
            | Observation::Sampled(_)
            | Observation::Stored(_)
            | Observation::Examined(_)
            | Observation::DiskMeasured(_)
            | Observation::EngineLost(_)
            | Observation::EngineFound(_) => {}
        }
    }

    fn act(&mut self, action: &Action, event: &Recorded) {
        match action {
            Action::Authorised(authorised) => {
                self.given_up = false;
                self.refused = None;
                keep_latest(&mut self.attempts, Attempt::new(event.id, event.at, authorised));
            }
            Action::Succeeded(_) | Action::Failed(_) | Action::Verified(_) => {
                for attempt in &mut self.attempts {
                    attempt.apply(action);
                }
            }
            Action::Refused(refused) => {
                self.refused = Some((event.at, refused.refusal.clone()));
                for attempt in &mut self.attempts {
                    attempt.apply(action);
                }
            }
            Action::GaveUp(_) => self.given_up = true,
            Action::BreakerReset(_) => self.given_up = false,
            Action::Proposed(_)
            | Action::Approved(_)
            | Action::Denied(_)
            | Action::Expired(_)
            | Action::Paused(_)
            | Action::Resumed(_)
            | Action::DeadLetterRedriven(_)
            | Action::DeadLetterDiscarded(_)
            | Action::PolicyChanged(_)
            | Action::PolicyRefused(_)
            | Action::PoliciesCompared(_) => {}
        }
    }

    fn add_event(&mut self, id: EventId) {
        if self.events.len() == 2 * ENDS {
            self.events.remove(ENDS);
            self.omitted += 1;
        }
        self.events.push(id);
    }

    /// Recomputes the state. `ended` changes only when the state does, so a later alert about the end does not move it.
    fn settle(&mut self, at: Timestamp) {
        let is_active = self.symptoms.iter().any(|symptom| symptom.cleared.is_none());
        let is_pending = self.attempts.last().is_some_and(Attempt::is_pending);
        let helped = self.attempts.last().is_some_and(|attempt| attempt.outcome() == Some(Outcome::Recovered));
        let state = match self.cleared {
            _ if is_pending => State::Open,
            _ if is_active && self.given_up => State::GivenUp,
            _ if is_active => State::Open,
            Some(Cleared::Stopped) => State::Stopped,
            Some(Cleared::Removed) => State::Removed,
            Some(Cleared::Well) | None if helped => State::Recovered,
            Some(Cleared::Well) | None => State::Passed,
        };
        if state != self.state {
            self.state = state;
            self.ended = (state != State::Open).then_some(at);
        }
    }
}

fn keep_latest<T>(list: &mut Vec<T>, item: T) {
    if list.len() == MAX_LATEST {
        list.remove(0);
    }
    list.push(item);
}

impl Projection for Incidents {
    const NAME: &'static str = "incidents";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &Family::WITHOUT_SAMPLES;
    type Row = Row;

    fn keys(event: &Recorded) -> Vec<String> {
        match event.event() {
            None | Some(Event::Observation(Observation::Sampled(_)) | Event::Sample(_)) => vec![],
            Some(_) => event.incident.iter().map(ToString::to_string).collect(),
        }
    }

    fn evolve(row: Option<Row>, _: &str, event: &Recorded) -> Option<Row> {
        let Some(known) = event.event() else { return row };
        let mut row = match (row, known) {
            (Some(row), _) if event.id <= row.last => return Some(row),
            (Some(row), _) => row,
            (None, Event::Observation(Observation::SymptomRaised(raised))) => Row::new(event, raised.since),
            (None, _) => return None,
        };
        row.apply(known, event);
        row.last = event.id;
        Some(row)
    }
}
