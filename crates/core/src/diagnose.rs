//! What is wrong with a container, concluded from its symptoms by rules.
//!
//! A diagnosis is reached when a symptom is raised or worsens, and again when a remedy did not help. It names all
//! symptoms that stand, and speaks of the run that stands at that moment; the strongest rule of the table in [`RULES`]
//! has the word. What may be done about it is not asked here: that is `remedy`'s.

use hemostat_schema::{
    Action, Confidence, Diagnosis, Event, EventId, Family, IncidentId, NewEvent, Observation, Recorded, Timestamp,
    action::{Outcome, Remedy},
    container::Vitals,
    diagnosis::{Method, Reached, Verdict},
    observation::Symptom,
};
use serde::{Deserialize, Serialize};

use crate::{Decider, Decision, Policy, Trigger, condition::Condition, once::Once};

mod case;
mod clues;
mod rules;
mod safety;
#[cfg(test)]
mod tests;
mod ward;
mod words;

pub use crate::opinion::question;
pub use case::{Case, Past, Tried};
pub use clues::{Clue, Trouble};
use rules::{EASING, SETTLING};
pub use rules::{RULES, Rule};
pub use safety::{Contraindication, safe};
pub use ward::Ward;

/// The decider that diagnoses by rules.
#[derive(Debug, Clone, Copy)]
pub struct Triage;

/// What triage knows of one container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Chart {
    once: Once,
    condition: Condition,
    /// What the present run used last, while a level is a symptom; samples of the well are not kept.
    vitals: Option<Vitals>,
    /// What was tried last in this illness, and what came of it.
    tried: Option<(Remedy, Outcome)>,
    /// The last diagnosis of this illness.
    last: Option<Last>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Last {
    id: EventId,
    rule: String,
}

impl Decider for Triage {
    const GROUP: &'static str = "triage";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Observation, Family::Diagnosis, Family::Action];
    type State = Chart;
    type Shared = ();
    type Policy = Policy;

    fn evolve(chart: &mut Chart, (): &mut (), event: &Recorded) {
        if chart.once.is_news(event) {
            chart.take(event);
        }
    }

    fn decide(chart: &Chart, (): &(), trigger: &Trigger<'_>, policy: &Policy, now: Timestamp) -> Decision {
        let Trigger::Event(event) = trigger else { return Decision::nothing() };
        let Some(asked) = chart.asks(event) else { return Decision::nothing() };
        let reached = chart.diagnose(event.subject.short(), policy, now);
        match reached.filter(|reached| asked == Asked::Anew || chart.is_firmer(reached)) {
            Some(reached) => Decision::event(
                NewEvent::new(event.subject.clone(), now, reached).in_incident(chart.incident().cloned()),
            ),
            None => Decision::nothing(),
        }
    }
}

/// Why triage thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Something new is wrong, or a remedy did not help: it gets an answer, whatever the answer is.
    Anew,
    /// Something changed that may let a firmer answer be given; only such a one is worth telling.
    Again,
}

impl Chart {
    fn take(&mut self, event: &Recorded) {
        self.condition.evolve(event);
        match event.event() {
            Some(Event::Observation(Observation::Sampled(sampled))) if self.has_level() => {
                self.vitals = Some(sampled.vitals);
            }
            Some(Event::Observation(Observation::Started(_))) => self.vitals = None,
            Some(Event::Action(Action::Verified(verdict))) => {
                self.tried = Some((verdict.remedy.clone(), verdict.outcome));
            }
            Some(Event::Diagnosis(Diagnosis::Reached(reached))) => {
                self.last = Some(Last { id: event.id, rule: rule(reached).to_owned() });
            }
            _ => {}
        }
        if !self.has_level() {
            self.vitals = None;
        }
        if self.condition.standing.is_empty() {
            self.tried = None;
            self.last = None;
        }
    }

    fn has_level(&self) -> bool {
        [Symptom::CpuHigh, Symptom::MemoryHigh].iter().any(|level| self.condition.standing.contains_key(level))
    }

    fn incident(&self) -> Option<&IncidentId> {
        self.condition.standing.values().find_map(|standing| standing.incident.as_ref())
    }

    /// Whether `event` is a reason to think.
    ///
    /// A diagnosis that is younger than the event was reached with the event in mind (everything on the log is folded
    /// before a decision), so several symptoms of one moment get one diagnosis.
    fn asks(&self, event: &Recorded) -> Option<Asked> {
        if self.last.as_ref().is_some_and(|last| event.id < last.id) {
            return None;
        }
        match event.event()? {
            Event::Observation(Observation::SymptomRaised(_) | Observation::SymptomWorsened(_)) => Some(Asked::Anew),
            Event::Action(Action::Verified(verdict)) => match verdict.outcome {
                Outcome::Relapsed | Outcome::Inconclusive => Some(Asked::Anew),
                Outcome::Recovered => None,
            },
            // What is left of the illness may be of another kind.
            Event::Observation(Observation::SymptomCleared(_)) => Some(Asked::Again),
            // Both rules wait for what comes next.
            Event::Observation(_) => {
                self.last.as_ref().filter(|last| [SETTLING, EASING].contains(&last.rule.as_str())).map(|_| Asked::Again)
            }
            Event::Action(_) | Event::Diagnosis(_) | Event::Alert(_) => None,
        }
    }

    /// Whether this says more than to wait and see, and something else than was said last.
    fn is_firmer(&self, reached: &Reached) -> bool {
        reached.verdict != Verdict::Unclear && self.last.as_ref().is_none_or(|last| last.rule != rule(reached))
    }

    fn diagnose(&self, name: &str, policy: &Policy, now: Timestamp) -> Option<Reached> {
        let facts = self.condition.facts.as_ref()?;
        let standing = &self.condition.standing;
        let halted = self.condition.halted;
        let case = Case { vitals: self.vitals.as_ref(), halted, ..Case::new(facts, standing, now) };
        let reached = conclude(&case, policy, name)?;
        Some(Reached {
            why: match &self.tried {
                Some((remedy, Outcome::Relapsed)) => {
                    format!("{}; the last {} did not help", reached.why, remedy.name())
                }
                _ => reached.why,
            },
            ..reached
        })
    }
}

/// What the rules say of a case; nothing where it is not for HemoStat to say anything.
pub fn conclude(case: &Case<'_>, policy: &Policy, name: &str) -> Option<Reached> {
    if case.standing.is_empty() || case.halted.is_some() || !policy.watches(name, case.facts) {
        return None;
    }
    let (rule, finding) = RULES.iter().find_map(|rule| Some((rule, (rule.find)(case)?)))?;
    Some(Reached {
        verdict: finding.verdict,
        symptoms: case.standing.keys().copied().collect(),
        target: case.facts.target(),
        root_cause: finding.root_cause,
        remedy: finding.remedy,
        confidence: Confidence::clamped(finding.confidence),
        method: Method::Rule { rule: rule.name.to_owned() },
        why: finding.why,
        examination: case.examination,
        cites: vec![],
        usage: None,
    })
}

/// The rule that reached it; no name where a model did.
fn rule(reached: &Reached) -> &str {
    match &reached.method {
        Method::Rule { rule } => rule,
        Method::Model { .. } => "",
    }
}
