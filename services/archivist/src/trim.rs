//! Retention: which events may be trimmed from the log, and what blocks that.
//!
//! Redis can trim a stream only at its beginning, so retention is per family. Trimming stops at a checkpoint of the notary, so that the remaining chain of hashes always has a known
//! start, also without an archive.

use hemostat_runtime::log::{Inspection, chain::Tip};
use hemostat_schema::{EventId, Family, Span, Timestamp};

use crate::chain_index::{ChainPosition, Checkpoints};

/// How long events stay on the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Age per family, in the order of [`Family::ALL`]; zero means for ever.
    pub keep: [Span; Family::ALL.len()],
    /// Maximum events per family; 0 means no maximum.
    pub max_events: u64,
    /// Whether events may be trimmed without an archive.
    pub discard: bool,
}

impl From<&hemostat_settings::Retention> for Retention {
    fn from(retention: &hemostat_settings::Retention) -> Self {
        Self {
            keep: Family::ALL.map(|family| match family {
                Family::Observation => retention.observations,
                Family::Diagnosis => retention.diagnoses,
                Family::Action => retention.actions,
                Family::Alert => retention.alerts,
                Family::Sample => retention.samples,
            }),
            max_events: retention.max_events.into(),
            discard: retention.discard,
        }
    }
}

impl Retention {
    /// The checkpoint up to which the family should be trimmed; `None` if nothing should be.
    pub fn target(
        &self,
        family: Family,
        checkpoints: &Checkpoints,
        tip: &Tip,
        now: Timestamp,
    ) -> Option<ChainPosition> {
        let keep = self.keep[family as usize];
        let old = |position: ChainPosition| {
            keep > Span::ZERO && position.last < EventId::at(position.last.partition, keep.before(now))
        };
        let by_age = checkpoints.last_where(old);
        let left = |position: ChainPosition| tip.link.count.saturating_sub(position.link.count);
        let too_many = self.max_events > 0 && tip.link.count > self.max_events;
        let by_size =
            if too_many { checkpoints.iter().find(|position| left(*position) <= self.max_events) } else { None };
        by_age.into_iter().chain(by_size).max_by_key(|position| position.last)
    }
}

/// What blocks trimming.
#[derive(Debug, Clone, PartialEq, Eq, strum::Display)]
pub enum Blocker {
    /// There is no archive, and events may not be discarded.
    #[strum(to_string = "there is no archive; set archive.url, or retention.discard = true to discard history")]
    NoArchive,
    /// The events are not sealed yet.
    #[strum(to_string = "the archive does not hold them yet; look for the archivist's errors in the log")]
    Unsealed,
    /// This consumer group has not processed the events.
    #[strum(
        to_string = "the consumer group {0} has not processed them; start its role, or run `hemostat fsck` if no role \
                     uses it any more"
    )]
    Group(String),
}

/// Events from this one on must not be trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrimLimit {
    /// The first event that must stay.
    pub before: EventId,
    /// What needs it.
    pub blocker: Blocker,
}

impl TrimLimit {
    /// The limit set by the last sealed event.
    pub fn sealed(last: EventId) -> Self {
        Self { before: successor(last), blocker: Blocker::Unsealed }
    }

    /// The limit set by the slowest consumer group of a family; `None` if no group reads it.
    pub fn processed(inspection: &Inspection, family: Family) -> Option<Self> {
        let groups = inspection.streams.get(&family).into_iter().flat_map(|stream| &stream.groups);
        let groups = groups.map(|group| {
            let pending = group.pending.first().copied();
            (pending.unwrap_or(EventId::end(group.delivered.partition)).min(successor(group.delivered)), &group.name)
        });
        let cursors = inspection.cursors.iter().filter(|(_, cursor)| cursor.families.contains(&family));
        let cursors = cursors.map(|(name, cursor)| (successor(cursor.at), name));
        let (before, name) = groups.chain(cursors).min()?;
        Some(Self { before, blocker: Blocker::Group(name.clone()) })
    }
}

/// What to trim of a family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Trim up to and including this checkpoint.
    pub up_to: Option<ChainPosition>,
    /// What prevents trimming up to the target.
    pub blocked_by: Option<Blocker>,
}

/// Trims up to the target or, if a limit comes first, up to the last checkpoint before it; nothing if that was trimmed
/// already.
pub fn plan(target: ChainPosition, checkpoints: &Checkpoints, trimmed: Option<EventId>, limits: &[TrimLimit]) -> Plan {
    let there = |position: &ChainPosition| trimmed.is_none_or(|trimmed| position.last > trimmed);
    if !there(&target) {
        return Plan::default();
    }
    let nearest = limits.iter().filter(|limit| limit.before <= target.last).min_by_key(|limit| limit.before);
    let Some(limit) = nearest else { return Plan { up_to: Some(target), blocked_by: None } };
    let up_to = checkpoints.last_where(|position| position.last < limit.before).filter(there);
    Plan { up_to, blocked_by: Some(limit.blocker.clone()) }
}

/// The smallest id after an event's.
pub fn successor(id: EventId) -> EventId {
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

    fn position(count: u64) -> ChainPosition {
        ChainPosition { link: Link { count, ..Link::default() }, last: id(count * 10) }
    }

    /// Checkpoints after 4, 8, 12 and 16 events, each at ten milliseconds per event.
    fn checkpoints() -> Checkpoints {
        let mut checkpoints = Checkpoints::default();
        [4, 8, 12, 16].map(position).into_iter().for_each(|position| checkpoints.insert(position));
        checkpoints
    }

    #[test]
    fn events_beyond_age_or_count_are_trimmed_up_to_a_checkpoint() {
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
            let retention =
                Retention { keep: [Span::from_millis(keep); Family::ALL.len()], max_events, discard: false };
            let now = Timestamp::from_millisecond(200).unwrap();
            let wanted = retention.target(Family::Action, &checkpoints(), &tip, now);
            assert_eq!(wanted, expected.map(position), "keep {keep} ms and {max_events} events");
        }
    }

    #[test]
    fn a_needed_event_blocks_trimming_and_the_plan_names_the_blocker() {
        let group = |name: &str| Blocker::Group(name.to_owned());
        let bound = |ms, blocker| TrimLimit { before: id(ms), blocker };
        let trim =
            |trimmed: Option<u64>, bounds: &[TrimLimit]| plan(position(12), &checkpoints(), trimmed.map(id), bounds);
        let planned = |count: Option<u64>, blocked_by| Plan { up_to: count.map(position), blocked_by };
        assert_eq!(trim(None, &[]), planned(Some(12), None));
        assert_eq!(trim(None, &[bound(121, group("g"))]), planned(Some(12), None));
        assert_eq!(trim(None, &[bound(120, group("g"))]), planned(Some(8), Some(group("g"))));
        assert_eq!(
            trim(None, &[bound(120, group("g")), TrimLimit::sealed(id(79))]),
            planned(Some(4), Some(Blocker::Unsealed))
        );
        assert_eq!(trim(Some(80), &[bound(90, group("g"))]), planned(None, Some(group("g"))));
        assert_eq!(trim(Some(120), &[bound(0, Blocker::NoArchive)]), Plan::default(), "it was trimmed already");
    }

    #[test]
    fn a_group_needs_its_undelivered_and_its_pending_events() {
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
            let expected =
                expected.map(|(before, name)| TrimLimit { before, blocker: Blocker::Group(name.to_owned()) });
            assert_eq!(TrimLimit::processed(&inspection, Family::Action), expected);
        };
        check(vec![], &[], None);
        check(vec![state("a", 50, &[]), state("b", 70, &[])], &[], Some((successor(id(50)), "a")));
        check(vec![state("a", 50, &[]), state("b", 70, &[20, 60])], &[], Some((id(20), "b")));
        check(vec![state("a", 50, &[])], &[("c", 30, Family::Action)], Some((successor(id(30)), "c")));
        check(vec![state("a", 50, &[])], &[("c", 30, Family::Alert)], Some((successor(id(50)), "a")));
        check(vec![state("a", 0, &[])], &[], Some((successor(id(0)), "a")));
    }
}
