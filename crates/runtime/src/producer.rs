//! Putting events on the log for roles that read nothing from it, such as the monitor.
//!
//! There is no delivery to acknowledge, so what makes an append happen only once is a sequence that the log checks:
//! after an error of which it is not known whether the append was done, the same one is sent again.

use hemostat_log::{Commit, CommitError, Error, RowChange};
use hemostat_schema::{EventId, NewEvent, Partition};
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::{Condition, Context, Metric, lease::Held, retry::Backoff, trace};

/// Appends to one partition, as the only one of its group.
#[derive(Debug)]
pub struct Producer {
    ctx: Context,
    name: String,
    held: Held,
    seq: u64,
}

/// Why a producer cannot append any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Another process has taken over: take the lease again, and look at the world afresh.
    #[error("another process has taken over this work")]
    Lease,
    /// The process is to end.
    #[error("the process is to end")]
    Shutdown,
    /// The log failed for a reason that no waiting mends.
    #[error(transparent)]
    Log(#[from] Error),
}

impl Producer {
    /// Takes the lease, standing by as long as another process holds it and waiting while the log cannot be reached.
    ///
    /// # Errors
    /// [`Lost::Shutdown`] when the process is to end before that, [`Lost::Log`] when no waiting helps.
    pub async fn acquire(ctx: &Context, partition: Partition, group: &str) -> Result<Self, Lost> {
        let name = format!("{group}/{partition}");
        let mut backoff = Backoff::connection();
        ctx.health.set(&name, Condition::Starting);
        loop {
            let pause = match Held::acquire(ctx, partition, group, None).await {
                Ok(Some(held)) => {
                    ctx.health.set(&name, Condition::Serving);
                    let producer = Self { ctx: ctx.clone(), name, held, seq: 0 };
                    producer.gauge(1.0);
                    return Ok(producer);
                }
                Ok(None) => {
                    if ctx.health.set(&name, Condition::StandingBy) {
                        info!("{name}: another process does this work; standing by");
                    }
                    ctx.lease_ttl / 10
                }
                Err(error) if error.is_transient() => {
                    ctx.health.outage(&name, &error);
                    backoff.next()
                }
                Err(error) => return Err(error.into()),
            };
            tokio::select! {
                () = ctx.shutdown.cancelled() => return Err(Lost::Shutdown),
                () = sleep(pause) => {}
            }
        }
    }

    /// Puts `events` on the log and changes `rows`, all or nothing and only once; waits while the log cannot be reached.
    ///
    /// # Errors
    /// See [`Lost`]. After [`Lost::Shutdown`] it is not known whether it was done.
    pub async fn append(&mut self, mut events: Vec<NewEvent>, rows: Vec<RowChange>) -> Result<Vec<EventId>, Lost> {
        trace::stamp_all(&mut events);
        self.seq += 1;
        let lease = self.held.tenure.lease().clone();
        let group = lease.group.clone();
        let commit = Commit { seq: Some(self.seq), events, rows, ..Commit::new(lease) };
        let mut backoff = Backoff::connection();
        loop {
            let began = Instant::now();
            match self.ctx.log.commit(&commit).await {
                Ok(ids) => {
                    Metric::CommitDuration.histogram(&[("group", &group)]).record(began.elapsed());
                    Metric::EventsEmitted.counter(&[("group", &group)]).increment(commit.events.len() as u64);
                    crate::tally::tally(&commit.events);
                    self.ctx.health.set(&self.name, Condition::Serving);
                    return Ok(ids);
                }
                Err(CommitError::Log(error)) if error.is_transient() => self.ctx.health.outage(&self.name, &error),
                Err(CommitError::Log(error)) => return Err(error.into()),
                Err(CommitError::Stale | CommitError::Lost | CommitError::Conflict(_)) => {
                    self.ctx.health.set(&self.name, Condition::StandingBy);
                    self.gauge(0.0);
                    return Err(Lost::Lease);
                }
            }
            tokio::select! {
                () = self.ctx.shutdown.cancelled() => return Err(Lost::Shutdown),
                () = sleep(backoff.next()) => {}
            }
        }
    }

    /// Resolves when another process has taken over.
    pub async fn lost(&self) {
        self.held.tenure.over().await;
    }

    /// Gives the lease back, so that whoever stands by takes over at once.
    pub async fn release(self) {
        self.gauge(0.0);
        self.held.release().await;
    }

    fn gauge(&self, held: f64) {
        let lease = self.held.tenure.lease();
        let partition = lease.partition.to_string();
        Metric::LeaseHeld.gauge(&[("group", &lease.group), ("partition", &partition)]).set(held);
    }
}
