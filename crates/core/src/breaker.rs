//! The circuit breaker of one container: when to stop trying.
//!
//! ```text
//!              as many attempts in vain as the window allows
//!   Passing ─────────────────────────────────────────────────► Tripped{until}
//!      ▲ ▲                                                        │     ▲
//!      │ └───────────────── an operator resets it ────────────────┤     │ in vain
//!      │                                                    hold over   │
//!      └───────────────────── it helped ──────────────────────── Probing ┘  (one attempt)
//! ```
//!
//! What trips it is one incident. When that is over and the hold, too, a new incident starts anew.

use hemostat_schema::{IncidentId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    backoff::{Attempt, Attempts},
    policy::Policy,
};

/// The circuit breaker of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breaker {
    /// Attempts pass.
    #[default]
    Passing,
    /// Given up; nothing passes until then.
    Tripped {
        /// Then one attempt may pass.
        until: Timestamp,
    },
    /// The one attempt after the hold.
    Probing,
}

impl Breaker {
    /// Until when nothing passes; none when an attempt may.
    pub fn holds(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Tripped { until } if now < until => Some(until),
            Self::Tripped { .. } | Self::Passing | Self::Probing => None,
        }
    }

    /// Whether, after these attempts, it is time to give up: how many were in vain, and until when nothing more is tried.
    ///
    /// The hold never ends before the rolling window has room again, so that `until` is kept.
    pub fn trips(self, attempts: &Attempts, max: u32, policy: &Policy, now: Timestamp) -> Option<(u32, Timestamp)> {
        if attempts.in_hand().is_some() {
            return None;
        }
        let in_vain = attempts.in_vain(policy.window, now);
        let trips = match self {
            Self::Passing => in_vain >= max.max(1),
            // The one attempt is still to come when it was withheld.
            Self::Probing => attempts.last().is_none_or(Attempt::counts),
            Self::Tripped { .. } => false,
        };
        let hold = policy.hold.after(now);
        let until = attempts.room(max, policy.window, now).map_or(hold, |room| room.max(hold));
        trips.then_some((in_vain.max(1), until))
    }

    /// HemoStat gave up.
    pub fn trip(&mut self, until: Timestamp) {
        *self = Self::Tripped { until };
    }

    /// An attempt for `incident` passed, after those `before` it. The last of them was for the incident that tripped it.
    pub fn attempt(&mut self, incident: Option<&IncidentId>, before: &Attempts) {
        if let Self::Tripped { .. } = self {
            let same = before.last().is_none_or(|last| last.incident.as_ref() == incident);
            *self = if same { Self::Probing } else { Self::Passing };
        }
    }

    /// An attempt helped, or an operator reset it.
    pub fn close(&mut self) {
        *self = Self::Passing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backoff::End,
        testing::{at, id, incident},
    };
    use hemostat_schema::{Span, action::Outcome};

    fn in_vain(at_seconds: &[i64]) -> Attempts {
        let mut attempts = Attempts::default();
        for (n, second) in at_seconds.iter().enumerate() {
            attempts.begin(id(n as u64), at(*second), None);
            attempts.end(id(n as u64), at(second + 1), End::Judged(Outcome::Relapsed));
        }
        attempts
    }

    #[test]
    fn it_trips_when_the_window_is_full_of_attempts_in_vain() {
        let policy = Policy::default();
        let check = |breaker: Breaker, seconds: &[i64], now, trips: Option<(u32, i64)>| {
            let got = breaker.trips(&in_vain(seconds), 3, &policy, at(now));
            assert_eq!(got, trips.map(|(attempts, until)| (attempts, at(until))), "{breaker:?} {seconds:?}");
        };
        check(Breaker::Passing, &[0, 20], 30, None);
        check(Breaker::Passing, &[0, 20, 50], 60, Some((3, 3660)));
        check(Breaker::Passing, &[0, 3000, 3700], 3701, None);
        check(Breaker::Tripped { until: at(3660) }, &[0, 20, 50], 61, None);
        check(Breaker::Probing, &[3660], 3670, Some((1, 7270)));
    }

    #[test]
    fn a_probe_that_was_withheld_is_still_to_come() {
        let mut attempts = in_vain(&[0, 20, 50]);
        attempts.begin(id(9), at(3700), None);
        attempts.end(id(9), at(3702), End::Withheld);
        assert_eq!(Breaker::Probing.trips(&attempts, 3, &Policy::default(), at(3703)), None);
    }

    #[test]
    fn a_short_hold_does_not_promise_what_the_window_forbids() {
        let policy = Policy { hold: Span::from_secs(5), ..Policy::default() };
        assert_eq!(Breaker::Passing.trips(&in_vain(&[0, 20, 50]), 3, &policy, at(60)), Some((3, at(3600))));
    }

    #[test]
    fn after_the_hold_one_attempt_passes() {
        let mut breaker = Breaker::Passing;
        breaker.trip(at(100));
        assert_eq!((breaker.holds(at(99)), breaker.holds(at(100))), (Some(at(100)), None));
        breaker.attempt(None, &in_vain(&[0]));
        assert_eq!(breaker, Breaker::Probing);
        breaker.close();
        breaker.attempt(None, &in_vain(&[0]));
        assert_eq!(breaker, Breaker::Passing);
    }

    #[test]
    fn a_new_incident_after_the_hold_starts_anew() {
        let mut breaker = Breaker::Tripped { until: at(100) };
        breaker.attempt(Some(&incident(2)), &in_vain(&[0]));
        assert_eq!(breaker, Breaker::Passing);
    }
}
