//! The dependencies of every worker.

use std::{process, sync::Arc, time::Duration};

use hemostat_log::{Durability, History, Log};
use hemostat_schema::{HostName, Partition};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, SystemClock},
    health::Health,
    session::{Session, Sessions},
};

/// The dependencies of every worker. Cheap to clone; clones share the shutdown and the health.
#[derive(Debug, Clone)]
pub struct Context {
    /// The event log.
    pub log: Arc<dyn Log>,
    /// The log together with the archive, if there is one.
    pub history: History,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The name under which this process holds leases. No two processes have the same.
    pub owner: String,
    /// How long a lease is valid after its last renewal.
    pub lease_ttl: Duration,
    /// How durable an event must be before an effect is executed because of it.
    pub durability: Durability,
    /// How long an effect waits for that durability before it is not executed.
    pub durable_within: Duration,
    /// Cancelled when the process shuts down.
    pub shutdown: CancellationToken,
    /// The status of every worker.
    pub health: Health,
    /// The sessions of this process, which renew its leases.
    pub sessions: Sessions,
}

impl Context {
    /// With the system's clock and defaults for the rest.
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
            sessions: Sessions::default(),
        }
    }

    /// The session of this process in `partition`.
    pub(crate) fn session(&self, partition: Partition) -> Arc<Session> {
        self.sessions.of(&self.log, partition, &self.owner, self.lease_ttl, &self.shutdown)
    }

    /// Every partition of the log.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.log.partitions()).map(Partition)
    }

    /// The partition of `host`'s events.
    pub fn partition_of(&self, host: &HostName) -> Partition {
        Partition::of(host, self.log.partitions())
    }
}

/// A name that no other process has: two processes of one name would both take a lease for their own.
fn unique_owner() -> String {
    format!("{}-{:08x}", process::id(), fastrand::u32(..))
}
