//! What a decision comes to, times and numbers aside: by this it is told whether two are the same.

use std::fmt;

use hemostat_schema::{
    Action, Diagnosis, Event,
    action::{Outcome, Remedy},
    diagnosis::{Method, Part, Verdict},
};

/// What a decision comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Essence {
    decider: Decider,
    what: &'static str,
    remedy: Option<Remedy>,
    word: Option<&'static str>,
}

/// Whose decision it is.
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

impl Essence {
    /// Of a decision; none of anything else.
    pub fn of(event: &Event) -> Option<Self> {
        let (decider, what, remedy, word) = match event {
            Event::Diagnosis(Diagnosis::Reached(reached)) => match &reached.method {
                Method::Rule { .. } => {
                    (Decider::Triage, "diagnosed", reached.remedy.clone(), Some(verdict(reached.verdict)))
                }
                Method::Model { .. } => return None,
            },
            Event::Diagnosis(Diagnosis::OpinionSought(sought)) => match sought.part {
                Part::Decides => (Decider::Triage, "left to a model", sought.fallback.remedy.clone(), None),
                // The rules have decided.
                Part::Shadows => return None,
            },
            Event::Action(action) => match action {
                Action::Authorised(intent) => {
                    let word = intent.dry_run.then_some("dry run");
                    (Decider::Authorise, "authorised", Some(intent.remedy.clone()), word)
                }
                // The executor's word, not a decision of the policy.
                Action::Refused(refused) if refused.refusal.withholds().is_some() => return None,
                Action::Refused(refused) => {
                    (Decider::Authorise, "refused", Some(refused.remedy.clone()), Some(refused.refusal.name()))
                }
                Action::Proposed(proposed) => (Decider::Authorise, "proposed", Some(proposed.remedy.clone()), None),
                Action::Expired(_) => (Decider::Authorise, "expired", None, None),
                Action::GaveUp(_) => (Decider::Authorise, "gave up", None, None),
                Action::Verified(verdict) => {
                    (Decider::Judge, "verified", Some(verdict.remedy.clone()), Some(outcome(verdict.outcome)))
                }
                Action::Approved(_)
                | Action::Denied(_)
                | Action::Succeeded(_)
                | Action::Failed(_)
                | Action::BreakerReset(_)
                | Action::Paused(_)
                | Action::Resumed(_) => return None,
            },
            Event::Observation(_) | Event::Diagnosis(_) | Event::Alert(_) => return None,
        };
        Some(Self { decider, what, remedy, word })
    }

    /// Whose decision it is.
    pub fn decider(&self) -> Decider {
        self.decider
    }
}

impl fmt::Display for Essence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        if let Some(remedy) = &self.remedy {
            write!(f, " {}", remedy.name())?;
        }
        self.word.map_or(Ok(()), |word| write!(f, " ({word})"))
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Sick => "sick",
        Verdict::FalseAlarm => "false alarm",
        Verdict::Unclear => "unclear",
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Recovered => "recovered",
        Outcome::Relapsed => "relapsed",
        Outcome::Inconclusive => "inconclusive",
    }
}
