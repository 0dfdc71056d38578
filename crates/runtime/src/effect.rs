//! What an effect is: something that is done in the world because of an event, and told by another event.
//!
//! Redis and the world cannot change in one commit, so an effect happens at least once. It is made safe from three sides:
//! [`Permit::check`] refuses when this process is not certain to be the one that may act, [`Permit::redelivered`]
//! says that the effect may already have happened, so that it first asks the world, and [`Permit::confirm`] makes sure
//! that the event that asks for it is not lost with a server.

mod worker;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::anyhow;
use async_trait::async_trait;
use hemostat_log::{Confirmed, Durability, Error};
use hemostat_schema::{EventId, Family, HostName, NewEvent, Partition, Recorded, Timestamp};
use tracing::debug;

pub use self::worker::EffectWorker;
use crate::{
    Context, Task,
    lease::{Tenure, Uncertain},
    worker::Stage,
};

/// Something that is done in the world because of an event.
#[async_trait]
pub trait Effect: Send + Sync + 'static {
    /// The consumer group.
    const GROUP: &'static str;
    /// The families in which its events are.
    const READS: &'static [Family];

    /// Whether `event` asks for this effect.
    fn wants(&self, event: &Recorded) -> bool;

    /// Until when an event is left to a process that serves its host, as this one does not; none where it does. It is
    /// neither handled nor parked until then, and the work is handed over to such a process as soon as one is there; where
    /// none has come by that time, [`run`](Self::run) is to say so. Only for [`effect_on`].
    fn leaves(&self, _event: &Recorded) -> Option<Timestamp> {
        None
    }

    /// One effect, ended by one or more outcome events; one without a cause gets `event` as its cause.
    ///
    /// [`Permit::check`] is called right before the world is touched. The effects of one subject come one after another
    /// in the order of their events; those of several subjects at the same time.
    async fn run(&self, event: &Recorded, permit: &Permit) -> Result<Vec<NewEvent>, Fault>;

    /// How often an effect that failed with [`Fault::Retry`] is tried again before it is parked.
    fn retries(&self) -> u32 {
        10
    }
}

/// Why an effect has no outcome.
#[derive(Debug)]
pub enum Fault {
    /// It may do better later: tried again after a while, a limited number of times.
    Retry(anyhow::Error),
    /// It will never do better: put aside, visible in the API.
    Park(anyhow::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(error) | Self::Park(error) => write!(f, "{error:#}"),
        }
    }
}

/// The permission to act, and what is to be known before acting.
#[derive(Debug)]
pub struct Permit {
    ctx: Context,
    tenure: Tenure,
    event: (Family, EventId),
    redelivered: bool,
    now: Timestamp,
    /// The event was safe when it was asked, and so is for good.
    safe: AtomicBool,
}

/// An event is not as safe as it must be before something is done because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undurable {
    /// What it must be.
    pub wanted: Durability,
    /// So many replicas had it in time.
    pub replicas: u32,
}

impl Permit {
    pub(crate) fn new(ctx: &Context, tenure: Tenure, event: &Recorded, redelivered: bool) -> Self {
        let (now, event) = (ctx.clock.now(), (event.family(), event.id));
        Self { ctx: ctx.clone(), tenure, event, redelivered, now, safe: AtomicBool::new(false) }
    }

    /// Whether this effect was begun before, here or by a process that died: it may already have happened.
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Whether this process may still act. To be asked right before the world is touched, each time.
    ///
    /// # Errors
    /// When the lease is not certainly ours, as in a process that was frozen and woke up. To be passed on as it is.
    pub fn check(&self) -> Result<(), Fault> {
        if self.tenure.is_certain() { Ok(()) } else { Err(Fault::Retry(anyhow!(Uncertain))) }
    }

    /// Whether the event that asks for the effect is as safe as the configuration wants it to be; none when it is. To be
    /// asked before the world is touched; asking again costs nothing.
    ///
    /// # Errors
    /// When it cannot be told now. To be passed on as it is.
    pub async fn confirm(&self) -> Result<Option<Undurable>, Fault> {
        let (wanted, log) = (self.ctx.durability, &self.ctx.log);
        if wanted == Durability::Everysec || self.safe.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (lease, ttl) = (self.tenure.lease(), self.ctx.lease_ttl);
        match log.confirm(lease, ttl, self.event, wanted, self.ctx.durable_within).await {
            Ok(Confirmed::Safe) => {
                self.safe.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Ok(Confirmed::Short { replicas }) => Ok(Some(Undurable { wanted, replicas })),
            Ok(Confirmed::Lost) => Err(Fault::Park(anyhow!("the intent {} is not on the log any more", self.event.1))),
            // As with the lease: it is waited until the log is back, or somebody else does it.
            Err(error) if error.is_transient() || matches!(error, Error::Fenced { .. }) => {
                debug!("{error}");
                Err(Fault::Retry(anyhow!(Uncertain)))
            }
            Err(error) => Err(Fault::Retry(error.into())),
        }
    }

    /// When this try of the effect began.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// The workers of an effect, one for each partition.
pub fn effect<E: Effect>(ctx: &Context, effect: E) -> Vec<Task> {
    let effect = Arc::new(effect);
    tasks(ctx, ctx.partitions(), |partition| EffectWorker::new(ctx.clone(), partition, effect.clone()))
}

/// The workers of an effect that this process can have on these hosts only, one for each partition in which there are any.
/// It shares each with those who can have the effect on hosts in there, too: what is for a host of theirs is left to them.
pub fn effect_on<E: Effect>(ctx: &Context, hosts: impl IntoIterator<Item = HostName>, effect: E) -> Vec<Task> {
    let effect = Arc::new(effect);
    let mut served: BTreeMap<Partition, Vec<HostName>> = BTreeMap::new();
    for host in hosts {
        served.entry(ctx.partition_of(&host)).or_default().push(host);
    }
    let partitions: Vec<_> = served.keys().copied().collect();
    tasks(ctx, partitions, |partition| {
        let hosts = served.get(&partition).cloned().unwrap_or_default();
        EffectWorker::new(ctx.clone(), partition, effect.clone()).serving(hosts)
    })
}

fn tasks<E: Effect>(
    ctx: &Context,
    partitions: impl IntoIterator<Item = Partition>,
    worker: impl Fn(Partition) -> EffectWorker<E>,
) -> Vec<Task> {
    let task =
        |partition| Task::new(format!("{}/{partition}", E::GROUP), Stage::new(ctx.clone(), worker(partition)).run());
    partitions.into_iter().map(task).collect()
}
