//! The lease of a consumer group in a partition, with its fencing token.

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
