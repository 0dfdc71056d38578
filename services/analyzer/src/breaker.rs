//! Circuit breaker for the model's provider, computed from its recent failures.
//!
//! ```text
//!   Passing ──5 failures in a row──► Tripped ──hold is over──► Probing (one call) ──succeeds──► Passing
//!                                       ▲                          │
//!                                       └───hold doubles────fails──┘
//! ```
//!
//! It does not share core's breaker, which counts a container's failed remedies in a rolling window and stays open for a
//! fixed hold; this one counts consecutive failures and doubles its hold.

use hemostat_schema::{Span, Timestamp};

/// When the breaker trips, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Consecutive failures that trip it.
    pub after: u32,
    /// How long it stays tripped; each failed probe doubles this.
    pub hold: Span,
    /// The longest hold.
    pub cap: Span,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { after: 5, hold: Span::from_secs(60), cap: Span::from_secs(600) }
    }
}

/// Consecutive failures since the provider's last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the last one happened; none if there is none.
    pub last: Option<Timestamp>,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Passing,
    /// One call may pass, to test whether the provider has recovered.
    Probing,
    /// No call passes.
    Tripped {
        /// When the next probe may be made.
        until: Timestamp,
    },
}

impl Breaker {
    /// The state after these failures.
    pub fn state(&self, failures: Failures, now: Timestamp) -> BreakerState {
        let (Some(last), Some(probes)) = (failures.last, failures.count.checked_sub(self.after)) else {
            return BreakerState::Passing;
        };
        let hold = self.hold.times(2_u64.saturating_pow(probes)).min(self.cap);
        let until = hold.after(last);
        if now < until { BreakerState::Tripped { until } } else { BreakerState::Probing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    #[test]
    fn it_trips_after_consecutive_failures_and_allows_one_probe_after_the_hold() {
        let tripped = |secs| BreakerState::Tripped { until: at(secs) };
        for (count, now, state) in [
            (0, 0, BreakerState::Passing),
            (4, 0, BreakerState::Passing),
            (5, 0, tripped(60)),
            (5, 59, tripped(60)),
            (5, 60, BreakerState::Probing),
            (6, 60, tripped(120)),
            (7, 60, tripped(240)),
            (9, 599, tripped(600)),
            (9, 600, BreakerState::Probing),
            (u32::MAX, 599, tripped(600)),
        ] {
            let failures = Failures { count, last: (count > 0).then(|| at(0)) };
            assert_eq!(Breaker::default().state(failures, at(now)), state, "{count} failures, {now} s later");
        }
    }
}
