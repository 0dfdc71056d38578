//! What is due when: each key at most once, the earliest first.
//!
//! Asked between any two batches of work, so it must not take longer with ten thousand keys than with ten.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_schema::Timestamp;

/// When each of some keys is due, if at all.
#[derive(Debug, Clone)]
pub struct Schedule<K> {
    of: BTreeMap<K, Timestamp>,
    order: BTreeSet<(Timestamp, K)>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { of: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Schedule<K> {
    /// It is due then, and not when it was to be until now; none: not at all.
    pub fn set(&mut self, key: &K, due: Option<Timestamp>) {
        if self.of.get(key).copied() == due {
            return;
        }
        let before = match due {
            Some(due) => {
                self.order.insert((due, key.clone()));
                self.of.insert(key.clone(), due)
            }
            None => self.of.remove(key),
        };
        if let Some(before) = before {
            self.order.remove(&(before, key.clone()));
        }
    }

    /// All of them, the first that is due first.
    pub fn in_order(&self) -> impl Iterator<Item = (Timestamp, &K)> {
        self.order.iter().map(|(due, key)| (*due, key))
    }

    /// Those that are due by `now`, the first that is due first.
    pub fn due_by(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, &K)> {
        self.in_order().take_while(move |(due, _)| *due <= now)
    }
}

/// The first whole millisecond that is not before `due`: timers are kept to the millisecond and never ring too early.
pub fn whole_millisecond(due: Timestamp) -> Timestamp {
    let floor = Timestamp::from_millisecond(due.as_millisecond()).unwrap_or(due);
    if floor < due { Timestamp::from_millisecond(due.as_millisecond() + 1).unwrap_or(floor) } else { floor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn the_first_comes_first_and_each_once() {
        let mut schedule = Schedule::default();
        for (who, when) in [("b", Some(5)), ("a", Some(3)), ("c", Some(4)), ("a", Some(9)), ("c", None), ("d", None)] {
            schedule.set(&who, when.map(at));
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
    fn a_timer_never_rings_before_it_is_due() {
        let ms = |ms| Timestamp::from_millisecond(ms).unwrap();
        let due = Timestamp::from_nanosecond(1_500_000_000_000_000_001).unwrap();
        assert!(whole_millisecond(due) >= due);
        assert_eq!(whole_millisecond(ms(7)), ms(7));
        assert_eq!(whole_millisecond(Timestamp::from_nanosecond(7_000_001).unwrap()), ms(8));
    }
}
