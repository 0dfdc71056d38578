//! What may leave the log, and who stands in the way.
//!
//! A stream can only be cut at its beginning, so each family has one retention: samples stay as long as all other
//! observations. It is cut at a checkpoint of the notary, so that the chain of hashes of what stays always has a known
//! beginning, also where there is no archive.

use std::fmt;

use hemostat_runtime::log::{Inspection, chain::Tip};
use hemostat_schema::{EventId, Family, Span, Timestamp};
use hemostat_settings::Config;

use crate::ledger::{Checkpoints, Place};

/// How long events stay on the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// For each family, in the order of [`Family::ALL`]; zero is for ever.
    pub keep: [Span; Family::ALL.len()],
    /// At most so many events of a family; 0 is any number.
    pub max_events: u64,
    /// Whether events may go that no archive has.
    pub discard: bool,
}

impl From<&Config> for Retention {
    fn from(config: &Config) -> Self {
        let retention = &config.retention;
        Self {
            keep: Family::ALL.map(|family| match family {
                Family::Observation => retention.observations,
                Family::Diagnosis => retention.diagnoses,
                Family::Action => retention.actions,
                Family::Alert => retention.alerts,
            }),
            max_events: retention.max_events.into(),
            discard: retention.discard,
        }
    }
}

impl Retention {
    /// Up to which checkpoint the family should go; none where all of it should stay.
    pub fn wants(&self, family: Family, checkpoints: &Checkpoints, tip: &Tip, now: Timestamp) -> Option<Place> {
        let keep = self.keep[family as usize];
        let old = |place: Place| keep > Span::ZERO && place.last < EventId::at(place.last.partition, keep.before(now));
        let by_age = checkpoints.last_that(old);
        let left = |place: Place| tip.link.count.saturating_sub(place.link.count);
        let too_many = self.max_events > 0 && tip.link.count > self.max_events;
        let by_size = if too_many { checkpoints.iter().find(|place| left(*place) <= self.max_events) } else { None };
        by_age.into_iter().chain(by_size).max_by_key(|place| place.last)
    }
}

/// Who stands in the way of trimming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// There is no archive, and history may not be thrown away.
    NoArchive,
    /// It is not sealed yet.
    Unsealed,
    /// This group has not dealt with it.
    Group(String),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoArchive => f.write_str(
                "there is no archive to keep them: set archive.url, or retention.discard = true to throw history away",
            ),
            Self::Unsealed => f.write_str("they are not in the archive yet: look for what the archivist says about it"),
            Self::Group(group) => write!(
                f,
                "the group {group} has not dealt with them: start what does its work, or see `hemostat fsck` where it \
                 belongs to no role any more"
            ),
        }
    }
}

/// Nothing from this event on may be trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The event.
    pub before: EventId,
    /// Who needs it.
    pub holder: Holder,
}

impl Bound {
    /// By what is sealed.
    pub fn sealed(last: EventId) -> Self {
        Self { before: next(last), holder: Holder::Unsealed }
    }

    /// By what the groups that read a family have dealt with; none where there is no such group.
    pub fn dealt_with(inspection: &Inspection, family: Family) -> Option<Self> {
        let groups = inspection.streams.get(&family).into_iter().flat_map(|stream| &stream.groups);
        let groups = groups.map(|group| {
            let pending = group.pending.first().copied();
            (pending.unwrap_or(EventId::end(group.delivered.partition)).min(next(group.delivered)), &group.name)
        });
        let cursors = inspection.cursors.iter().filter(|(_, cursor)| cursor.families.contains(&family));
        let cursors = cursors.map(|(name, cursor)| (next(cursor.at), name));
        let (before, name) = groups.chain(cursors).min()?;
        Some(Self { before, holder: Holder::Group(name.clone()) })
    }
}

/// What becomes of a family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Trim up to and with this checkpoint.
    pub up_to: Option<Place>,
    /// More should go, and this one stands in the way.
    pub held_by: Option<Holder>,
}

/// What is to be trimmed of what should be: as far as the bounds allow, and only what is still there.
pub fn plan(wanted: Place, checkpoints: &Checkpoints, trimmed: Option<EventId>, bounds: &[Bound]) -> Plan {
    let there = |place: &Place| trimmed.is_none_or(|trimmed| place.last > trimmed);
    if !there(&wanted) {
        return Plan::default();
    }
    let nearest = bounds.iter().filter(|bound| bound.before <= wanted.last).min_by_key(|bound| bound.before);
    let Some(bound) = nearest else { return Plan { up_to: Some(wanted), held_by: None } };
    let up_to = checkpoints.last_that(|place| place.last < bound.before).filter(there);
    Plan { up_to, held_by: Some(bound.holder.clone()) }
}

/// The place after an event.
pub fn next(id: EventId) -> EventId {
    EventId { seq: id.seq.saturating_add(1), ..id }
}

#[cfg(test)]
mod tests {
    use hemostat_runtime::log::{Cursor, GroupState, StreamState, chain::Link};
    use hemostat_schema::Partition;

    use super::*;

    fn id(ms: u64) -> EventId {
        EventId { partition: Partition(0), ms, seq: 0 }
    }

    fn place(count: u64) -> Place {
        Place { link: Link { count, ..Link::default() }, last: id(count * 10) }
    }

    /// Checkpoints after 4, 8, 12 and 16 events, at ten times as many milliseconds.
    fn checkpoints() -> Checkpoints {
        let mut checkpoints = Checkpoints::default();
        [4, 8, 12, 16].map(place).into_iter().for_each(|place| checkpoints.insert(place));
        checkpoints
    }

    #[test]
    fn what_is_too_old_or_too_much_should_go_a_checkpoint_at_a_time() {
        let tip = Tip { link: Link { count: 18, ..Link::default() }, last: Some(id(180)), ..Tip::default() };
        for (keep, max_events, expected) in [
            (0, 0, None),
            (1000, 0, None),
            (200, 0, None),
            (121, 0, Some(4)),
            (120, 0, Some(4)),
            (119, 0, Some(8)),
            (1, 0, Some(16)),
            (0, 18, None),
            (0, 17, Some(4)),
            (0, 14, Some(4)),
            (0, 13, Some(8)),
            (0, 1, None),
            (119, 17, Some(8)),
            (121, 5, Some(16)),
        ] {
            let retention = Retention { keep: [Span::from_millis(keep); 4], max_events, discard: false };
            let now = Timestamp::from_millisecond(200).unwrap();
            let wanted = retention.wants(Family::Action, &checkpoints(), &tip, now);
            assert_eq!(wanted, expected.map(place), "keep {keep} ms and {max_events} events");
        }
    }

    #[test]
    fn nothing_goes_that_somebody_needs_and_who_that_is_is_said() {
        let group = |name: &str| Holder::Group(name.to_owned());
        let bound = |ms, holder| Bound { before: id(ms), holder };
        let trim = |trimmed: Option<u64>, bounds: &[Bound]| plan(place(12), &checkpoints(), trimmed.map(id), bounds);
        let planned = |count: Option<u64>, held_by| Plan { up_to: count.map(place), held_by };
        assert_eq!(trim(None, &[]), planned(Some(12), None));
        assert_eq!(trim(None, &[bound(121, group("g"))]), planned(Some(12), None));
        assert_eq!(trim(None, &[bound(120, group("g"))]), planned(Some(8), Some(group("g"))));
        assert_eq!(
            trim(None, &[bound(120, group("g")), Bound::sealed(id(79))]),
            planned(Some(4), Some(Holder::Unsealed))
        );
        assert_eq!(trim(Some(80), &[bound(90, group("g"))]), planned(None, Some(group("g"))));
        assert_eq!(trim(Some(120), &[bound(0, Holder::NoArchive)]), Plan::default(), "it is gone already");
    }

    #[test]
    fn a_group_needs_what_it_has_not_been_given_and_what_it_has_not_acknowledged() {
        let state = |name: &str, delivered, pending: &[u64]| GroupState {
            name: name.to_owned(),
            delivered: id(delivered),
            pending: pending.iter().copied().map(id).collect(),
        };
        let check = |groups: Vec<GroupState>, cursors: &[(&str, u64, Family)], expected: Option<(EventId, &str)>| {
            let stream = StreamState { length: 1, first: None, last: None, groups };
            let inspection = Inspection {
                streams: [(Family::Action, stream)].into(),
                cursors: cursors
                    .iter()
                    .map(|(name, at, family)| ((*name).to_owned(), Cursor { at: id(*at), families: vec![*family] }))
                    .collect(),
                ..Inspection::default()
            };
            let expected = expected.map(|(before, name)| Bound { before, holder: Holder::Group(name.to_owned()) });
            assert_eq!(Bound::dealt_with(&inspection, Family::Action), expected);
        };
        check(vec![], &[], None);
        check(vec![state("a", 50, &[]), state("b", 70, &[])], &[], Some((next(id(50)), "a")));
        check(vec![state("a", 50, &[]), state("b", 70, &[20, 60])], &[], Some((id(20), "b")));
        check(vec![state("a", 50, &[])], &[("c", 30, Family::Action)], Some((next(id(30)), "c")));
        check(vec![state("a", 50, &[])], &[("c", 30, Family::Alert)], Some((next(id(50)), "a")));
        check(vec![state("a", 0, &[])], &[], Some((next(id(0)), "a")));
    }
}
