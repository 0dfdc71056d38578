//! Starts a container that has ended. Docker starts a running container without effect, so a second call does no harm.

use async_trait::async_trait;
use hemostat_schema::{action::RemedyKind, container::Run};

use super::{
    call::Call,
    failure::Failure,
    remedy_executor::{Probe, RemedyExecutor},
};

/// Starts the container of this run.
pub(super) struct Start<'a> {
    pub(super) run: &'a Run,
}

#[async_trait]
impl RemedyExecutor for Start<'_> {
    async fn precondition(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.check_run(self.run, RemedyKind::Start).await
    }

    async fn probe(&self, call: &Call<'_>) -> Result<Probe<'_>, Failure> {
        let next = call.next_run(self.run).await?;
        Ok(next.map_or(Probe::NotExecuted, |run| Probe::Executed(Some(run))))
    }

    async fn act(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        Ok(call.permit().await?.start(&self.run.id).await?)
    }
}
