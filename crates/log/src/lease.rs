//! The right to speak for a group in a partition.

use hemostat_schema::Partition;

/// The right to speak for a group in a partition, as [`Log::acquire`](crate::Log::acquire) gave it.
///
/// Every acquisition counts the epoch up, and every commit and every delivery is checked against it: whoever lost the
/// lease without noticing (a paused process) can no longer change or take anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Where.
    pub partition: Partition,
    /// For whom.
    pub group: String,
    /// Who holds it; one name for each process.
    pub owner: String,
    /// Counts acquisitions, from 1.
    pub epoch: u64,
}
