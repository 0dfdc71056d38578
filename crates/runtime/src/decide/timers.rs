//! The durable timers of a group, mirrored in memory. Only the lease holder changes them, so the mirror is current.

use hemostat_core::{Timer, schedule::Schedule};
use hemostat_log::{StoredTimer, TimerUpdate};
use hemostat_schema::{Subject, Timestamp};

#[derive(Debug, Default)]
pub(super) struct Timers(Schedule<(Subject, String)>);

impl Timers {
    pub fn load(stored: Vec<StoredTimer>) -> Self {
        let mut timers = Self::default();
        for StoredTimer { subject, name, due } in stored {
            timers.0.set(&(subject, name), Some(due));
        }
        timers
    }

    pub fn apply(&mut self, update: &TimerUpdate) {
        match update {
            TimerUpdate::Set { subject, name, due } => self.0.set(&(subject.clone(), name.clone()), Some(*due)),
            TimerUpdate::Cancel { subject, name } => self.remove(subject, name),
        }
    }

    pub fn remove(&mut self, subject: &Subject, name: &str) {
        self.0.set(&(subject.clone(), name.to_owned()), None);
    }

    /// The timers due by `now`, the earliest first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = Timer> {
        let timer = |(due, (subject, name)): (_, &(Subject, String))| Timer {
            subject: subject.clone(),
            name: name.clone(),
            due,
        };
        self.0.due_by(now).map(timer)
    }

    /// When the next timer after `now` is due.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.in_order().map(|(due, _)| due).find(|due| *due > now)
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
}
