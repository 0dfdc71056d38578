//! Whether a container is treated now: every remedy is authorised, proposed to a person, or refused with its reason.
//!
//! The safety of HemoStat is here, and all of it rests on the log: [`State`] is what happened to one container,
//! `limits` says in one fixed order what stands against a remedy, and this file says when to think and what to say.
//!
//! Thinking begins with a diagnosis. It begins again when a timer rings that a refusal or an attempt had set, when a
//! person answers, when an operator resets the breaker, and when the container's facts change. A reason is told once for
//! each incident and attempt, not once for each thought, so a container that is ill for an hour of polls leaves a handful
//! of events behind.

mod limits;
mod state;
#[cfg(test)]
mod tests;

use hemostat_schema::{
    Action, Cause, Diagnosis, Event, Family, NewEvent, Observation, Recorded, Span, Subject, Timestamp,
    action::{Authorised, Expired, GaveUp, Outcome, Proposed, Refusal, Refused},
    container::Target,
};

pub use state::{Shared, State};

use crate::{
    Policy,
    decider::{Decider, Decision, Timer, Trigger},
    policy::Mode,
};
use limits::Case;
use state::{Proposal, Wanted};

/// The timer on which a sick container is thought of again.
const RETRY: &str = "retry";
/// The timer on which a question to a person lapses.
const EXPIRY: &str = "expiry";
/// How long a person has to answer.
const ANSWER_WITHIN: Span = Span::from_secs(3600);
/// When a reason may pass without a word about this container (the host is paused, or in a storm), this is how often it
/// is thought of again.
const LOOK_AGAIN: Span = Span::from_secs(30);

/// Authorises remedies.
#[derive(Debug, Clone, Copy)]
pub struct Remedy;

impl Decider for Remedy {
    const GROUP: &'static str = "authorise";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Observation, Family::Diagnosis, Family::Action];
    type State = State;
    type Shared = Shared;
    type Policy = Policy;

    fn evolve(state: &mut State, shared: &mut Shared, event: &Recorded) {
        state.evolve(shared, event);
    }

    fn decide(state: &State, shared: &Shared, trigger: &Trigger<'_>, policy: &Policy, now: Timestamp) -> Decision {
        let thought = Thought { state, shared, subject: trigger.subject(), policy, now };
        match trigger {
            Trigger::Timer(timer) => thought.timer(timer),
            Trigger::Event(recorded) => match recorded.event() {
                Some(Event::Diagnosis(Diagnosis::Reached(_))) => match &state.wanted {
                    Some(wanted) if wanted.diagnosis == recorded.id => thought.again(recorded.at, Asked::Anew),
                    _ => Decision::nothing(),
                },
                Some(Event::Action(action)) => thought.action(recorded, action),
                Some(Event::Observation(seen)) => thought.observation(recorded, seen),
                Some(Event::Diagnosis(_) | Event::Alert(_)) | None => Decision::nothing(),
            },
        }
    }
}

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// A new diagnosis: it gets an answer, whatever the answer is.
    Anew,
    /// Nobody; the matter is looked at again.
    Again,
}

/// One thought about one container.
#[derive(Debug, Clone, Copy)]
struct Thought<'a> {
    state: &'a State,
    shared: &'a Shared,
    subject: &'a Subject,
    policy: &'a Policy,
    now: Timestamp,
}

impl Thought<'_> {
    fn timer(&self, timer: &Timer) -> Decision {
        match (timer.name.as_str(), &self.state.proposal) {
            (RETRY, _) => self.again(timer.due, Asked::Again),
            (EXPIRY, Some(proposal)) if self.now < proposal.expires => {
                Decision::nothing().wake(EXPIRY, proposal.expires)
            }
            (EXPIRY, Some(proposal)) => self.withdraw(proposal),
            _ => Decision::nothing(),
        }
    }

    fn observation(&self, recorded: &Recorded, seen: &Observation) -> Decision {
        match (seen, &self.state.wanted, &self.state.proposal) {
            (Observation::Seen(_) | Observation::Started(_) | Observation::Thawed(_), Some(_), _) => {
                self.again(recorded.at, Asked::Again)
            }
            (Observation::SymptomCleared(_) | Observation::Removed(_), None, proposal) => {
                let decision = proposal.as_ref().map(|proposal| self.withdraw(proposal)).unwrap_or_default();
                decision.hush(RETRY).hush(EXPIRY)
            }
            _ => Decision::nothing(),
        }
    }

    fn action(&self, recorded: &Recorded, action: &Action) -> Decision {
        match action {
            Action::Verified(verdict) if verdict.outcome == Outcome::Recovered => Decision::nothing().hush(RETRY),
            Action::Verified(_) | Action::Failed(_) => self.after_an_attempt_in_vain(),
            Action::Refused(refused) if refused.refusal.withholds().is_some() => self.after_an_attempt_in_vain(),
            Action::Approved(approved) => match &self.state.proposal {
                Some(proposal) if proposal.id == approved.proposal => self.approved(proposal, recorded),
                _ => Decision::nothing(),
            },
            Action::Denied(_) => Decision::nothing().hush(EXPIRY),
            Action::BreakerReset(_) => self.again(recorded.at, Asked::Again),
            Action::Proposed(_)
            | Action::Expired(_)
            | Action::Authorised(_)
            | Action::Refused(_)
            | Action::Succeeded(_)
            | Action::GaveUp(_)
            | Action::Paused(_)
            | Action::Resumed(_) => Decision::nothing(),
        }
    }

    /// Thinks of the diagnosis that stands; `since` is when it should have been thought of.
    fn again(&self, since: Timestamp, asked: Asked) -> Decision {
        let Some(wanted) = &self.state.wanted else { return Decision::nothing() };
        if let Some(gave_up) = self.give_up() {
            return gave_up;
        }
        let case = Case::new(*self, wanted, since);
        match case.refusal() {
            Some(Refusal::InHand) if asked == Asked::Again => Decision::nothing(),
            Some(refusal) => self.refuse(wanted, refusal, asked),
            None => match (case.mode(), case.target()) {
                (Some(Mode::Auto), Some(target)) => self.authorise(&case, target).hush(RETRY),
                (Some(Mode::Approve), Some(target)) => self.propose(wanted, target),
                _ => Decision::nothing(),
            },
        }
    }

    fn authorise(&self, case: &Case<'_>, target: Target) -> Decision {
        let wanted = case.wanted;
        let authorised = Authorised {
            remedy: wanted.remedy.clone(),
            target,
            diagnosis: wanted.diagnosis,
            limits: case.limits(),
            stop_timeout: case.care().and_then(|care| care.stop_timeout).or_else(|| case.facts()?.stop_timeout),
            dry_run: self.policy.dry_run,
        };
        Decision::event(self.about(wanted, authorised))
    }

    fn propose(&self, wanted: &Wanted, target: Target) -> Decision {
        let asked = self.state.proposal.as_ref().is_some_and(|proposal| proposal.target == target);
        if asked || self.state.is_denied(wanted) {
            return Decision::nothing();
        }
        let expires = ANSWER_WITHIN.after(self.now);
        let proposed = Proposed { remedy: wanted.remedy.clone(), target, diagnosis: wanted.diagnosis, expires };
        Decision::event(self.about(wanted, proposed)).hush(RETRY).wake(EXPIRY, expires)
    }

    /// Says why not, unless that has been said, and sees to it that the matter is looked at again when the reason is over.
    fn refuse(&self, wanted: &Wanted, refusal: Refusal, asked: Asked) -> Decision {
        let again = self.look_again(&refusal);
        let silent = (refusal == Refusal::Moot && asked == Asked::Again) || self.state.has_told(wanted, &refusal);
        let decision = match silent {
            true => Decision::nothing(),
            false => {
                let refused = Refused { remedy: wanted.remedy.clone(), diagnosis: wanted.diagnosis, refusal };
                Decision::event(self.about(wanted, refused))
            }
        };
        match again {
            Some(at) => decision.wake(RETRY, at),
            None => decision,
        }
    }

    fn look_again(&self, refusal: &Refusal) -> Option<Timestamp> {
        let soon = Some(LOOK_AGAIN.after(self.now));
        match refusal {
            Refusal::BackingOff { .. }
            | Refusal::CoolingDown { .. }
            | Refusal::Tripped { .. }
            | Refusal::Maintenance { .. } => refusal.until(),
            // Long enough for a monitor that was away, too, to see that the container is well again.
            Refusal::Stale { .. } => {
                Some(self.policy.stabilisation.max(self.policy.clear_after.times(2)).after(self.now))
            }
            Refusal::Moot if !self.state.condition.is_ill() => None,
            Refusal::Moot | Refusal::Paused | Refusal::Storm { .. } => soon,
            Refusal::Unsupported { .. } => self.shared.engine_lost.then_some(soon).flatten(),
            Refusal::Protected { .. }
            | Refusal::Observing
            | Refusal::OperatorStopped
            | Refusal::Unsure { .. }
            | Refusal::NotPermitted
            | Refusal::InHand
            // Said by whoever carries it out, never here.
            | Refusal::Undurable { .. } => None,
        }
    }

    fn approved(&self, proposal: &Proposal, answer: &Recorded) -> Decision {
        if proposal.expires <= answer.at {
            return self.withdraw(proposal);
        }
        // What a person allowed is that remedy, for that run; what else stands against it is looked at as ever.
        let wanted = self.state.wanted.as_ref().filter(|wanted| wanted.remedy == proposal.remedy);
        let case = wanted.map(|wanted| Case::new(*self, wanted, answer.at));
        let target = case.as_ref().and_then(Case::target).filter(|target| *target == proposal.target);
        match (case, target) {
            (Some(case), Some(target)) => match case.refusal() {
                None => self.authorise(&case, target).hush(RETRY).hush(EXPIRY),
                Some(refusal) => self.refuse_answer(proposal, refusal),
            },
            _ => self.refuse_answer(proposal, Refusal::Moot),
        }
    }

    /// A person who said yes is told why it does not happen, also when it has been told before.
    fn refuse_answer(&self, proposal: &Proposal, refusal: Refusal) -> Decision {
        let again = self.look_again(&refusal);
        let refused = Refused { remedy: proposal.remedy.clone(), diagnosis: proposal.diagnosis, refusal };
        let event = NewEvent::new(self.subject.clone(), self.now, refused).in_incident(proposal.incident.clone());
        let decision = Decision::event(event);
        match again {
            Some(at) => decision.wake(RETRY, at),
            None => decision,
        }
    }

    fn withdraw(&self, proposal: &Proposal) -> Decision {
        let expired = NewEvent::new(self.subject.clone(), self.now, Expired { proposal: proposal.id });
        Decision::event(expired.in_incident(proposal.incident.clone()).caused_by(Cause::Event(proposal.id)))
            .hush(EXPIRY)
    }

    fn after_an_attempt_in_vain(&self) -> Decision {
        if let Some(gave_up) = self.give_up() {
            return gave_up;
        }
        let Some(wanted) = &self.state.wanted else { return Decision::nothing() };
        let held = self.state.breaker.holds(self.now);
        let due = self.state.attempts.due(wanted.incident.as_ref(), &self.policy.backoff, self.now);
        Decision::nothing().wake(RETRY, held.or(due).unwrap_or(self.now))
    }

    fn give_up(&self) -> Option<Decision> {
        let last = self.state.attempts.last()?;
        let max = self
            .state
            .condition
            .facts
            .as_ref()
            .map_or(self.policy.care.max_retries, |facts| self.policy.care_of(facts).max_retries);
        let (attempts, until) = self.state.breaker.trips(&self.state.attempts, max, self.policy, self.now)?;
        let gave_up = NewEvent::new(self.subject.clone(), self.now, GaveUp { attempts, until });
        Some(Decision::event(gave_up.in_incident(last.incident.clone())).wake(RETRY, until))
    }

    /// An event of the diagnosis' incident, led to by the diagnosis.
    fn about(&self, wanted: &Wanted, event: impl Into<Event>) -> NewEvent {
        NewEvent::new(self.subject.clone(), self.now, event)
            .in_incident(wanted.incident.clone())
            .caused_by(Cause::Event(wanted.diagnosis))
    }
}
