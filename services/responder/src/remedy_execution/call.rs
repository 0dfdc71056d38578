//! One execution's access to the engine: it may read at any time, and change something only with a permit.

use std::{future::Future, pin::Pin, time::Duration};

use hemostat_runtime::Clock;
use hemostat_schema::{
    ContainerId, Span, Timestamp,
    action::{Need, RemedyKind},
    container::{Run, State},
};
use tokio::time::{Instant, sleep};

use super::failure::{Failure, NotAllowed, superseded};
use crate::engine::{ContainerState, Engine, StopEvidence};

/// The pauses before retries.
pub(super) const RETRY_PAUSES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// How long it takes at most until a call that was just sent shows in the engine's record.
const SETTLE: Duration = Duration::from_millis(500);
/// The stop timeout if neither policy nor container set one: Docker's default.
const DEFAULT_STOP_TIMEOUT: Span = Span::from_secs(10);
/// How far the engine's clock may be behind ours.
const CLOCK_SKEW: Span = Span::from_secs(10);

/// The answer to whether this process may call the engine now.
pub(super) type Permission<'a> = Pin<Box<dyn Future<Output = Result<(), NotAllowed>> + Send + 'a>>;

/// One execution's access to the engine.
pub(super) struct Call<'a> {
    engine: &'a dyn Engine,
    /// The container's name, for messages.
    pub(super) name: &'a str,
    intended_at: Timestamp,
    clock: &'a dyn Clock,
    may_act: &'a (dyn Fn() -> Permission<'a> + Sync),
    /// When this process first called the engine for the execution that counts.
    called_at: Option<Timestamp>,
    /// Whether the next permit begins an execution, because an earlier call had no effect.
    begins: bool,
    /// When the last permit was given.
    permitted: Instant,
}

impl<'a> Call<'a> {
    pub(super) fn new(
        engine: &'a dyn Engine,
        name: &'a str,
        intended_at: Timestamp,
        clock: &'a dyn Clock,
        may_act: &'a (dyn Fn() -> Permission<'a> + Sync),
    ) -> Self {
        Self { engine, name, intended_at, clock, may_act, called_at: None, begins: true, permitted: Instant::now() }
    }

    /// The engine, for one request that changes something.
    ///
    /// # Errors
    /// This process may not call the engine now: its lease may have expired, or the intent is not durable enough.
    pub(super) async fn permit(&mut self) -> Result<&'a dyn Engine, Failure> {
        (self.may_act)().await?;
        self.permitted = Instant::now();
        if std::mem::take(&mut self.begins) || self.called_at.is_none() {
            self.called_at = Some(self.clock.now());
        }
        Ok(self.engine)
    }

    /// Earlier calls had no effect: the execution begins with the next permit.
    pub(super) fn begin(&mut self) {
        self.begins = true;
    }

    /// When this process called the engine; none if it has not.
    pub(super) fn called_at(&self) -> Option<Timestamp> {
        self.called_at
    }

    /// How long ago the last permit was given.
    pub(super) fn took(&self) -> Span {
        Span::from(self.permitted.elapsed())
    }

    pub(super) async fn container_state(&self, id: &ContainerId) -> Result<ContainerState, Failure> {
        Ok(self.engine.container_state(id).await?)
    }

    /// The run that the container has now.
    pub(super) async fn present_run(&self, id: &ContainerId) -> Result<Run, Failure> {
        Ok(Run { id: id.clone(), started_at: self.container_state(id).await?.started_at })
    }

    /// The precondition of a remedy for a run: it is the present one, in the state that the remedy needs.
    pub(super) async fn check_run(&self, run: &Run, remedy: RemedyKind) -> Result<(), Failure> {
        let observed = self.container_state(&run.id).await?;
        if observed.started_at != run.started_at {
            return Err(superseded("it has been restarted since it was diagnosed"));
        }
        let needs = |need| remedy.info().needs.contains(&need);
        match observed.state {
            State::Paused => Err(superseded("it was paused since it was diagnosed")),
            State::Removing => Err(superseded("it is being removed")),
            State::Running | State::Restarting if needs(Need::Ended) => Err(superseded("it runs again")),
            State::Exited | State::Dead | State::Created if needs(Need::Running) => {
                Err(superseded("it has ended since it was diagnosed"))
            }
            State::Running | State::Restarting | State::Exited | State::Dead | State::Created => Ok(()),
        }
    }

    /// How long the container may take to stop: as the intent says, or else as it is configured.
    pub(super) async fn stop_timeout(&self, run: &Run, intended: Option<Span>) -> Result<Span, Failure> {
        match intended {
            Some(timeout) => Ok(timeout),
            None => Ok(self.container_state(&run.id).await?.stop_timeout.unwrap_or(DEFAULT_STOP_TIMEOUT)),
        }
    }

    /// The run that has begun since `run`, if any. A call that was just sent is given time to show.
    pub(super) async fn next_run(&self, run: &Run) -> Result<Option<Run>, Failure> {
        let present = self.present_run(&run.id).await?;
        if present != *run {
            return Ok(Some(present));
        }
        sleep(SETTLE).await;
        let present = self.present_run(&run.id).await?;
        Ok((present != *run).then_some(present))
    }

    /// Whether this run was signalled, stopped or ended since the intent.
    pub(super) async fn stop_evidence(&self, run: &Run) -> Result<StopEvidence, Failure> {
        let recent = CLOCK_SKEW.before(self.intended_at);
        let since = run.started_at.map_or(recent, |started| started.max(recent));
        Ok(self.engine.stop_evidence(&run.id, since).await?)
    }
}
