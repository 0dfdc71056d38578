//! A priority queue of deadlines: each key is due at most once, the earliest first.
//!
//! The runtime asks it between any two batches of work, so every operation is logarithmic in the number of keys.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_schema::Timestamp;

/// The deadlines of some keys.
#[derive(Debug, Clone)]
pub struct Schedule<K> {
    by_key: BTreeMap<K, Timestamp>,
    by_time: BTreeSet<(Timestamp, K)>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Schedule<K> {
    /// Replaces the deadline of a key; none removes it.
    pub fn set(&mut self, key: &K, due: Option<Timestamp>) {
        if self.by_key.get(key).copied() == due {
            return;
        }
        let before = match due {
            Some(due) => {
                self.by_time.insert((due, key.clone()));
                self.by_key.insert(key.clone(), due)
            }
            None => self.by_key.remove(key),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, key.clone()));
        }
    }

    /// All deadlines, the earliest first.
    pub fn in_order(&self) -> impl Iterator<Item = (Timestamp, &K)> {
        self.by_time.iter().map(|(due, key)| (*due, key))
    }

    /// The deadlines up to `now`, the earliest first.
    pub fn due_by(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, &K)> {
        self.in_order().take_while(move |(due, _)| *due <= now)
    }
}

/// Rounds up to a whole millisecond: timers are stored to the millisecond and must never be due too early.
pub fn whole_millisecond(due: Timestamp) -> Timestamp {
    let floor = Timestamp::from_millisecond(due.as_millisecond()).unwrap_or(due);
    if floor < due { Timestamp::from_millisecond(due.as_millisecond() + 1).unwrap_or(floor) } else { floor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn the_earliest_comes_first_and_each_key_once() {
        let mut schedule = Schedule::default();
        for (key, due) in [("b", Some(5)), ("a", Some(3)), ("c", Some(4)), ("a", Some(9)), ("c", None), ("d", None)] {
            schedule.set(&key, due.map(at));
        }
        assert!(schedule.in_order().eq([(at(5), &"b"), (at(9), &"a")]));
        assert!(schedule.due_by(at(5)).eq([(at(5), &"b")]));
        assert!(schedule.due_by(at(4)).next().is_none());
        schedule.set(&"b", None);
        assert!(schedule.in_order().eq([(at(9), &"a")]));
        schedule.set(&"a", None);
        assert!(schedule.in_order().next().is_none());
    }

    #[test]
    fn a_timer_is_never_due_too_early() {
        let ms = |ms| Timestamp::from_millisecond(ms).unwrap();
        let due = Timestamp::from_nanosecond(1_500_000_000_000_000_001).unwrap();
        assert!(whole_millisecond(due) >= due);
        assert_eq!(whole_millisecond(ms(7)), ms(7));
        assert_eq!(whole_millisecond(Timestamp::from_nanosecond(7_000_001).unwrap()), ms(8));
    }
}
