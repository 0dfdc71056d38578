//! What a decision rests on: the policy that it was made by, and what it was decided on.

use crate::{Action, DecidedOn, Diagnosis, Event, PolicyHash};

/// The policy and the trigger that an event names. Both are none in events that do not record them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis<'a> {
    /// The policy that it was decided by.
    pub policy: Option<PolicyHash>,
    /// What it was decided on.
    pub trigger: Option<&'a DecidedOn>,
}

/// The fields of an event that record its basis; none for an event that is no decision of a policy. `$by` is how to
/// borrow them.
macro_rules! fields {
    ($event:expr, $($by:tt)+) => {
        match $event {
            Event::Diagnosis(diagnosis) => match diagnosis {
                Diagnosis::Reached(of) => Some(($($by)+ of.policy, $($by)+ of.trigger)),
                // Its basis is that of the diagnosis that applies if the model fails.
                Diagnosis::OpinionSought(of) => Some(($($by)+ of.fallback.policy, $($by)+ of.fallback.trigger)),
                Diagnosis::Opined(of) => Some(($($by)+ of.opinion.policy, $($by)+ of.opinion.trigger)),
                Diagnosis::Failed(_) => None,
            },
            Event::Action(action) => match action {
                Action::Proposed(of) => Some(($($by)+ of.policy, $($by)+ of.trigger)),
                Action::Expired(of) => Some(($($by)+ of.policy, $($by)+ of.trigger)),
                Action::Authorised(of) => Some(($($by)+ of.policy, $($by)+ of.trigger)),
                Action::Refused(of) => Some(($($by)+ of.policy, $($by)+ of.trigger)),
                Action::Verified(of) => Some(($($by)+ of.policy, $($by)+ of.trigger)),
                Action::GaveUp(of) => Some(($($by)+ of.policy, $($by)+ of.trigger)),
                Action::Approved(_)
                | Action::Denied(_)
                | Action::Succeeded(_)
                | Action::Failed(_)
                | Action::BreakerReset(_)
                | Action::Paused(_)
                | Action::Resumed(_)
                | Action::PolicyChanged(_)
                | Action::DeadLetterRedriven(_)
                | Action::DeadLetterDiscarded(_)
                | Action::PolicyRefused(_)
                | Action::PoliciesCompared(_) => None,
            },
            Event::Observation(_) | Event::Alert(_) | Event::Sample(_) => None,
        }
    };
}

impl Event {
    /// What it rests on, if it is a decision of a policy.
    pub fn basis(&self) -> Option<Basis<'_>> {
        let (policy, trigger) = fields!(self, &)?;
        Some(Basis { policy: *policy, trigger: trigger.as_ref() })
    }

    /// The same event, with what it rests on, if it is a decision of a policy.
    #[must_use]
    pub fn decided(mut self, by: Option<PolicyHash>, on: &DecidedOn) -> Self {
        if let Some((policy, trigger)) = fields!(&mut self, &mut) {
            (*policy, *trigger) = (by, Some(on.clone()));
        }
        self
    }
}
