//! Which events wait for a later attempt at their effect, and since when.
//!
//! A waiting event is a durable timer of the effect's group. The timer's name says everything that the next attempt needs,
//! whichever process makes it:
//!
//! ```text
//!   0.1764000000000-3/4/1764000000123
//!   the event         │ when the first attempt began, in milliseconds since the epoch
//!                     └ attempts that were made
//! ```
//!
//! Not a row beside the timer: the count would then live under two keys that have to come and go together. Not events:
//! an attempt that failed and is repeated is news for a metric, not for the history of a container.
//!
//! The events of a subject keep their order: only the first of them that waits is due, whatever the timers of the others
//! say.

use std::collections::BTreeMap;

use hemostat_core::schedule::whole_millisecond;
use hemostat_log::{StoredTimer, TimerKey, TimerUpdate};
use hemostat_schema::{EventId, Subject, Timestamp};

/// An event that waits for an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Retry {
    pub subject: Subject,
    pub event: EventId,
    /// Attempts that were made before, by any process.
    pub attempts: u32,
    /// When the first attempt began. Without an attempt: since when the event waits for an earlier one of its subject.
    pub since: Timestamp,
    /// When the next attempt is due.
    pub due: Timestamp,
}

impl Retry {
    fn name(&self) -> String {
        format!("{}/{}/{}", self.event, self.attempts, self.since.as_millisecond())
    }

    fn parse(timer: &StoredTimer) -> Option<Self> {
        let mut parts = timer.name.split('/');
        let retry = Self {
            subject: timer.subject.clone(),
            event: parts.next()?.parse().ok()?,
            attempts: parts.next()?.parse().ok()?,
            since: Timestamp::from_millisecond(parts.next()?.parse().ok()?).ok()?,
            due: timer.due,
        };
        parts.next().is_none().then_some(retry)
    }

    /// Its timer, to set.
    pub fn timer(&self) -> TimerUpdate {
        TimerUpdate::Set { subject: self.subject.clone(), name: self.name(), due: whole_millisecond(self.due) }
    }

    /// Its timer, to settle.
    pub fn key(&self) -> TimerKey {
        TimerKey { subject: self.subject.clone(), name: self.name(), due: whole_millisecond(self.due) }
    }
}

/// The waiting events of a group, mirrored from its timers. Only the lease holder changes them, so the mirror is current.
#[derive(Debug, Default)]
pub(super) struct Retries(BTreeMap<Subject, BTreeMap<EventId, Retry>>);

impl Retries {
    pub fn load(timers: &[StoredTimer]) -> Self {
        let mut retries = Self::default();
        timers.iter().filter_map(Retry::parse).for_each(|retry| retries.insert(retry));
        retries
    }

    /// Replaces an earlier retry of the same event.
    pub fn insert(&mut self, retry: Retry) {
        self.0.entry(retry.subject.clone()).or_default().insert(retry.event, retry);
    }

    pub fn remove(&mut self, subject: &Subject, event: EventId) {
        if let Some(waiting) = self.0.get_mut(subject) {
            waiting.remove(&event);
            if waiting.is_empty() {
                self.0.remove(subject);
            }
        }
    }

    /// When the first waiting event of `subject` is due; none if no event about it waits.
    pub fn due_of(&self, subject: &Subject) -> Option<Timestamp> {
        self.0.get(subject)?.first_key_value().map(|(_, retry)| retry.due)
    }

    /// The first waiting event of each subject.
    pub fn heads(&self) -> impl Iterator<Item = &Retry> {
        self.0.values().filter_map(|waiting| waiting.first_key_value().map(|(_, retry)| retry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn retry(subject: &str, event: &str, due: i64) -> Retry {
        let (subject, event) = (subject.parse().unwrap(), event.parse().unwrap());
        Retry { subject, event, attempts: 3, since: at(5), due: at(due) }
    }

    fn stored(retry: &Retry) -> StoredTimer {
        let TimerKey { subject, name, due } = retry.key();
        StoredTimer { subject, name, due }
    }

    #[test]
    fn a_retry_is_read_back_from_its_timer() {
        let waiting = retry("h/a", "0.1764000000000-3", 70);
        assert_eq!(stored(&waiting).name, "0.1764000000000-3/3/5");
        assert_eq!(Retry::parse(&stored(&waiting)), Some(waiting.clone()));
        for name in ["retry", "", "0.1-1/3", "0.1-1/3/5/6", "0.1-1/-3/5", "x/3/5"] {
            assert_eq!(Retry::parse(&StoredTimer { name: name.to_owned(), ..stored(&waiting) }), None, "{name}");
        }
    }

    #[test]
    fn only_the_first_waiting_event_of_a_subject_is_due() {
        let timers = [retry("h/a", "0.20-0", 10), retry("h/a", "0.10-0", 30), retry("h/b", "0.15-0", 20)];
        let mut retries = Retries::load(&timers.each_ref().map(stored));
        let heads = |retries: &Retries| retries.heads().map(|retry| retry.event.to_string()).collect::<Vec<_>>();
        assert_eq!(heads(&retries), ["0.10-0", "0.15-0"]);
        assert_eq!(retries.due_of(&timers[0].subject), Some(at(30)));
        retries.remove(&timers[1].subject, timers[1].event);
        assert_eq!(heads(&retries), ["0.20-0", "0.15-0"]);
        retries.remove(&timers[0].subject, timers[0].event);
        assert_eq!(retries.due_of(&timers[0].subject), None);
    }
}
