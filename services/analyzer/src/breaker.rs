//! Whether a provider that keeps failing is asked at all: a circuit breaker, as a pure function of what came of the
//! questions before.
//!
//! ```text
//!   passing ──5 failures in a row──► open ──its time is over──► one probe ──answers──► passing
//!                                      ▲                            │
//!                                      └────twice as long───fails───┘
//! ```

use hemostat_schema::{Span, Timestamp};

/// When it opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// So many failures in a row open it.
    pub after: u32,
    /// For how long it then stays open; each probe that fails doubles it.
    pub hold: Span,
    /// The longest that it stays open.
    pub cap: Span,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { after: 5, hold: Span::from_secs(60), cap: Span::from_secs(600) }
    }
}

/// Failures since the provider last answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the last one was; none where there is none.
    pub last: Option<Timestamp>,
}

/// Whether the provider may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// As often as one likes.
    Passing,
    /// Once, to see whether it is well again.
    Probing,
    /// Not before then.
    Open {
        /// When the next probe may be made.
        until: Timestamp,
    },
}

impl Breaker {
    /// Whether the provider may be asked now.
    pub fn passage(&self, failures: Failures, now: Timestamp) -> Passage {
        let (Some(last), Some(probes)) = (failures.last, failures.count.checked_sub(self.after)) else {
            return Passage::Passing;
        };
        let hold = self.hold.times(2_u64.saturating_pow(probes)).min(self.cap);
        let until = hold.after(last);
        if now < until { Passage::Open { until } } else { Passage::Probing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_question_through_when_its_time_is_over() {
        let open = |secs| Passage::Open { until: at(secs) };
        for (count, now, passage) in [
            (0, 0, Passage::Passing),
            (4, 0, Passage::Passing),
            (5, 0, open(60)),
            (5, 59, open(60)),
            (5, 60, Passage::Probing),
            (6, 60, open(120)),
            (7, 60, open(240)),
            (9, 599, open(600)),
            (9, 600, Passage::Probing),
            (u32::MAX, 599, open(600)),
        ] {
            let failures = Failures { count, last: (count > 0).then(|| at(0)) };
            assert_eq!(Breaker::default().passage(failures, at(now)), passage, "{count} failures, {now} s later");
        }
    }
}
