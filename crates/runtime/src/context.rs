//! What every worker is given.

use std::{process, sync::Arc, time::Duration};

use hemostat_log::{Durability, History, Log};
use hemostat_schema::{HostName, Partition};
use tokio_util::sync::CancellationToken;

use crate::{Clock, Health, SystemClock};

/// What every worker is given. Cheap to clone; clones share the shutdown and the health.
#[derive(Debug, Clone)]
pub struct Context {
    /// The event log.
    pub log: Arc<dyn Log>,
    /// All that ever happened: the log, and the archive where there is one.
    pub history: History,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// As whom this process holds leases.
    pub owner: String,
    /// How long a lease holds when its owner falls silent.
    pub lease_ttl: Duration,
    /// How safe an event must be before an effect follows from it.
    pub durability: Durability,
    /// How long an effect waits for that before it is withheld.
    pub durable_within: Duration,
    /// Cancelled when the process is to end.
    pub shutdown: CancellationToken,
    /// How the workers are doing.
    pub health: Health,
}

impl Context {
    /// On this log, by the system's clock, with the default time to live of leases.
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self {
            history: History::new(Arc::clone(&log), None),
            log,
            clock: Arc::new(SystemClock),
            owner: unique_owner(),
            lease_ttl: Duration::from_secs(10),
            durability: Durability::default(),
            durable_within: Duration::from_secs(2),
            shutdown: CancellationToken::new(),
            health: Health::default(),
        }
    }

    /// Every partition of the log.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.log.partitions()).map(Partition)
    }

    /// The partition in which the history of `host` is kept.
    pub fn partition_of(&self, host: &HostName) -> Partition {
        Partition::of(host, self.log.partitions())
    }
}

/// A name that no other process has: a second process must not take a lease for its own.
fn unique_owner() -> String {
    format!("{}-{:08x}", process::id(), fastrand::u32(..))
}
