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
}

impl End {
    fn helped(self) -> bool {
        self == Self::Judged(Outcome::Recovered)
    }
}

impl Attempts {
    /// An attempt was authorised.
    pub fn begin(&mut self, action: EventId, at: Timestamp, incident: Option<IncidentId>) {
        self.0.push(Attempt { action, at, incident, end: None });
        if self.0.len() > REMEMBERED {
            self.0.remove(0);
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
        let oldest_in_the_way = self.0.len().checked_sub(max)?;
        let room = window.after(self.0[oldest_in_the_way].at);
        (now < room).then_some(room)
    }

    /// When the next attempt of `incident` is due; none when that is now.
    pub fn due(&self, incident: Option<&IncidentId>, backoff: &Backoff, now: Timestamp) -> Option<Timestamp> {
        let in_vain = |attempt: &&Attempt| {
            attempt.incident.as_ref() == incident && attempt.end.is_some_and(|(_, end)| !end.helped())
        };
        let (ended, _) = self.last().filter(in_vain)?.end?;
        let due = backoff.after(count(self.0.iter().rev().take_while(in_vain))).after(ended);
        (now < due).then_some(due)
    }

    fn recent(&self, window: Span, now: Timestamp) -> impl Iterator<Item = &Attempt> {
        self.0.iter().filter(move |attempt| now < window.after(attempt.at))
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
