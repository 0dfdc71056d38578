//! One effect, from its event to the commit of its outcome.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use hemostat_core::fold::panicked;
use hemostat_log::{Commit, CommitError, NewDeadLetter};
use hemostat_schema::{Cause, EventId, Family, NewEvent, Recorded, Subject, Timestamp};
use tokio::{sync::Semaphore, time::sleep};
use tracing::{debug, error, warn};

use super::{Effect, ExecutionGuard, Fault, retries::Retry};
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
    pub origin: Origin,
    /// An earlier event of the subject waits until then: this one must wait as well.
    pub behind: Option<Timestamp>,
}

/// What made an event arrive; settled in the commit of its outcome.
#[derive(Debug)]
pub(super) enum Origin {
    /// It was delivered, for the `times`-th time.
    Delivery { times: u32 },
    /// It waited, and its attempt is due.
    Retry(Retry),
}

impl Origin {
    /// Adds what the outcome settles.
    pub fn settle(&self, family: Family, id: EventId, change: &mut Commit) {
        match self {
            Self::Delivery { .. } => change.acks.push((family, id)),
            Self::Retry(retry) => change.fired.push(retry.key()),
        }
    }
}

impl<E: Effect> Execution<E> {
    pub async fn run(self) -> Ended {
        let how = match self.behind {
            // A redelivery may have been attempted.
            Some(due) => self.wait_until(due, u32::from(self.is_redelivered()), self.ctx.clock.now()).await,
            None => self.retry_until_done().await,
        };
        Ended { subject: self.event.subject.clone(), id: self.event.id, how }
    }

    async fn retry_until_done(&self) -> How {
        let mut backoff = Backoff::between(Duration::from_millis(500), Duration::from_secs(60));
        let (mut redelivered, mut failed) = (self.is_redelivered(), 0);
        loop {
            let (result, guard) = self.attempt(redelivered).await;
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
                Err(Fault::RetryAt(due, why)) => {
                    let (subject, attempts) = (self.event.subject.short(), guard.attempt());
                    debug!("{subject}: {why:#}; attempt {} follows at {due:.0}", attempts.saturating_add(1));
                    Metric::EffectRetries.counter(&[("group", self.effect.group())]).increment(1);
                    return self.wait_until(due, attempts, guard.first_attempt_at()).await;
                }
                Err(fault @ (Fault::Retry(_) | Fault::DeadLetter(_))) => {
                    error!("{}: {fault}; it becomes a dead letter", self.event.subject.short());
                    let letter =
                        NewDeadLetter { family: self.event.family(), id: self.event.id, error: fault.to_string() };
                    return self.commit(Commit { dead_letters: vec![letter], ..self.outcome(vec![]) }).await;
                }
            }
            redelivered |= guard.was_allowed();
        }
    }

    /// Whether an attempt was made before, or may have been.
    fn is_redelivered(&self) -> bool {
        match &self.origin {
            Origin::Delivery { times } => *times > 1,
            Origin::Retry(retry) => retry.attempts > 0,
        }
    }

    /// One attempt, and its guard. A panic is a fault that no retry mends.
    async fn attempt(&self, redelivered: bool) -> (Result<Vec<NewEvent>, Fault>, ExecutionGuard) {
        let slot = self.slots.acquire().await;
        let waited = match &self.origin {
            Origin::Retry(retry) => Some(retry),
            Origin::Delivery { .. } => None,
        };
        let guard = ExecutionGuard::new(&self.ctx, self.lease.clone(), &self.event, redelivered, waited);
        if slot.is_err() {
            return (Err(Fault::Retry(LeaseMayHaveExpired.into())), guard);
        }
        let result = AssertUnwindSafe(self.effect.run(&self.event, &guard))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(Fault::DeadLetter(anyhow::Error::msg(panicked("the effect", &*panic)))));
        (result, guard)
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
        let mut change = Commit { events, ..Commit::new(self.lease.lease().clone()) };
        self.origin.settle(self.event.family(), self.event.id, &mut change);
        change
    }

    /// Settles the event and lets it wait until `due`.
    async fn wait_until(&self, due: Timestamp, attempts: u32, since: Timestamp) -> How {
        let retry = Retry { subject: self.event.subject.clone(), event: self.event.id, attempts, since, due };
        match self.commit(Commit { timers: vec![retry.timer()], ..self.outcome(vec![]) }).await {
            How::Done { .. } => How::Waits(retry),
            other => other,
        }
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
    /// It waits for its next attempt.
    Waits(Retry),
    /// It was interrupted: its event stays unsettled and comes again.
    Interrupted,
    /// The log rejected its outcome for good.
    Failed(WorkerError),
}
