//! Time windows over all partitions.
//!
//! Ids order the events of one partition. Across partitions, events are ordered by time, then sequence number, then
//! partition. So every event id is a position in the whole history, and a page can continue after any event.

use std::ops::{Bound, RangeBounds as _};

use hemostat_log::Range;
use hemostat_schema::{EventId, Partition, Span, Timestamp};

/// A position between two events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    ms: u64,
    seq: u64,
    /// One more than the partition of an event is the position after it.
    partition: u32,
}

impl Position {
    /// Before all events.
    pub const START: Self = Self { ms: 0, seq: 0, partition: 0 };
    /// After all events.
    pub const END: Self = Self { ms: u64::MAX, seq: u64::MAX, partition: u32::MAX };

    /// Before the first event at `at` or later, by the log's clock.
    pub fn at(at: Timestamp) -> Self {
        let EventId { ms, .. } = EventId::at(Partition(0), at);
        Self { ms, ..Self::START }
    }

    /// After the last event at `at` or earlier, by the log's clock, whose resolution is a millisecond.
    pub fn by(at: Timestamp) -> Self {
        let Self { ms, .. } = Self::at(at);
        Self { ms: ms.saturating_add(1), ..Self::START }
    }

    /// Before this event.
    pub fn before(id: EventId) -> Self {
        Self { ms: id.ms, seq: id.seq, partition: u32::from(id.partition.0) }
    }

    /// After this event.
    pub fn after(id: EventId) -> Self {
        Self { partition: u32::from(id.partition.0) + 1, ..Self::before(id) }
    }

    /// The last id that `partition` can have before this position.
    pub fn last_before(self, partition: Partition) -> EventId {
        let Self { ms, seq, partition: end } = self;
        if u32::from(partition.0) < end {
            return EventId { partition, ms, seq };
        }
        match seq.checked_sub(1) {
            Some(seq) => EventId { partition, ms, seq },
            None if ms > 0 => EventId { partition, ms: ms - 1, seq: u64::MAX },
            None => EventId::start(partition),
        }
    }
}

/// A point in time or in the log, as users write it: `2026-01-01T08:00:00Z`, `2h` (ago) or an event id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// An instant by the log's clock.
    Instant(Timestamp),
    /// An event.
    Event(EventId),
}

/// A text that is no [`Point`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an instant (2026-01-01T08:00:00Z), an age (30m, 2h, 3d) or an event id (0.1732391234567-3)")]
pub struct InvalidPoint(String);

impl Point {
    /// Parses `text`; an age counts back from `now`.
    ///
    /// # Errors
    /// When it has none of these forms.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, InvalidPoint> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Event(id));
        }
        if let Ok(at) = text.parse() {
            return Ok(Self::Instant(at));
        }
        match text.parse::<Span>() {
            Ok(age) => Ok(Self::Instant(age.before(now))),
            Err(_) => Err(InvalidPoint(text.chars().take(120).collect())),
        }
    }

    /// The start of a window that includes this point.
    pub fn first(self) -> Position {
        match self {
            Self::Instant(at) => Position::at(at),
            Self::Event(id) => Position::before(id),
        }
    }

    /// The end of a window that includes this point.
    pub fn last(self) -> Position {
        match self {
            Self::Instant(at) => Position::by(at),
            Self::Event(id) => Position::after(id),
        }
    }
}

/// The events between two positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Start.
    pub from: Position,
    /// End.
    pub to: Position,
}

impl Window {
    /// All events.
    pub const ALL: Self = Self { from: Position::START, to: Position::END };

    /// All events before a position.
    pub const fn until(to: Position) -> Self {
        Self { to, ..Self::ALL }
    }

    /// The same window without the events before `id`.
    #[must_use]
    pub fn starting_with(self, id: EventId) -> Self {
        Self { from: self.from.max(Position::before(id)), ..self }
    }

    /// Whether it includes the event.
    pub fn contains(&self, id: EventId) -> bool {
        let Range { from, to } = self.range(id.partition);
        (from, to).contains(&id)
    }

    /// Its range of ids in one partition.
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
    fn a_position_lies_between_two_events_of_any_partitions() {
        let id = |partition, ms, seq| EventId { partition: Partition(partition), ms, seq };
        // In order.
        let all = [id(0, 4, 9), id(0, 5, 0), id(1, 5, 0), id(2, 5, 0), id(0, 5, 1), id(2, 6, 0)];
        let within = |window: Window| -> Vec<EventId> { all.into_iter().filter(|id| window.contains(*id)).collect() };
        for (n, id) in all.into_iter().enumerate() {
            assert_eq!(within(Window { from: Position::after(id), ..Window::ALL }), all[n + 1..], "after {id}");
            assert_eq!(within(Window { from: Position::before(id), ..Window::ALL }), all[n..], "from {id}");
            assert_eq!(within(Window { to: Position::before(id), ..Window::ALL }), all[..n], "before {id}");
        }
        assert_eq!(within(Window::ALL), all);
    }

    #[test]
    fn a_point_is_an_instant_an_age_or_an_event() {
        let instant = |text: &str| Point::Instant(text.parse().unwrap());
        let now = "2026-01-10T12:00:00Z".parse().unwrap();
        for (text, meant) in [
            ("2026-01-01T08:00:00Z", Ok(instant("2026-01-01T08:00:00Z"))),
            ("2026-01-01T08:00:00+02:00", Ok(instant("2026-01-01T06:00:00Z"))),
            ("2h", Ok(instant("2026-01-10T10:00:00Z"))),
            ("1h30m", Ok(instant("2026-01-10T10:30:00Z"))),
            ("3d", Ok(instant("2026-01-07T12:00:00Z"))),
            ("2.17-3", Ok(Point::Event(EventId { partition: Partition(2), ms: 17, seq: 3 }))),
            ("-2h", Err(InvalidPoint("-2h".into()))),
            ("yesterday", Err(InvalidPoint("yesterday".into()))),
            ("", Err(InvalidPoint(String::new()))),
        ] {
            assert_eq!(Point::parse(text, now), meant, "{text}");
        }
    }

    #[test]
    fn a_window_includes_the_points_at_both_ends() {
        let id = |ms, seq| EventId { partition: Partition(0), ms, seq };
        let instant = |ms| Point::Instant(Timestamp::from_millisecond(ms).unwrap());
        let window = |from: Point, to: Point| Window { from: from.first(), to: to.last() };
        for (window, inside, outside) in [
            (window(instant(5), instant(7)), vec![id(5, 0), id(7, 9)], vec![id(4, 9), id(8, 0)]),
            (
                window(Point::Event(id(5, 1)), Point::Event(id(5, 2))),
                vec![id(5, 1), id(5, 2)],
                vec![id(5, 0), id(5, 3)],
            ),
        ] {
            assert!(inside.iter().all(|id| window.contains(*id)), "{window:?}");
            assert!(!outside.iter().any(|id| window.contains(*id)), "{window:?}");
        }
    }
}
