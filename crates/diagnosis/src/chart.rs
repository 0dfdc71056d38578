//! What triage has folded of one container: how it is, what was found out and tried in this illness, and the last ones.

use std::collections::BTreeSet;

use hemostat_schema::{
    Action, Diagnosis, Event, EventId, IncidentId, Observation, Recorded, Span, Timestamp,
    action::{Authorised, Outcome, Remedy, Verified},
    container::{Health, Vitals},
    diagnosis::{Method, Part, Reached},
    examination::Examined,
    observation::{Severity, Symptom},
};
use serde::{Deserialize, Serialize};

use super::{Case, Past, Tried, Ward};
use hemostat_core::Policy;
use hemostat_core::condition::Condition;
use hemostat_core::once::Once;

/// So many attempts of one illness are kept, the latest.
const TRIED: usize = 8;
/// So many earlier illnesses are kept, the latest.
const PAST: usize = 8;

/// What triage knows of one container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Chart {
    once: Once,
    pub(super) condition: Condition,
    /// Whether the health check has passed in the present run.
    was_well: bool,
    /// What the present run used last, while it is ill; samples of the well are not kept.
    vitals: Option<Vitals>,
    /// What was found out in this illness, last.
    examined: Option<Examination>,
    /// What was tried in this illness, oldest first.
    tried: Vec<Tried>,
    /// This illness, as it will be remembered.
    illness: Illness,
    /// Earlier illnesses, oldest first.
    past: Vec<Past>,
    /// The first symptom that no diagnosis has answered.
    asked: Option<Asked>,
    /// The last diagnosis of this illness.
    pub(super) last: Option<Last>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Examination {
    id: EventId,
    examined: Box<Examined>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Illness {
    symptoms: BTreeSet<Symptom>,
    root_cause: Option<String>,
}

/// A symptom that waits for a diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Asked {
    id: EventId,
    at: Timestamp,
}

/// What was said last, in terms of the rules; a model's word stands beside the rules' own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Last {
    pub(super) id: EventId,
    pub(super) rule: String,
    pub(super) remedy: Option<Remedy>,
    pub(super) examination: Option<EventId>,
}

impl Last {
    fn of(id: EventId, reached: &Reached) -> Self {
        let rule = match &reached.method {
            Method::Rule { rule } => rule.clone(),
            Method::Model { .. } => String::new(),
        };
        Self { id, rule, remedy: reached.remedy.clone(), examination: reached.examination }
    }
}

impl Chart {
    /// Takes an event in, once; whether it was news.
    pub(super) fn evolve(&mut self, event: &Recorded) -> bool {
        let news = self.once.is_news(event);
        if news {
            self.take(event);
        }
        news
    }

    fn take(&mut self, event: &Recorded) {
        self.condition.evolve(event);
        match event.event() {
            Some(Event::Observation(seen)) => self.observe(event, seen),
            Some(Event::Action(Action::Authorised(intent))) if !intent.dry_run => self.attempt(event, intent),
            Some(Event::Action(Action::Verified(verdict))) => self.judged(event, verdict),
            Some(Event::Diagnosis(diagnosis)) => self.diagnosed(event.id, diagnosis),
            Some(Event::Action(_) | Event::Alert(_)) | None => {}
        }
        self.was_well |= self.condition.health() == Some(Health::Healthy);
        if !self.is_ill() {
            self.close(event.at);
        }
    }

    fn observe(&mut self, event: &Recorded, seen: &Observation) {
        match seen {
            Observation::Sampled(sampled) if self.is_ill() => self.vitals = Some(sampled.vitals),
            Observation::Started(_) => (self.vitals, self.was_well) = (None, false),
            Observation::Removed(_) => self.was_well = false,
            Observation::Examined(examined) => {
                self.examined = Some(Examination { id: event.id, examined: Box::new(examined.clone()) });
            }
            Observation::SymptomRaised(raised) if raised.severity > Severity::Low => self.ask(event, raised.symptom),
            Observation::SymptomWorsened(worse) if worse.severity > Severity::Low => self.ask(event, worse.symptom),
            _ => {}
        }
    }

    fn ask(&mut self, event: &Recorded, symptom: Symptom) {
        self.illness.symptoms.insert(symptom);
        self.asked = self.asked.or(Some(Asked { id: event.id, at: event.at }));
    }

    fn attempt(&mut self, event: &Recorded, intent: &Authorised) {
        let code = self.condition.facts.as_ref().and_then(|facts| facts.exit).map(|exit| exit.code);
        let (action, at, remedy) = (event.id, event.at, intent.remedy.clone());
        keep_latest(&mut self.tried, TRIED, Tried { action, at, remedy, code, outcome: None });
    }

    fn judged(&mut self, event: &Recorded, verdict: &Verified) {
        let past = self.past.iter_mut().filter_map(|past| past.tried.as_mut());
        match self.tried.iter_mut().chain(past).find(|tried| tried.action == verdict.action) {
            Some(tried) => tried.outcome = Some(verdict.outcome),
            None => {
                let (action, remedy, outcome) = (verdict.action, verdict.remedy.clone(), Some(verdict.outcome));
                let at = verdict.took.before(event.at);
                keep_latest(&mut self.tried, TRIED, Tried { action, at, remedy, code: None, outcome });
            }
        }
    }

    fn diagnosed(&mut self, id: EventId, diagnosis: &Diagnosis) {
        match diagnosis {
            Diagnosis::Reached(reached) => {
                self.illness.root_cause = Some(reached.root_cause.clone());
                self.asked = None;
                self.last = Some(match (&reached.method, self.last.take()) {
                    (Method::Model { .. }, Some(last)) => Last { id, ..last },
                    _ => Last::of(id, reached),
                });
            }
            Diagnosis::OpinionSought(sought) if sought.part == Part::Decides => {
                self.asked = None;
                self.last = Some(Last::of(id, &sought.fallback));
            }
            Diagnosis::OpinionSought(_) | Diagnosis::Opined(_) | Diagnosis::Failed(_) => {}
        }
    }

    fn is_ill(&self) -> bool {
        self.condition.standing.values().any(|standing| standing.severity > Severity::Low)
    }

    /// The illness is over: what is worth remembering of it is, and the rest forgotten.
    fn close(&mut self, at: Timestamp) {
        let Illness { symptoms, root_cause } = std::mem::take(&mut self.illness);
        if !symptoms.is_empty() {
            let past = Past { at, symptoms: symptoms.into_iter().collect(), root_cause, tried: self.tried.pop() };
            keep_latest(&mut self.past, PAST, past);
        }
        self.tried.clear();
        (self.vitals, self.examined, self.asked, self.last) = (None, None, None, None);
    }

    /// The incident of its illness.
    pub(super) fn incident(&self) -> Option<&IncidentId> {
        let ills = self.condition.standing.values().filter(|standing| standing.severity > Severity::Low);
        ills.into_iter().find_map(|standing| standing.incident.as_ref())
    }

    /// Whether a symptom waits for its diagnosis.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Until when the diagnosis waits for what is being found out; none where it does not.
    pub(super) fn waits(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let asked = self.asked.filter(|_| policy.examine_within > Span::ZERO && !self.is_examined())?;
        let due = policy.examine_within.after(asked.at);
        (now < due).then_some(due)
    }

    /// Whether the run that stands has been examined since it was asked what ails it.
    pub(super) fn is_examined(&self) -> bool {
        let run = self.condition.facts.as_ref().map(hemostat_schema::container::Facts::target);
        let since = self.asked.map(|asked| asked.id);
        self.examined
            .as_ref()
            .is_some_and(|found| Some(&found.examined.target) == run.as_ref() && Some(found.id) > since)
    }

    /// The case as it is at `now`; none where nothing is known of the container.
    pub(super) fn case<'a>(&'a self, ward: &'a Ward, policy: &Policy, now: Timestamp) -> Option<Case<'a>> {
        let facts = self.condition.facts.as_ref()?;
        Some(Case {
            vitals: self.vitals.as_ref(),
            examined: self.examined.as_ref().map(|found| &*found.examined),
            examination: self.examined.as_ref().map(|found| found.id),
            tried: &self.tried,
            past: &self.past,
            ward: Some(ward),
            halted: self.condition.halted,
            was_well: Some(self.was_well),
            max_retries: policy.care_of(facts).max_retries,
            ..Case::new(facts, &self.condition.standing, now)
        })
    }

    /// Whether nothing has been concluded since this event.
    pub(super) fn is_new(&self, event: &Recorded) -> bool {
        self.last.as_ref().is_none_or(|last| last.id < event.id)
    }
}

/// The remedy that was tried last, where it did not help.
pub(super) fn last_in_vain(tried: &[Tried]) -> Option<&Remedy> {
    tried.last().filter(|tried| tried.outcome == Some(Outcome::Relapsed)).map(|tried| &tried.remedy)
}

fn keep_latest<T>(list: &mut Vec<T>, most: usize, item: T) {
    if list.len() >= most {
        list.remove(0);
    }
    list.push(item);
}
