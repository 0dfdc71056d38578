//! The internal state of a partition, for operators and `fsck`; nothing is decoded or judged here.

use std::collections::BTreeMap;

use hemostat_schema::{EventId, Family};

use crate::{Cursor, DeadLetter};

/// Everything of a partition except events and rows, at one instant; leases, dead letters and the names of views are read
/// right after it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inspection {
    /// The last id that was assigned; none if the partition has no clock.
    pub clock: Option<EventId>,
    /// The existing streams.
    pub streams: BTreeMap<Family, StreamState>,
    /// `family/subject` and its version (an entry id), as stored.
    pub versions: Vec<(String, String)>,
    /// `group|subject|name` and when it is due, in milliseconds since the epoch, as stored.
    pub timers: Vec<(String, String)>,
    /// The offset of each group that reads by offset.
    pub cursors: BTreeMap<String, Cursor>,
    /// The same as [`Log::views`](crate::Log::views).
    pub served: BTreeMap<String, String>,
    /// The last trimmed entry of each stream.
    pub trimmed: BTreeMap<Family, EventId>,
    /// The dead letters, the newest first.
    pub dead_letters: Vec<DeadLetter>,
    /// Every lease that was ever held.
    pub leases: Vec<LeaseState>,
    /// The views that have rows, by name.
    pub views: Vec<String>,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// How many entries it holds.
    pub length: u64,
    /// Its first entry.
    pub first: Option<EventId>,
    /// Its last entry.
    pub last: Option<EventId>,
    /// The groups that read it.
    pub groups: Vec<GroupState>,
}

/// The state of a consumer group in one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupState {
    /// Its name.
    pub name: String,
    /// The last delivered entry.
    pub delivered: EventId,
    /// Its unacknowledged entries, the oldest first; at most [`MAX_PENDING`].
    pub pending: Vec<EventId>,
}

/// Maximum pending entries of a group in an inspection.
pub const MAX_PENDING: usize = 10_000;

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseState {
    /// The consumer group.
    pub group: String,
    /// The last holder; none when it was released or revoked.
    pub owner: Option<String>,
    /// How often it was acquired (the fencing token).
    pub epoch: u64,
}

/// The result of [`Log::trim`](crate::Log::trim).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// How many entries were deleted.
    pub removed: u64,
    /// The consumer group that prevented more from being trimmed, as it has not handled those entries yet.
    pub held_by: Option<String>,
}
