//! Authorises remedies: each requested remedy is authorised, proposed to a person, or refused with its reason.
//!
//! The safety of HemoStat is here, and it rests on the log alone: [`State`] is the history of one container, `limits`
//! checks a remedy against every limit in one fixed order, and this file says when to evaluate and what to emit.
//!
//! A diagnosis starts the first evaluation. Further ones follow when a timer is due that a refusal or an attempt set,
//! when a person answers, when an operator resets the breaker, and when the container's facts change. A reason is
//! recorded once per incident and attempt, not once per evaluation, so a container that is sick through an hour of
//! polls leaves a handful of events.

use hemostat_schema::{
    Action, Cause, Diagnosis, Event, Family, NewEvent, Observation, PolicyHash, Recorded, Span, Timestamp,
    action::{Authorised, Expired, GaveUp, Outcome, Proposed, Refusal, Refused, Target},
};

pub mod backoff;
pub mod breaker;
mod context;
pub mod cooldown;
mod limits;
mod state;
#[cfg(test)]
mod tests;

use context::Context;
use limits::LimitCheck;
use state::{Proposal, RequestedRemedy};
pub use state::{Shared, State};

use crate::{
    decider::{Decider, Decision, Timer, Trigger},
    policy::{Mode, Policy},
};

/// The timer on which a requested remedy is evaluated again.
const RETRY: &str = "retry";
/// The timer on which a proposal expires.
const EXPIRY: &str = "expiry";
/// How long a person has to answer a proposal.
const ANSWER_WITHIN: Span = Span::from_secs(3600);
/// How often to evaluate again when the reason may pass without an event of this container: healing is paused on the
/// host, or the host is in a storm.
const RECHECK_AFTER: Span = Span::from_secs(30);

/// How often to evaluate again when only another policy changes the answer. A changed policy fires every timer, so the
/// timer is what makes the container evaluated then.
const POLICY_RECHECK_AFTER: Span = Span::from_secs(24 * 3600);

/// Authorises remedies.
#[derive(Debug, Clone, Copy)]
pub struct Authorisation;

impl Decider for Authorisation {
    const GROUP: &'static str = "authorise";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Observation, Family::Diagnosis, Family::Action];
    type State = State;
    type Shared = Shared;
    type Policy = Policy;

    fn policy_hash(policy: &Policy) -> Option<PolicyHash> {
        Some(policy.hash())
    }

    fn evolve(state: &mut State, shared: &mut Shared, event: &Recorded) {
        state.evolve(shared, event);
    }

    fn decide(state: &State, shared: &Shared, trigger: &Trigger<'_>, policy: &Policy, now: Timestamp) -> Decision {
        let evaluation = Evaluation(Context { state, shared, subject: trigger.subject(), policy, now });
        match trigger {
            Trigger::Timer(timer) => evaluation.timer(timer),
            Trigger::Event(recorded) => match recorded.event() {
                Some(Event::Diagnosis(Diagnosis::Reached(_))) => match &state.requested {
                    Some(requested) if requested.diagnosis == recorded.id => {
                        evaluation.evaluate(recorded.at, EvaluationReason::NewDiagnosis)
                    }
                    _ => Decision::nothing(),
                },
                Some(Event::Action(action)) => evaluation.action(recorded, action),
                Some(Event::Observation(seen)) => evaluation.observation(recorded, seen),
                Some(Event::Diagnosis(_) | Event::Alert(_) | Event::Sample(_)) | None => Decision::nothing(),
            },
        }
    }
}

/// Why a requested remedy is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EvaluationReason {
    /// A new diagnosis: the answer is recorded, whatever it is.
    NewDiagnosis,
    /// A timer or a change: only a new answer is recorded.
    Recheck,
}

/// One evaluation of one container.
#[derive(Debug, Clone, Copy)]
struct Evaluation<'a>(Context<'a>);

impl Evaluation<'_> {
    fn timer(&self, timer: &Timer) -> Decision {
        match (timer.name.as_str(), &self.0.state.proposal) {
            (RETRY, _) => self.evaluate(timer.due, EvaluationReason::Recheck),
            (EXPIRY, Some(proposal)) if self.0.now < proposal.expires => {
                Decision::nothing().set_timer(EXPIRY, proposal.expires)
            }
            (EXPIRY, Some(proposal)) => self.withdraw(proposal),
            _ => Decision::nothing(),
        }
    }

    fn observation(&self, recorded: &Recorded, seen: &Observation) -> Decision {
        let Context { state, .. } = self.0;
        match seen {
            Observation::Seen(_) | Observation::Started(_) | Observation::Unpaused(_) => {
                self.evaluate(recorded.at, EvaluationReason::Recheck)
            }
            Observation::SymptomCleared(_) | Observation::Removed(_) if state.requested.is_none() => {
                let decision = state.proposal.as_ref().map(|proposal| self.withdraw(proposal)).unwrap_or_default();
                decision.cancel_timer(RETRY).cancel_timer(EXPIRY)
            }
            Observation::SymptomCleared(_)
            | Observation::Removed(_)
            | Observation::Exited(_)
            | Observation::Paused(_)
            | Observation::HealthChanged(_)
            | Observation::Sampled(_)
            | Observation::Stored(_)
            | Observation::Examined(_)
            | Observation::DiskMeasured(_)
            | Observation::SymptomRaised(_)
            | Observation::SymptomWorsened(_)
            | Observation::EngineLost(_)
            | Observation::EngineFound(_) => Decision::nothing(),
        }
    }

    fn action(&self, recorded: &Recorded, action: &Action) -> Decision {
        match action {
            Action::Verified(verdict) if verdict.outcome == Outcome::Recovered => {
                Decision::nothing().cancel_timer(RETRY)
            }
            Action::Verified(_) | Action::Failed(_) => self.after_unsuccessful_attempt(),
            Action::Refused(refused) if refused.refusal.unexecuted_intent().is_some() => {
                self.after_unsuccessful_attempt()
            }
            Action::Approved(approved) => match &self.0.state.proposal {
                Some(proposal) if proposal.id == approved.proposal => self.approved(proposal, recorded),
                _ => Decision::nothing(),
            },
            Action::Denied(_) => Decision::nothing().cancel_timer(EXPIRY),
            Action::BreakerReset(_) => self.evaluate(recorded.at, EvaluationReason::Recheck),
            Action::Proposed(_)
            | Action::Expired(_)
            | Action::Authorised(_)
            | Action::Refused(_)
            | Action::Succeeded(_)
            | Action::GaveUp(_)
            | Action::Paused(_)
            | Action::Resumed(_)
            | Action::DeadLetterRedriven(_)
            | Action::DeadLetterDiscarded(_)
            | Action::PolicyChanged(_)
            | Action::PolicyRefused(_)
            | Action::PoliciesCompared(_) => Decision::nothing(),
        }
    }

    /// Evaluates the requested remedy; `due` is when that should have happened.
    fn evaluate(&self, due: Timestamp, reason: EvaluationReason) -> Decision {
        let Some(requested) = &self.0.state.requested else { return Decision::nothing() };
        if let Some(gave_up) = self.give_up() {
            return gave_up;
        }
        let check = LimitCheck::new(self.0, requested, due);
        match check.refusal() {
            Some(Refusal::InHand) if reason == EvaluationReason::Recheck => Decision::nothing(),
            Some(refusal) => self.refuse(requested, refusal, reason),
            None => match (check.mode(), check.target()) {
                (Some(Mode::Auto), Some(target)) => self.authorise(&check, target).cancel_timer(RETRY),
                (Some(Mode::Approve), Some(target)) => self.propose(requested, target),
                (Some(Mode::Observe) | None, _) | (_, None) => Decision::nothing(),
            },
        }
    }

    fn authorise(&self, check: &LimitCheck<'_>, target: Target) -> Decision {
        let requested = check.requested;
        let by_policy = check.container().and_then(|container| container.stop_timeout);
        let authorised = Authorised {
            remedy: requested.remedy.clone(),
            target,
            // Only remedies that are unsupported so far have any.
            arguments: None,
            diagnosis: requested.diagnosis,
            limits: check.limits(),
            stop_timeout: by_policy.or_else(|| check.facts()?.stop_timeout),
            dry_run: self.0.policy.dry_run,
            policy: None,
            trigger: None,
        };
        Decision::event(self.event(requested, authorised))
    }

    fn propose(&self, requested: &RequestedRemedy, target: Target) -> Decision {
        let is_proposed =
            self.0.state.proposal.as_ref().is_some_and(|proposal| proposal.target.as_ref() == target.run());
        if is_proposed || self.0.state.is_denied(requested) {
            return Decision::nothing();
        }
        let expires = ANSWER_WITHIN.after(self.0.now);
        let proposed = Proposed {
            remedy: requested.remedy.clone(),
            target,
            arguments: None,
            diagnosis: requested.diagnosis,
            expires,
            policy: None,
            trigger: None,
        };
        Decision::event(self.event(requested, proposed)).cancel_timer(RETRY).set_timer(EXPIRY, expires)
    }

    /// Records the refusal, unless it is on the log already, and sets the timer on which the reason may be over.
    fn refuse(&self, requested: &RequestedRemedy, refusal: Refusal, reason: EvaluationReason) -> Decision {
        let recheck_at = self.recheck_at(&refusal);
        let is_moot_recheck = refusal == Refusal::Moot && reason == EvaluationReason::Recheck;
        let decision = if is_moot_recheck || self.0.state.is_recorded(requested, &refusal) {
            Decision::nothing()
        } else {
            let refused = Refused {
                remedy: requested.remedy.clone(),
                diagnosis: requested.diagnosis,
                refusal,
                policy: None,
                trigger: None,
            };
            Decision::event(self.event(requested, refused))
        };
        decision.set_timer(RETRY, recheck_at)
    }

    /// When to evaluate again after this refusal; none if only an event can change the answer.
    fn recheck_at(&self, refusal: &Refusal) -> Option<Timestamp> {
        let Context { state, shared, policy, now, .. } = self.0;
        let soon = Some(RECHECK_AFTER.after(now));
        match refusal {
            Refusal::BackingOff { .. }
            | Refusal::CoolingDown { .. }
            | Refusal::Tripped { .. }
            | Refusal::Maintenance { .. } => refusal.until(),
            // Long enough for a monitor that was away too to observe that the container is well again.
            Refusal::Stale { .. } => Some(policy.stabilisation.max(policy.clear_after.times(2)).after(now)),
            Refusal::Moot if !state.condition.is_sick() => None,
            Refusal::Moot | Refusal::Paused | Refusal::Storm { .. } => soon,
            Refusal::Unsupported { .. } => shared.engine_lost.then_some(soon).flatten(),
            Refusal::Protected { .. } | Refusal::Observing | Refusal::Unsure { .. } | Refusal::NotPermitted => {
                Some(POLICY_RECHECK_AFTER.after(now))
            }
            Refusal::OperatorStopped
            | Refusal::InHand
            // The responder refuses with this, never this decider.
            | Refusal::NotDurable { .. } => None,
        }
    }

    fn approved(&self, proposal: &Proposal, answer: &Recorded) -> Decision {
        if proposal.expires <= answer.at {
            return self.withdraw(proposal);
        }
        // A person approved this remedy for this run; every other limit still applies.
        let requested = self.0.state.requested.as_ref().filter(|requested| requested.remedy == proposal.remedy);
        let check = requested.map(|requested| LimitCheck::new(self.0, requested, answer.at));
        let target =
            check.as_ref().and_then(LimitCheck::target).filter(|target| target.run() == proposal.target.as_ref());
        match (check, target) {
            (Some(check), Some(target)) => match check.refusal() {
                None => self.authorise(&check, target).cancel_timer(RETRY).cancel_timer(EXPIRY),
                Some(refusal) => self.refuse_approved(proposal, refusal),
            },
            _ => self.refuse_approved(proposal, Refusal::Moot),
        }
    }

    /// A person who approved is told why the remedy is refused, even if the reason is on the log already.
    fn refuse_approved(&self, proposal: &Proposal, refusal: Refusal) -> Decision {
        let recheck_at = self.recheck_at(&refusal);
        let refused = Refused {
            remedy: proposal.remedy.clone(),
            diagnosis: proposal.diagnosis,
            refusal,
            policy: None,
            trigger: None,
        };
        let event = NewEvent::new(self.0.subject.clone(), self.0.now, refused).in_incident(proposal.incident.clone());
        Decision::event(event).set_timer(RETRY, recheck_at)
    }

    fn withdraw(&self, proposal: &Proposal) -> Decision {
        let expired = NewEvent::new(
            self.0.subject.clone(),
            self.0.now,
            Expired { proposal: proposal.id, policy: None, trigger: None },
        );
        let expired = expired.in_incident(proposal.incident.clone()).caused_by(Cause::Event(proposal.id));
        Decision::event(expired).cancel_timer(EXPIRY)
    }

    fn after_unsuccessful_attempt(&self) -> Decision {
        if let Some(gave_up) = self.give_up() {
            return gave_up;
        }
        let Context { state, policy, now, .. } = self.0;
        let Some(requested) = &state.requested else { return Decision::nothing() };
        let tripped = state.breaker.tripped_until(now);
        let backoff = state.attempts.backs_off_until(requested.incident.as_ref(), &policy.backoff, now);
        Decision::nothing().set_timer(RETRY, tripped.or(backoff).unwrap_or(now))
    }

    fn give_up(&self) -> Option<Decision> {
        let Context { state, subject, policy, now, .. } = self.0;
        let last = state.attempts.last()?;
        let max = match &state.condition.facts {
            Some(facts) => policy.for_container(facts).max_attempts,
            None => policy.container_defaults.max_attempts,
        };
        let (attempts, until) = state.breaker.must_trip(&state.attempts, max, policy, now)?;
        let gave_up = NewEvent::new(subject.clone(), now, GaveUp { attempts, until, policy: None, trigger: None });
        Some(Decision::event(gave_up.in_incident(last.incident.clone())).set_timer(RETRY, until))
    }

    /// An event in the incident of the diagnosis, caused by the diagnosis.
    fn event(&self, requested: &RequestedRemedy, event: impl Into<Event>) -> NewEvent {
        NewEvent::new(self.0.subject.clone(), self.0.now, event)
            .in_incident(requested.incident.clone())
            .caused_by(Cause::Event(requested.diagnosis))
    }
}
