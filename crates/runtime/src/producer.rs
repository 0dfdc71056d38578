//! Appends events for roles that read nothing from the log, such as the monitor.
//!
//! There is no delivery whose acknowledgement would make an append idempotent, so the log checks a sequence number:
//! when a reply is lost, the producer sends the same append again, and it is done once.

use hemostat_log::{Commit, CommitError, Error, RowChange};
use hemostat_schema::{EventId, NewEvent, Partition};
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::{
    context::Context, event_metrics, health::WorkerStatus, lease_guard::LeaseGuard, metrics::Metric, retry::Backoff,
    trace,
};

/// The one producer of its group in a partition.
#[derive(Debug)]
pub struct Producer {
    ctx: Context,
    name: String,
    lease: LeaseGuard,
    seq: u64,
}

/// Why a producer cannot append any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// The lease expired or was revoked, and another process may have taken over: acquire the lease again, and read the
    /// state of the world again.
    #[error("the lease was lost")]
    LeaseLost,
    /// The process shuts down.
    #[error("the process shuts down")]
    Shutdown,
    /// The log failed in a way that no retry mends.
    #[error(transparent)]
    Log(#[from] Error),
}

impl Producer {
    /// Acquires the lease; stands by while another process holds it, and retries while the log cannot be reached.
    ///
    /// # Errors
    /// [`ProducerError::Shutdown`] and [`ProducerError::Log`].
    pub async fn acquire(ctx: &Context, partition: Partition, group: &str) -> Result<Self, ProducerError> {
        let name = format!("{group}/{partition}");
        let mut backoff = Backoff::connection();
        ctx.health.set(&name, WorkerStatus::Starting);
        loop {
            let pause = match LeaseGuard::acquire(ctx, partition, group).await {
                Ok(Some(lease)) => {
                    ctx.health.set(&name, WorkerStatus::Serving);
                    let producer = Self { ctx: ctx.clone(), name, lease, seq: 0 };
                    producer.set_gauge(1.0);
                    return Ok(producer);
                }
                Ok(None) => {
                    if ctx.health.set(&name, WorkerStatus::StandingBy) {
                        info!("{name}: another process does this work; standing by");
                    }
                    ctx.lease_ttl / 10
                }
                Err(error) if error.is_transient() => {
                    ctx.health.outage(&name, &error);
                    backoff.next_delay()
                }
                Err(error) => return Err(error.into()),
            };
            tokio::select! {
                () = ctx.shutdown.cancelled() => return Err(ProducerError::Shutdown),
                () = sleep(pause) => {}
            }
        }
    }

    /// Appends `events` and changes `rows`, all or nothing and exactly once; retries while the log cannot be reached.
    ///
    /// # Errors
    /// See [`ProducerError`]. After [`ProducerError::Shutdown`] the append may have been done or not.
    pub async fn append(
        &mut self,
        mut events: Vec<NewEvent>,
        rows: Vec<RowChange>,
    ) -> Result<Vec<EventId>, ProducerError> {
        trace::stamp_all(&mut events);
        self.seq += 1;
        let lease = self.lease.handle.lease().clone();
        let group = lease.group.clone();
        let commit = Commit { seq: Some(self.seq), events, rows, ..Commit::new(lease) };
        let mut backoff = Backoff::connection();
        loop {
            let began = Instant::now();
            match self.ctx.log.commit(&commit).await {
                Ok(ids) => {
                    Metric::CommitDuration.histogram(&[("group", &group)]).record(began.elapsed());
                    Metric::EventsEmitted.counter(&[("group", &group)]).increment(commit.events.len() as u64);
                    event_metrics::record(&commit.events);
                    self.ctx.health.set(&self.name, WorkerStatus::Serving);
                    return Ok(ids);
                }
                Err(CommitError::Log(error)) if error.is_transient() => self.ctx.health.outage(&self.name, &error),
                Err(CommitError::Log(error)) => return Err(error.into()),
                Err(CommitError::Fenced | CommitError::AlreadyHandled | CommitError::Conflict(_)) => {
                    self.ctx.health.set(&self.name, WorkerStatus::StandingBy);
                    self.set_gauge(0.0);
                    return Err(ProducerError::LeaseLost);
                }
            }
            tokio::select! {
                () = self.ctx.shutdown.cancelled() => return Err(ProducerError::Shutdown),
                () = sleep(backoff.next_delay()) => {}
            }
        }
    }

    /// Resolves when the lease is lost.
    pub async fn lease_lost(&self) {
        self.lease.handle.ended().await;
    }

    /// Releases the lease, so that a standby can acquire it at its next attempt.
    pub async fn release(self) {
        self.set_gauge(0.0);
        self.lease.release().await;
    }

    fn set_gauge(&self, is_held: f64) {
        let lease = self.lease.handle.lease();
        let partition = lease.partition.to_string();
        Metric::LeaseHeld.gauge(&[("group", &lease.group), ("partition", &partition)]).set(is_held);
    }
}
