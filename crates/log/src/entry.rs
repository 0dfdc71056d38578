//! What is read from the log.

use hemostat_schema::{EventId, Family, Recorded, Subject, Timestamp, codec};

/// An entry of a stream, for whoever reads history.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place in the total order.
    pub id: EventId,
    /// The stream that it stands on.
    pub family: Family,
    /// The event, or why it could not be read.
    pub event: Result<Recorded, String>,
}

/// An entry handed to a group, to be acknowledged in a commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its place in the total order.
    pub id: EventId,
    /// The stream that it stands on.
    pub family: Family,
    /// The event, or why it could not be read: such an entry is to be parked.
    pub event: Result<Recorded, String>,
    /// How often it was handed out, counting from 1. More than once means that somebody died or lost the connection
    /// while holding it, so an effect of it may already be out in the world.
    pub times: u32,
}

/// What a group had been handed and has not acknowledged, and the right to read on.
#[derive(Debug, Clone, PartialEq)]
pub struct Backlog {
    /// For [`Log::deliver`](crate::Log::deliver).
    pub reader: Reader,
    /// In id order, of all families asked for.
    pub deliveries: Vec<Delivery>,
}

/// The right to be handed new entries: each [`Log::pending`](crate::Log::pending) ends that of the one before.
///
/// A read that was given up on may still reach the server later. It would then move entries into the group's backlog
/// with nobody to see them; the reader's number makes the server refuse it instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader(pub(crate) u64);

/// A timer of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTimer {
    /// Whom it is about.
    pub subject: Subject,
    /// What for.
    pub name: String,
    /// When it rings, to the millisecond.
    pub due: Timestamp,
}

/// A delivery that its group gave up on (dead letter).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its own place among what was parked, by which it is redriven or discarded; not the event's.
    pub key: EventId,
    /// The group that gave up.
    pub group: String,
    /// The stream that the entry stands on.
    pub family: Family,
    /// The entry.
    pub id: EventId,
    /// Why.
    pub error: String,
    /// When.
    pub at: Timestamp,
}

/// The event that stands at `id`, or why it could not be read, with the whole chain of reasons.
pub(crate) fn decode(
    id: EventId,
    kind: &str,
    subject: &str,
    cause: Option<&str>,
    envelope: &[u8],
) -> Result<Recorded, String> {
    codec::decode(id, kind, subject, cause, envelope).map_err(|error| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    })
}
