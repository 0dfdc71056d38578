//! Debounce with hysteresis: a signal is exceeded once it has been above its threshold for long enough, and cleared
//! once it has been below a lower threshold for long enough. Between the two thresholds nothing changes, so nothing
//! flaps.

use hemostat_schema::{Percent, Span, Timestamp, observation::Severity};

/// A share above this is critical, in percent.
const CRITICAL: f64 = 95.0;
/// The clear threshold lies this many percentage points below the threshold.
const HYSTERESIS: f64 = 5.0;
/// Minimum consecutive samples above the threshold: one or two prove nothing, however far apart they are.
const MIN_SAMPLES: u32 = 3;
/// A longer gap between two samples resets the debounce, unless the required time is longer still.
pub(super) const MAX_GAP: Span = Span::from_secs(60);

/// A sample compared with its thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Comparison {
    /// It is above the threshold.
    pub(super) above: bool,
    /// It is above the critical threshold.
    pub(super) critical: bool,
    /// It is below the clear threshold.
    pub(super) below: bool,
}

impl Comparison {
    /// Well below every threshold; also stands for a signal that is not measured.
    pub(super) const BELOW: Self = Self { above: false, critical: false, below: true };

    /// Compares a share with its threshold.
    pub(super) fn of(value: Percent, threshold: Percent) -> Self {
        let (value, threshold) = (value.get(), threshold.get());
        Self {
            above: value > threshold,
            critical: value > threshold.max(CRITICAL),
            below: value < clear_threshold(threshold),
        }
    }
}

/// The share below which a signal with this threshold counts as cleared, in percent. At least half the threshold, so
/// that a low threshold can be cleared too.
pub(super) fn clear_threshold(threshold: f64) -> f64 {
    (threshold - HYSTERESIS).max(threshold / 2.0)
}

/// How long a signal has been above, critically above and below its thresholds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Debounce {
    last: Option<Timestamp>,
    above: Option<Streak>,
    critical: Option<Streak>,
    below: Option<Streak>,
}

/// Consecutive samples on one side of a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Streak {
    since: Timestamp,
    samples: u32,
}

/// A signal that has been above its threshold for the required time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sustained {
    /// When the last sample was taken.
    pub(super) at: Timestamp,
    /// Since when the signal has been above.
    pub(super) since: Timestamp,
    /// Critical if it has been critically above for the required time, else high.
    pub(super) severity: Severity,
}

impl Sustained {
    /// How long the signal has been above.
    pub(super) fn span(&self) -> Span {
        Span::between(self.since, self.at)
    }
}

impl Debounce {
    /// Adds a sample. True if the gap before it was so long that the debounce started over.
    pub(super) fn add(&mut self, at: Timestamp, sample: Comparison, sustained: Span) -> bool {
        let gap = self.last.map_or(Span::ZERO, |last| Span::between(last, at));
        let reset = gap > sustained.max(MAX_GAP);
        if reset {
            *self = Self::default();
        }
        self.last = Some(at);
        extend(&mut self.above, at, sample.above);
        extend(&mut self.critical, at, sample.critical);
        extend(&mut self.below, at, sample.below);
        reset
    }

    /// Whether the signal has been above its threshold for `sustained`.
    pub(super) fn exceeded(&self, sustained: Span) -> Option<Sustained> {
        let at = self.last?;
        let suffices = |streak: &Streak| streak.samples >= MIN_SAMPLES && Span::between(streak.since, at) >= sustained;
        let above = self.above.filter(suffices)?;
        let critical = self.critical.is_some_and(|streak| suffices(&streak));
        let severity = if critical { Severity::Critical } else { Severity::High };
        Some(Sustained { at, since: above.since, severity })
    }

    /// The time of the last sample, if the signal has been below its clear threshold for `clear_after`.
    pub(super) fn cleared(&self, clear_after: Span) -> Option<Timestamp> {
        let at = self.last?;
        self.below.filter(|streak| Span::between(streak.since, at) >= clear_after).map(|_| at)
    }
}

fn extend(streak: &mut Option<Streak>, at: Timestamp, continues: bool) {
    *streak = match (continues, *streak) {
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

    /// The debounce after samples of these seconds and values, with a threshold of 80.
    fn after(samples: &[(i64, f64)]) -> Debounce {
        let mut debounce = Debounce::default();
        for (seconds, value) in samples {
            debounce.add(at(*seconds), Comparison::of(Percent::clamped(*value), threshold()), SUSTAINED);
        }
        debounce
    }

    #[test]
    fn a_signal_is_exceeded_after_it_has_been_above_without_a_break_for_the_required_time() {
        let check = |samples: &[(i64, f64)], expected: Option<(Severity, u64)>| {
            let exceeded = after(samples).exceeded(SUSTAINED);
            let found = exceeded.map(|exceeded| (exceeded.severity, exceeded.span().as_millis() / 1000));
            assert_eq!(found, expected, "{samples:?}");
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
    fn a_signal_is_cleared_only_below_its_clear_threshold() {
        let check = |samples: &[(i64, f64)], expected: Option<i64>| {
            assert_eq!(after(samples).cleared(CLEAR_AFTER), expected.map(at), "{samples:?}");
        };
        check(&[(0, 74.0), (5, 74.0)], None);
        check(&[(0, 74.0), (5, 74.0), (10, 74.0)], Some(10));
        check(&[(0, 74.0), (5, 76.0), (10, 74.0)], None);
        check(&[(0, 79.0), (5, 79.0), (10, 79.0)], None);
    }

    #[test]
    fn the_clear_threshold_is_at_least_half_the_threshold() {
        for (threshold, expected) in [(85.0, 80.0), (25.0, 20.0), (8.0, 4.0), (0.0, 0.0)] {
            assert_eq!(clear_threshold(threshold), expected);
        }
    }

    /// The same answers from the whole history, looking back from its end.
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
        let suffices = |(since, count): (i64, i32)| count >= 3 && now - since >= 20;
        let (above, critical, below) =
            (back(&|value| value > 80.0), back(&|value| value > 95.0), back(&|value| value < 75.0));
        let severity = if suffices(critical) { Severity::Critical } else { Severity::High };
        let low = (below.1 > 0 && now - below.0 >= 10).then_some(*now);
        (suffices(above).then_some((above.0, severity)), low)
    }

    proptest! {
        #[test]
        fn streaks_give_the_same_answer_as_the_whole_history(
            steps in prop::collection::vec((1_i64..70, prop_oneof![Just(70.0), Just(78.0), Just(85.0), Just(97.0)]), 0..40)
        ) {
            let mut now = 0;
            let samples: Vec<(i64, f64)> = steps.into_iter().map(|(pause, value)| { now += pause; (now, value) }).collect();
            let debounce = after(&samples);
            let (exceeded, cleared) = naive(&samples);
            let found = debounce.exceeded(SUSTAINED).map(|found| (found.since, found.severity));
            prop_assert_eq!(found, exceeded.map(|(since, severity)| (at(since), severity)));
            prop_assert_eq!(debounce.cleared(CLEAR_AFTER), cleared.map(at));
        }
    }
}
