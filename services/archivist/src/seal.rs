//! What is to be sealed, and whether it is still what the notary saw.
//!
//! A segment ends where its family's oldest unsealed event has become old enough, or enough events have come together. It
//! never holds the newest part of the stream: what is younger than a lease's time to live may yet be lost in a failover
//! of Redis, and the archive must not know events that the log does not.

use std::iter::Peekable;

use hemostat_runtime::log::{
    RawEntry,
    chain::{Checkpoint, Difference, Link, Mark, Tip, first_difference},
};
use hemostat_schema::{EventId, Family, Partition, Span, Timestamp};
use hemostat_settings::Config;

use crate::ledger::{Checkpoints, Iter, Place};

/// When a segment is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// When there are so many events ...
    pub events: usize,
    /// ... or when the first one is so old.
    pub age: Span,
}

impl From<&Config> for When {
    fn from(config: &Config) -> Self {
        let events = usize::try_from(config.archive.segment_events).unwrap_or(usize::MAX);
        Self { events, age: config.archive.segment_age }
    }
}

impl When {
    /// Whether so many events, of which this is the first, are a segment.
    pub fn is_due(&self, first: EventId, count: usize, now: Timestamp) -> bool {
        count >= self.events || first.ms <= EventId::at(first.partition, self.age.before(now)).ms
    }
}

/// The last event that may be sealed: one that the notary has passed and that is old enough to stay.
pub fn limit(tip: &Tip, partition: Partition, doubt: Span, now: Timestamp) -> Option<EventId> {
    let certain = EventId { seq: u64::MAX, ..EventId::at(partition, doubt.before(now)) };
    tip.last.map(|last| last.min(certain))
}

/// Where the first segment begins: behind which event, and where the chain stood there. A log that was trimmed before it
/// had an archive begins at a checkpoint. None while that is not known.
pub fn beginning(partition: Partition, trimmed: Option<EventId>, checkpoints: &Checkpoints) -> Option<Place> {
    match trimmed {
        None => Some(Place { link: Link::default(), last: EventId::start(partition) }),
        Some(trimmed) => checkpoints.iter().find(|place| place.last >= trimmed),
    }
}

/// What was found instead of what the notary saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// This event.
    Event(Difference),
    /// Something in the block that ends with the checkpoint after so many events.
    Block(u64),
}

/// Whether events, one after the other, are what the notary saw.
#[derive(Debug)]
pub struct Audit<'a> {
    partition: Partition,
    tip: &'a Tip,
    begin: Place,
    /// Where the chain stands behind the last event that was taken.
    now: Place,
    expected: Peekable<Iter<'a>>,
    /// The last checkpoint: behind it only the marks of the open block say what there was.
    closed: EventId,
    open: Vec<Mark>,
}

impl<'a> Audit<'a> {
    /// Of the events that came after `begin`.
    pub fn new(partition: Partition, begin: Place, checkpoints: &'a Checkpoints, tip: &'a Tip) -> Self {
        let mut expected = checkpoints.iter().peekable();
        while expected.next_if(|place| place.last <= begin.last).is_some() {}
        let closed = checkpoints.at(tip.since.count).map_or(begin.last, |since| since.last);
        Self { partition, tip, begin, now: begin, expected, closed, open: vec![] }
    }

    /// The event that comes next.
    ///
    /// # Errors
    /// Where the block that ends with it is not what it was.
    pub fn take(&mut self, entry: &RawEntry) -> Result<(), Mismatch> {
        self.now = Place { link: self.now.link.then(entry), last: entry.id };
        if entry.id > self.closed {
            self.open.push(Mark::of(entry));
        }
        match self.expected.next_if(|place| place.last <= entry.id) {
            Some(place) if place != self.now => Err(Mismatch::Block(place.link.count)),
            _ => Ok(()),
        }
    }

    /// No more come.
    ///
    /// # Errors
    /// Where those of the open block are not what they were.
    pub fn end(self) -> Result<(), Mismatch> {
        let after = self.closed.max(self.begin.last);
        let within = |id: EventId| after < id && id <= self.now.last;
        let seen: Vec<Mark> = self.tip.marks.iter().filter(|mark| within(mark.id(self.partition))).copied().collect();
        first_difference(self.partition, &seen, &self.open)
            .map_or(Ok(()), |difference| Err(Mismatch::Event(difference)))
    }
}

/// The event in which `entries`, the block of a checkpoint as it is now, differ from what it was; as far as both came
/// after this event.
pub fn differs(checkpoint: &Checkpoint, after: EventId, entries: &[RawEntry]) -> Option<Difference> {
    let partition = checkpoint.last.partition;
    let seen: Vec<Mark> = checkpoint.marks.iter().filter(|mark| mark.id(partition) > after).copied().collect();
    first_difference(partition, &seen, &entries.iter().map(Mark::of).collect::<Vec<_>>())
}

/// What a person is told when they are not the same; the family is held until somebody has looked.
pub fn alarm(family: Family, difference: Option<Difference>) -> String {
    let what = match difference {
        Some(difference) => difference.to_string(),
        None => "its chain of hashes does not come out".to_owned(),
    };
    format!(
        "the {} are not what the notary saw ({what}); they are neither archived nor trimmed: run `hemostat verify`",
        family.stream()
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const P: Partition = Partition(0);

    fn id(ms: u64) -> EventId {
        EventId { partition: P, ms, seq: 0 }
    }

    fn entry(ms: u64, text: &'static str) -> RawEntry {
        let fields = vec![(Bytes::from_static(b"e"), Bytes::from_static(text.as_bytes()))];
        RawEntry { id: id(ms), family: Family::Action, fields }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn a_segment_is_due_by_number_or_by_age() {
        let when = When { events: 3, age: Span::from_millis(100) };
        for (first, count, now, due) in
            [(50, 2, 100, false), (50, 3, 100, true), (50, 1, 149, false), (50, 1, 150, true), (50, 1, 20, false)]
        {
            assert_eq!(when.is_due(id(first), count, at(now)), due, "{count} events from {first} on at {now}");
        }
    }

    #[test]
    fn nothing_is_sealed_that_the_notary_has_not_passed_or_that_is_in_doubt() {
        let passed = |ms| Tip { last: Some(id(ms)), ..Tip::default() };
        let limit = |tip: &Tip, now| limit(tip, P, Span::from_millis(10), at(now));
        assert_eq!(limit(&Tip::default(), 1000), None);
        assert_eq!(limit(&passed(500), 1000), Some(id(500)));
        assert_eq!(limit(&passed(995), 1000), Some(EventId { seq: u64::MAX, ..id(990) }));
    }

    #[test]
    fn a_log_that_was_trimmed_before_begins_at_a_checkpoint() {
        let mut checkpoints = Checkpoints::default();
        let place = |count, ms| Place { link: Link { count, ..Link::default() }, last: id(ms) };
        assert_eq!(beginning(P, None, &checkpoints), Some(place(0, 0)));
        assert_eq!(beginning(P, Some(id(10)), &checkpoints), None);
        checkpoints.insert(place(4, 10));
        checkpoints.insert(place(8, 20));
        for (trimmed, expected) in [(10, Some(place(4, 10))), (15, Some(place(8, 20))), (21, None)] {
            assert_eq!(beginning(P, Some(id(trimmed)), &checkpoints), expected, "{trimmed}");
        }
    }

    #[test]
    fn what_was_changed_since_the_notary_saw_it_is_named_wherever_it_stands() {
        // Two blocks of three, and two in the open one; the segment begins in the middle of the first block.
        let history: Vec<RawEntry> = (1..=8).map(|ms| entry(ms, "e")).collect();
        let mut tip = Tip::default();
        let closed: Vec<Checkpoint> = history.iter().filter_map(|entry| tip.fold(entry, 3)).collect();
        let mut checkpoints = Checkpoints::default();
        for Checkpoint { link, last, .. } in &closed {
            checkpoints.insert(Place { link: *link, last: *last });
        }
        let begin = Place { link: Link::default().then(&history[0]), last: id(1) };
        let audit = |entries: &[RawEntry]| {
            let mut audit = Audit::new(P, begin, &checkpoints, &tip);
            entries.iter().try_for_each(|entry| audit.take(entry))?;
            audit.end()
        };
        for end in 1..=8 {
            assert_eq!(audit(&history[1..end]), Ok(()), "up to {end}");
        }
        let changed = |index: usize| {
            let mut entries = history[1..].to_vec();
            entries[index - 1] = entry(entries[index - 1].id.ms, "x");
            entries
        };
        let removed = |index: usize| {
            let mut entries = history[1..].to_vec();
            entries.remove(index - 1);
            entries
        };
        let added = |index: usize| {
            let mut entries = history[1..].to_vec();
            let id = EventId { seq: 1, ..entries[index - 1].id };
            entries.insert(index, RawEntry { id, ..entry(0, "x") });
            entries
        };
        let between = |ms| EventId { seq: 1, ..id(ms) };
        for (entries, mismatch, difference) in [
            (changed(1), Mismatch::Block(3), Some(Difference::Changed(id(2)))),
            (changed(5), Mismatch::Block(6), Some(Difference::Changed(id(6)))),
            (removed(1), Mismatch::Block(3), Some(Difference::Missing(id(2)))),
            (removed(2), Mismatch::Block(3), Some(Difference::Missing(id(3)))),
            (removed(3), Mismatch::Block(6), Some(Difference::Missing(id(4)))),
            (added(1), Mismatch::Block(3), Some(Difference::Added(between(2)))),
            // Between two blocks: it counts as of the second.
            (added(2), Mismatch::Block(6), Some(Difference::Added(between(3)))),
            (changed(6), Mismatch::Event(Difference::Changed(id(7))), None),
            (removed(6), Mismatch::Event(Difference::Missing(id(7))), None),
            (added(6), Mismatch::Event(Difference::Added(between(7))), None),
        ] {
            assert_eq!(audit(&entries), Err(mismatch));
            if let Mismatch::Block(count) = mismatch {
                let place = closed.iter().position(|checkpoint| checkpoint.link.count == count).unwrap();
                let since = place.checked_sub(1).map_or(begin.last, |before| closed[before].last);
                let block: Vec<RawEntry> = entries
                    .iter()
                    .filter(|entry| since < entry.id && entry.id <= closed[place].last)
                    .cloned()
                    .collect();
                assert_eq!(differs(&closed[place], since, &block), difference);
            }
        }
    }
}
