//! Read models: a projection folds the log into rows for reading. Any row may be deleted and is rebuilt from the log.

use hemostat_schema::{Family, Recorded, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

/// A row of a read model. Unlike a decider's state it has no default: a row exists only once there is something to
/// show.
pub trait Row: Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static> Row for T {}

/// Whether the row of this key may be deleted at an instant, which is the time of the view's offset.
pub type IsExpired<R> = fn(&str, &R, Timestamp) -> bool;

/// A pure fold of the log into rows; the runtime runs one worker per projection and partition.
pub trait Projection: Send + Sync + 'static {
    /// The view's name; with the version also the consumer group.
    const NAME: &'static str;
    /// Incremented when `Row` or `evolve` change their meaning: a new version is a new consumer group that reads the
    /// log from the beginning.
    const VERSION: u16;
    /// The families of events that it folds.
    const READS: &'static [Family];
    /// Which rows are deleted once they are old enough, for a view whose rows are not kept for ever. An expired row counts
    /// as deleted, whether it still exists or not.
    const IS_EXPIRED: Option<IsExpired<Self::Row>> = None;
    /// One row.
    type Row: Row;

    /// The keys of the rows that `event` touches; empty if it touches none.
    fn keys(event: &Recorded) -> Vec<String>;

    /// The row after `event`; none deletes it. It sees only the event and the event's own time, and cannot fail.
    fn evolve(row: Option<Self::Row>, key: &str, event: &Recorded) -> Option<Self::Row>;
}
