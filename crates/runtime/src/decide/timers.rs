//! The timers of a group, mirrored in memory: only the holder of the lease changes them, so nothing has to be asked.

use std::collections::{BTreeSet, HashMap};

use hemostat_core::Timer;
use hemostat_log::{StoredTimer, TimerUpdate};
use hemostat_schema::{Subject, Timestamp};

#[derive(Debug, Default)]
pub(super) struct Timers {
    by_due: BTreeSet<(Timestamp, Subject, String)>,
    due: HashMap<(Subject, String), Timestamp>,
}

impl Timers {
    pub fn load(stored: Vec<StoredTimer>) -> Self {
        let mut timers = Self::default();
        for StoredTimer { subject, name, due } in stored {
            timers.apply(&TimerUpdate::Set { subject, name, due });
        }
        timers
    }

    pub fn apply(&mut self, update: &TimerUpdate) {
        match update {
            TimerUpdate::Set { subject, name, due } => {
                self.remove(subject, name);
                self.due.insert((subject.clone(), name.clone()), *due);
                self.by_due.insert((*due, subject.clone(), name.clone()));
            }
            TimerUpdate::Cancel { subject, name } => self.remove(subject, name),
        }
    }

    pub fn remove(&mut self, subject: &Subject, name: &str) {
        let key = (subject.clone(), name.to_owned());
        if let Some(due) = self.due.remove(&key) {
            self.by_due.remove(&(due, key.0, key.1));
        }
    }

    /// Those that ring by `now`, the earliest first.
    pub fn ringing(&self, now: Timestamp) -> impl Iterator<Item = Timer> {
        self.by_due.iter().take_while(move |(due, ..)| *due <= now).map(|(due, subject, name)| Timer {
            subject: subject.clone(),
            name: name.clone(),
            due: *due,
        })
    }

    /// When the next one rings after `now`.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.by_due.iter().map(|(due, ..)| *due).find(|due| *due > now)
    }
}

/// The first whole millisecond that is not before `due`: timers are kept to the millisecond and never ring too early.
pub(super) fn whole_millisecond(due: Timestamp) -> Timestamp {
    let floor = Timestamp::from_millisecond(due.as_millisecond()).unwrap_or(due);
    if floor < due { Timestamp::from_millisecond(due.as_millisecond() + 1).unwrap_or(floor) } else { floor }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn one_of_a_name_rings_and_the_last_setting_holds() {
        let a: Subject = "h/a".parse().unwrap();
        let set = |due| TimerUpdate::Set { subject: a.clone(), name: "retry".into(), due: at(due) };
        let mut timers = Timers::default();
        timers.apply(&set(10));
        timers.apply(&set(20));
        assert_eq!(timers.ringing(at(19)).count(), 0);
        assert_eq!(timers.next_after(at(19)), Some(at(20)));
        assert_eq!(
            timers.ringing(at(20)).collect::<Vec<_>>(),
            [Timer { subject: a.clone(), name: "retry".into(), due: at(20) }]
        );
        timers.apply(&TimerUpdate::Cancel { subject: a.clone(), name: "retry".into() });
        assert_eq!(timers.ringing(at(99)).count(), 0);
        assert_eq!(timers.next_after(at(0)), None);
    }

    #[test]
    fn a_timer_never_rings_before_it_is_due() {
        let due = Timestamp::from_nanosecond(1_500_000_000_000_000_001).unwrap();
        assert!(whole_millisecond(due) >= due);
        assert_eq!(whole_millisecond(at(7)), at(7));
        assert_eq!(whole_millisecond(Timestamp::from_nanosecond(7_000_001).unwrap()), at(8));
    }
}
