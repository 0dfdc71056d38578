//! What is wrong with a container, concluded from its symptoms and from what was found out about it.
//!
//! ```text
//! symptom raised ──► wait for its examination ──► rules ──► reached                      opinion: rules
//!                     (or for a while)              └─────► opinion_sought, fallback     a model decides
//!                                                   └─────► reached + opinion_sought     a model shadows
//! ```
//!
//! A diagnosis is reached when a symptom is raised or worsens, and again when a remedy did not help. It names all
//! symptoms that stand, and speaks of the run that stands at that moment; the strongest rule of the table in [`RULES`]
//! has the word. A rule that says to be patient is asked again when its patience is over. What must not be done,
//! whatever anybody says, is in [`safe`]; what may be done, and when, is not asked here: that is `remedy`'s.

use hemostat_schema::{
    Action, Confidence, Event, Family, NewEvent, Observation, Recorded, Span, Subject, Timestamp,
    action::Outcome,
    diagnosis::{Method, Part, Reached, Verdict},
    observation::Severity,
};

use hemostat_core::policy::Opinion;
use hemostat_core::{Decider, Decision, Policy, Trigger};

mod case;
mod chart;
mod checks;
mod clues;
mod growth;
mod intruder;
mod memory;
pub mod opinion;
mod progress;
mod relatives;
mod report;
mod rules;
mod safety;
mod serving;
mod signs;
#[cfg(test)]
pub(crate) mod tests;
mod vain;
mod ward;
mod words;
mod work;

pub use self::opinion::question;
pub use case::{Case, Past, Tried};
pub use chart::Chart;
pub use clues::{Clue, Trouble};
use rules::{EASING, SETTLING};
pub use rules::{RULES, Rule};
pub use safety::{Contraindication, safe};
pub use ward::Ward;

/// The timer on which a diagnosis is reached without the examination that it waits for.
const EXAMINATION: &str = "examination";
/// The timer on which a rule's patience is over.
const AGAIN: &str = "again";
/// With a remedy for a container whose image has just been changed a rule is less sure by so much.
const LESS_SURE: f64 = 0.05;
/// So much of an image's digest is told.
const DIGEST: usize = 19;

/// The decider that diagnoses.
#[derive(Debug, Clone, Copy)]
pub struct Triage;

impl Decider for Triage {
    const GROUP: &'static str = "triage";
    const VERSION: u16 = 2;
    const READS: &'static [Family] = &[Family::Observation, Family::Diagnosis, Family::Action];
    type State = Chart;
    type Shared = Ward;
    type Policy = Policy;

    fn evolve(chart: &mut Chart, ward: &mut Ward, event: &Recorded) {
        let seen = matches!(event.event(), Some(Event::Observation(seen)) if !matches!(seen, Observation::Sampled(_)));
        if let (true, true, Some(name)) = (chart.evolve(event), seen, &event.subject.container) {
            ward.take(name, chart.condition.facts.as_ref(), event.at);
        }
    }

    fn decide(chart: &Chart, ward: &Ward, trigger: &Trigger<'_>, policy: &Policy, now: Timestamp) -> Decision {
        let thought = Thought { chart, ward, subject: trigger.subject(), policy, now };
        match trigger {
            Trigger::Timer(timer) => match timer.name.as_str() {
                EXAMINATION if chart.is_asked() => thought.answer(Asked::Anew),
                AGAIN if !chart.is_asked() => thought.answer(Asked::Again),
                _ => Decision::nothing(),
            },
            Trigger::Event(event) => match (chart.asks(event), chart.waits(policy, now)) {
                (None, _) | (Some(Asked::Again), Some(_)) => Decision::nothing(),
                (Some(Asked::Anew), Some(due)) => Decision::nothing().wake(EXAMINATION, due),
                (Some(asked), None) => thought.answer(asked),
            },
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
    /// Whether `event` is a reason to think.
    ///
    /// A diagnosis that is younger than the event was reached with the event in mind (everything on the log is folded
    /// before a decision), so several symptoms of one moment get one diagnosis.
    fn asks(&self, event: &Recorded) -> Option<Asked> {
        if !self.is_new(event) {
            return None;
        }
        match event.event()? {
            Event::Observation(Observation::SymptomRaised(raised)) => {
                (raised.severity > Severity::Low).then_some(Asked::Anew)
            }
            Event::Observation(Observation::SymptomWorsened(worse)) => {
                (worse.severity > Severity::Low).then_some(Asked::Anew)
            }
            Event::Observation(Observation::Examined(_)) if self.is_asked() => {
                self.is_examined().then_some(Asked::Anew)
            }
            Event::Action(Action::Verified(verdict)) => match verdict.outcome {
                Outcome::Relapsed | Outcome::Inconclusive => Some(Asked::Anew),
                Outcome::Recovered => None,
            },
            // What is left of the illness may be of another kind.
            Event::Observation(Observation::SymptomCleared(_)) => Some(Asked::Again),
            // It came late, and may say more than was known without it; or it is ill still, and nothing is done.
            Event::Observation(Observation::Examined(_)) => {
                let may_change = |last: &&chart::Last| last.examination.is_none() || last.remedy.is_none();
                self.last.as_ref().filter(may_change).map(|_| Asked::Again)
            }
            // Both rules wait for what comes next.
            Event::Observation(_) => {
                self.last.as_ref().filter(|last| [SETTLING, EASING].contains(&last.rule.as_str())).map(|_| Asked::Again)
            }
            Event::Action(_) | Event::Diagnosis(_) | Event::Alert(_) => None,
        }
    }

    /// Whether this says more than to wait and see, and something else than was said last.
    fn is_firmer(&self, reached: &Reached) -> bool {
        let said = |last: &chart::Last| last.rule == rule(reached) && last.remedy == reached.remedy;
        reached.verdict != Verdict::Unclear && !self.last.as_ref().is_some_and(said)
    }
}

/// One thought about one container.
#[derive(Debug, Clone, Copy)]
struct Thought<'a> {
    chart: &'a Chart,
    ward: &'a Ward,
    subject: &'a Subject,
    policy: &'a Policy,
    now: Timestamp,
}

impl Thought<'_> {
    fn answer(&self, asked: Asked) -> Decision {
        let Some(case) = self.chart.case(self.ward, self.policy, self.now) else { return Decision::nothing() };
        let Some(Conclusion { reached, again }) = think(&case, self.policy, self.subject.short()) else {
            return Decision::nothing();
        };
        let mut decision = match asked == Asked::Anew || self.chart.is_firmer(&reached) {
            true => self.say(&case, self.unexamined(reached)),
            false => Decision::nothing(),
        };
        if self.policy.examine_within > Span::ZERO && asked == Asked::Anew {
            decision = decision.hush(EXAMINATION);
        }
        match again {
            Some(after) => decision.wake(AGAIN, after.after(self.now)),
            None => decision,
        }
    }

    /// Says, too, that nothing was found out where that was waited for.
    fn unexamined(&self, reached: Reached) -> Reached {
        let within = self.policy.examine_within;
        let missed = within > Span::ZERO && self.chart.is_asked() && !self.chart.is_examined();
        let why = if missed { format!("{}; no examination came within {within}", reached.why) } else { reached.why };
        Reached { why, ..reached }
    }

    fn say(&self, case: &Case<'_>, reached: Reached) -> Decision {
        let ask = |model, part, reached| self.about(question(case, self.policy, model, part, reached));
        match &self.policy.opinion {
            // To wait and see needs no second opinion: there is nothing to be seen yet.
            _ if rule(&reached) == SETTLING => Decision::event(self.about(reached)),
            Opinion::Rules => Decision::event(self.about(reached)),
            Opinion::Decides(model) => Decision::event(ask(model, Part::Decides, reached)),
            Opinion::Shadows(model) => {
                let question = ask(model, Part::Shadows, reached.clone());
                Decision { events: vec![self.about(reached), question], timers: vec![] }
            }
        }
    }

    fn about(&self, event: impl Into<Event>) -> NewEvent {
        NewEvent::new(self.subject.clone(), self.now, event).in_incident(self.chart.incident().cloned())
    }
}

/// What the rules say, and after which time they may say something else though nothing has happened.
struct Conclusion {
    reached: Reached,
    again: Option<Span>,
}

/// What the rules say of a case; nothing where it is not for HemoStat to say anything.
pub fn conclude(case: &Case<'_>, policy: &Policy, name: &str) -> Option<Reached> {
    think(case, policy, name).map(|conclusion| conclusion.reached)
}

fn think(case: &Case<'_>, policy: &Policy, name: &str) -> Option<Conclusion> {
    let symptoms: Vec<_> = case.ills().collect();
    if symptoms.is_empty() || case.halted.is_some() || !policy.watches(name, case.facts) {
        return None;
    }
    let (rule, finding) = RULES.iter().find_map(|rule| Some((rule, (rule.find)(case)?)))?;
    let (mut why, mut confidence) = (finding.why, finding.confidence);
    let remedy = finding.remedy.filter(|remedy| match safe(case, remedy) {
        Ok(()) => true,
        Err(against) => {
            why.push_str(&format!("; {} is not for it: {against}", remedy.name()));
            false
        }
    });
    if let Some(vain) = chart::last_in_vain(case.tried) {
        why.push_str(&format!("; the last {} did not help", vain.name()));
    }
    if let Some(before) = case.changed_image().filter(|_| finding.verdict == Verdict::Sick) {
        let before: String = before.chars().take(DIGEST).collect();
        why.push_str(&format!("; its image was changed just before: to go back to {before} may be the better remedy"));
        confidence -= if remedy.is_some() { LESS_SURE } else { 0.0 };
    }
    let wanted = |id: &String| finding.cites.contains(id) || symptoms.iter().any(|symptom| symptom.name() == id);
    let cites = opinion::exhibits(case).into_iter().map(|exhibit| exhibit.id).filter(wanted).collect();
    let reached = Reached {
        verdict: finding.verdict,
        target: case.facts.target(),
        root_cause: finding.root_cause,
        remedy,
        confidence: Confidence::clamped(confidence),
        method: Method::Rule { rule: rule.name.to_owned() },
        why,
        examination: case.examination,
        cites,
        usage: None,
        symptoms,
    };
    Some(Conclusion { reached, again: finding.again })
}

/// The rule that reached it; no name where a model did.
fn rule(reached: &Reached) -> &str {
    match &reached.method {
        Method::Rule { rule } => rule,
        Method::Model { .. } => "",
    }
}
