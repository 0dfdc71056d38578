//! The incidents of a container, and which alerts were raised for them.

use std::collections::BTreeMap;

use hemostat_schema::{
    Action, Alert, Diagnosis, Event, EventId, IncidentId, Observation, Recorded, Timestamp,
    action::{Outcome, Remedy},
    alert::Suppression,
    observation::{Evidence, Severity, Symptom},
};
use serde::{Deserialize, Serialize};

use super::notice::Notice;
use crate::{last_applied::LastApplied, observe::condition::Condition};

/// Maximum incidents of a container that are remembered, in addition to those with an open alert.
const MAX_CASES: usize = 8;
/// Maximum triggers remembered per incident.
const MAX_TRIGGERS: usize = 8;

/// The condition of a container, and its latest incidents.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    #[serde(rename = "once")]
    last_applied: LastApplied,
    pub(super) condition: Condition,
    pub(super) cases: BTreeMap<IncidentId, Case>,
}

/// One incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Case {
    /// Its alert.
    pub(super) stage: Stage,
    /// The alert says that a person is needed.
    pub(super) escalated: bool,
    /// The suppressions on the log.
    pub(super) suppressed: Vec<Suppression>,
    /// Every symptom of the incident, with its last evidence.
    pub(super) symptoms: BTreeMap<Symptom, Evidence>,
    /// The highest severity of its symptoms.
    pub(super) severity: Severity,
    /// The last diagnosis.
    pub(super) root_cause: Option<String>,
    /// The authorisation that has no verdict yet.
    #[serde(rename = "in_hand")]
    pub(super) pending: Option<EventId>,
    /// The last attempt.
    #[serde(rename = "tried")]
    pub(super) last_attempt: Option<LastAttempt>,
    /// The last attempt helped.
    pub(super) healed: bool,
    /// The last attempt could not be carried out, and may have left the container stopped.
    pub(super) failed: bool,
    /// The first events that needed a person before an alert was raised.
    #[serde(rename = "troubles")]
    triggers: Vec<EventId>,
}

/// The alert of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// There is none.
    #[serde(rename = "untold")]
    Unreported,
    /// It is open.
    Raised { alert: EventId, at: Timestamp },
    /// It is resolved.
    Resolved,
}

/// An attempt, as alerts report it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LastAttempt {
    pub(super) remedy: Remedy,
    pub(super) attempt: u32,
    pub(super) of: u32,
    pub(super) dry_run: bool,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            stage: Stage::Unreported,
            escalated: false,
            suppressed: vec![],
            symptoms: BTreeMap::new(),
            severity: Severity::High,
            root_cause: None,
            pending: None,
            last_attempt: None,
            healed: false,
            failed: false,
            triggers: vec![],
        }
    }
}

impl State {
    pub(super) fn evolve(&mut self, event: &Recorded) {
        if event.subject.container.is_none() || !self.last_applied.advance(event) {
            return;
        }
        self.condition.evolve(event);
        let (Some(incident), Some(known)) = (&event.incident, event.event()) else { return };
        if !known.advances_version() {
            return;
        }
        self.cases.entry(incident.clone()).or_default().apply(event, known);
        while self.cases.len() > MAX_CASES {
            let is_open = |case: &Case| matches!(case.stage, Stage::Raised { .. });
            let oldest = self.cases.iter().find(|(id, case)| *id != incident && !is_open(case));
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { break };
            self.cases.remove(&oldest);
        }
    }
}

impl Case {
    fn apply(&mut self, event: &Recorded, known: &Event) {
        if self.stage == Stage::Unreported && self.triggers.len() < MAX_TRIGGERS {
            let needs_person = matches!(Notice::of(event), Some(Notice::NeedsPerson(_)));
            self.triggers.extend(needs_person.then_some(event.id));
        }
        match known {
            Event::Observation(Observation::SymptomRaised(raised)) => {
                self.symptoms.insert(raised.symptom, raised.evidence.clone());
                self.severity = self.severity.max(raised.severity);
                (self.healed, self.failed) = (false, false);
                // The alert was resolved when an operator stopped the container; the fault is back and is reported
                // again.
                if self.stage == Stage::Resolved {
                    (self.stage, self.escalated) = (Stage::Unreported, false);
                    self.suppressed.clear();
                }
            }
            Event::Observation(Observation::SymptomWorsened(worse)) => {
                self.symptoms.insert(worse.symptom, worse.evidence.clone());
                self.severity = self.severity.max(worse.severity);
            }
            Event::Diagnosis(Diagnosis::Reached(reached)) => self.root_cause = Some(reached.root_cause.clone()),
            Event::Action(action) => self.act(event.id, action),
            Event::Alert(alert) => self.alert(event, alert),
            Event::Observation(_) | Event::Diagnosis(_) | Event::Sample(_) => {}
        }
    }

    fn act(&mut self, id: EventId, action: &Action) {
        match action {
            Action::Authorised(intent) => {
                self.pending = Some(id);
                (self.healed, self.failed) = (false, false);
                self.last_attempt = Some(LastAttempt {
                    remedy: intent.remedy.clone(),
                    attempt: intent.limits.attempt,
                    of: intent.limits.of,
                    dry_run: intent.dry_run,
                });
            }
            Action::Failed(failed) => {
                self.failed = self.pending.take_if(|open| *open == failed.action).is_some();
            }
            Action::Verified(verdict) => {
                self.pending.take_if(|open| *open == verdict.action);
                let executed = self.last_attempt.as_ref().is_some_and(|attempt| !attempt.dry_run);
                self.healed = executed && verdict.outcome == Outcome::Recovered;
            }
            Action::Refused(refused) => {
                self.pending.take_if(|open| Some(*open) == refused.refusal.unexecuted_intent());
            }
            Action::Proposed(_)
            | Action::Approved(_)
            | Action::Denied(_)
            | Action::Expired(_)
            | Action::Succeeded(_)
            | Action::GaveUp(_)
            | Action::BreakerReset(_)
            | Action::Paused(_)
            | Action::Resumed(_)
            | Action::DeadLetterRedriven(_)
            | Action::DeadLetterDiscarded(_)
            | Action::PolicyChanged(_)
            | Action::PolicyRefused(_)
            | Action::PoliciesCompared(_) => {}
        }
    }

    fn alert(&mut self, event: &Recorded, alert: &Alert) {
        match alert {
            Alert::Raised(_) if self.stage == Stage::Unreported => {
                // An alert that such an event caused says already that a person is needed.
                self.escalated = event.cause.is_some_and(|cause| self.triggers.contains(&cause));
                self.triggers.clear();
                self.stage = Stage::Raised { alert: event.id, at: event.at };
            }
            Alert::Escalated(_) => self.escalated = true,
            Alert::Resolved(_) => self.stage = Stage::Resolved,
            Alert::Suppressed(suppressed) => self.suppressed.push(suppressed.why),
            Alert::Raised(_) | Alert::Tested(_) | Alert::Delivered(_) | Alert::Undelivered(_) => {}
        }
    }
}
