//! An append without a lease, at most once per key: for what any process may order at any time.

use std::time::Duration;

use hemostat_schema::{EventId, NewEvent, Partition, codec::Encoded};

use crate::{Error, Guard, commit::encode};

/// How long a key is remembered.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(48 * 60 * 60);

/// Events to append, and what changes with them. [`Log::append_once`](crate::Log::append_once) applies all of it or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// The partition.
    pub partition: Partition,
    /// The first append with a key is applied; a later one gets its ids. A key is remembered for two days.
    pub key: String,
    /// The versions that the decisions rest on; [`CommitError::Conflict`](crate::CommitError::Conflict) if one has advanced.
    pub guards: Vec<Guard>,
    /// Events to append, in this order.
    pub events: Vec<NewEvent>,
    /// A dead letter that is settled; [`CommitError::AlreadyHandled`](crate::CommitError::AlreadyHandled) if there is no such.
    pub settlement: Option<Settlement>,
}

impl Append {
    /// These events, without guards.
    pub fn new(partition: Partition, key: impl Into<String>, events: Vec<NewEvent>) -> Self {
        Self { partition, key: key.into(), guards: vec![], events, settlement: None }
    }

    pub(crate) fn encode(&self) -> Result<Vec<Encoded>, Error> {
        encode(&self.events)
    }
}

/// What happens to a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Its own id among the dead letters.
    pub letter: EventId,
    /// What happens to it.
    pub how: Settle,
}

/// What happens to a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// It is one of its group's pending entries again. These rows (view and key) are deleted, and the group's lease is revoked,
    /// so that it is handled again.
    Redeliver {
        /// The rows.
        forget: Vec<(String, String)>,
    },
    /// Its group builds this view, and then serves it. The dead letter stays until that begins.
    Rebuild {
        /// The view, such as `containers.1~2`.
        view: String,
    },
    /// It is deleted.
    Discard,
}

/// What [`Log::append_once`](crate::Log::append_once) has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The ids of the events; of the first time, if this was not the first.
    pub ids: Vec<EventId>,
    /// Whether this call appended them.
    pub first_time: bool,
}
