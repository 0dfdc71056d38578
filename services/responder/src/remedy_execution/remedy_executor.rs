//! What differs from remedy to remedy in its execution.

use async_trait::async_trait;
use hemostat_schema::container::Run;

use super::{call::Call, failure::Failure};

/// How one remedy is executed. Each method reads the engine for itself, through [`Call`].
#[async_trait]
pub(super) trait RemedyExecutor: Send + Sync {
    /// Checks that what was diagnosed is still there, in the state that the remedy is for.
    async fn precondition(&self, call: &Call<'_>) -> Result<(), Failure>;

    /// Finds out from the engine whether an earlier call executed the remedy, if need be by waiting for its end.
    async fn probe(&self, call: &Call<'_>) -> Result<Probe<'_>, Failure>;

    /// Executes the remedy. It asks for [`Call::permit`] before each request that changes something.
    async fn act(&self, call: &mut Call<'_>) -> Result<(), Failure>;
}

/// What the engine shows of an earlier call.
pub(super) enum Probe<'a> {
    /// It executed the remedy; the run that followed, if any.
    Executed(Option<Run>),
    /// It executed a part; this is the rest.
    Partly(Box<dyn RemedyExecutor + 'a>),
    /// There was none, or it had no effect.
    NotExecuted,
}
