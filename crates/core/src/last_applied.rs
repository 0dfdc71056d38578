//! Makes a fold idempotent under redelivery: the log delivers at least once, and a fold applies each event once.
//!
//! The runtime already skips what its rows contain; this makes the fold correct without relying on that.

use hemostat_schema::{Event, EventId, Recorded};
use serde::{Deserialize, Serialize};

/// The id of the last event of a subject that a fold has applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LastApplied(Option<EventId>);

impl LastApplied {
    /// Whether `event` has not been applied yet; if so, it counts as applied from now on.
    ///
    /// Samples do not advance the position (each would change the row of an otherwise idle container), so whatever a
    /// fold keeps of a sample must be the same when the sample is applied twice.
    pub fn advance(&mut self, event: &Recorded) -> bool {
        let is_new = self.0.is_none_or(|last| last < event.id);
        if is_new && event.event().is_some_and(Event::advances_version) {
            self.0 = Some(event.id);
        }
        is_new
    }
}
