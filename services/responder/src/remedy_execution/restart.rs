//! Restarts a running container. Docker's restart is a stop and a start; a caller that dies in between leaves a
//! container that runs, is being stopped, or is stopped.
//!
//! ```text
//!  container state ──► another run (from start to exit) than the intended one ──► taken as executed
//!        │
//!        ├───────────► the same run, without stop evidence ──► not executed
//!        │
//!        └───────────► the same run, with stop evidence, or it is unknown
//!                        └──► wait until an earlier call has ended:  a new run ──► executed
//!                                                stopped and stays so ──► the rest is a start
//!                                                      still the same ──► no call was under way: not executed
//! ```
//!
//! An operator's `docker stop` right after the intent looks like the first half of a restart.

use std::time::Duration;

use async_trait::async_trait;
use hemostat_docker::Error;
use hemostat_schema::{
    Span,
    action::RemedyKind,
    container::{Run, State},
};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{
    call::{Call, RETRY_PAUSES},
    failure::Failure,
    remedy_executor::{Probe, RemedyExecutor},
    start::Start,
};
use crate::engine::StopEvidence;

/// How long a call may take beyond the stop timeout.
pub(super) const MAX_CALL_OVERRUN: Duration = Duration::from_secs(15);
/// How long a container must be stopped before it is certain that no earlier restart will start it.
const STAYS_STOPPED: Duration = Duration::from_secs(3);
/// The polling interval while waiting for an earlier call.
const POLL_EVERY: Duration = Duration::from_millis(200);

/// Restarts the container of this run.
pub(super) struct Restart<'a> {
    pub(super) run: &'a Run,
    /// The stop timeout, if the intent sets one.
    pub(super) stop_timeout: Option<Span>,
}

#[async_trait]
impl RemedyExecutor for Restart<'_> {
    async fn precondition(&self, call: &Call<'_>) -> Result<(), Failure> {
        call.check_run(self.run, RemedyKind::Restart).await
    }

    async fn probe(&self, call: &Call<'_>) -> Result<Probe<'_>, Failure> {
        if let Some(next) = call.next_run(self.run).await? {
            return Ok(Probe::Executed(Some(next)));
        }
        let name = call.name;
        match call.stop_evidence(self.run).await? {
            StopEvidence::Absent => return Ok(Probe::NotExecuted),
            StopEvidence::Present => {
                info!(container = name, "{name} was stopped since the intent: an earlier call may be under way");
            }
            StopEvidence::Unknown => {
                info!(container = name, "the engine has dropped older events: waiting for an earlier call");
            }
        }
        self.wait_for_earlier_call(call).await
    }

    async fn act(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        let stop_timeout = call.stop_timeout(self.run, self.stop_timeout).await?;
        match call.permit().await?.restart(&self.run.id, stop_timeout).await {
            Err(error @ Error::Refused { .. }) => self.after_refusal(error, call).await,
            answer => Ok(answer?),
        }
    }
}

impl Restart<'_> {
    /// Waits until an earlier restart has ended or cannot be under way any more.
    async fn wait_for_earlier_call(&self, call: &Call<'_>) -> Result<Probe<'_>, Failure> {
        let longest = Duration::from(call.stop_timeout(self.run, self.stop_timeout).await?) + MAX_CALL_OVERRUN;
        let began = Instant::now();
        let mut stopped_since = None;
        loop {
            let observed = call.container_state(&self.run.id).await?;
            if observed.started_at != self.run.started_at {
                return Ok(Probe::Executed(Some(Run { started_at: observed.started_at, ..self.run.clone() })));
            }
            match observed.state {
                State::Exited | State::Dead | State::Created => {
                    let since = *stopped_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= STAYS_STOPPED {
                        return Ok(Probe::Partly(Box::new(Start { run: self.run })));
                    }
                }
                State::Running | State::Paused | State::Restarting | State::Removing => {
                    stopped_since = None;
                    if began.elapsed() >= longest {
                        return Ok(Probe::NotExecuted);
                    }
                }
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Docker may refuse a restart between its halves (its port is taken, a mount is gone). A container that we have
    /// stopped must not stay down for that, so its start is retried.
    async fn after_refusal(&self, error: Error, call: &mut Call<'_>) -> Result<(), Failure> {
        if !matches!(call.container_state(&self.run.id).await?.state, State::Exited | State::Dead) {
            return Err(error.into());
        }
        warn!(container = call.name, "{error}; {} is stopped now, starting it", call.name);
        let mut pauses = RETRY_PAUSES.into_iter();
        loop {
            match (Start { run: self.run }.act(call).await, pauses.next()) {
                (Err(Failure::Rejected(_)), Some(pause)) => sleep(pause).await,
                (outcome, _) => return outcome,
            }
        }
    }
}
