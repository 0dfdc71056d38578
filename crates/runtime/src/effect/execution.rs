//! One effect, from its event to the commit of its outcome.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use hemostat_core::fold::panicked;
use hemostat_log::{Commit, CommitError, NewDeadLetter};
use hemostat_schema::{Cause, EventId, NewEvent, Recorded, Subject};
use tokio::{sync::Semaphore, time::sleep};
use tracing::{debug, error, warn};

use super::{Effect, ExecutionGuard, Fault};
use crate::{
    context::Context,
    lease::{LeaseHandle, LeaseMayHaveExpired},
    metrics::Metric,
    retry::Backoff,
    trace,
    worker::{WorkerError, commit},
};

/// One effect, from its event to its outcome.
pub(super) struct Execution<E> {
    pub ctx: Context,
    pub effect: Arc<E>,
    pub slots: Arc<Semaphore>,
    pub lease: LeaseHandle,
    pub event: Recorded,
    /// How often the event was delivered.
    pub deliveries: u32,
}

impl<E: Effect> Execution<E> {
    pub async fn run(self) -> Ended {
        let how = self.retry_until_done().await;
        Ended { subject: self.event.subject.clone(), id: self.event.id, how }
    }

    async fn retry_until_done(&self) -> How {
        let mut backoff = Backoff::between(Duration::from_millis(500), Duration::from_secs(60));
        let (mut redelivered, mut failed) = (self.deliveries > 1, 0);
        loop {
            let (result, was_allowed) = self.attempt(redelivered).await;
            match result {
                Ok(events) => return self.commit(self.outcome(events)).await,
                Err(Fault::Retry(why)) if why.is::<LeaseMayHaveExpired>() => {
                    debug!("waiting until the lease is certain again");
                    if self.pause(Duration::from_millis(100)).await {
                        return How::Interrupted;
                    }
                }
                Err(Fault::Retry(why)) if failed < self.effect.retries() => {
                    failed += 1;
                    let wait = backoff.next_delay();
                    warn!("{}: {why:#}; trying again in {:.1} s", self.event.subject.short(), wait.as_secs_f64());
                    Metric::EffectRetries.counter(&[("group", self.effect.group())]).increment(1);
                    if self.pause(wait).await {
                        return How::Interrupted;
                    }
                }
                Err(fault) => {
                    error!("{}: {fault}; it becomes a dead letter", self.event.subject.short());
                    let letter =
                        NewDeadLetter { family: self.event.family(), id: self.event.id, error: fault.to_string() };
                    return self.commit(Commit { dead_letters: vec![letter], ..self.outcome(vec![]) }).await;
                }
            }
            redelivered |= was_allowed;
        }
    }

    /// One attempt, and whether it may have touched the world. A panic is a fault that no retry mends.
    async fn attempt(&self, redelivered: bool) -> (Result<Vec<NewEvent>, Fault>, bool) {
        let Ok(_slot) = self.slots.acquire().await else {
            return (Err(Fault::Retry(LeaseMayHaveExpired.into())), false);
        };
        let guard = ExecutionGuard::new(&self.ctx, self.lease.clone(), &self.event, redelivered);
        let result = AssertUnwindSafe(self.effect.run(&self.event, &guard))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(Fault::DeadLetter(anyhow::Error::msg(panicked("the effect", &*panic)))));
        (result, guard.was_allowed())
    }

    /// Waits. Returns whether the effect is interrupted meanwhile, as the lease or the process ends.
    async fn pause(&self, wait: Duration) -> bool {
        tokio::select! {
            () = self.lease.ended() => true,
            () = self.ctx.shutdown.cancelled() => true,
            () = sleep(wait) => false,
        }
    }

    fn outcome(&self, mut events: Vec<NewEvent>) -> Commit {
        for event in &mut events {
            event.cause.get_or_insert(Cause::Event(self.event.id));
            trace::stamp(event, self.event.trace);
        }
        let acks = vec![(self.event.family(), self.event.id)];
        Commit { events, acks, ..Commit::new(self.lease.lease().clone()) }
    }

    /// Commits the outcome, with retries while the log cannot be reached: a second commit is rejected, a lost outcome is not
    /// recoverable.
    async fn commit(&self, change: Commit) -> How {
        let mut backoff = Backoff::connection();
        loop {
            match commit(&self.ctx, &change).await {
                Ok(ids) => return How::Done { appended: ids.len() },
                // The attempt before succeeded, and its reply was lost.
                Err(CommitError::AlreadyHandled) => return How::Done { appended: 0 },
                Err(CommitError::Log(error)) if error.is_transient() => {
                    debug!("keeping the outcome until the log is back: {error}");
                    if self.lease.has_ended() {
                        return How::Interrupted;
                    }
                    sleep(backoff.next_delay()).await;
                }
                Err(error) => return How::Failed(error.into()),
            }
        }
    }
}

/// An effect that no longer runs.
pub(super) struct Ended {
    pub subject: Subject,
    pub id: EventId,
    pub how: How,
}

pub(super) enum How {
    /// Its outcome is on the log, or its event became a dead letter.
    Done { appended: usize },
    /// It was interrupted: its event stays unacknowledged and is delivered again.
    Interrupted,
    /// The log rejected its outcome for good.
    Failed(WorkerError),
}
