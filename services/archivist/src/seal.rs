//! When a segment is due, which events it may hold, and the audit of these events against the notary's chain.
//!
//! A segment is due when its oldest event reaches an age, or when enough events are unsealed. It never holds events
//! younger than the lease's time to live: a Redis failover may still lose those, and the archive must not hold events
//! that the log does not.

use std::iter::Peekable;

use hemostat_runtime::log::{
    RawEntry,
    chain::{Checkpoint, Difference, Link, Mark, Tip, first_difference},
};
use hemostat_schema::{EventId, Family, Partition, Span, Timestamp};
use hemostat_settings::Archive;

use crate::chain_index::{ChainPosition, CheckpointIter, Checkpoints};

/// When a segment is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealPolicy {
    /// Maximum events per segment; as many unsealed events make it due.
    pub events: usize,
    /// Age of the oldest unsealed event that makes a segment due.
    pub age: Span,
}

impl From<&Archive> for SealPolicy {
    fn from(archive: &Archive) -> Self {
        let events = usize::try_from(archive.segment_events).unwrap_or(usize::MAX);
        Self { events, age: archive.segment_age }
    }
}

impl SealPolicy {
    /// Whether `count` unsealed events, the oldest of which is `first`, are due.
    pub fn is_due(&self, first: EventId, count: usize, now: Timestamp) -> bool {
        count >= self.events || first.ms <= EventId::at(first.partition, self.age.before(now)).ms
    }
}

/// The last event that may be sealed: hashed by the notary and older than `min_age`.
pub fn seal_limit(tip: &Tip, partition: Partition, min_age: Span, now: Timestamp) -> Option<EventId> {
    let old_enough = EventId { seq: u64::MAX, ..EventId::at(partition, min_age.before(now)) };
    tip.last.map(|last| last.min(old_enough))
}

/// The chain's position before the first segment. A log that was trimmed without an archive begins at a checkpoint;
/// `None` while that checkpoint is not indexed.
pub fn first_segment_start(
    partition: Partition,
    trimmed: Option<EventId>,
    checkpoints: &Checkpoints,
) -> Option<ChainPosition> {
    match trimmed {
        None => Some(ChainPosition { link: Link::default(), last: EventId::start(partition) }),
        Some(trimmed) => checkpoints.iter().find(|position| position.last >= trimmed),
    }
}

/// A difference from what the notary recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// In this event.
    Event(Difference),
    /// Somewhere in the block that ends with the checkpoint after this number of events.
    Block(u64),
}

/// Compares events, in order, with what the notary recorded.
#[derive(Debug)]
pub struct Audit<'a> {
    partition: Partition,
    tip: &'a Tip,
    begin: ChainPosition,
    /// The chain after the last audited event.
    current: ChainPosition,
    expected: Peekable<CheckpointIter<'a>>,
    /// The last event of the last checkpoint. Later events are compared by the marks of the open block.
    closed: EventId,
    open: Vec<Mark>,
}

impl<'a> Audit<'a> {
    /// An audit of the events after `begin`.
    pub fn new(partition: Partition, begin: ChainPosition, checkpoints: &'a Checkpoints, tip: &'a Tip) -> Self {
        let mut expected = checkpoints.iter().peekable();
        while expected.next_if(|position| position.last <= begin.last).is_some() {}
        let closed = checkpoints.at(tip.since.count).map_or(begin.last, |since| since.last);
        Self { partition, tip, begin, current: begin, expected, closed, open: vec![] }
    }

    /// Audits the next event.
    ///
    /// # Errors
    /// When the block that ends with it was altered.
    pub fn add(&mut self, entry: &RawEntry) -> Result<(), Mismatch> {
        self.current = ChainPosition { link: self.current.link.then(entry), last: entry.id };
        if entry.id > self.closed {
            self.open.push(Mark::of(entry));
        }
        match self.expected.next_if(|position| position.last <= entry.id) {
            Some(position) if position != self.current => Err(Mismatch::Block(position.link.count)),
            _ => Ok(()),
        }
    }

    /// Audits the events of the open block.
    ///
    /// # Errors
    /// When one of them was altered.
    pub fn finish(self) -> Result<(), Mismatch> {
        let after = self.closed.max(self.begin.last);
        let within = |id: EventId| after < id && id <= self.current.last;
        let seen: Vec<Mark> = self.tip.marks.iter().filter(|mark| within(mark.id(self.partition))).copied().collect();
        first_difference(self.partition, &seen, &self.open)
            .map_or(Ok(()), |difference| Err(Mismatch::Event(difference)))
    }
}

/// The first event after `after` in which `entries`, the current block of a checkpoint, differ from its marks.
pub fn first_difference_in_block(checkpoint: &Checkpoint, after: EventId, entries: &[RawEntry]) -> Option<Difference> {
    let partition = checkpoint.last.partition;
    let seen: Vec<Mark> = checkpoint.marks.iter().filter(|mark| mark.id(partition) > after).copied().collect();
    first_difference(partition, &seen, &entries.iter().map(Mark::of).collect::<Vec<_>>())
}

/// The log line for an altered family, which is neither sealed nor trimmed until an operator has intervened.
pub fn tampering_message(family: Family, difference: Option<Difference>) -> String {
    let what = match difference {
        Some(difference) => difference.to_string(),
        None => "its chain of hashes does not match".to_owned(),
    };
    format!(
        "the {} differ from what the notary recorded ({what}); they are neither archived nor trimmed: run `hemostat verify`",
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
    fn a_segment_is_due_by_count_or_by_age() {
        let when = SealPolicy { events: 3, age: Span::from_millis(100) };
        for (first, count, now, due) in
            [(50, 2, 100, false), (50, 3, 100, true), (50, 1, 149, false), (50, 1, 150, true), (50, 1, 20, false)]
        {
            assert_eq!(when.is_due(id(first), count, at(now)), due, "{count} events from {first} on at {now}");
        }
    }

    #[test]
    fn events_that_the_notary_has_not_hashed_or_that_are_too_young_are_not_sealed() {
        let passed = |ms| Tip { last: Some(id(ms)), ..Tip::default() };
        let seal_limit = |tip: &Tip, now| seal_limit(tip, P, Span::from_millis(10), at(now));
        assert_eq!(seal_limit(&Tip::default(), 1000), None);
        assert_eq!(seal_limit(&passed(500), 1000), Some(id(500)));
        assert_eq!(seal_limit(&passed(995), 1000), Some(EventId { seq: u64::MAX, ..id(990) }));
    }

    #[test]
    fn the_first_segment_of_a_trimmed_log_begins_at_a_checkpoint() {
        let mut checkpoints = Checkpoints::default();
        let position = |count, ms| ChainPosition { link: Link { count, ..Link::default() }, last: id(ms) };
        assert_eq!(first_segment_start(P, None, &checkpoints), Some(position(0, 0)));
        assert_eq!(first_segment_start(P, Some(id(10)), &checkpoints), None);
        checkpoints.insert(position(4, 10));
        checkpoints.insert(position(8, 20));
        for (trimmed, expected) in [(10, Some(position(4, 10))), (15, Some(position(8, 20))), (21, None)] {
            assert_eq!(first_segment_start(P, Some(id(trimmed)), &checkpoints), expected, "{trimmed}");
        }
    }

    #[test]
    fn every_alteration_after_notarisation_is_named() {
        // Two closed blocks of three and an open block of two; the segment begins within the first block.
        let history: Vec<RawEntry> = (1..=8).map(|ms| entry(ms, "e")).collect();
        let mut tip = Tip::default();
        let closed: Vec<Checkpoint> = history.iter().filter_map(|entry| tip.fold(entry, 3)).collect();
        let mut checkpoints = Checkpoints::default();
        for Checkpoint { link, last, .. } in &closed {
            checkpoints.insert(ChainPosition { link: *link, last: *last });
        }
        let begin = ChainPosition { link: Link::default().then(&history[0]), last: id(1) };
        let audit = |entries: &[RawEntry]| {
            let mut audit = Audit::new(P, begin, &checkpoints, &tip);
            entries.iter().try_for_each(|entry| audit.add(entry))?;
            audit.finish()
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
            // An event between two blocks belongs to the second.
            (added(2), Mismatch::Block(6), Some(Difference::Added(between(3)))),
            (changed(6), Mismatch::Event(Difference::Changed(id(7))), None),
            (removed(6), Mismatch::Event(Difference::Missing(id(7))), None),
            (added(6), Mismatch::Event(Difference::Added(between(7))), None),
        ] {
            assert_eq!(audit(&entries), Err(mismatch));
            if let Mismatch::Block(count) = mismatch {
                let position = closed.iter().position(|checkpoint| checkpoint.link.count == count).unwrap();
                let since = position.checked_sub(1).map_or(begin.last, |before| closed[before].last);
                let block: Vec<RawEntry> = entries
                    .iter()
                    .filter(|entry| since < entry.id && entry.id <= closed[position].last)
                    .cloned()
                    .collect();
                assert_eq!(first_difference_in_block(&closed[position], since, &block), difference);
            }
        }
    }
}
