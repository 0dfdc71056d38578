//! One authorised remedy, from the intent to the verdict: as the views of containers and incidents tell it.

use hemostat_schema::{
    Action, EventId, Span, Timestamp,
    action::{Authorised, Outcome, Remedy},
};
use serde::{Deserialize, Serialize};

/// An authorised remedy and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The intent on the log.
    pub id: EventId,
    /// When it was authorised.
    pub at: Timestamp,
    /// What was to be done.
    pub remedy: Remedy,
    /// Which attempt within the rolling hour, from 1.
    pub attempt: u32,
    /// How many the rolling hour allows.
    pub of: u32,
    /// Everything was done but the deed.
    pub dry_run: bool,
    /// How far it has come.
    pub stage: Stage,
}

/// How far an authorised remedy has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Stage {
    /// It may be carried out, and nothing is known of it yet.
    Authorised,
    /// It was carried out; whether it helped is not known yet.
    Done {
        /// How long the engine took.
        took: Span,
    },
    /// It could not be carried out.
    Failed {
        /// What happened.
        error: String,
    },
    /// It was not carried out, as its intent was not safe.
    Withheld {
        /// What was missing.
        why: String,
    },
    /// It was judged.
    Judged {
        /// Whether it helped.
        outcome: Outcome,
        /// What says so.
        why: String,
        /// From the intent to the verdict.
        took: Span,
    },
}

impl Attempt {
    /// The attempt that `authorised`, at `id`, begins.
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

    /// Whether its outcome is still awaited.
    pub fn in_hand(&self) -> bool {
        match self.stage {
            Stage::Authorised | Stage::Done { .. } => true,
            Stage::Failed { .. } | Stage::Withheld { .. } | Stage::Judged { .. } => false,
        }
    }

    /// Whether it helped, where that has been judged.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.stage {
            Stage::Judged { outcome, .. } => Some(outcome),
            Stage::Authorised | Stage::Done { .. } | Stage::Failed { .. } | Stage::Withheld { .. } => None,
        }
    }

    /// Takes in what `action` says about this attempt, if it is about this one.
    pub fn take(&mut self, action: &Action) {
        match action {
            Action::Succeeded(done) if done.action == self.id => self.stage = Stage::Done { took: done.took },
            Action::Failed(failed) if failed.action == self.id => {
                self.stage = Stage::Failed { error: failed.error.clone() };
            }
            Action::Verified(judged) if judged.action == self.id => {
                self.stage = Stage::Judged { outcome: judged.outcome, why: judged.why.clone(), took: judged.took };
            }
            Action::Refused(refused) if refused.refusal.withholds() == Some(self.id) => {
                self.stage = Stage::Withheld { why: refused.refusal.to_string() };
            }
            _ => {}
        }
    }
}
