//! What all workers have in common: they hold a lease, stand by when another does, and outlive outages of the log.
//!
//! ```text
//!   stand by ──lease──► begin ──► step ──► rest (bell, timer) ──► step ...
//!      ▲                  ▲         │
//!      ├──── lease lost ──┼─────────┤
//!      │                  └─ outage ┘  nothing is kept in memory; said once; tried again
//!      └ shutdown: finish what is in hand, give the lease back
//! ```

use std::{any::Any, time::Duration};

use async_trait::async_trait;
use hemostat_log::{Commit, CommitError, Error};
use hemostat_schema::{EventId, Partition, Span, Timestamp};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use crate::{
    Clock, Condition, Context, Metric,
    lease::{Held, Tenure},
    retry::Backoff,
};

/// A worker rests at most so long, even where no bell rings.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// What a worker does while it holds its lease.
#[async_trait]
pub trait Worker: Send + 'static {
    /// Its consumer group.
    fn group(&self) -> &str;
    /// Its partition.
    fn partition(&self) -> Partition;
    /// Begins afresh, with nothing in memory but what the log holds.
    async fn begin(&mut self, tenure: &Tenure) -> Result<(), Halt>;
    /// Reads what is there, deals with it, commits.
    async fn step(&mut self) -> Result<Step, Halt>;
    /// Waits until there may be something to do; may be dropped at any time.
    async fn rest(&mut self, until: Option<Timestamp>);
    /// Whether it goes on after an outage with what it has in hand, instead of beginning afresh.
    fn outlives_outages(&self) -> bool {
        false
    }
    /// Finishes what is in hand before the lease is given back.
    async fn finish(&mut self) {}
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Another process holds the lease.
    StandingBy,
    /// There was nothing to do, and there will not be before `until`, unless the bell rings.
    Idle {
        /// When a timer is due.
        until: Option<Timestamp>,
    },
    /// Something was done; there may be more.
    Worked {
        /// Deliveries and timers that are dealt with.
        handled: usize,
        /// Events that were put on the log.
        emitted: usize,
    },
}

/// Why a worker cannot go on as it is.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// Somebody else has the lease.
    #[error("the lease was lost")]
    LeaseLost,
    /// Something that is in hand was already dealt with: what is in memory cannot be trusted.
    #[error("what is in memory does not agree with the log")]
    Astray,
    /// The log failed.
    #[error(transparent)]
    Log(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        match error {
            Error::Fenced { .. } => Self::LeaseLost,
            error => Self::Log(error),
        }
    }
}

impl From<CommitError> for Halt {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Stale => Self::LeaseLost,
            CommitError::Lost | CommitError::Conflict(_) => Self::Astray,
            CommitError::Log(error) => error.into(),
        }
    }
}

/// A worker with its lease.
#[derive(Debug)]
pub struct Stage<W> {
    ctx: Context,
    name: String,
    worker: W,
    held: Option<Held>,
    begun: bool,
}

impl<W: Worker> Stage<W> {
    /// Holds no lease yet.
    pub fn new(ctx: Context, worker: W) -> Self {
        let name = format!("{}/{}", worker.group(), worker.partition());
        ctx.health.set(&name, Condition::Starting);
        Self { ctx, name, worker, held: None, begun: false }
    }

    /// Takes the lease where it is free, then does one step. For tests; [`run`](Self::run) does it again and again.
    ///
    /// # Errors
    /// When the log fails.
    pub async fn step(&mut self) -> Result<Step, Error> {
        if self.held.as_ref().is_some_and(|held| held.tenure.is_over()) {
            self.lost();
        }
        let tenure = match &self.held {
            Some(held) => held.tenure.clone(),
            None => match Held::acquire(&self.ctx, self.worker.partition(), self.worker.group()).await? {
                Some(held) => {
                    self.begun = false;
                    self.held.insert(held).tenure.clone()
                }
                None => {
                    if self.ctx.health.set(&self.name, Condition::StandingBy) {
                        info!("{}: another process does this work; standing by", self.name);
                    }
                    return Ok(Step::StandingBy);
                }
            },
        };
        match self.begin_and_step(&tenure).await {
            Ok(step) => {
                self.serving(true);
                Ok(step)
            }
            Err(Halt::LeaseLost) => {
                self.lost();
                Ok(Step::StandingBy)
            }
            Err(Halt::Astray) => {
                warn!("{}: what is in memory does not agree with the log; reading it again", self.name);
                self.begun = false;
                Ok(Step::Worked { handled: 0, emitted: 0 })
            }
            Err(Halt::Log(error)) => {
                self.begun &= self.worker.outlives_outages();
                Err(error)
            }
        }
    }

    async fn begin_and_step(&mut self, tenure: &Tenure) -> Result<Step, Halt> {
        if !self.begun {
            self.worker.begin(tenure).await?;
            self.begun = true;
        }
        self.worker.step().await
    }

    fn serving(&self, held: bool) {
        if held {
            self.ctx.health.set(&self.name, Condition::Serving);
        }
        let partition = self.worker.partition().to_string();
        let labels = [("group", self.worker.group()), ("partition", &partition)];
        Metric::LeaseHeld.gauge(&labels).set(f64::from(u8::from(held)));
    }

    fn lost(&mut self) {
        warn!("{}: another process has taken over this work; standing by", self.name);
        self.held = None;
        self.begun = false;
        self.ctx.health.set(&self.name, Condition::StandingBy);
        self.serving(false);
    }

    /// Works until `Context::shutdown`, then finishes what is in hand and gives the lease back.
    ///
    /// # Errors
    /// What no waiting mends: the log refuses the password, or holds what HemoStat did not write.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let shutdown = self.ctx.shutdown.clone();
        let mut backoff = Backoff::connection();
        while !shutdown.is_cancelled() {
            let pause = match self.step().await {
                Ok(Step::Worked { .. }) => {
                    backoff.reset();
                    continue;
                }
                Ok(Step::Idle { until }) => {
                    backoff.reset();
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = over(self.held.as_ref()) => {}
                        () = self.worker.rest(until) => {}
                    }
                    continue;
                }
                // Often enough that a lease that was given back or ran out is taken up soon.
                Ok(Step::StandingBy) => self.ctx.lease_ttl / 10,
                Err(error) if error.is_transient() => {
                    self.ctx.health.outage(&self.name, &error);
                    backoff.next()
                }
                Err(error) => return Err(error.into()),
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
        self.worker.finish().await;
        if let Some(held) = self.held.take() {
            held.release().await;
            self.serving(false);
        }
        Ok(())
    }
}

async fn over(held: Option<&Held>) {
    match held {
        Some(held) => held.tenure.over().await,
        None => std::future::pending().await,
    }
}

/// Waits until the bell rings, `until` comes, or it has been long enough.
pub(crate) async fn rest(bell: &mut watch::Receiver<u64>, clock: &dyn Clock, until: Option<Timestamp>) {
    let wait = until.map_or(LONGEST_REST, |until| {
        let wait = until.duration_since(clock.now());
        Duration::try_from(wait).unwrap_or_default().min(LONGEST_REST)
    });
    tokio::select! {
        // A log that is gone rings no bell; the wait is then the pause between looks.
        Ok(()) = bell.changed() => {}
        () = sleep(wait) => {}
    }
}

/// Commits, and measures it.
pub(crate) async fn commit(ctx: &Context, change: &Commit) -> Result<Vec<EventId>, CommitError> {
    let began = Instant::now();
    let ids = ctx.log.commit(change).await?;
    let labels = [("group", change.lease.group.as_str())];
    Metric::CommitDuration.histogram(&labels).record(began.elapsed());
    Metric::EventsHandled.counter(&labels).increment((change.acks.len() + change.fired.len()) as u64);
    Metric::EventsEmitted.counter(&labels).increment(ids.len() as u64);
    crate::tally::tally(&change.events);
    Metric::EventsParked.counter(&labels).increment(change.parked.len() as u64);
    if let Some((_, oldest)) = change.acks.iter().min_by_key(|(_, id)| *id) {
        let put = Timestamp::from_millisecond(i64::try_from(oldest.ms).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
        Metric::Lag.histogram(&labels).record(Span::between(put, ctx.clock.now()).as_secs_f64());
    }
    Ok(ids)
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
