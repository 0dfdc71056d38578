//! Triage's folded state of one container: its condition, this incident's examination and attempts, and past incidents.

use std::collections::BTreeSet;

use hemostat_schema::{
    Action, Diagnosis, Event, EventId, IncidentId, Measurement, Observation, Recorded, Span, Timestamp,
    action::{Authorised, Remedy, Verified},
    container::{Health, Vitals},
    diagnosis::{Method, Part, Reached},
    examination::Examined,
    observation::{Severity, Symptom},
};
use serde::{Deserialize, Serialize};

use hemostat_core::{Policy, last_applied::LastApplied, observe::condition::Condition};

use crate::{
    case::{Attempt, Case, PastIncident},
    conclude::rule_of,
    host_health::HostHealth,
};

/// How many attempts of one incident are kept: the latest.
const MAX_ATTEMPTS: usize = 8;
/// How many past incidents are kept: the latest.
const MAX_PAST_INCIDENTS: usize = 8;

/// What triage knows about one container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CaseHistory {
    #[serde(rename = "once")]
    last_applied: LastApplied,
    pub(super) condition: Condition,
    /// Whether the health check has passed in the current run.
    #[serde(rename = "was_well")]
    was_healthy: bool,
    /// The last sample of the current run, during an incident; other samples are not kept.
    vitals: Option<Vitals>,
    /// The last examination of this incident.
    examined: Option<Examination>,
    /// The remedies attempted in this incident, oldest first.
    #[serde(rename = "tried")]
    attempts: Vec<Attempt>,
    /// This incident, as it will be remembered.
    #[serde(rename = "illness")]
    incident: CurrentIncident,
    /// Earlier incidents, oldest first.
    #[serde(rename = "past")]
    past_incidents: Vec<PastIncident>,
    /// The first symptom without a diagnosis.
    #[serde(rename = "asked")]
    unanswered: Option<UnansweredSymptom>,
    /// The last diagnosis of this incident.
    pub(super) last: Option<LastDiagnosis>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Examination {
    id: EventId,
    examined: Box<Examined>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct CurrentIncident {
    symptoms: BTreeSet<Symptom>,
    root_cause: Option<String>,
}

/// A symptom that waits for a diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct UnansweredSymptom {
    id: EventId,
    at: Timestamp,
}

/// The last diagnosis, as the rules gave it; a model's diagnosis changes only its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LastDiagnosis {
    pub(super) id: EventId,
    pub(super) rule: String,
    pub(super) remedy: Option<Remedy>,
    pub(super) examination: Option<EventId>,
}

impl LastDiagnosis {
    fn of(id: EventId, reached: &Reached) -> Self {
        Self { id, rule: rule_of(reached).to_owned(), remedy: reached.remedy.clone(), examination: reached.examination }
    }
}

impl CaseHistory {
    /// Applies an event once (idempotent under redelivery); returns whether it was new.
    pub(super) fn evolve(&mut self, event: &Recorded) -> bool {
        let news = self.last_applied.advance(event);
        if news {
            self.apply(event);
        }
        news
    }

    fn apply(&mut self, event: &Recorded) {
        self.condition.evolve(event);
        if let (true, Some(Measurement::Container(vitals))) = (self.has_incident(), event.measurement()) {
            self.vitals = Some(*vitals);
        }
        match event.event() {
            Some(Event::Observation(seen)) => self.observe(event, seen),
            Some(Event::Action(Action::Authorised(intent))) if !intent.dry_run => self.record_attempt(event, intent),
            Some(Event::Action(Action::Verified(verdict))) => self.record_outcome(event, verdict),
            Some(Event::Diagnosis(diagnosis)) => self.record_diagnosis(event.id, diagnosis),
            Some(Event::Action(_) | Event::Alert(_) | Event::Sample(_)) | None => {}
        }
        self.was_healthy |= self.condition.health() == Some(Health::Healthy);
        if !self.has_incident() {
            self.close(event.at);
        }
    }

    fn observe(&mut self, event: &Recorded, seen: &Observation) {
        match seen {
            Observation::Started(_) => (self.vitals, self.was_healthy) = (None, false),
            Observation::Removed(_) => self.was_healthy = false,
            Observation::Examined(examined) => {
                self.examined = Some(Examination { id: event.id, examined: Box::new(examined.clone()) });
            }
            Observation::SymptomRaised(raised) if raised.severity > Severity::Low => {
                self.await_diagnosis(event, raised.symptom)
            }
            Observation::SymptomWorsened(worse) if worse.severity > Severity::Low => {
                self.await_diagnosis(event, worse.symptom)
            }
            _ => {}
        }
    }

    fn await_diagnosis(&mut self, event: &Recorded, symptom: Symptom) {
        self.incident.symptoms.insert(symptom);
        self.unanswered = self.unanswered.or(Some(UnansweredSymptom { id: event.id, at: event.at }));
    }

    fn record_attempt(&mut self, event: &Recorded, intent: &Authorised) {
        let code = self.condition.facts.as_ref().and_then(|facts| facts.exit).map(|exit| exit.code);
        let (action, at, remedy) = (event.id, event.at, intent.remedy.clone());
        keep_latest(&mut self.attempts, MAX_ATTEMPTS, Attempt { action, at, remedy, code, outcome: None });
    }

    fn record_outcome(&mut self, event: &Recorded, verdict: &Verified) {
        let past = self.past_incidents.iter_mut().filter_map(|past| past.attempt.as_mut());
        match self.attempts.iter_mut().chain(past).find(|attempt| attempt.action == verdict.action) {
            Some(attempt) => attempt.outcome = Some(verdict.outcome),
            None => {
                let (action, remedy, outcome) = (verdict.action, verdict.remedy.clone(), Some(verdict.outcome));
                let at = verdict.took.before(event.at);
                keep_latest(&mut self.attempts, MAX_ATTEMPTS, Attempt { action, at, remedy, code: None, outcome });
            }
        }
    }

    fn record_diagnosis(&mut self, id: EventId, diagnosis: &Diagnosis) {
        match diagnosis {
            Diagnosis::Reached(reached) => {
                self.incident.root_cause = Some(reached.root_cause.clone());
                self.unanswered = None;
                self.last = Some(match (&reached.method, self.last.take()) {
                    (Method::Model { .. }, Some(last)) => LastDiagnosis { id, ..last },
                    _ => LastDiagnosis::of(id, reached),
                });
            }
            Diagnosis::OpinionSought(sought) if sought.part == Part::Decides => {
                self.unanswered = None;
                self.last = Some(LastDiagnosis::of(id, &sought.fallback));
            }
            Diagnosis::OpinionSought(_) | Diagnosis::Opined(_) | Diagnosis::Failed(_) => {}
        }
    }

    fn has_incident(&self) -> bool {
        self.condition.symptoms.values().any(|active| active.severity > Severity::Low)
    }

    /// The incident is over: keeps a summary of it and drops the rest.
    fn close(&mut self, at: Timestamp) {
        let CurrentIncident { symptoms, root_cause } = std::mem::take(&mut self.incident);
        if !symptoms.is_empty() {
            let past =
                PastIncident { at, symptoms: symptoms.into_iter().collect(), root_cause, attempt: self.attempts.pop() };
            keep_latest(&mut self.past_incidents, MAX_PAST_INCIDENTS, past);
        }
        self.attempts.clear();
        (self.vitals, self.examined, self.unanswered, self.last) = (None, None, None, None);
    }

    /// The id of the current incident.
    pub(super) fn incident(&self) -> Option<&IncidentId> {
        let serious = self.condition.symptoms.values().filter(|active| active.severity > Severity::Low);
        serious.into_iter().find_map(|active| active.incident.as_ref())
    }

    /// Whether a symptom waits for its diagnosis.
    pub(super) fn awaits_diagnosis(&self) -> bool {
        self.unanswered.is_some()
    }

    /// Until when the diagnosis waits for an examination; `None`: it does not wait.
    pub(super) fn waits_until(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let symptom =
            self.unanswered.filter(|_| policy.examine_within > Span::ZERO && !self.is_examined_since_symptom())?;
        let due = policy.examine_within.after(symptom.at);
        (now < due).then_some(due)
    }

    /// Whether the current run was examined after the first symptom without a diagnosis.
    pub(super) fn is_examined_since_symptom(&self) -> bool {
        let run = self.condition.facts.as_ref().map(hemostat_schema::container::Facts::target);
        let since = self.unanswered.map(|symptom| symptom.id);
        self.examined
            .as_ref()
            .is_some_and(|found| Some(&found.examined.target) == run.as_ref() && Some(found.id) > since)
    }

    /// The case at `now`; `None` if nothing is known about the container.
    pub(super) fn case<'a>(&'a self, host: &'a HostHealth, policy: &Policy, now: Timestamp) -> Option<Case<'a>> {
        let facts = self.condition.facts.as_ref()?;
        Some(Case {
            vitals: self.vitals.as_ref(),
            examined: self.examined.as_ref().map(|found| &*found.examined),
            examination: self.examined.as_ref().map(|found| found.id),
            attempts: &self.attempts,
            past_incidents: &self.past_incidents,
            host: Some(host),
            operator_halt: self.condition.operator_halt,
            was_healthy: Some(self.was_healthy),
            max_attempts: policy.for_container(facts).max_attempts,
            ..Case::new(facts, &self.condition.symptoms, now)
        })
    }

    /// Whether no diagnosis was given since this event.
    pub(super) fn is_newer_than_diagnosis(&self, event: &Recorded) -> bool {
        self.last.as_ref().is_none_or(|last| last.id < event.id)
    }
}

fn keep_latest<T>(list: &mut Vec<T>, most: usize, item: T) {
    if list.len() >= most {
        list.remove(0);
    }
    list.push(item);
}
