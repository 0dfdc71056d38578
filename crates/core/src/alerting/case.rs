//! What is known of each incident of a container, and what has been told of it.

use std::collections::BTreeMap;

use hemostat_schema::{
    Action, Alert, Diagnosis, Event, EventId, IncidentId, Observation, Recorded, Timestamp,
    action::{Outcome, Remedy},
    alert::Suppression,
    observation::{Evidence, Severity, Symptom},
};
use serde::{Deserialize, Serialize};

use super::News;
use crate::{condition::Condition, once::Once};

/// So many incidents of a container are remembered, besides those with an open alert.
const REMEMBERED: usize = 8;

/// What is known of a container, and of its latest incidents.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    once: Once,
    pub(super) condition: Condition,
    pub(super) cases: BTreeMap<IncidentId, Case>,
}

/// One incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Case {
    /// What people know of it.
    pub(super) stage: Stage,
    /// People know that they are needed.
    pub(super) escalated: bool,
    /// What was recorded as not told.
    pub(super) suppressed: Vec<Suppression>,
    /// In which ways the container has been ill, and what said so last.
    pub(super) symptoms: BTreeMap<Symptom, Evidence>,
    /// How badly.
    pub(super) severity: Severity,
    /// What was concluded last.
    pub(super) root_cause: Option<String>,
    /// The authority that has no verdict yet.
    pub(super) in_hand: Option<EventId>,
    /// What was tried last.
    pub(super) tried: Option<Tried>,
    /// What was tried last has helped.
    pub(super) healed: bool,
    /// What was tried last could not be carried out, and may have left the container stopped.
    pub(super) failed: bool,
    /// The first events that called for a person before anything was told.
    troubles: Vec<EventId>,
}

/// What people know of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Nothing.
    Untold,
    /// That it is.
    Raised { alert: EventId, at: Timestamp },
    /// That it is over.
    Resolved,
}

/// An attempt at healing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tried {
    pub(super) remedy: Remedy,
    pub(super) attempt: u32,
    pub(super) of: u32,
    pub(super) dry_run: bool,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            stage: Stage::Untold,
            escalated: false,
            suppressed: vec![],
            symptoms: BTreeMap::new(),
            severity: Severity::High,
            root_cause: None,
            in_hand: None,
            tried: None,
            healed: false,
            failed: false,
            troubles: vec![],
        }
    }
}

impl State {
    pub(super) fn evolve(&mut self, event: &Recorded) {
        if event.subject.container.is_none() || !self.once.is_news(event) {
            return;
        }
        self.condition.evolve(event);
        let (Some(incident), Some(what)) = (&event.incident, event.event()) else { return };
        if !what.moves_head() {
            return;
        }
        self.cases.entry(incident.clone()).or_default().take(event, what);
        while self.cases.len() > REMEMBERED {
            let told = |case: &Case| matches!(case.stage, Stage::Raised { .. });
            let forgotten =
                self.cases.iter().find(|(id, case)| *id != incident && !told(case)).map(|(id, _)| id.clone());
            let Some(forgotten) = forgotten else { break };
            self.cases.remove(&forgotten);
        }
    }
}

impl Case {
    fn take(&mut self, event: &Recorded, what: &Event) {
        if self.stage == Stage::Untold && self.troubles.len() < REMEMBERED {
            self.troubles.extend(matches!(News::of(event), Some(News::Trouble(_))).then_some(event.id));
        }
        match what {
            Event::Observation(Observation::SymptomRaised(raised)) => {
                self.symptoms.insert(raised.symptom, raised.evidence.clone());
                self.severity = self.severity.max(raised.severity);
                (self.healed, self.failed) = (false, false);
                // Told as over when it was stopped, and here again: that is news.
                if self.stage == Stage::Resolved {
                    (self.stage, self.escalated) = (Stage::Untold, false);
                    self.suppressed.clear();
                }
            }
            Event::Observation(Observation::SymptomWorsened(worse)) => {
                self.symptoms.insert(worse.symptom, worse.evidence.clone());
                self.severity = self.severity.max(worse.severity);
            }
            Event::Diagnosis(Diagnosis::Reached(reached)) => self.root_cause = Some(reached.root_cause.clone()),
            Event::Action(action) => self.act(event.id, action),
            Event::Alert(alert) => self.told(event, alert),
            Event::Observation(_) | Event::Diagnosis(_) => {}
        }
    }

    fn act(&mut self, id: EventId, action: &Action) {
        match action {
            Action::Authorised(intent) => {
                self.in_hand = Some(id);
                (self.healed, self.failed) = (false, false);
                self.tried = Some(Tried {
                    remedy: intent.remedy.clone(),
                    attempt: intent.limits.attempt,
                    of: intent.limits.of,
                    dry_run: intent.dry_run,
                });
            }
            Action::Failed(failed) => {
                self.failed = self.in_hand.take_if(|open| *open == failed.action).is_some();
            }
            Action::Verified(verdict) => {
                self.in_hand.take_if(|open| *open == verdict.action);
                let done = self.tried.as_ref().is_some_and(|tried| !tried.dry_run);
                self.healed = done && verdict.outcome == Outcome::Recovered;
            }
            Action::Refused(refused) => {
                self.in_hand.take_if(|open| Some(*open) == refused.refusal.withholds());
            }
            Action::Proposed(_)
            | Action::Approved(_)
            | Action::Denied(_)
            | Action::Expired(_)
            | Action::Succeeded(_)
            | Action::GaveUp(_)
            | Action::BreakerReset(_)
            | Action::Paused(_)
            | Action::Resumed(_) => {}
        }
    }

    fn told(&mut self, event: &Recorded, alert: &Alert) {
        match alert {
            Alert::Raised(_) if self.stage == Stage::Untold => {
                // An alert that was raised by trouble says already that a person is needed.
                self.escalated = event.cause.is_some_and(|cause| self.troubles.contains(&cause));
                self.troubles.clear();
                self.stage = Stage::Raised { alert: event.id, at: event.at };
            }
            Alert::Escalated(_) => self.escalated = true,
            Alert::Resolved(_) => self.stage = Stage::Resolved,
            Alert::Suppressed(suppressed) => self.suppressed.push(suppressed.why),
            Alert::Raised(_) | Alert::Tested(_) | Alert::Delivered(_) | Alert::Undelivered(_) => {}
        }
    }
}
