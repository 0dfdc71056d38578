//! The view `incidents`: what happened in one illness, in which order, and how it ended.
//!
//! A row is born when the first symptom is raised. It keeps the ids of the incident's events, so that the causal chain
//! can be shown by reading just those.

use hemostat_schema::{
    Action, Alert, Confidence, Diagnosis, Event, EventId, Family, Observation, Recorded, Subject, Timestamp,
    action::{Outcome, Refusal, Remedy},
    diagnosis::{Method, Verdict},
    observation::{Cleared, Severity, Symptom},
};
use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::Projection;

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Incidents;

/// The first so many and the last so many events of an incident are kept; what lies between is only counted.
const ENDS: usize = 100;

/// So many diagnoses, attempts and alert events are kept, the latest.
const LATEST: usize = 20;

/// One incident, by its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Who is ill.
    pub subject: Subject,
    /// Since when: the first symptom's word.
    pub begun: Timestamp,
    /// How it stands, or how it ended.
    pub state: State,
    /// Since when `state` is another than open.
    pub ended: Option<Timestamp>,
    /// Every way in which it was ill.
    pub symptoms: Vec<Suffered>,
    /// What was concluded, the latest.
    pub diagnoses: Vec<Concluded>,
    /// Why a remedy was not carried out, the last time that one was not.
    pub refused: Option<(Timestamp, Refusal)>,
    /// What was tried, the latest.
    pub attempts: Vec<Attempt>,
    /// The events of its alert: raised, escalated, resolved, and their delivery.
    pub alerts: Vec<EventId>,
    /// Its events in order: the first hundred and the last hundred.
    pub events: Vec<EventId>,
    /// How many events between those are left out.
    pub omitted: u64,
    /// HemoStat has given up on it for the time being.
    given_up: bool,
    /// Why the last symptom that was cleared counts as over.
    cleared: Option<Cleared>,
    /// The last event that was taken in.
    pub last: EventId,
}

/// How an incident stands, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A symptom stands, or the outcome of a remedy is awaited.
    Open,
    /// A remedy helped.
    Recovered,
    /// Attempt after attempt did not help, and a symptom still stands.
    GivenUp,
    /// It went by itself, or somebody else mended it.
    Passed,
    /// An operator stopped or froze the container.
    Stopped,
    /// The container was removed.
    Removed,
}

/// One way in which the container was ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suffered {
    /// Which.
    pub symptom: Symptom,
    /// How bad it was at worst.
    pub severity: Severity,
    /// Since when.
    pub since: Timestamp,
    /// When it was over; none while it stands.
    pub cleared: Option<Timestamp>,
}

/// What was concluded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concluded {
    /// The event.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// Whether it is an illness.
    pub verdict: Verdict,
    /// What is wrong.
    pub root_cause: String,
    /// What would help.
    pub remedy: Option<Remedy>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Who concluded it.
    pub method: Method,
}

impl Row {
    fn born(event: &Recorded, since: Timestamp) -> Self {
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
            // What led to the first symptom belongs to the story, though the incident did not exist yet.
            events: event.cause.into_iter().collect(),
            omitted: 0,
            given_up: false,
            cleared: None,
            last: event.id,
        }
    }

    fn take(&mut self, known: &Event, event: &Recorded) {
        match known {
            Event::Observation(observation) => self.observe(observation, event),
            Event::Diagnosis(Diagnosis::Reached(reached)) => {
                let (id, at) = (event.id, event.at);
                keep_latest(
                    &mut self.diagnoses,
                    Concluded {
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
        }
        self.chain(event.id);
        self.settle(event.at);
    }

    fn observe(&mut self, observation: &Observation, event: &Recorded) {
        match observation {
            Observation::SymptomRaised(raised) => {
                self.symptoms.retain(|suffered| suffered.symptom != raised.symptom);
                self.symptoms.push(Suffered {
                    symptom: raised.symptom,
                    severity: raised.severity,
                    since: raised.since,
                    cleared: None,
                });
            }
            Observation::SymptomWorsened(worsened) => {
                for suffered in self.symptoms.iter_mut().filter(|suffered| suffered.symptom == worsened.symptom) {
                    suffered.severity = suffered.severity.max(worsened.severity);
                }
            }
            Observation::SymptomCleared(cleared) => {
                for suffered in self.symptoms.iter_mut().filter(|suffered| suffered.symptom == cleared.symptom) {
                    suffered.cleared = Some(event.at);
                }
                self.cleared = Some(cleared.why);
            }
            Observation::Seen(_)
            | Observation::Removed(_)
            | Observation::Started(_)
            | Observation::Exited(_)
            | Observation::Frozen(_)
            | Observation::Thawed(_)
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
                    attempt.take(action);
                }
            }
            Action::Refused(refused) => {
                self.refused = Some((event.at, refused.refusal.clone()));
                for attempt in &mut self.attempts {
                    attempt.take(action);
                }
            }
            Action::GaveUp(_) => self.given_up = true,
            Action::BreakerReset(_) => self.given_up = false,
            Action::Proposed(_)
            | Action::Approved(_)
            | Action::Denied(_)
            | Action::Expired(_)
            | Action::Paused(_)
            | Action::Resumed(_) => {}
        }
    }

    fn chain(&mut self, id: EventId) {
        if self.events.len() == 2 * ENDS {
            self.events.remove(ENDS);
            self.omitted += 1;
        }
        self.events.push(id);
    }

    /// Works out the state anew; it changes `ended` only when it changes itself, so an alert about the end moves nothing.
    fn settle(&mut self, at: Timestamp) {
        let stands = self.symptoms.iter().any(|suffered| suffered.cleared.is_none());
        let in_hand = self.attempts.last().is_some_and(Attempt::in_hand);
        let helped = self.attempts.last().is_some_and(|attempt| attempt.outcome() == Some(Outcome::Recovered));
        let state = match self.cleared {
            _ if in_hand => State::Open,
            _ if stands && self.given_up => State::GivenUp,
            _ if stands => State::Open,
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
    if list.len() == LATEST {
        list.remove(0);
    }
    list.push(item);
}

impl Projection for Incidents {
    const NAME: &'static str = "incidents";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &Family::ALL;
    type Row = Row;

    fn keys(event: &Recorded) -> Vec<String> {
        match event.event() {
            None | Some(Event::Observation(Observation::Sampled(_))) => vec![],
            Some(_) => event.incident.iter().map(ToString::to_string).collect(),
        }
    }

    fn evolve(row: Option<Row>, _: &str, event: &Recorded) -> Option<Row> {
        let Some(known) = event.event() else { return row };
        let mut row = match (row, known) {
            (Some(row), _) if event.id <= row.last => return Some(row),
            (Some(row), _) => row,
            (None, Event::Observation(Observation::SymptomRaised(raised))) => Row::born(event, raised.since),
            (None, _) => return None,
        };
        row.take(known, event);
        row.last = event.id;
        Some(row)
    }
}
