//! How often a container was treated lately, and when the next attempt is due.
//!
//! Two limits, both by the log and not by anybody's memory: a rolling window takes so many attempts and no more, and
//! within one incident each attempt waits longer after the one before. An attempt counts from its authority, whatever
//! comes of it; the wait counts from its end, so that slow remedies are spaced like quick ones.

use hemostat_schema::{EventId, IncidentId, Span, Timestamp, action::Outcome};
use serde::{Deserialize, Serialize};

use crate::policy::Backoff;

/// No more attempts than this are remembered, so no limit may be higher.
const REMEMBERED: usize = 100;

/// The attempts at one container, oldest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempts(Vec<Attempt>);

/// One authorised remedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The intent.
    pub action: EventId,
    /// When it was authorised.
    pub at: Timestamp,
    /// For which illness.
    pub incident: Option<IncidentId>,
    /// When and how it ended; none while it is in hand.
    pub end: Option<(Timestamp, End)>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It was carried out and judged.
    Judged(Outcome),
    /// It could not be carried out.
    Failed,
    /// It was not carried out for a reason that has nothing to do with the container: it has to wait like one that was in
    /// vain, but counts towards no limit.
    Withheld,
}

impl End {
    fn helped(self) -> bool {
        self == Self::Judged(Outcome::Recovered)
    }
}

impl Attempt {
    /// Whether it counts towards limits: the container was touched, or may have been, or is yet to be.
    pub fn counts(&self) -> bool {
        self.end.is_none_or(|(_, end)| end != End::Withheld)
    }
}

impl Attempts {
    /// An attempt was authorised.
    pub fn begin(&mut self, action: EventId, at: Timestamp, incident: Option<IncidentId>) {
        self.0.push(Attempt { action, at, incident, end: None });
        if self.0.len() > REMEMBERED {
            let least_missed = self.0.iter().position(|attempt| !attempt.counts()).unwrap_or(0);
            self.0.remove(least_missed);
        }
    }

    /// The attempt that `action` began is over; the first word on it stands.
    pub fn end(&mut self, action: EventId, at: Timestamp, end: End) {
        if let Some(attempt) = self.0.iter_mut().find(|attempt| attempt.action == action && attempt.end.is_none()) {
            attempt.end = Some((at, end));
        }
    }

    /// An operator wants a fresh start; what is in hand stays in hand.
    pub fn forget(&mut self) {
        self.0.retain(|attempt| attempt.end.is_none());
    }

    /// The attempt that is in hand.
    pub fn in_hand(&self) -> Option<&Attempt> {
        self.0.iter().rev().find(|attempt| attempt.end.is_none())
    }

    /// The latest attempt.
    pub fn last(&self) -> Option<&Attempt> {
        self.0.last()
    }

    /// How many were authorised in the `window` before `now`.
    pub fn within(&self, window: Span, now: Timestamp) -> u32 {
        count(self.recent(window, now))
    }

    /// How many of the `window` before `now` have ended without helping.
    pub fn in_vain(&self, window: Span, now: Timestamp) -> u32 {
        count(self.recent(window, now).filter(|attempt| attempt.end.is_some_and(|(_, end)| !end.helped())))
    }

    /// When the rolling window has room for one more of `max` attempts; none when that is now.
    pub fn room(&self, max: u32, window: Span, now: Timestamp) -> Option<Timestamp> {
        let max = usize::try_from(max).unwrap_or(REMEMBERED).clamp(1, REMEMBERED);
        let oldest_in_the_way = self.counted().rev().nth(max - 1)?;
        let room = window.after(oldest_in_the_way.at);
        (now < room).then_some(room)
    }

    /// When the next attempt of `incident` is due; none when that is now.
    pub fn due(&self, incident: Option<&IncidentId>, backoff: &Backoff, now: Timestamp) -> Option<Timestamp> {
        self.waits(incident, backoff).filter(|due| now < *due)
    }

    /// Until when the next attempt of `incident` has to wait, or had to; none where none of it was in vain.
    pub fn waits(&self, incident: Option<&IncidentId>, backoff: &Backoff) -> Option<Timestamp> {
        let in_vain = |attempt: &&Attempt| {
            attempt.incident.as_ref() == incident && attempt.end.is_some_and(|(_, end)| !end.helped())
        };
        let (ended, _) = self.last().filter(in_vain)?.end?;
        Some(backoff.after(count(self.0.iter().rev().take_while(in_vain))).after(ended))
    }

    fn recent(&self, window: Span, now: Timestamp) -> impl Iterator<Item = &Attempt> {
        self.counted().filter(move |attempt| now < window.after(attempt.at))
    }

    /// Those that count towards limits.
    fn counted(&self) -> impl DoubleEndedIterator<Item = &Attempt> {
        self.0.iter().filter(|attempt| attempt.counts())
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, id, incident};

    const HOUR: Span = Span::from_secs(3600);
    const BACKOFF: Backoff = Backoff { first: Span::from_secs(10), factor: 2, cap: Span::from_secs(300) };

    /// Attempts that began at these seconds, took a second each, and ended so.
    fn attempts(of: &[(i64, End)]) -> Attempts {
        let mut attempts = Attempts::default();
        for (n, (second, end)) in of.iter().enumerate() {
            attempts.begin(id(n as u64), at(*second), Some(incident(1)));
            attempts.end(id(n as u64), at(second + 1), *end);
        }
        attempts
    }

    const RELAPSED: End = End::Judged(Outcome::Relapsed);
    const RECOVERED: End = End::Judged(Outcome::Recovered);

    #[test]
    fn the_window_rolls_with_each_attempt() {
        let three = attempts(&[(0, RELAPSED), (100, RECOVERED), (200, End::Failed)]);
        let check = |now: i64, within, in_vain, room: Option<i64>| {
            assert_eq!(three.within(HOUR, at(now)), within, "{now}");
            assert_eq!(three.in_vain(HOUR, at(now)), in_vain, "{now}");
            assert_eq!(three.room(3, HOUR, at(now)), room.map(at), "{now}");
        };
        check(201, 3, 2, Some(3600));
        check(3599, 3, 2, Some(3600));
        check(3600, 2, 1, None);
        check(3800, 0, 0, None);
        assert_eq!(three.room(2, HOUR, at(3650)), Some(at(3700)));
        assert_eq!(three.room(4, HOUR, at(201)), None);
    }

    #[test]
    fn each_attempt_of_an_incident_waits_longer_after_the_end_of_the_one_before() {
        let check = |of: &[(i64, End)], now: i64, due: Option<i64>| {
            assert_eq!(attempts(of).due(Some(&incident(1)), &BACKOFF, at(now)), due.map(at), "{of:?}");
        };
        check(&[], 0, None);
        check(&[(0, RELAPSED)], 1, Some(11));
        check(&[(0, RELAPSED), (11, End::Failed)], 12, Some(32));
        check(&[(0, RELAPSED), (11, RELAPSED), (32, RELAPSED)], 33, Some(73));
        check(&[(0, RELAPSED), (11, RELAPSED), (32, RELAPSED)], 73, None);
        check(&[(0, RELAPSED), (11, RECOVERED)], 12, None);
        check(&[(0, RELAPSED), (11, RECOVERED), (12, RELAPSED)], 13, Some(23));
    }

    #[test]
    fn what_was_withheld_waits_longer_each_time_and_counts_towards_no_limit() {
        let two = attempts(&[(0, RELAPSED), (11, End::Withheld), (32, End::Withheld)]);
        assert_eq!(two.due(Some(&incident(1)), &BACKOFF, at(33)), Some(at(73)));
        assert_eq!((two.within(HOUR, at(33)), two.in_vain(HOUR, at(33)), two.room(2, HOUR, at(33))), (1, 1, None));
        let mut many = attempts(&[(0, RELAPSED)]);
        for n in 1..=REMEMBERED as u64 + 5 {
            many.begin(id(n), at(100), None);
            many.end(id(n), at(101), End::Withheld);
        }
        assert_eq!(many.room(1, HOUR, at(102)), Some(at(3600)), "what counts is not forgotten for what does not");
    }

    #[test]
    fn another_incident_does_not_wait_for_this_one() {
        assert_eq!(attempts(&[(0, RELAPSED)]).due(Some(&incident(2)), &BACKOFF, at(1)), None);
    }

    #[test]
    fn a_limit_beyond_memory_is_not_boundless() {
        let many = attempts(&vec![(0, RECOVERED); REMEMBERED + 1]);
        assert_eq!(many.room(u32::MAX, HOUR, at(1)), Some(at(3600)));
    }

    #[test]
    fn a_fresh_start_keeps_what_is_in_hand() {
        let mut attempts = attempts(&[(0, RELAPSED)]);
        attempts.begin(id(9), at(20), None);
        attempts.forget();
        assert_eq!(attempts.in_hand().map(|attempt| attempt.action), Some(id(9)));
        assert_eq!(attempts.within(HOUR, at(20)), 1);
    }
}
