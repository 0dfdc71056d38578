//! What happened to one container that bears on its treatment, and what its host's containers have in common.

use std::collections::BTreeSet;

use hemostat_schema::{
    Action, Confidence, ContainerName, Diagnosis, Event, EventId, IncidentId, Observation, Recorded, Timestamp,
    action::{Outcome, Refusal, Remedy},
    container::Target,
    diagnosis::{Reached, Verdict},
    observation::{Severity, Symptom},
};
use serde::{Deserialize, Serialize};

use crate::{
    backoff::{Attempts, End},
    breaker::Breaker,
    condition::Condition,
    cooldown::Cooldown,
    once::Once,
};

/// What happened to one container that bears on its treatment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    once: Once,
    /// How it is.
    pub condition: Condition,
    /// The latest diagnosis, where it asks for a remedy and its illness is not over.
    pub(super) wanted: Option<Wanted>,
    /// The question that a person has not answered.
    pub(super) proposal: Option<Proposal>,
    /// The incident for which a person said no.
    denied: Option<IncidentId>,
    /// What was tried.
    pub(super) attempts: Attempts,
    /// Whether to go on trying.
    pub(super) breaker: Breaker,
    /// The rest after the last illness.
    pub(super) cooldown: Option<Cooldown>,
    /// What has been told since the last attempt.
    told: Told,
}

/// What the containers of a host have in common.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Shared {
    /// The containers that are ill.
    pub sick: BTreeSet<ContainerName>,
    /// An operator stopped all healing.
    pub paused: bool,
    /// The engine does not answer.
    pub engine_lost: bool,
}

/// A diagnosis that asks for a remedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) diagnosis: EventId,
    pub(super) incident: Option<IncidentId>,
    pub(super) remedy: Remedy,
    pub(super) verdict: Verdict,
    pub(super) confidence: Confidence,
    pub(super) symptoms: Vec<Symptom>,
    pub(super) target: Target,
}

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Proposal {
    pub(super) id: EventId,
    pub(super) diagnosis: EventId,
    pub(super) incident: Option<IncidentId>,
    pub(super) remedy: Remedy,
    pub(super) target: Target,
    pub(super) expires: Timestamp,
}

/// The refusals of one incident since its last attempt, by name and end.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Told {
    incident: Option<IncidentId>,
    refusals: Vec<(String, Option<Timestamp>)>,
}

impl State {
    pub(super) fn evolve(&mut self, shared: &mut Shared, event: &Recorded) {
        if !self.once.is_news(event) {
            return;
        }
        self.condition.evolve(event);
        match event.event() {
            Some(Event::Observation(seen)) => self.observe(shared, event, seen),
            Some(Event::Diagnosis(Diagnosis::Reached(reached))) => self.wanted = wanted(event, reached),
            Some(Event::Action(action)) => self.act(shared, event, action),
            Some(Event::Diagnosis(_) | Event::Alert(_)) | None => {}
        }
    }

    /// Whether a person said no to a remedy for this incident.
    pub(super) fn is_denied(&self, wanted: &Wanted) -> bool {
        self.denied.is_some() && self.denied == wanted.incident
    }

    /// Whether this reason has been told since the last attempt of this incident.
    pub(super) fn has_told(&self, wanted: &Wanted, refusal: &Refusal) -> bool {
        let same = |(name, until): &(String, _)| name == refusal.name() && *until == refusal.until();
        self.told.incident == wanted.incident && self.told.refusals.iter().any(same)
    }

    fn observe(&mut self, shared: &mut Shared, event: &Recorded, seen: &Observation) {
        match seen {
            Observation::EngineLost(_) => shared.engine_lost = true,
            Observation::EngineFound(_) => shared.engine_lost = false,
            // What is merely worth knowing belongs to no incident.
            Observation::SymptomRaised(raised) if raised.severity == Severity::Low => {}
            Observation::SymptomRaised(_) => {
                let incident = &event.incident;
                self.wanted = self.wanted.take().filter(|wanted| wanted.incident == *incident);
            }
            Observation::SymptomCleared(_) | Observation::Removed(_) => {
                let ails = |symptom: &Symptom| self.condition.ails(*symptom);
                self.wanted = self.wanted.take().filter(|wanted| wanted.symptoms.iter().any(ails));
            }
            Observation::Seen(_)
            | Observation::Started(_)
            | Observation::Exited(_)
            | Observation::Frozen(_)
            | Observation::Thawed(_)
            | Observation::HealthChanged(_)
            | Observation::Sampled(_)
            | Observation::Stored(_)
            | Observation::Examined(_)
            | Observation::DiskMeasured(_)
            | Observation::SymptomWorsened(_) => {}
        }
        if let Some(name) = &event.subject.container {
            match self.condition.is_ill() {
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
                self.breaker.attempt(incident.as_ref(), &self.attempts);
                self.attempts.begin(event.id, event.at, incident);
                self.proposal = None;
                self.told = Told::default();
            }
            Action::Failed(failed) => self.attempts.end(failed.action, event.at, End::Failed),
            Action::Verified(verdict) => {
                self.attempts.end(verdict.action, event.at, End::Judged(verdict.outcome));
                if verdict.outcome == Outcome::Recovered {
                    self.breaker.close();
                    self.cooldown = Some(Cooldown { incident, since: event.at });
                }
            }
            Action::GaveUp(gave_up) => {
                self.breaker.trip(gave_up.until);
                self.cooldown = Some(Cooldown { incident, since: event.at });
            }
            Action::BreakerReset(_) => {
                self.breaker.close();
                self.attempts.forget();
                self.cooldown = None;
                self.told = Told::default();
            }
            Action::Refused(refused) => {
                if self.told.incident != incident {
                    self.told = Told { incident, refusals: vec![] };
                }
                if let Some(action) = refused.refusal.withholds() {
                    self.attempts.end(action, event.at, End::Withheld);
                }
                self.told.refusals.push((refused.refusal.name().to_owned(), refused.refusal.until()));
            }
            Action::Proposed(proposed) => {
                self.proposal = Some(Proposal {
                    id: event.id,
                    diagnosis: proposed.diagnosis,
                    incident,
                    remedy: proposed.remedy.clone(),
                    target: proposed.target.clone(),
                    expires: proposed.expires,
                });
            }
            Action::Denied(denied) => {
                if let Some(proposal) = self.close(denied.proposal) {
                    self.denied = proposal.incident;
                }
            }
            Action::Expired(expired) => drop(self.close(expired.proposal)),
            Action::Approved(_) | Action::Succeeded(_) => {}
        }
    }

    /// Closes the question, if it is this one.
    fn close(&mut self, proposal: EventId) -> Option<Proposal> {
        self.proposal.take_if(|open| open.id == proposal)
    }
}

fn wanted(event: &Recorded, reached: &Reached) -> Option<Wanted> {
    let remedy = reached.remedy.clone().filter(|_| reached.verdict != Verdict::FalseAlarm)?;
    Some(Wanted {
        diagnosis: event.id,
        incident: event.incident.clone(),
        remedy,
        verdict: reached.verdict,
        confidence: reached.confidence,
        symptoms: reached.symptoms.clone(),
        target: reached.target.clone(),
    })
}
