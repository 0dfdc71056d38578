//! One authorised remedy, from its authorisation to its verdict, as the views `containers` and `incidents` show it.

use hemostat_schema::{
    Action, EventId, Span, Timestamp,
    action::{Authorised, Outcome, Remedy},
};
use serde::{Deserialize, Serialize};

/// An authorised remedy and its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The authorisation.
    pub id: EventId,
    /// When it was authorised.
    pub at: Timestamp,
    /// The remedy.
    pub remedy: Remedy,
    /// Its number within the rolling window, from 1.
    pub attempt: u32,
    /// Maximum attempts within the rolling window.
    pub of: u32,
    /// The remedy is not carried out; everything else happens.
    pub dry_run: bool,
    /// How far it has come.
    pub stage: Stage,
}

/// How far an authorised remedy has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Stage {
    /// It may be carried out; no result is known yet.
    Authorised,
    /// It was carried out and has no verdict yet.
    Done {
        /// How long Docker took.
        took: Span,
    },
    /// It could not be carried out.
    Failed {
        /// What happened.
        error: String,
    },
    /// It was not carried out, as its intent was not durable.
    #[serde(rename = "withheld")]
    NotExecuted {
        /// What was missing.
        why: String,
    },
    /// It has a verdict.
    Judged {
        /// Whether it helped.
        outcome: Outcome,
        /// The reason for the verdict.
        why: String,
        /// From the authorisation to the verdict.
        took: Span,
    },
}

impl Attempt {
    /// The attempt that `authorised`, the event `id`, begins.
    pub fn new(id: EventId, at: Timestamp, authorised: &Authorised) -> Self {
        Self {
            id,
            at,
            remedy: authorised.remedy.clone(),
            attempt: authorised.limits.attempt,
            of: authorised.limits.of,
            dry_run: authorised.dry_run,
            stage: Stage::Authorised,
        }
    }

    /// Whether it has no outcome yet.
    pub fn is_pending(&self) -> bool {
        match self.stage {
            Stage::Authorised | Stage::Done { .. } => true,
            Stage::Failed { .. } | Stage::NotExecuted { .. } | Stage::Judged { .. } => false,
        }
    }

    /// Its outcome, once it is judged.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.stage {
            Stage::Judged { outcome, .. } => Some(outcome),
            Stage::Authorised | Stage::Done { .. } | Stage::Failed { .. } | Stage::NotExecuted { .. } => None,
        }
    }

    /// Applies an action, if it is about this attempt.
    pub fn apply(&mut self, action: &Action) {
        match action {
            Action::Succeeded(done) if done.action == self.id => self.stage = Stage::Done { took: done.took },
            Action::Failed(failed) if failed.action == self.id => {
                self.stage = Stage::Failed { error: failed.error.clone() };
            }
            Action::Verified(judged) if judged.action == self.id => {
                self.stage = Stage::Judged { outcome: judged.outcome, why: judged.why.clone(), took: judged.took };
            }
            Action::Refused(refused) if refused.refusal.unexecuted_intent() == Some(self.id) => {
                self.stage = Stage::NotExecuted { why: refused.refusal.to_string() };
            }
            Action::Succeeded(_)
            | Action::Failed(_)
            | Action::Verified(_)
            | Action::Refused(_)
            | Action::Authorised(_)
            | Action::Proposed(_)
            | Action::Approved(_)
            | Action::Denied(_)
            | Action::Expired(_)
            | Action::GaveUp(_)
            | Action::BreakerReset(_)
            | Action::Paused(_)
            | Action::Resumed(_)
            | Action::DeadLetterRedriven(_)
            | Action::DeadLetterDiscarded(_)
            | Action::PolicyChanged(_)
            | Action::PolicyRefused(_)
            | Action::PoliciesCompared(_) => {}
        }
    }
}
