//! Effects: something is executed in the world because of an event, and its outcome is appended as another event.
//!
//! Redis and the world cannot change in one commit, so an effect is executed at least once. Three checks make it safe:
//!
//! ```text
//!   intent (event) ──► check ──► confirm_durable ──► redelivered? ──► execute ──► commit: outcome, acknowledgement
//!                        │             │                  │ ask the world whether it was executed before
//!                        │             └ the intent is not replicated: do not execute, say why
//!                        └ the lease may have expired: wait, or leave it to the next holder
//! ```
//!
//! [`ExecutionGuard::check`] refuses when this process may no longer hold the lease, [`ExecutionGuard::redelivered`] says
//! that an earlier attempt may have succeeded, and [`ExecutionGuard::confirm_durable`] ensures that the event cannot be lost
//! with a server.

mod worker;

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::anyhow;
use async_trait::async_trait;
use hemostat_log::{Confirmed, Durability, Error};
use hemostat_schema::{EventId, Family, NewEvent, Recorded, Timestamp};
use tracing::debug;

pub use self::worker::{EffectWorker, effect, effect_on_hosts};
use crate::{
    context::Context,
    lease::{LeaseGuard, LeaseUncertain},
};

/// Something that is executed in the world because of an event.
#[async_trait]
pub trait Effect: Send + Sync + 'static {
    /// The consumer group.
    const GROUP: &'static str;
    /// The families of its events.
    const READS: &'static [Family];

    /// Whether `event` asks for this effect.
    fn wants(&self, event: &Recorded) -> bool;

    /// How long an event waits for a process that serves its host; `None` where this process does. Until then it is neither
    /// executed nor dead-lettered, and the lease is handed over as soon as such a process runs. After that
    /// [`run`](Self::run) is called here and must say that nothing was executed. Only for [`effect_on_hosts`].
    fn delegated_until(&self, _event: &Recorded) -> Option<Timestamp> {
        None
    }

    /// Executes the effect and returns its outcome: one or more events. An event without a cause gets `event` as its cause.
    ///
    /// Call [`ExecutionGuard::check`] right before touching the world. The effects of one subject run one after another in
    /// the order of their events; those of several subjects run concurrently.
    async fn run(&self, event: &Recorded, guard: &ExecutionGuard) -> Result<Vec<NewEvent>, Fault>;

    /// How often [`Fault::Retry`] is retried before the event is dead-lettered.
    fn retries(&self) -> u32 {
        10
    }
}

/// Why an effect has no outcome.
#[derive(Debug)]
pub enum Fault {
    /// A later attempt may succeed: retried with backoff, [`Effect::retries`] times.
    Retry(anyhow::Error),
    /// No attempt can succeed: the event becomes a dead letter, visible in the API.
    DeadLetter(anyhow::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(error) | Self::DeadLetter(error) => write!(f, "{error:#}"),
        }
    }
}

/// The checks before a side effect: of the lease and of the intent's durability.
#[derive(Debug)]
pub struct ExecutionGuard {
    ctx: Context,
    lease: LeaseGuard,
    event: (Family, EventId),
    redelivered: bool,
    now: Timestamp,
    /// The event was durable when it was checked, and stays so.
    durable: AtomicBool,
}

/// An event is less durable than the configuration demands before an effect is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotDurable {
    /// The durability that the configuration demands.
    pub wanted: Durability,
    /// How many replicas had it in time.
    pub replicas: u32,
}

impl ExecutionGuard {
    pub(crate) fn new(ctx: &Context, lease: LeaseGuard, event: &Recorded, redelivered: bool) -> Self {
        let (now, event) = (ctx.clock.now(), (event.family(), event.id));
        Self { ctx: ctx.clone(), lease, event, redelivered, now, durable: AtomicBool::new(false) }
    }

    /// Whether an earlier attempt was begun, here or by a process that crashed: it may have succeeded.
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Checks that this process certainly holds the lease. Call it right before touching the world, each time.
    ///
    /// # Errors
    /// When the lease may have expired, as in a process that was frozen. Return the error as it is.
    pub fn check(&self) -> Result<(), Fault> {
        if self.lease.is_certain() { Ok(()) } else { Err(Fault::Retry(anyhow!(LeaseUncertain))) }
    }

    /// Checks that the event is as durable as the configuration demands; `None` when it is. Call it before touching the
    /// world; a second call costs nothing.
    ///
    /// # Errors
    /// When it cannot be checked now. Return the error as it is.
    pub async fn confirm_durable(&self) -> Result<Option<NotDurable>, Fault> {
        let (wanted, log) = (self.ctx.durability, &self.ctx.log);
        if wanted == Durability::Everysec || self.durable.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (lease, ttl) = (self.lease.lease(), self.ctx.lease_ttl);
        match log.confirm(lease, ttl, self.event, wanted, self.ctx.durable_within).await {
            Ok(Confirmed::Safe) => {
                self.durable.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Ok(Confirmed::Short { replicas }) => Ok(Some(NotDurable { wanted, replicas })),
            Ok(Confirmed::Lost) => {
                Err(Fault::DeadLetter(anyhow!("the intent {} is not on the log any more", self.event.1)))
            }
            // As with the lease: the worker waits until the log is back, or another process takes over.
            Err(error) if error.is_transient() || matches!(error, Error::Fenced { .. }) => {
                debug!("{error}");
                Err(Fault::Retry(anyhow!(LeaseUncertain)))
            }
            Err(error) => Err(Fault::Retry(error.into())),
        }
    }

    /// When this attempt began.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}
