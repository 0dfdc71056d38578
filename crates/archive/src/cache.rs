//! Segments that were read lately, so that whoever pages through history does not read each of them anew.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use hemostat_log::RawEntry;
use hemostat_schema::{EventId, Family};

/// So many events are kept, about 70 MB of them; always the last segment, however large it is.
const MOST: usize = 100_000;

/// The events of one segment.
pub(crate) type Events = Arc<[RawEntry]>;

/// Segments by family and first event, the one that was used last in front.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<VecDeque<(Family, EventId, Events)>>);

impl Cache {
    pub fn get(&self, family: Family, first: EventId) -> Option<Events> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(of, at, _)| (*of, *at) == (family, first))?;
        let segment = kept.remove(found)?;
        let events = segment.2.clone();
        kept.push_front(segment);
        Some(events)
    }

    pub fn put(&self, family: Family, first: EventId, events: Events) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(of, at, _)| (*of, *at) != (family, first));
        kept.push_front((family, first, events));
        let mut count = 0;
        let mut fits = |events: &Events| {
            count += events.len();
            count <= MOST
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
    fn what_was_not_used_for_longest_goes_first_and_the_last_one_always_stays() {
        let id = |ms| EventId { partition: Partition(0), ms, seq: 0 };
        let events =
            |count| -> Events { vec![RawEntry { id: id(0), family: Family::Alert, fields: vec![] }; count].into() };
        let cache = Cache::default();
        let kept = |ids: [u64; 3]| ids.map(|ms| cache.get(Family::Alert, id(ms)).is_some());
        cache.put(Family::Alert, id(1), events(MOST / 2));
        cache.put(Family::Alert, id(2), events(MOST / 2));
        assert!(cache.get(Family::Alert, id(1)).is_some());
        assert!(cache.get(Family::Action, id(1)).is_none(), "it is another family's");
        cache.put(Family::Alert, id(3), events(1));
        assert_eq!(kept([1, 2, 3]), [true, false, true]);
        cache.put(Family::Alert, id(2), events(MOST + 1));
        assert_eq!(kept([1, 2, 3]), [false, true, false]);
    }
}
