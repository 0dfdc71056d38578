//! What a view is: rows folded from the log, for reading. Any row may be deleted and is rebuilt.

use hemostat_schema::{Family, Recorded};
use serde::{Serialize, de::DeserializeOwned};

/// What a view keeps of one thing. Unlike a decider's state it has no default: there is a row only where there is
/// something to tell.
pub trait Row: Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static> Row for T {}

/// A pure fold of the log into rows; the runtime runs one worker for each projection and partition.
pub trait Projection: Send + Sync + 'static {
    /// The view's name; with its version also the consumer group.
    const NAME: &'static str;
    /// Raised when `Row` or `evolve` change their meaning: a new version is a new group, filled from the beginning.
    const VERSION: u16;
    /// The families that it folds.
    const READS: &'static [Family];
    /// One row.
    type Row: Row;

    /// The rows that `event` touches; none when it does not matter here.
    fn keys(event: &Recorded) -> Vec<String>;

    /// The row after `event`; none deletes it. Total: sees only the event and its own time, and cannot fail.
    fn evolve(row: Option<Self::Row>, key: &str, event: &Recorded) -> Option<Self::Row>;
}
