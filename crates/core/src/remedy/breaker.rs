//! The circuit breaker of one container: when HemoStat stops trying.
//!
//! ```text
//!            as many unsuccessful attempts as the window allows
//!   Passing ────────────────────────────────────────────────────► Tripped{until}
//!      ▲ ▲                                                           │     ▲
//!      │ └────────────────── an operator resets it ──────────────────┤     │ it did not help
//!      │                                                     hold over     │
//!      └─────────────────────── it helped ─────────────────────── Probing ─┘  (one attempt)
//! ```
//!
//! In the terms of the pattern: closed, open, half-open. One incident trips the breaker; once that incident and the
//! hold are over, a new incident starts with a breaker that passes.

use hemostat_schema::{IncidentId, Timestamp};
use serde::{Deserialize, Serialize};

use super::backoff::{Attempt, Attempts};
use crate::policy::Policy;

/// The circuit breaker of one container.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Breaker {
    /// Attempts pass.
    #[default]
    Passing,
    /// No attempt passes before `until`.
    Tripped {
        /// When one attempt may pass.
        until: Timestamp,
    },
    /// The one attempt after the hold is under way.
    Probing,
}

impl Breaker {
    /// When the next attempt may pass; none if one may pass now.
    pub fn tripped_until(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Tripped { until } if now < until => Some(until),
            Self::Tripped { .. } | Self::Passing | Self::Probing => None,
        }
    }

    /// Whether it must trip after these attempts: the number of unsuccessful ones, and when the next may pass.
    ///
    /// The hold never ends before the rolling window has room again, so that `until` holds.
    pub fn must_trip(self, attempts: &Attempts, max: u32, policy: &Policy, now: Timestamp) -> Option<(u32, Timestamp)> {
        if attempts.pending().is_some() {
            return None;
        }
        let unsuccessful = attempts.unsuccessful_within(policy.attempt_window, now);
        let trips = match self {
            Self::Passing => unsuccessful >= max.max(1),
            // A probe that was not executed is still to be made.
            Self::Probing => attempts.last().is_none_or(Attempt::counts),
            Self::Tripped { .. } => false,
        };
        let hold = policy.breaker_hold.after(now);
        let frees_at = attempts.window_frees_at(max, policy.attempt_window, now);
        let until = frees_at.map_or(hold, |frees_at| frees_at.max(hold));
        trips.then_some((unsuccessful.max(1), until))
    }

    /// HemoStat gave up.
    pub fn trip(&mut self, until: Timestamp) {
        *self = Self::Tripped { until };
    }

    /// An attempt for `incident` passed, after those `before` it. The last of those was for the incident that tripped
    /// the breaker.
    pub fn pass(&mut self, incident: Option<&IncidentId>, before: &Attempts) {
        if let Self::Tripped { .. } = self {
            let same = before.last().is_none_or(|last| last.incident.as_ref() == incident);
            *self = if same { Self::Probing } else { Self::Passing };
        }
    }

    /// An attempt helped, or an operator reset the breaker.
    pub fn reset(&mut self) {
        *self = Self::Passing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        remedy::backoff::AttemptEnd,
        testing::{at, id, incident},
    };
    use hemostat_schema::{Span, action::Outcome};

    fn unsuccessful(at_seconds: &[i64]) -> Attempts {
        let mut attempts = Attempts::default();
        for (n, second) in at_seconds.iter().enumerate() {
            attempts.begin(id(n as u64), at(*second), None);
            attempts.end(id(n as u64), at(second + 1), AttemptEnd::Judged(Outcome::Relapsed));
        }
        attempts
    }

    #[test]
    fn it_trips_when_the_window_is_full_of_unsuccessful_attempts() {
        let policy = Policy::default();
        let check = |breaker: Breaker, seconds: &[i64], now, trips: Option<(u32, i64)>| {
            let got = breaker.must_trip(&unsuccessful(seconds), 3, &policy, at(now));
            assert_eq!(got, trips.map(|(attempts, until)| (attempts, at(until))), "{breaker:?} {seconds:?}");
        };
        check(Breaker::Passing, &[0, 20], 30, None);
        check(Breaker::Passing, &[0, 20, 50], 60, Some((3, 3660)));
        check(Breaker::Passing, &[0, 3000, 3700], 3701, None);
        check(Breaker::Tripped { until: at(3660) }, &[0, 20, 50], 61, None);
        check(Breaker::Probing, &[3660], 3670, Some((1, 7270)));
    }

    #[test]
    fn a_probe_that_was_not_executed_is_still_to_be_made() {
        let mut attempts = unsuccessful(&[0, 20, 50]);
        attempts.begin(id(9), at(3700), None);
        attempts.end(id(9), at(3702), AttemptEnd::NotExecuted);
        assert_eq!(Breaker::Probing.must_trip(&attempts, 3, &Policy::default(), at(3703)), None);
    }

    #[test]
    fn the_hold_does_not_end_before_the_window_has_room() {
        let policy = Policy { breaker_hold: Span::from_secs(5), ..Policy::default() };
        assert_eq!(Breaker::Passing.must_trip(&unsuccessful(&[0, 20, 50]), 3, &policy, at(60)), Some((3, at(3600))));
    }

    #[test]
    fn after_the_hold_one_attempt_passes() {
        let mut breaker = Breaker::Passing;
        breaker.trip(at(100));
        assert_eq!((breaker.tripped_until(at(99)), breaker.tripped_until(at(100))), (Some(at(100)), None));
        breaker.pass(None, &unsuccessful(&[0]));
        assert_eq!(breaker, Breaker::Probing);
        breaker.reset();
        breaker.pass(None, &unsuccessful(&[0]));
        assert_eq!(breaker, Breaker::Passing);
    }

    #[test]
    fn a_new_incident_after_the_hold_passes() {
        let mut breaker = Breaker::Tripped { until: at(100) };
        breaker.pass(Some(&incident(2)), &unsuccessful(&[0]));
        assert_eq!(breaker, Breaker::Passing);
    }
}
