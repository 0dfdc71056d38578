//! What a partition's store looks like from inside, for those who look after it: nothing is decoded or judged here.

use std::collections::BTreeMap;

use hemostat_schema::{EventId, Family};

use crate::{Cursor, DeadLetter};

/// Everything that a partition holds beside its events and rows, as it stood at one instant; leases, parked deliveries
/// and the names of views are looked at right after it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inspection {
    /// The id given last; none where the partition has no clock.
    pub clock: Option<EventId>,
    /// The streams that are there.
    pub streams: BTreeMap<Family, StreamState>,
    /// `family/subject` and the entry id of its head, as they are written.
    pub versions: Vec<(String, String)>,
    /// `group|subject|name` and when it is due, in milliseconds since the epoch, as they are written.
    pub timers: Vec<(String, String)>,
    /// How far each group has come that reads by position.
    pub cursors: BTreeMap<String, Cursor>,
    /// What [`Log::views`](crate::Log::views) gives.
    pub served: BTreeMap<String, String>,
    /// Up to and with where entries are no longer in the streams.
    pub trimmed: BTreeMap<Family, EventId>,
    /// Deliveries that were given up on, the newest first.
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

/// Where a consumer group stands in one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupState {
    /// Its name.
    pub name: String,
    /// The entry that was handed out last.
    pub delivered: EventId,
    /// What it has not acknowledged, the oldest first; at most [`MOST_PENDING`].
    pub pending: Vec<EventId>,
}

/// As many pending entries of a group are told.
pub const MOST_PENDING: usize = 10_000;

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseState {
    /// Of which group.
    pub group: String,
    /// Who holds or held it last; none when it was given back.
    pub owner: Option<String>,
    /// How often it was taken.
    pub epoch: u64,
    /// When it runs out, in milliseconds since the epoch by the server's clock.
    pub until: u64,
}

/// What was trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// How many entries are gone.
    pub removed: u64,
    /// The group that has not consumed what would have been trimmed as well.
    pub held_by: Option<String>,
}
