//! The durable timers of a group, mirrored in memory. Only the lease holder changes them, so the mirror is current.

use std::collections::BTreeSet;

use hemostat_core::{Timer, schedule::Schedule};
use hemostat_log::{StoredTimer, TimerUpdate};
use hemostat_schema::{Subject, Timestamp};

/// Maximum timers that fire early in one round.
const MAX_EARLY: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Timers {
    schedule: Schedule<(Subject, String)>,
    /// Those that fire although they are not due.
    early: BTreeSet<(Subject, String)>,
}

impl Timers {
    pub fn load(stored: Vec<StoredTimer>) -> Self {
        let mut timers = Self::default();
        for StoredTimer { subject, name, due } in stored {
            timers.schedule.set(&(subject, name), Some(due));
        }
        timers
    }

    pub fn apply(&mut self, update: &TimerUpdate) {
        match update {
            TimerUpdate::Set { subject, name, due } => self.set(subject, name, Some(*due)),
            TimerUpdate::Cancel { subject, name } => self.remove(subject, name),
        }
    }

    pub fn remove(&mut self, subject: &Subject, name: &str) {
        self.set(subject, name, None);
    }

    fn set(&mut self, subject: &Subject, name: &str, due: Option<Timestamp>) {
        let key = (subject.clone(), name.to_owned());
        self.schedule.set(&key, due);
        self.early.remove(&key);
    }

    /// Each present timer fires once, whenever it is due.
    pub fn fire_early(&mut self) {
        self.early = self.schedule.in_order().map(|(_, key)| key.clone()).collect();
    }

    /// The timers due by `now`, the earliest first, and then those that fire early.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = Timer> {
        let timer = |(due, (subject, name)): (_, &(Subject, String))| Timer {
            subject: subject.clone(),
            name: name.clone(),
            due,
        };
        let is_early = move |(due, key): &(Timestamp, &(Subject, String))| *due > now && self.early.contains(*key);
        let early = (!self.early.is_empty()).then(|| self.schedule.in_order().filter(is_early).take(MAX_EARLY));
        self.schedule.due_by(now).chain(early.into_iter().flatten()).map(timer)
    }

    /// When the next timer after `now` is due.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.schedule.in_order().map(|(due, _)| due).find(|due| *due > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn a_subject_has_one_timer_of_a_name_and_the_last_setting_wins() {
        let a: Subject = "h/a".parse().unwrap();
        let set = |due| TimerUpdate::Set { subject: a.clone(), name: "retry".into(), due: at(due) };
        let mut timers = Timers::default();
        timers.apply(&set(10));
        timers.apply(&set(20));
        assert_eq!(timers.due(at(19)).count(), 0);
        assert_eq!(timers.next_after(at(19)), Some(at(20)));
        assert_eq!(
            timers.due(at(20)).collect::<Vec<_>>(),
            [Timer { subject: a.clone(), name: "retry".into(), due: at(20) }]
        );
        timers.apply(&TimerUpdate::Cancel { subject: a.clone(), name: "retry".into() });
        assert_eq!(timers.due(at(99)).count(), 0);
        assert_eq!(timers.next_after(at(0)), None);
    }

    #[test]
    fn every_timer_fires_early_once_unless_it_is_set_again_before() {
        let set =
            |name: &str, due| TimerUpdate::Set { subject: "h/a".parse().unwrap(), name: name.into(), due: at(due) };
        let mut timers = Timers::default();
        for update in [set("due", 10), set("early", 20), set("changed", 30)] {
            timers.apply(&update);
        }
        let due = |timers: &Timers| timers.due(at(15)).map(|timer| timer.name).collect::<Vec<_>>();
        assert_eq!(due(&timers), ["due"]);
        timers.fire_early();
        timers.apply(&set("changed", 40));
        assert_eq!(due(&timers), ["due", "early"]);
        timers.remove(&"h/a".parse().unwrap(), "early");
        timers.apply(&set("early", 50));
        assert_eq!(due(&timers), ["due"], "a timer that has fired waits until it is due");
    }
}
