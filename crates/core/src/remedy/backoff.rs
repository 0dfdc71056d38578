//! Attempts at one container: how many were made recently, and when the next is due.
//!
//! Two limits, both computed from the log: a rolling window holds a maximum number of attempts, and within one incident
//! each attempt waits longer than the one before (exponential backoff). An attempt counts from its authorisation,
//! whatever its result; the wait counts from its end, so that slow remedies are spaced like quick ones.

use hemostat_schema::{EventId, IncidentId, Span, Timestamp, action::Outcome};
use serde::{Deserialize, Serialize};

use crate::policy::Backoff;

/// Maximum attempts remembered, so no limit can be higher.
const MAX_ATTEMPTS: usize = 100;

/// The attempts at one container, oldest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempts(Vec<Attempt>);

/// One authorised remedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The authorisation.
    pub action: EventId,
    /// When it was authorised.
    pub at: Timestamp,
    /// For which incident.
    pub incident: Option<IncidentId>,
    /// When and how it ended; none while it is pending.
    pub end: Option<(Timestamp, AttemptEnd)>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnd {
    /// It was carried out and judged.
    Judged(Outcome),
    /// It could not be carried out.
    Failed,
    /// It was not carried out, for a reason that is not the container's. The next attempt waits as after an
    /// unsuccessful one, but this one counts towards no limit.
    #[serde(rename = "withheld")]
    NotExecuted,
}

impl AttemptEnd {
    fn helped(self) -> bool {
        self == Self::Judged(Outcome::Recovered)
    }
}

impl Attempt {
    /// Whether it counts towards limits: the container was touched, may have been, or is still to be.
    pub fn counts(&self) -> bool {
        self.end.is_none_or(|(_, end)| end != AttemptEnd::NotExecuted)
    }
}

impl Attempts {
    /// Adds an attempt that was authorised.
    pub fn begin(&mut self, action: EventId, at: Timestamp, incident: Option<IncidentId>) {
        self.0.push(Attempt { action, at, incident, end: None });
        if self.0.len() > MAX_ATTEMPTS {
            let least_important = self.0.iter().position(|attempt| !attempt.counts()).unwrap_or(0);
            self.0.remove(least_important);
        }
    }

    /// Ends the attempt that `action` authorised. Only the first end counts.
    pub fn end(&mut self, action: EventId, at: Timestamp, end: AttemptEnd) {
        if let Some(attempt) = self.0.iter_mut().find(|attempt| attempt.action == action && attempt.end.is_none()) {
            attempt.end = Some((at, end));
        }
    }

    /// Forgets the ended attempts, as an operator asked for; a pending one stays.
    pub fn reset(&mut self) {
        self.0.retain(|attempt| attempt.end.is_none());
    }

    /// The pending attempt.
    pub fn pending(&self) -> Option<&Attempt> {
        self.0.iter().rev().find(|attempt| attempt.end.is_none())
    }

    /// The latest attempt.
    pub fn last(&self) -> Option<&Attempt> {
        self.0.last()
    }

    /// How many attempts were authorised in the `window` before `now`.
    pub fn count_within(&self, window: Span, now: Timestamp) -> u32 {
        count(self.recent(window, now))
    }

    /// How many attempts of the `window` before `now` ended without helping.
    pub fn unsuccessful_within(&self, window: Span, now: Timestamp) -> u32 {
        count(self.recent(window, now).filter(|attempt| attempt.end.is_some_and(|(_, end)| !end.helped())))
    }

    /// When the rolling window has room for another of `max` attempts; none if it has room now.
    pub fn window_frees_at(&self, max: u32, window: Span, now: Timestamp) -> Option<Timestamp> {
        let max = usize::try_from(max).unwrap_or(MAX_ATTEMPTS).clamp(1, MAX_ATTEMPTS);
        let oldest_in_the_way = self.counted().rev().nth(max - 1)?;
        let frees_at = window.after(oldest_in_the_way.at);
        (now < frees_at).then_some(frees_at)
    }

    /// When the backoff of `incident` is over; none if it is over now.
    pub fn backs_off_until(
        &self,
        incident: Option<&IncidentId>,
        backoff: &Backoff,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.backoff_end(incident, backoff).filter(|due| now < *due)
    }

    /// The end of the last backoff of `incident`, past or not; none if its last attempt was not unsuccessful.
    pub fn backoff_end(&self, incident: Option<&IncidentId>, backoff: &Backoff) -> Option<Timestamp> {
        let is_unsuccessful = |attempt: &&Attempt| {
            attempt.incident.as_ref() == incident && attempt.end.is_some_and(|(_, end)| !end.helped())
        };
        let (ended, _) = self.last().filter(is_unsuccessful)?.end?;
        Some(backoff.after(count(self.0.iter().rev().take_while(is_unsuccessful))).after(ended))
    }

    fn recent(&self, window: Span, now: Timestamp) -> impl Iterator<Item = &Attempt> {
        self.counted().filter(move |attempt| now < window.after(attempt.at))
    }

    /// The attempts that count towards limits.
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

    /// Attempts that began at these seconds, took one second each, and ended like this.
    fn attempts(of: &[(i64, AttemptEnd)]) -> Attempts {
        let mut attempts = Attempts::default();
        for (n, (second, end)) in of.iter().enumerate() {
            attempts.begin(id(n as u64), at(*second), Some(incident(1)));
            attempts.end(id(n as u64), at(second + 1), *end);
        }
        attempts
    }

    const RELAPSED: AttemptEnd = AttemptEnd::Judged(Outcome::Relapsed);
    const RECOVERED: AttemptEnd = AttemptEnd::Judged(Outcome::Recovered);

    #[test]
    fn the_window_rolls_with_each_attempt() {
        let three = attempts(&[(0, RELAPSED), (100, RECOVERED), (200, AttemptEnd::Failed)]);
        let check = |now: i64, all, unsuccessful, frees_at: Option<i64>| {
            assert_eq!(three.count_within(HOUR, at(now)), all, "{now}");
            assert_eq!(three.unsuccessful_within(HOUR, at(now)), unsuccessful, "{now}");
            assert_eq!(three.window_frees_at(3, HOUR, at(now)), frees_at.map(at), "{now}");
        };
        check(201, 3, 2, Some(3600));
        check(3599, 3, 2, Some(3600));
        check(3600, 2, 1, None);
        check(3800, 0, 0, None);
        assert_eq!(three.window_frees_at(2, HOUR, at(3650)), Some(at(3700)));
        assert_eq!(three.window_frees_at(4, HOUR, at(201)), None);
    }

    #[test]
    fn each_attempt_of_an_incident_waits_longer_after_the_end_of_the_one_before() {
        let check = |of: &[(i64, AttemptEnd)], now: i64, due: Option<i64>| {
            assert_eq!(attempts(of).backs_off_until(Some(&incident(1)), &BACKOFF, at(now)), due.map(at), "{of:?}");
        };
        check(&[], 0, None);
        check(&[(0, RELAPSED)], 1, Some(11));
        check(&[(0, RELAPSED), (11, AttemptEnd::Failed)], 12, Some(32));
        check(&[(0, RELAPSED), (11, RELAPSED), (32, RELAPSED)], 33, Some(73));
        check(&[(0, RELAPSED), (11, RELAPSED), (32, RELAPSED)], 73, None);
        check(&[(0, RELAPSED), (11, RECOVERED)], 12, None);
        check(&[(0, RELAPSED), (11, RECOVERED), (12, RELAPSED)], 13, Some(23));
    }

    #[test]
    fn an_attempt_that_was_not_executed_causes_backoff_and_counts_towards_no_limit() {
        let two = attempts(&[(0, RELAPSED), (11, AttemptEnd::NotExecuted), (32, AttemptEnd::NotExecuted)]);
        assert_eq!(two.backs_off_until(Some(&incident(1)), &BACKOFF, at(33)), Some(at(73)));
        let counts = (two.count_within(HOUR, at(33)), two.unsuccessful_within(HOUR, at(33)));
        assert_eq!((counts, two.window_frees_at(2, HOUR, at(33))), ((1, 1), None));
        let mut many = attempts(&[(0, RELAPSED)]);
        for n in 1..=MAX_ATTEMPTS as u64 + 5 {
            many.begin(id(n), at(100), None);
            many.end(id(n), at(101), AttemptEnd::NotExecuted);
        }
        assert_eq!(
            many.window_frees_at(1, HOUR, at(102)),
            Some(at(3600)),
            "an attempt that counts is not dropped for one that does not"
        );
    }

    #[test]
    fn another_incident_does_not_wait_for_this_one() {
        assert_eq!(attempts(&[(0, RELAPSED)]).backs_off_until(Some(&incident(2)), &BACKOFF, at(1)), None);
    }

    #[test]
    fn a_limit_above_the_remembered_attempts_still_limits() {
        let many = attempts(&vec![(0, RECOVERED); MAX_ATTEMPTS + 1]);
        assert_eq!(many.window_frees_at(u32::MAX, HOUR, at(1)), Some(at(3600)));
    }

    #[test]
    fn a_reset_keeps_the_pending_attempt() {
        let mut attempts = attempts(&[(0, RELAPSED)]);
        attempts.begin(id(9), at(20), None);
        attempts.reset();
        assert_eq!(attempts.pending().map(|attempt| attempt.action), Some(id(9)));
        assert_eq!(attempts.count_within(HOUR, at(20)), 1);
    }
}
