//! LRU cache of decoded segments, for readers that page through history.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use hemostat_log::RawEntry;
use hemostat_schema::{EventId, Family};

/// Maximum number of cached events (about 70 MB). The segment used last stays, even if it is larger.
const MAX_EVENTS: usize = 100_000;

/// The events of one segment.
pub(crate) type SegmentEvents = Arc<[RawEntry]>;

/// Segments by family and first event, most recently used first.
#[derive(Debug, Default)]
pub(crate) struct SegmentCache(Mutex<VecDeque<(Family, EventId, SegmentEvents)>>);

impl SegmentCache {
    pub fn get(&self, family: Family, first: EventId) -> Option<SegmentEvents> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(of, at, _)| (*of, *at) == (family, first))?;
        let segment = kept.remove(found)?;
        let events = segment.2.clone();
        kept.push_front(segment);
        Some(events)
    }

    pub fn put(&self, family: Family, first: EventId, events: SegmentEvents) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(of, at, _)| (*of, *at) != (family, first));
        kept.push_front((family, first, events));
        let mut count = 0;
        let mut fits = |events: &SegmentEvents| {
            count += events.len();
            count <= MAX_EVENTS
        };
        let fitting = kept.iter().take_while(|(_, _, events)| fits(events)).count();
        kept.truncate(fitting.max(1));
    }
}

#[cfg(test)]
mod tests {
    use hemostat_schema::Partition;

    use super::*;

    #[test]
    fn the_least_recently_used_segment_is_evicted_and_the_last_used_always_stays() {
        let id = |ms| EventId { partition: Partition(0), ms, seq: 0 };
        let events = |count| -> SegmentEvents {
            vec![RawEntry { id: id(0), family: Family::Alert, fields: vec![] }; count].into()
        };
        let cache = SegmentCache::default();
        let kept = |ids: [u64; 3]| ids.map(|ms| cache.get(Family::Alert, id(ms)).is_some());
        cache.put(Family::Alert, id(1), events(MAX_EVENTS / 2));
        cache.put(Family::Alert, id(2), events(MAX_EVENTS / 2));
        assert!(cache.get(Family::Alert, id(1)).is_some());
        assert!(cache.get(Family::Action, id(1)).is_none(), "it belongs to another family");
        cache.put(Family::Alert, id(3), events(1));
        assert_eq!(kept([1, 2, 3]), [true, false, true]);
        cache.put(Family::Alert, id(2), events(MAX_EVENTS + 1));
        assert_eq!(kept([1, 2, 3]), [false, true, false]);
    }
}
