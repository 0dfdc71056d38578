//! The session of a process in a partition, and the leases that hold as long as it lives, with their fencing tokens.

use std::time::Duration;

use hemostat_schema::Partition;

/// The lease of a consumer group in a partition, returned by [`Log::acquire`](crate::Log::acquire).
///
/// The epoch is a fencing token: every acquisition increments it, and every commit and delivery is checked against it. A
/// process that lost the lease without noticing (it was paused) can no longer commit or receive anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The partition.
    pub partition: Partition,
    /// The consumer group.
    pub group: String,
    /// The holder: one name per process.
    pub owner: String,
    /// The fencing token: counts acquisitions, from 1.
    pub epoch: u64,
}

/// What a process sends to a partition in regular intervals; see [`Log::heartbeat`](crate::Log::heartbeat).
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat<'a> {
    /// The partition.
    pub partition: Partition,
    /// The name under which the process holds leases.
    pub owner: &'a str,
    /// What it says about itself to the other processes.
    pub says: &'a str,
    /// The leases that it believes to hold.
    pub leases: &'a [Lease],
    /// How long its session lives without another heartbeat.
    pub ttl: Duration,
}

/// The live processes of a partition, as one heartbeat or read finds them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sessions {
    /// The live sessions, sorted by owner.
    pub live: Vec<Session>,
    /// The requested handoffs, sorted.
    pub handoffs: Vec<String>,
}

/// A live process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// The name under which it holds leases.
    pub owner: String,
    /// What it says about itself.
    pub says: String,
}
