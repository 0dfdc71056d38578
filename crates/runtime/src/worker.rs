//! What a worker is: it loads its state, steps and waits; [`LeasedWorker`](crate::LeasedWorker) runs it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hemostat_log::{Commit, CommitError, Error};
use hemostat_schema::{EventId, HostName, Partition, Span, Timestamp};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{clock::Clock, context::Context, event_metrics, lease::LeaseHandle, metrics::Metric};

/// How long a worker waits at most, even without an append signal.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What a worker does while it holds its lease.
#[async_trait]
pub trait Worker: Send + 'static {
    /// Its consumer group.
    fn group(&self) -> &str;
    /// Its partition.
    fn partition(&self) -> Partition;
    /// The hosts whose work it can do; `None` for all.
    fn served_hosts(&self) -> Option<Arc<[HostName]>> {
        None
    }
    /// A host whose work waits here and that this process does not serve; the lease is handed over to a process that
    /// does.
    fn unserved_host_with_work(&self) -> Option<HostName> {
        None
    }
    /// Loads its state from the log; what was in memory before is discarded.
    async fn load(&mut self, handle: &LeaseHandle) -> Result<(), WorkerError>;
    /// Reads what is new, handles it, commits.
    async fn step(&mut self) -> Result<Step, WorkerError>;
    /// Waits until there may be something to do. Cancel-safe.
    async fn wait(&mut self, until: Option<Timestamp>);
    /// Whether it keeps its work in flight, its state and its lease's epoch through an outage of the log, instead of
    /// loading again under a new epoch.
    fn keeps_work_through_outage(&self) -> bool {
        false
    }
    /// Whether a reassignment of the partition must wait, because the next member may not be able to do the work in
    /// flight. It would hand that work back, and interrupt it again and again.
    fn defers_rebalance(&self) -> bool {
        false
    }
    /// A handoff is requested, or (`false`) no longer. Until then it starts nothing new. Returns whether nothing runs any
    /// more that a handoff would interrupt.
    fn prepare_handoff(&mut self, _requested: bool) -> bool {
        true
    }
    /// Finishes its work in flight before the lease is released.
    async fn drain(&mut self) {}
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// This process does not hold the lease.
    StandingBy,
    /// There was nothing to do, and there will not be before `until` or the next append to the partition.
    Idle {
        /// When the next timer is due.
        until: Option<Timestamp>,
    },
    /// Something was done or must be repeated: step again at once.
    Worked {
        /// Log entries and timers that were handled.
        handled: usize,
        /// Events that were appended to the log.
        appended: usize,
    },
}

/// Why a worker cannot continue as it is.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The lease expired or was revoked; another process may hold it.
    #[error("the lease was lost")]
    LeaseLost,
    /// The state in memory has diverged from the log, as when an entry that it read was already handled: it must be
    /// loaded again.
    #[error("the state in memory has diverged from the log")]
    StaleState,
    /// The log failed.
    #[error(transparent)]
    Log(Error),
}

impl From<Error> for WorkerError {
    fn from(error: Error) -> Self {
        match error {
            Error::Fenced { .. } => Self::LeaseLost,
            error => Self::Log(error),
        }
    }
}

impl From<CommitError> for WorkerError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Fenced => Self::LeaseLost,
            CommitError::AlreadyHandled | CommitError::Conflict(_) => Self::StaleState,
            CommitError::Log(error) => error.into(),
        }
    }
}

/// Waits for an append to the partition or for `until`, but at most [`LONGEST_WAIT`].
pub(crate) async fn wait_for_append(appends: &mut watch::Receiver<u64>, clock: &dyn Clock, until: Option<Timestamp>) {
    let wait = until.map_or(LONGEST_WAIT, |until| {
        let wait = until.duration_since(clock.now());
        Duration::try_from(wait).unwrap_or_default().min(LONGEST_WAIT)
    });
    tokio::select! {
        // A log that is gone signals no appends; the wait is then the pause between two reads.
        Ok(()) = appends.changed() => {}
        () = sleep(wait) => {}
    }
}

/// What a commit handles; for the metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handled {
    /// Number of log entries and timers.
    pub count: usize,
    /// The first of the entries.
    pub oldest: Option<EventId>,
}

/// Commits and records the metrics.
pub(crate) async fn commit(ctx: &Context, change: &Commit) -> Result<Vec<EventId>, CommitError> {
    let oldest = change.acks.iter().map(|(_, id)| *id).min();
    commit_handling(ctx, change, Handled { count: change.acks.len() + change.fired.len(), oldest }).await
}

/// Commits and records the metrics, where the acknowledgements do not tell what was handled.
pub(crate) async fn commit_handling(
    ctx: &Context,
    change: &Commit,
    handled: Handled,
) -> Result<Vec<EventId>, CommitError> {
    let began = Instant::now();
    let ids = ctx.log.commit(change).await?;
    let labels = [("group", change.lease.group.as_str())];
    Metric::CommitDuration.histogram(&labels).record(began.elapsed());
    record_handled(ctx, &change.lease.group, handled);
    Metric::EventsEmitted.counter(&labels).increment(ids.len() as u64);
    event_metrics::record(&change.events);
    Metric::EventsDeadLettered.counter(&labels).increment(change.dead_letters.len() as u64);
    Ok(ids)
}

/// Records the metrics of entries that a group handled.
pub(crate) fn record_handled(ctx: &Context, group: &str, handled: Handled) {
    let labels = [("group", group)];
    Metric::EventsHandled.counter(&labels).increment(handled.count as u64);
    if let Some(oldest) = handled.oldest {
        Metric::Lag.histogram(&labels).record(Span::between(oldest.appended_at(), ctx.clock.now()).as_secs_f64());
    }
}
