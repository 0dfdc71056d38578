//! The decider that diagnoses: when a case is evaluated, and which events come of it.
//!
//! ```text
//! symptom raised ──► wait for its examination ──► rules ──► reached                      opinion: rules
//!                     (with a timeout)              └─────► opinion_sought, fallback     a model decides
//!                                                   └─────► reached + opinion_sought     a model shadows
//! ```
//!
//! Triage evaluates a case when a symptom is raised or worsens, and again when a remedy did not help. A diagnosis names
//! all active symptoms and targets the current run. A rule may ask to be evaluated again after a time.

use hemostat_core::{Decider, Decision, Policy, Trigger, policy::Opinion};
use hemostat_schema::{
    Action, Event, Family, NewEvent, Observation, PolicyHash, Recorded, Span, Subject, Timestamp,
    action::Outcome,
    diagnosis::{Part, Reached, Verdict},
    observation::Severity,
};

use crate::{
    case::Case,
    case_history::{CaseHistory, LastDiagnosis},
    conclude::{Conclusion, evaluate, rule_of},
    host_health::HostHealth,
    opinion::question::question,
    rules::{EASING, SETTLING},
};

/// The timer that ends the wait for an examination.
pub(crate) const EXAMINATION: &str = "examination";
/// The timer on which a case is evaluated again because a rule asked for it.
pub(crate) const AGAIN: &str = "again";

/// The decider that diagnoses.
#[derive(Debug, Clone, Copy)]
pub struct Triage;

impl Decider for Triage {
    const GROUP: &'static str = "triage";
    const VERSION: u16 = 2;
    const READS: &'static [Family] = &[Family::Observation, Family::Diagnosis, Family::Action];
    type State = CaseHistory;
    type Shared = HostHealth;
    type Policy = Policy;

    fn policy_hash(policy: &Policy) -> Option<PolicyHash> {
        Some(policy.hash())
    }

    fn evolve(history: &mut CaseHistory, host: &mut HostHealth, event: &Recorded) {
        let seen = matches!(event.event(), Some(Event::Observation(seen)) if !matches!(seen, Observation::Sampled(_)));
        if let (true, true, Some(name)) = (history.evolve(event), seen, &event.subject.container) {
            host.update(name, history.condition.facts.as_ref(), event.at);
        }
    }

    fn decide(
        history: &CaseHistory,
        host: &HostHealth,
        trigger: &Trigger<'_>,
        policy: &Policy,
        now: Timestamp,
    ) -> Decision {
        use Reason::{NewProblem, Recheck};
        let evaluation = Evaluation { history, host, subject: trigger.subject(), policy, now };
        match trigger {
            Trigger::Timer(timer) => match timer.name.as_str() {
                EXAMINATION if history.awaits_diagnosis() => match history.waits_until(policy, now) {
                    Some(due) => Decision::nothing().set_timer(EXAMINATION, due),
                    None => evaluation.decide(NewProblem),
                },
                AGAIN if !history.awaits_diagnosis() => evaluation.decide(Recheck),
                _ => Decision::nothing(),
            },
            Trigger::Event(event) => match (reason_to_evaluate(history, event), history.waits_until(policy, now)) {
                (None, _) | (Some(Recheck), Some(_)) => Decision::nothing(),
                (Some(NewProblem), Some(due)) => Decision::nothing().set_timer(EXAMINATION, due),
                (Some(reason), None) => evaluation.decide(reason),
            },
        }
    }
}

/// Why a case is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// A symptom is new or worse, or a remedy did not help: triage gives a diagnosis in any case.
    NewProblem,
    /// The evidence changed: triage gives a diagnosis only if it is more specific than the last one.
    Recheck,
}

/// Whether `event` is a reason to evaluate the case.
///
/// A diagnosis that is newer than the event already took it into account, because everything on the log is folded
/// before a decision. So several symptoms at the same moment get one diagnosis.
fn reason_to_evaluate(history: &CaseHistory, event: &Recorded) -> Option<Reason> {
    use Reason::{NewProblem, Recheck};
    if !history.is_newer_than_diagnosis(event) {
        return None;
    }
    match event.event()? {
        Event::Observation(Observation::SymptomRaised(raised)) => {
            (raised.severity > Severity::Low).then_some(NewProblem)
        }
        Event::Observation(Observation::SymptomWorsened(worse)) => {
            (worse.severity > Severity::Low).then_some(NewProblem)
        }
        Event::Observation(Observation::Examined(_)) if history.awaits_diagnosis() => {
            history.is_examined_since_symptom().then_some(NewProblem)
        }
        Event::Action(Action::Verified(verdict)) => match verdict.outcome {
            Outcome::Relapsed | Outcome::Inconclusive => Some(NewProblem),
            Outcome::Recovered => None,
        },
        // The remaining symptoms may have another cause.
        Event::Observation(Observation::SymptomCleared(_)) => Some(Recheck),
        // The examination came late and may add evidence; or no remedy was found before, and one may be now.
        Event::Observation(Observation::Examined(_)) => {
            let may_change = |last: &&LastDiagnosis| last.examination.is_none() || last.remedy.is_none();
            history.last.as_ref().filter(may_change).map(|_| Recheck)
        }
        // These two rules wait for the next observation or sample.
        Event::Observation(_) | Event::Sample(_) => {
            history.last.as_ref().filter(|last| [SETTLING, EASING].contains(&last.rule.as_str())).map(|_| Recheck)
        }
        Event::Action(_) | Event::Diagnosis(_) | Event::Alert(_) => None,
    }
}

/// Whether `reached` is more than "unclear", and differs from the last diagnosis.
fn is_more_specific(history: &CaseHistory, reached: &Reached) -> bool {
    let same = |last: &LastDiagnosis| last.rule == rule_of(reached) && last.remedy == reached.remedy;
    reached.verdict != Verdict::Unclear && !history.last.as_ref().is_some_and(same)
}

/// One evaluation of one container's case.
#[derive(Debug, Clone, Copy)]
struct Evaluation<'a> {
    history: &'a CaseHistory,
    host: &'a HostHealth,
    subject: &'a Subject,
    policy: &'a Policy,
    now: Timestamp,
}

impl Evaluation<'_> {
    fn decide(&self, reason: Reason) -> Decision {
        let Some(case) = self.history.case(self.host, self.policy, self.now) else { return Decision::nothing() };
        let Some(Conclusion { reached, recheck_after }) = evaluate(&case, self.policy, self.subject.short()) else {
            return Decision::nothing();
        };
        let mut decision = match reason == Reason::NewProblem || is_more_specific(self.history, &reached) {
            true => self.diagnose(&case, self.note_missing_examination(reached)),
            false => Decision::nothing(),
        };
        if self.policy.examine_within > Span::ZERO && reason == Reason::NewProblem {
            decision = decision.cancel_timer(EXAMINATION);
        }
        decision.set_timer(AGAIN, recheck_after.map(|after| after.after(self.now)))
    }

    /// Adds to the reasons that triage waited for an examination and got none.
    fn note_missing_examination(&self, reached: Reached) -> Reached {
        let within = self.policy.examine_within;
        let missed =
            within > Span::ZERO && self.history.awaits_diagnosis() && !self.history.is_examined_since_symptom();
        let why = if missed { format!("{}; no examination came within {within}", reached.why) } else { reached.why };
        Reached { why, ..reached }
    }

    /// The rules' diagnosis, the question to a model, or both: as the policy says.
    fn diagnose(&self, case: &Case<'_>, reached: Reached) -> Decision {
        let ask = |model, part, reached| self.event(question(case, self.policy, model, part, reached));
        match &self.policy.opinion {
            // While a run settles there is no evidence to show to a model.
            _ if rule_of(&reached) == SETTLING => Decision::event(self.event(reached)),
            Opinion::Rules => Decision::event(self.event(reached)),
            Opinion::Decides(model) => Decision::event(ask(model, Part::Decides, reached)),
            Opinion::Shadows(model) => {
                let question = ask(model, Part::Shadows, reached.clone());
                Decision { events: vec![self.event(reached), question], timers: vec![] }
            }
        }
    }

    fn event(&self, event: impl Into<Event>) -> NewEvent {
        NewEvent::new(self.subject.clone(), self.now, event).in_incident(self.history.incident().cloned())
    }
}
