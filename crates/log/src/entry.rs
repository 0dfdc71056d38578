//! Entries, deliveries, timers and dead letters, as they are read from the log.

use hemostat_schema::{EventId, Family, Recorded, Subject, Timestamp, codec};

use crate::Error;

/// An entry of a stream, for a reader of history.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place in the total order.
    pub id: EventId,
    /// Its stream.
    pub family: Family,
    /// The event, or why it could not be read.
    pub event: Result<Recorded, String>,
}

/// An entry delivered to a consumer group, to be acknowledged in a commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its place in the total order.
    pub id: EventId,
    /// Its stream.
    pub family: Family,
    /// The event, or why it could not be decoded: the group makes such an entry a dead letter.
    pub event: Result<Recorded, String>,
    /// How often it was delivered, counting from 1. More than once means that an earlier holder died or lost its
    /// connection, so a side effect of the event may already have been executed.
    pub times: u32,
}

/// The pending entries of a group, and the token to read new ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Backlog {
    /// For [`Log::deliver`](crate::Log::deliver).
    pub reader: Reader,
    /// In id order, of all families asked for.
    pub deliveries: Vec<Delivery>,
}

/// A token to receive new entries: each [`Log::pending`](crate::Log::pending) invalidates the one before.
///
/// A read that was cancelled may still reach the server later. It would move entries into the group's pending list that no
/// process receives; the server refuses it because its token is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader(pub(crate) u64);

/// A timer of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTimer {
    /// The subject.
    pub subject: Subject,
    /// Its name.
    pub name: String,
    /// When it is due, to the millisecond.
    pub due: Timestamp,
}

/// A dead letter: a delivery that its consumer group gave up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its own id among the dead letters, by which it is redriven or discarded; not the id of the event.
    pub key: EventId,
    /// The consumer group that gave up.
    pub group: String,
    /// The stream of the entry.
    pub family: Family,
    /// The entry.
    pub id: EventId,
    /// Why.
    pub error: String,
    /// When.
    pub at: Timestamp,
}

impl DeadLetter {
    /// Why it cannot be redelivered.
    pub(crate) fn event_is_gone(&self) -> Error {
        let reason = format!("its event {} is no longer in the stream; discard it instead", self.id);
        Error::Invalid { doing: "redrive a dead letter", reason }
    }
}

/// The event at `id`, or why it could not be decoded, with the whole chain of reasons.
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
