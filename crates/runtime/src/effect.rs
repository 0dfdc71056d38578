//! Effects: something is executed in the world because of an event, and its outcome is appended as another event.
//!
//! The log and the world cannot change in one commit, so an effect is executed at least once. An effect that must not be
//! repeated asks three questions of its [`ExecutionGuard`]:
//!
//! ```text
//!   intent (event) ──► redelivered? ──► confirm_durable ──► check_lease ──► execute ──► commit: outcome, acknowledgement
//!                        │                │                   └ the lease may have expired: wait
//!                        │                └ the intent is not replicated: do not execute, say why
//!                        └ an earlier attempt may have succeeded: ask the world before executing
//! ```
//!
//! Every effect calls [`ExecutionGuard::check_lease`], last, since the other two take time. The other two are for
//! effects that cannot be repeated: the alerter calls neither.
//!
//! An effect that depends on a server of someone else's may have to wait for minutes or hours. It answers
//! [`Fault::RetryAt`], and its event waits as a durable timer, set in the commit that settles the delivery:
//!
//! ```text
//!   event a1 ──► attempt 1: RetryAt t ──► commit: settle the delivery of a1, timer t
//!   event a2 (same subject) ────────────► commit: settle the delivery of a2, timer behind a1
//!   event b1 (another subject) ─────────► attempt 1 at once
//!   t, in any process ──► attempt 2 of a1 ──► commit: settle the timer, outcome ──► a2
//! ```
//!
//! So a wait survives restarts and holds neither a slot, nor a delivery, nor trimming; attempts are counted across
//! processes; and a subject's events keep their order.

mod begin;
mod execution;
mod retries;
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

use self::retries::Retry;
pub use self::worker::{EffectWorker, effect, effect_on_hosts};
use crate::{
    context::Context,
    lease::{LeaseHandle, LeaseMayHaveExpired},
};

/// Something that is executed in the world because of an event.
#[async_trait]
pub trait Effect: Send + Sync + 'static {
    /// The families of its events.
    const READS: &'static [Family];

    /// The consumer group. Several effects of one type have a group each, and so their own position and their own pace.
    fn group(&self) -> &str;

    /// Whether `event` asks for this effect.
    fn wants(&self, event: &Recorded) -> bool;

    /// Until when an event is left to another process, because this one does not serve its host; `None` if it does. The
    /// lease is handed over as soon as a process that serves the host runs. If none has taken the event by then,
    /// [`run`](Self::run) is called here and must say that nothing was executed. Only for [`effect_on_hosts`].
    fn delegated_until(&self, _event: &Recorded) -> Option<Timestamp> {
        None
    }

    /// Whether the group, where it is new, begins now instead of at the first event; then an effect that is still due is
    /// found by [`keep_open`](Self::keep_open).
    fn begins_now(&self) -> bool {
        false
    }

    /// Of the events before a group that begins now: keeps in `open` those whose effect is executed all the same. Called
    /// for each event of [`READS`](Self::READS) in their order.
    fn keep_open(&self, _open: &mut Vec<Recorded>, _event: Recorded) {}

    /// Executes the effect and returns the events of its outcome, which may be none. An event without a cause gets
    /// `event` as its cause.
    ///
    /// Call [`ExecutionGuard::check_lease`] right before touching the world. The effects of one subject run one after
    /// another in the order of their events, also while one of them waits for a retry; those of several subjects run
    /// concurrently.
    async fn run(&self, event: &Recorded, guard: &ExecutionGuard) -> Result<Vec<NewEvent>, Fault>;

    /// How often [`Fault::Retry`] is retried before the event is dead-lettered.
    fn retries(&self) -> u32 {
        10
    }
}

/// Why an effect has no outcome.
#[derive(Debug)]
pub enum Fault {
    /// A later attempt may succeed: retried with backoff, [`Effect::retries`] times; after [`LeaseMayHaveExpired`]
    /// until the lease is certain again or has ended.
    Retry(anyhow::Error),
    /// A later attempt may succeed, but not before this time: the event waits for it as a durable timer. The effect
    /// itself says when it is enough, by [`ExecutionGuard::attempt`] and [`ExecutionGuard::first_attempt_at`].
    RetryAt(Timestamp, anyhow::Error),
    /// No attempt can succeed: the event becomes a dead letter, visible in the API.
    DeadLetter(anyhow::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(error) | Self::RetryAt(_, error) | Self::DeadLetter(error) => write!(f, "{error:#}"),
        }
    }
}

/// Guards one attempt to execute an effect: whether an earlier attempt may have succeeded, whether the intent is
/// durable, and whether this process certainly holds the lease.
#[derive(Debug)]
pub struct ExecutionGuard {
    ctx: Context,
    lease: LeaseHandle,
    event: (Family, EventId),
    redelivered: bool,
    attempt: u32,
    first_attempt_at: Timestamp,
    began_at: Timestamp,
    /// `check_lease` has allowed this attempt to touch the world.
    allowed: AtomicBool,
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
    /// For the first attempt, or for the next one of an event that waited.
    fn new(ctx: &Context, lease: LeaseHandle, event: &Recorded, redelivered: bool, waited: Option<&Retry>) -> Self {
        let (began_at, event) = (ctx.clock.now(), (event.family(), event.id));
        let (allowed, durable) = (AtomicBool::new(false), AtomicBool::new(false));
        let attempt = waited.map_or(0, |retry| retry.attempts).saturating_add(1);
        let first_attempt_at = waited.map_or(began_at, |retry| retry.since);
        Self { ctx: ctx.clone(), lease, event, redelivered, attempt, first_attempt_at, began_at, allowed, durable }
    }

    /// Whether an earlier attempt may have executed the effect: one of this process that
    /// [`check_lease`](Self::check_lease) allowed, or one of an earlier delivery.
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Checks that this process certainly holds the lease. Call it right before touching the world, each time.
    ///
    /// # Errors
    /// When the lease may have expired, as in a process that was frozen. Return the error as it is.
    pub fn check_lease(&self) -> Result<(), Fault> {
        if !self.lease.is_surely_held() {
            return Err(Fault::Retry(anyhow!(LeaseMayHaveExpired)));
        }
        self.allowed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether this attempt may have touched the world.
    pub(crate) fn was_allowed(&self) -> bool {
        self.allowed.load(Ordering::Relaxed)
    }

    /// Checks that the event is as durable as the configuration demands; `None` when it is. Call it before touching the
    /// world. Once it is, a second call costs nothing.
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
            Ok(Confirmed::Durable) => {
                self.durable.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Ok(Confirmed::NotInTime { replicas }) => Ok(Some(NotDurable { wanted, replicas })),
            Ok(Confirmed::EventMissing) => {
                Err(Fault::DeadLetter(anyhow!("the intent {} is not on the log any more", self.event.1)))
            }
            // As with the lease: the worker waits until the log is back, or another process takes over.
            Err(error) if error.is_transient() || matches!(error, Error::Fenced { .. }) => {
                debug!("{error}");
                Err(Fault::Retry(anyhow!(LeaseMayHaveExpired)))
            }
            Err(error) => Err(Fault::Retry(error.into())),
        }
    }

    /// Which attempt this is, counting from 1: those that ended in [`Fault::RetryAt`] in any process, and this one. An
    /// attempt that a crash interrupted is not counted.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the first attempt began; if the event had to wait for an earlier one of its subject, since when it waited.
    pub fn first_attempt_at(&self) -> Timestamp {
        self.first_attempt_at
    }

    /// When this attempt began.
    pub fn began_at(&self) -> Timestamp {
        self.began_at
    }
}
