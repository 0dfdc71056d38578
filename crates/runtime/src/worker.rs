//! What all workers have in common: they hold a lease, stand by when another does, and outlive outages of the log.
//!
//! ```text
//!   stand by ──our turn, lease──► begin ──► step ──► rest (bell, timer) ──► step ...
//!      ▲                                      │
//!      ├──── lease lost ──────────────────────┤
//!      ├──── outage ──────────────────────────┘  nothing is kept in memory; tried again under a new epoch
//!      └──── another's turn, or shutdown: finish what is in hand, give the lease back
//! ```

use std::{any::Any, collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use hemostat_log::{Commit, CommitError, Error};
use hemostat_schema::{EventId, HostName, Partition, Span, Timestamp};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use crate::{
    Clock, Condition, Context, Metric,
    fleet::{Seat, Turn},
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
    /// The only hosts of which it can do the work; none where it can do that of all.
    fn serves(&self) -> Option<Arc<[HostName]>> {
        None
    }
    /// A host of which it was given work that only another process can do, who is now to take over.
    fn lacks(&self) -> Option<HostName> {
        None
    }
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
    seat: Seat,
    held: Option<Held>,
    begun: bool,
    /// A commit may still be on its way to the log: the lease is to be taken again.
    suspect: bool,
    /// The lease was lost, and it is not known yet to whom.
    bereft: bool,
    /// When it was last asked who can do what this process cannot.
    called: Option<Instant>,
    /// Hosts that nobody serves, of which that has been told.
    forsaken: BTreeSet<HostName>,
}

impl<W: Worker> Stage<W> {
    /// Holds no lease yet.
    pub fn new(ctx: Context, worker: W) -> Self {
        let name = format!("{}/{}", worker.group(), worker.partition());
        ctx.health.set(&name, Condition::Starting);
        let seat = Seat::new(&ctx, worker.partition(), worker.group());
        let seat = match worker.serves() {
            Some(hosts) => seat.serving(hosts),
            None => seat,
        };
        Self {
            ctx,
            name,
            worker,
            seat,
            held: None,
            begun: false,
            suspect: false,
            bereft: false,
            called: None,
            forsaken: BTreeSet::new(),
        }
    }

    /// Takes the lease where it is free and our turn, then does one step. For tests; [`run`](Self::run) does it again and
    /// again.
    ///
    /// # Errors
    /// When the log fails.
    pub async fn step(&mut self) -> Result<Step, Error> {
        if self.held.as_ref().is_some_and(|held| held.tenure.is_over()) {
            self.lost();
        }
        let tenure = match &self.held {
            Some(held) if !self.suspect => held.tenure.clone(),
            _ => match self.take().await? {
                Some(tenure) => tenure,
                None => return Ok(Step::StandingBy),
            },
        };
        if let Some(heir) = tenure.heir() {
            info!("{}: the processes have changed; handing this work over to {heir}", self.name);
            self.give_back().await;
            self.ctx.health.set(&self.name, Condition::StandingBy);
            return Ok(Step::StandingBy);
        }
        match self.begin_and_step(&tenure).await {
            Ok(step) => {
                self.serving(true);
                if self.call().await? { Ok(Step::StandingBy) } else { Ok(step) }
            }
            Err(Halt::LeaseLost) => {
                self.lost();
                Ok(Step::StandingBy)
            }
            Err(Halt::Astray) => {
                warn!("{}: what is in memory does not agree with the log; reading it again", self.name);
                self.begun = false;
                self.fence();
                Ok(Step::Worked { handled: 0, emitted: 0 })
            }
            Err(Halt::Log(error)) => {
                self.begun &= self.worker.outlives_outages();
                self.fence();
                Err(error)
            }
        }
    }

    /// Calls for one who can do what this process cannot, and hands the work over; whether there is one.
    async fn call(&mut self) -> Result<bool, Error> {
        let Some(host) = self.worker.lacks() else { return Ok(false) };
        if self.called.is_some_and(|called| called.elapsed() < self.ctx.lease_ttl / 10) {
            return Ok(false);
        }
        self.called = Some(Instant::now());
        match self.seat.call(&host).await? {
            Some(heir) => {
                info!(
                    "{}: there is work on {host}, which this process does not serve; handing it over to {heir}",
                    self.name
                );
                self.forsaken.remove(&host);
                self.give_back().await;
                self.ctx.health.set(&self.name, Condition::StandingBy);
                Ok(true)
            }
            None => {
                if self.forsaken.insert(host.clone()) {
                    warn!(
                        host = %host,
                        "{}: there is work on {host}, and no process is there that serves it; it waits for one until it is too \
                         old to be done: name {host} in the [[hosts]] of one that can reach its engine",
                        self.name
                    );
                }
                Ok(false)
            }
        }
    }

    /// A commit that was sent may still reach the log after it was given up. Whoever begins afresh therefore takes the
    /// lease again: of the epoch before, nothing is done any more.
    fn fence(&mut self) {
        self.suspect = !self.worker.outlives_outages();
    }

    /// Takes the lease, where it is our turn and nobody holds it.
    async fn take(&mut self) -> Result<Option<Tenure>, Error> {
        let turn = self.seat.attend().await?;
        let (partition, group) = (self.worker.partition(), self.worker.group());
        let held = match turn {
            Turn::Ours => Held::acquire(&self.ctx, partition, group, Some(self.seat.clone())).await?,
            Turn::Of(_) => None,
        };
        self.suspect = false;
        let bereft = std::mem::take(&mut self.bereft);
        let Some(held) = held else {
            if self.held.is_some() {
                self.give_back().await;
            }
            let new = self.ctx.health.set(&self.name, Condition::StandingBy);
            if bereft {
                warn!(
                    "{}: another process has taken over this work, as this one did not renew its lease in time; \
                     what it had in hand is not committed (STALE), and it stands by",
                    self.name
                );
            } else if new {
                info!("{}: another process does this work; standing by", self.name);
            }
            return Ok(None);
        };
        if bereft {
            info!("{}: its lease had been taken back; beginning afresh", self.name);
        }
        self.begun = false;
        let tenure = self.held.insert(held).tenure.clone();
        self.seat.answer().await?;
        Ok(Some(tenure))
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
        self.bereft = true;
        self.held = None;
        self.begun = false;
        self.ctx.health.set(&self.name, Condition::StandingBy);
        self.serving(false);
    }

    /// Finishes what is in hand and gives the lease back.
    async fn give_back(&mut self) {
        self.worker.finish().await;
        if let Some(held) = self.held.take() {
            held.release().await;
            self.serving(false);
        }
        self.begun = false;
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
                    // One who can do what this process cannot may come at any time, and rings no bell.
                    let comes = self.worker.lacks().map(|_| self.ctx.lease_ttl / 3);
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = ends(self.held.as_ref()) => {}
                        () = sleep(comes.unwrap_or(LONGEST_REST)) => {}
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
        self.seat.leave().await;
        self.give_back().await;
        Ok(())
    }
}

async fn ends(held: Option<&Held>) {
    match held {
        Some(held) => held.tenure.ends().await,
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

/// What a commit deals with, for the figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Events and timers.
    pub handled: usize,
    /// The first of these events.
    pub oldest: Option<EventId>,
}

/// Commits, and measures it.
pub(crate) async fn commit(ctx: &Context, change: &Commit) -> Result<Vec<EventId>, CommitError> {
    let oldest = change.acks.iter().map(|(_, id)| *id).min();
    commit_of(ctx, change, Size { handled: change.acks.len() + change.fired.len(), oldest }).await
}

/// Commits what deals with so many events, and measures it.
pub(crate) async fn commit_of(ctx: &Context, change: &Commit, size: Size) -> Result<Vec<EventId>, CommitError> {
    let began = Instant::now();
    let ids = ctx.log.commit(change).await?;
    let labels = [("group", change.lease.group.as_str())];
    Metric::CommitDuration.histogram(&labels).record(began.elapsed());
    Metric::EventsHandled.counter(&labels).increment(size.handled as u64);
    Metric::EventsEmitted.counter(&labels).increment(ids.len() as u64);
    crate::tally::tally(&change.events);
    Metric::EventsParked.counter(&labels).increment(change.parked.len() as u64);
    if let Some(oldest) = size.oldest {
        Metric::Lag.histogram(&labels).record(Span::between(put_at(oldest), ctx.clock.now()).as_secs_f64());
    }
    Ok(ids)
}

/// When an event was put on the log.
pub(crate) fn put_at(id: EventId) -> Timestamp {
    Timestamp::from_millisecond(i64::try_from(id.ms).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX)
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
