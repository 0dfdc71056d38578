//! For how long a value has stood on one side of a threshold, without a break.

use hemostat_schema::{Percent, Span, Timestamp, observation::Severity};

/// Above this a level is critical.
const CRITICAL: f64 = 95.0;
/// A level must fall so many points below its threshold to be over, so that one that hovers at it does not flap.
const HYSTERESIS: f64 = 5.0;
/// One or two samples prove nothing, however far apart they are.
const LEAST_SAMPLES: u32 = 3;
/// Samples further apart than this (or than the time that a level must hold, when that is longer) prove nothing about
/// the time between them.
pub(super) const LONGEST_GAP: Span = Span::from_secs(60);

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side {
    /// Above its threshold.
    pub(super) above: bool,
    /// So far above that nothing is left.
    pub(super) critical: bool,
    /// So far below that it is over.
    pub(super) below: bool,
}

impl Side {
    /// Nowhere near its threshold.
    pub(super) const BELOW: Self = Self { above: false, critical: false, below: true };

    /// Where a share stands.
    pub(super) fn of(value: Percent, threshold: Percent) -> Self {
        let (value, threshold) = (value.get(), threshold.get());
        Self {
            above: value > threshold,
            critical: value > threshold.max(CRITICAL),
            below: value < end_of_high(threshold),
        }
    }
}

/// What a share must fall below to be over.
pub(super) fn end_of_high(threshold: f64) -> f64 {
    (threshold - HYSTERESIS).max(threshold / 2.0)
}

/// For how long a value has been on which side.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Hold {
    last: Option<Timestamp>,
    above: Option<Streak>,
    critical: Option<Streak>,
    below: Option<Streak>,
}

/// Samples in a row on one side.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Streak {
    since: Timestamp,
    samples: u32,
}

/// A value that has been above its threshold for its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// When the last sample was taken.
    pub(super) at: Timestamp,
    /// Since when it has been above.
    pub(super) since: Timestamp,
    /// Critical, when it has been that for as long.
    pub(super) severity: Severity,
}

impl Held {
    /// For how long.
    pub(super) fn span(&self) -> Span {
        Span::between(self.since, self.at)
    }
}

impl Hold {
    /// Takes a sample in; tells whether the last one was so long ago that all begins anew.
    pub(super) fn take(&mut self, at: Timestamp, side: Side, sustained: Span) -> bool {
        let gap = self.last.map_or(Span::ZERO, |last| Span::between(last, at));
        let anew = gap > sustained.max(LONGEST_GAP);
        if anew {
            *self = Self::default();
        }
        self.last = Some(at);
        count(&mut self.above, at, side.above);
        count(&mut self.critical, at, side.critical);
        count(&mut self.below, at, side.below);
        anew
    }

    /// Whether it has been above for `sustained`.
    pub(super) fn high(&self, sustained: Span) -> Option<Held> {
        let at = self.last?;
        let proves = |streak: &Streak| streak.samples >= LEAST_SAMPLES && Span::between(streak.since, at) >= sustained;
        let above = self.above.filter(proves)?;
        let critical = self.critical.is_some_and(|streak| proves(&streak));
        let severity = if critical { Severity::Critical } else { Severity::High };
        Some(Held { at, since: above.since, severity })
    }

    /// The last sample's time, when it has been below for `clear_after`.
    pub(super) fn low(&self, clear_after: Span) -> Option<Timestamp> {
        let at = self.last?;
        self.below.filter(|streak| Span::between(streak.since, at) >= clear_after).map(|_| at)
    }
}

fn count(streak: &mut Option<Streak>, at: Timestamp, holds: bool) {
    *streak = match (holds, *streak) {
        (false, _) => None,
        (true, None) => Some(Streak { since: at, samples: 1 }),
        (true, Some(streak)) => Some(Streak { samples: streak.samples.saturating_add(1), ..streak }),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;
    use proptest::prelude::*;

    const SUSTAINED: Span = Span::from_secs(20);
    const CLEAR_AFTER: Span = Span::from_secs(10);

    fn threshold() -> Percent {
        Percent::clamped(80.0)
    }

    /// What is said after samples of these seconds and values, under a threshold of 80.
    fn after(samples: &[(i64, f64)]) -> Hold {
        let mut hold = Hold::default();
        for (seconds, value) in samples {
            hold.take(at(*seconds), Side::of(Percent::clamped(*value), threshold()), SUSTAINED);
        }
        hold
    }

    #[test]
    fn a_value_is_high_when_it_has_been_above_without_a_break_for_its_time() {
        let check = |samples: &[(i64, f64)], expected: Option<(Severity, u64)>| {
            let high = after(samples).high(SUSTAINED);
            assert_eq!(high.map(|high| (high.severity, high.span().as_millis() / 1000)), expected, "{samples:?}");
        };
        check(&[], None);
        check(&[(0, 99.0)], None);
        check(&[(0, 81.0), (10, 81.0)], None);
        check(&[(0, 81.0), (10, 81.0), (20, 81.0)], Some((Severity::High, 20)));
        check(&[(0, 81.0), (20, 81.0)], None);
        check(&[(0, 81.0), (10, 80.0), (20, 81.0), (30, 81.0)], None);
        check(&[(0, 96.0), (10, 99.0), (20, 97.0)], Some((Severity::Critical, 20)));
        check(&[(0, 96.0), (10, 90.0), (20, 97.0)], Some((Severity::High, 20)));
        check(&[(0, 90.0), (10, 96.0), (20, 97.0), (30, 97.0)], Some((Severity::Critical, 30)));
        check(&[(0, 90.0), (10, 90.0), (200, 90.0)], None);
    }

    #[test]
    fn a_value_is_low_only_well_below_its_threshold() {
        let check = |samples: &[(i64, f64)], expected: Option<i64>| {
            assert_eq!(after(samples).low(CLEAR_AFTER), expected.map(at), "{samples:?}");
        };
        check(&[(0, 74.0), (5, 74.0)], None);
        check(&[(0, 74.0), (5, 74.0), (10, 74.0)], Some(10));
        check(&[(0, 74.0), (5, 76.0), (10, 74.0)], None);
        check(&[(0, 79.0), (5, 79.0), (10, 79.0)], None);
    }

    #[test]
    fn a_low_threshold_can_be_fallen_below_too() {
        for (threshold, end) in [(85.0, 80.0), (25.0, 20.0), (8.0, 4.0), (0.0, 0.0)] {
            assert_eq!(end_of_high(threshold), end);
        }
    }

    /// The same from the whole history, by looking back from its end.
    fn naive(samples: &[(i64, f64)]) -> (Option<(i64, Severity)>, Option<i64>) {
        let Some((now, _)) = samples.last() else { return (None, None) };
        let back = |holds: &dyn Fn(f64) -> bool| {
            let (mut since, mut count, mut next) = (*now, 0, *now);
            for (second, value) in samples.iter().rev() {
                if !holds(*value) || next - second > 60 {
                    break;
                }
                (since, count, next) = (*second, count + 1, *second);
            }
            (since, count)
        };
        let proves = |(since, count): (i64, i32)| count >= 3 && now - since >= 20;
        let (above, critical, below) =
            (back(&|value| value > 80.0), back(&|value| value > 95.0), back(&|value| value < 75.0));
        let severity = if proves(critical) { Severity::Critical } else { Severity::High };
        let low = (below.1 > 0 && now - below.0 >= 10).then_some(*now);
        (proves(above).then_some((above.0, severity)), low)
    }

    proptest! {
        #[test]
        fn the_streaks_say_what_the_whole_history_says(
            steps in prop::collection::vec((1_i64..70, prop_oneof![Just(70.0), Just(78.0), Just(85.0), Just(97.0)]), 0..40)
        ) {
            let mut now = 0;
            let samples: Vec<(i64, f64)> = steps.into_iter().map(|(pause, value)| { now += pause; (now, value) }).collect();
            let hold = after(&samples);
            let (high, low) = naive(&samples);
            prop_assert_eq!(hold.high(SUSTAINED).map(|high| (high.since, high.severity)), high.map(|(since, how)| (at(since), how)));
            prop_assert_eq!(hold.low(CLEAR_AFTER), low.map(at));
        }
    }
}
