//! What is to be sealed, and whether it is still what the notary saw.
//!
//! A segment ends where its family's oldest unsealed event has become old enough, or enough events have come together. It
//! never holds the newest part of the stream: what is younger than a lease's time to live may yet be lost in a failover
//! of Redis, and the archive must not know events that the log does not.

use hemostat_runtime::{
    Config,
    log::{
        RawEntry,
        chain::{Checkpoint, Difference, Link, Mark, Tip, first_difference},
    },
};
use hemostat_schema::{EventId, Family, Partition, Span, Timestamp};

use crate::ledger::{Checkpoints, Place};

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

/// Whether `entries`, which begin where the chain stood at `before`, are what the notary saw.
///
/// # Errors
/// Where they are not.
pub fn audit(
    partition: Partition,
    entries: &[RawEntry],
    before: Link,
    checkpoints: &Checkpoints,
    tip: &Tip,
) -> Result<(), Mismatch> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
    let within = |id: EventId| first.id <= id && id <= last.id;
    let mut link = before;
    let mut expected = checkpoints.iter().filter(|place| within(place.last)).peekable();
    for entry in entries {
        link = link.then(entry);
        if let Some(place) = expected.next_if(|place| place.last <= entry.id)
            && (place.last, place.link) != (entry.id, link)
        {
            return Err(Mismatch::Block(place.link.count));
        }
    }
    // Behind the last checkpoint only the marks of the open block say what there was.
    let open = |id: EventId| within(id) && checkpoints.at(tip.since.count).is_none_or(|since| id > since.last);
    let seen: Vec<Mark> = tip.marks.iter().filter(|mark| open(mark.id(partition))).copied().collect();
    let found: Vec<Mark> = entries.iter().filter(|entry| open(entry.id)).map(Mark::of).collect();
    first_difference(partition, &seen, &found).map_or(Ok(()), |difference| Err(Mismatch::Event(difference)))
}

/// The event in which `entries` differ from the block of a checkpoint, as far as the block lies in them.
pub fn differs(checkpoint: &Checkpoint, entries: &[RawEntry]) -> Option<Difference> {
    let partition = checkpoint.last.partition;
    let first = entries.first()?.id;
    let seen: Vec<Mark> = checkpoint.marks.iter().filter(|mark| mark.id(partition) >= first).copied().collect();
    let begin = checkpoint.first();
    let block = entries.iter().filter(|entry| begin <= entry.id && entry.id <= checkpoint.last);
    first_difference(partition, &seen, &block.map(Mark::of).collect::<Vec<_>>())
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
        let before = Link::default().then(&history[0]);
        let audit = |entries: &[RawEntry]| audit(P, entries, before, &checkpoints, &tip);
        for end in 2..=8 {
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
        for (entries, mismatch, difference) in [
            (changed(1), Mismatch::Block(3), Some(Difference::Changed(id(2)))),
            (changed(5), Mismatch::Block(6), Some(Difference::Changed(id(6)))),
            (removed(3), Mismatch::Block(6), Some(Difference::Missing(id(4)))),
            (removed(2), Mismatch::Block(3), Some(Difference::Missing(id(3)))),
            (changed(6), Mismatch::Event(Difference::Changed(id(7))), None),
            (removed(6), Mismatch::Event(Difference::Missing(id(7))), None),
        ] {
            assert_eq!(audit(&entries), Err(mismatch));
            if let Mismatch::Block(count) = mismatch {
                let block = closed.iter().find(|checkpoint| checkpoint.link.count == count).unwrap();
                assert_eq!(differs(block, &entries), difference);
            }
        }
    }
}
