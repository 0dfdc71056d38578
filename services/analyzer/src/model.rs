//! A language model that may be asked where the rules are not sure.
//!
//! No model can be configured yet, so triage answers by rules alone and never puts `diagnosis.opinion_sought` on the log.
//! What a model will be is settled all the same, as the event vocabulary and the safety rules rest on it:
//!
//! - Triage decides *that* it is asked: `opinion_sought` carries the rules' own answer as `fallback`.
//! - An effect asks, through [`Model`], and ends in `diagnosis.reached` or `diagnosis.failed`; then the fallback stands.
//! - The model answers with a [`Reached`] and nothing else: one of the remedies that exist, never a command. It passes
//!   the same refusals as a rule's answer. Replaying the log reads its recorded words and asks nobody.

use async_trait::async_trait;
use hemostat_schema::diagnosis::{OpinionSought, Reached};

/// Something that gives a second opinion.
#[async_trait]
pub trait Model: Send + Sync + 'static {
    /// The answer to `question`.
    ///
    /// # Errors
    /// When there was no answer, or none that is a diagnosis; the rules' fallback then stands.
    async fn consult(&self, question: &OpinionSought) -> anyhow::Result<Reached>;
}
