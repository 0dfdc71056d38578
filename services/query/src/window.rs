//! Which part of the log a request is about: a stretch of one order that covers all partitions.
//!
//! Within a partition, ids are a total order. Across partitions, events are ordered by time, then count, then partition;
//! an event id is thereby a position in the whole, and a page can go on after any event, whichever partition it is in.

use std::ops::Bound;

use hemostat_schema::{EventId, Partition, Timestamp};

use crate::log::Range;

/// A place between events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    ms: u64,
    seq: u64,
    /// One more than any partition, for the place after the last.
    partition: u32,
}

impl Position {
    const START: Self = Self { ms: 0, seq: 0, partition: 0 };
    const END: Self = Self { ms: u64::MAX, seq: u64::MAX, partition: u32::MAX };

    /// Before everything that happened at `at` or later, by the log's clock.
    pub fn at(at: Timestamp) -> Self {
        let EventId { ms, .. } = EventId::at(Partition(0), at);
        Self { ms, ..Self::START }
    }

    /// Before this event.
    pub fn before(id: EventId) -> Self {
        Self { ms: id.ms, seq: id.seq, partition: u32::from(id.partition.0) }
    }

    /// After this event.
    pub fn after(id: EventId) -> Self {
        Self { partition: u32::from(id.partition.0) + 1, ..Self::before(id) }
    }
}

/// All events between two positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Where it begins.
    pub from: Position,
    /// Where it ends.
    pub to: Position,
}

impl Window {
    /// Everything.
    pub const ALL: Self = Self { from: Position::START, to: Position::END };

    /// Its part of one partition.
    pub fn range(&self, partition: Partition) -> Range {
        let id = |position: Position| EventId { partition, ms: position.ms, seq: position.seq };
        let is_after = |position: Position| u32::from(partition.0) >= position.partition;
        Range {
            from: if is_after(self.from) { Bound::Included(id(self.from)) } else { Bound::Excluded(id(self.from)) },
            to: if is_after(self.to) { Bound::Excluded(id(self.to)) } else { Bound::Included(id(self.to)) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_lies_between_two_events_whatever_their_partitions() {
        let id = |partition, ms, seq| EventId { partition: Partition(partition), ms, seq };
        // In order.
        let all = [id(0, 4, 9), id(0, 5, 0), id(1, 5, 0), id(2, 5, 0), id(0, 5, 1), id(2, 6, 0)];
        let within = |window: Window| -> Vec<EventId> {
            all.into_iter()
                .filter(|id| {
                    let Range { from, to } = window.range(id.partition);
                    std::ops::RangeBounds::contains(&(from, to), id)
                })
                .collect()
        };
        for (n, id) in all.into_iter().enumerate() {
            assert_eq!(within(Window { from: Position::after(id), ..Window::ALL }), all[n + 1..], "after {id}");
            assert_eq!(within(Window { from: Position::before(id), ..Window::ALL }), all[n..], "from {id}");
            assert_eq!(within(Window { to: Position::before(id), ..Window::ALL }), all[..n], "before {id}");
        }
        assert_eq!(within(Window::ALL), all);
    }
}
