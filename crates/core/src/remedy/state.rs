//! The history of one container that bears on its remedies, and what the containers of its host share.

use std::collections::BTreeSet;

use hemostat_schema::{
    Action, Confidence, ContainerName, Diagnosis, Event, EventId, IncidentId, Observation, Recorded, Timestamp,
    action::{Outcome, Refusal, Remedy},
    container::Run,
    diagnosis::{Reached, Verdict},
    observation::{Severity, Symptom},
};
use serde::{Deserialize, Serialize};

use super::{
    backoff::{AttemptEnd, Attempts},
    breaker::Breaker,
    cooldown::Cooldown,
};
use crate::{
    last_applied::LastApplied,
    observe::{condition::Condition, lifecycle},
};

/// The history of one container that bears on its remedies.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    #[serde(rename = "once")]
    last_applied: LastApplied,
    /// The container's present condition.
    pub condition: Condition,
    /// The remedy that the latest diagnosis asks for, while its symptoms are active.
    #[serde(rename = "wanted")]
    pub(super) requested: Option<RequestedRemedy>,
    /// The proposal that no person has answered.
    pub(super) proposal: Option<Proposal>,
    /// The incident for which a person denied a remedy.
    denied: Option<IncidentId>,
    /// The attempts so far.
    pub(super) attempts: Attempts,
    /// The circuit breaker.
    pub(super) breaker: Breaker,
    /// The cooldown after the last incident.
    pub(super) cooldown: Option<Cooldown>,
    /// The refusals on the log since the last attempt.
    #[serde(rename = "told")]
    recorded: RecordedRefusals,
}

/// What the containers of a host share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Shared {
    /// The containers that are sick.
    pub sick: BTreeSet<ContainerName>,
    /// An operator paused all healing.
    pub paused: bool,
    /// The Docker engine does not answer.
    pub engine_lost: bool,
}

/// The remedy that a diagnosis asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RequestedRemedy {
    pub(super) diagnosis: EventId,
    pub(super) incident: Option<IncidentId>,
    pub(super) remedy: Remedy,
    pub(super) verdict: Verdict,
    pub(super) confidence: Confidence,
    pub(super) symptoms: Vec<Symptom>,
    pub(super) target: Run,
}

/// A remedy that a person is asked to approve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Proposal {
    pub(super) id: EventId,
    pub(super) diagnosis: EventId,
    pub(super) incident: Option<IncidentId>,
    pub(super) remedy: Remedy,
    /// The run that it is for; none if it is for a service or the host.
    pub(super) target: Option<Run>,
    pub(super) expires: Timestamp,
}

/// The refusals of one incident since its last attempt, by the name of the reason and by when it ends.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct RecordedRefusals {
    incident: Option<IncidentId>,
    refusals: Vec<(String, Option<Timestamp>)>,
}

impl State {
    pub(super) fn evolve(&mut self, shared: &mut Shared, event: &Recorded) {
        if !self.last_applied.advance(event) {
            return;
        }
        self.condition.evolve(event);
        match event.event() {
            Some(Event::Observation(seen)) => self.observe(shared, event, seen),
            Some(Event::Diagnosis(Diagnosis::Reached(reached))) => self.requested = requested(event, reached),
            Some(Event::Action(action)) => self.act(shared, event, action),
            Some(Event::Diagnosis(_) | Event::Alert(_) | Event::Sample(_)) | None => {}
        }
    }

    /// Whether a person denied a remedy for this incident.
    pub(super) fn is_denied(&self, requested: &RequestedRemedy) -> bool {
        self.denied.is_some() && self.denied == requested.incident
    }

    /// Whether this refusal is on the log since the last attempt of this incident.
    pub(super) fn is_recorded(&self, requested: &RequestedRemedy, refusal: &Refusal) -> bool {
        let same = |(name, until): &(String, _)| name == refusal.name() && *until == refusal.until();
        self.recorded.incident == requested.incident && self.recorded.refusals.iter().any(same)
    }

    fn observe(&mut self, shared: &mut Shared, event: &Recorded, seen: &Observation) {
        if let Some(lost) = lifecycle::engine_lost(seen) {
            shared.engine_lost = lost;
        }
        match seen {
            // A symptom of low severity belongs to no incident.
            Observation::SymptomRaised(raised) if raised.severity == Severity::Low => {}
            Observation::SymptomRaised(_) => {
                let incident = &event.incident;
                self.requested = self.requested.take().filter(|requested| requested.incident == *incident);
            }
            Observation::SymptomCleared(_) | Observation::Removed(_) => {
                let is_active = |symptom: &Symptom| self.condition.is_sick_with(*symptom);
                self.requested = self.requested.take().filter(|requested| requested.symptoms.iter().any(is_active));
            }
            Observation::Seen(_)
            | Observation::Started(_)
            | Observation::Exited(_)
            | Observation::Paused(_)
            | Observation::Unpaused(_)
            | Observation::HealthChanged(_)
            | Observation::Sampled(_)
            | Observation::Stored(_)
            | Observation::Examined(_)
            | Observation::DiskMeasured(_)
            | Observation::SymptomWorsened(_)
            | Observation::EngineLost(_)
            | Observation::EngineFound(_) => {}
        }
        if let Some(name) = &event.subject.container {
            match self.condition.is_sick() {
                true => shared.sick.insert(name.clone()),
                false => shared.sick.remove(name),
            };
        }
    }

    fn act(&mut self, shared: &mut Shared, event: &Recorded, action: &Action) {
        let incident = event.incident.clone();
        match action {
            Action::Paused(_) => shared.paused = true,
            Action::Resumed(_) => shared.paused = false,
            Action::Authorised(_) => {
                self.breaker.pass(incident.as_ref(), &self.attempts);
                self.attempts.begin(event.id, event.at, incident);
                self.proposal = None;
                self.recorded = RecordedRefusals::default();
            }
            Action::Failed(failed) => self.attempts.end(failed.action, event.at, AttemptEnd::Failed),
            Action::Verified(verdict) => {
                self.attempts.end(verdict.action, event.at, AttemptEnd::Judged(verdict.outcome));
                if verdict.outcome == Outcome::Recovered {
                    self.breaker.reset();
                    self.cooldown = Some(Cooldown { incident, since: event.at });
                }
            }
            Action::GaveUp(gave_up) => {
                self.breaker.trip(gave_up.until);
                self.cooldown = Some(Cooldown { incident, since: event.at });
            }
            Action::BreakerReset(_) => {
                self.breaker.reset();
                self.attempts.reset();
                self.cooldown = None;
                self.recorded = RecordedRefusals::default();
            }
            Action::Refused(refused) => {
                if self.recorded.incident != incident {
                    self.recorded = RecordedRefusals { incident, refusals: vec![] };
                }
                if let Some(action) = refused.refusal.unexecuted_intent() {
                    self.attempts.end(action, event.at, AttemptEnd::NotExecuted);
                }
                self.recorded.refusals.push((refused.refusal.name().to_owned(), refused.refusal.until()));
            }
            Action::Proposed(proposed) => {
                self.proposal = Some(Proposal {
                    id: event.id,
                    diagnosis: proposed.diagnosis,
                    incident,
                    remedy: proposed.remedy.clone(),
                    target: proposed.target.run().cloned(),
                    expires: proposed.expires,
                });
            }
            Action::Denied(denied) => {
                if let Some(proposal) = self.close_proposal(denied.proposal) {
                    self.denied = proposal.incident;
                }
            }
            Action::Expired(expired) => drop(self.close_proposal(expired.proposal)),
            Action::Approved(_)
            | Action::Succeeded(_)
            | Action::PolicyChanged(_)
            | Action::DeadLetterRedriven(_)
            | Action::DeadLetterDiscarded(_)
            | Action::PolicyRefused(_)
            | Action::PoliciesCompared(_) => {}
        }
    }

    /// Closes the open proposal, if it is this one.
    fn close_proposal(&mut self, proposal: EventId) -> Option<Proposal> {
        self.proposal.take_if(|open| open.id == proposal)
    }
}

fn requested(event: &Recorded, reached: &Reached) -> Option<RequestedRemedy> {
    let remedy = reached.remedy.clone().filter(|_| reached.verdict != Verdict::FalseAlarm)?;
    Some(RequestedRemedy {
        diagnosis: event.id,
        incident: event.incident.clone(),
        remedy,
        verdict: reached.verdict,
        confidence: reached.confidence,
        symptoms: reached.symptoms.clone(),
        target: reached.target.clone(),
    })
}
