//! A decision without its times and numbers: two decisions with the same key count as the same.

use std::fmt;

use hemostat_schema::{
    Action, Diagnosis, Event,
    action::Remedy,
    diagnosis::{Method, Part, Verdict},
};

/// A decision without its times and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DecisionKey {
    decider: Decider,
    what: &'static str,
    remedy: Option<Remedy>,
    detail: Option<&'static str>,
}

/// The deciders of a backtest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decider {
    Triage,
    Authorise,
    Judge,
}

impl Decider {
    /// The decider of this consumer group.
    pub fn of_group(group: &str) -> Option<Self> {
        match group {
            "triage" => Some(Self::Triage),
            "authorise" => Some(Self::Authorise),
            "judge" => Some(Self::Judge),
            _ => None,
        }
    }
}

impl DecisionKey {
    /// The key of a decision; `None` for any other event.
    pub fn of(event: &Event) -> Option<Self> {
        let (decider, what, remedy, detail) = match event {
            Event::Diagnosis(Diagnosis::Reached(reached)) => match &reached.method {
                Method::Rule { .. } => {
                    (Decider::Triage, "diagnosed", reached.remedy.clone(), Some(verdict(reached.verdict)))
                }
                Method::Model { .. } => return None,
            },
            Event::Diagnosis(Diagnosis::OpinionSought(sought)) => match sought.part {
                Part::Decides => (Decider::Triage, "left to a model", sought.fallback.remedy.clone(), None),
                // The rules decide; the model is only compared with them.
                Part::Shadows => return None,
            },
            Event::Action(action) => match action {
                Action::Authorised(intent) => {
                    let dry_run = intent.dry_run.then_some("dry run");
                    (Decider::Authorise, "authorised", Some(intent.remedy.clone()), dry_run)
                }
                // A refusal by the responder, not a decision of the policy.
                Action::Refused(refused) if refused.refusal.unexecuted_intent().is_some() => return None,
                Action::Refused(refused) => {
                    (Decider::Authorise, "refused", Some(refused.remedy.clone()), Some(refused.refusal.name()))
                }
                Action::Proposed(proposed) => (Decider::Authorise, "proposed", Some(proposed.remedy.clone()), None),
                Action::Expired(_) => (Decider::Authorise, "expired", None, None),
                Action::GaveUp(_) => (Decider::Authorise, "gave up", None, None),
                Action::Verified(verdict) => {
                    (Decider::Judge, "verified", Some(verdict.remedy.clone()), Some(verdict.outcome.name()))
                }
                Action::Approved(_)
                | Action::Denied(_)
                | Action::Succeeded(_)
                | Action::Failed(_)
                | Action::BreakerReset(_)
                | Action::Paused(_)
                | Action::Resumed(_)
                | Action::DeadLetterRedriven(_)
                | Action::DeadLetterDiscarded(_)
                | Action::PolicyChanged(_)
                | Action::PolicyRefused(_)
                | Action::PoliciesCompared(_) => return None,
            },
            Event::Observation(_)
            | Event::Diagnosis(Diagnosis::Opined(_) | Diagnosis::Failed(_))
            | Event::Alert(_)
            | Event::Sample(_) => return None,
        };
        Some(Self { decider, what, remedy, detail })
    }

    /// The decider that makes it.
    pub fn decider(&self) -> Decider {
        self.decider
    }
}

impl fmt::Display for DecisionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        if let Some(remedy) = &self.remedy {
            write!(f, " {}", remedy.name())?;
        }
        self.detail.map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Sick => "sick",
        Verdict::FalseAlarm => "false alarm",
        Verdict::Unclear => "unclear",
    }
}
