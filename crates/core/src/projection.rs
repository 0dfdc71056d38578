//! Read models: a projection folds the log into rows for reading. Any row may be deleted and is rebuilt from the log.

use hemostat_schema::{Family, Recorded};
use serde::{Serialize, de::DeserializeOwned};

/// A row of a read model. Unlike a decider's state it has no default: a row exists only once there is something to
/// show.
pub trait Row: Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static> Row for T {}

/// A pure fold of the log into rows; the runtime runs one worker per projection and partition.
pub trait Projection: Send + Sync + 'static {
    /// The view's name; with the version also the consumer group.
    const NAME: &'static str;
    /// Incremented when `Row` or `evolve` change their meaning: a new version is a new consumer group that reads the
    /// log from the beginning.
    const VERSION: u16;
    /// The families of events that it folds.
    const READS: &'static [Family];
    /// One row.
    type Row: Row;

    /// The keys of the rows that `event` touches; empty if it touches none.
    fn keys(event: &Recorded) -> Vec<String>;

    /// The row after `event`; none deletes it. It sees only the event and the event's own time, and cannot fail.
    fn evolve(row: Option<Self::Row>, key: &str, event: &Recorded) -> Option<Self::Row>;
}
