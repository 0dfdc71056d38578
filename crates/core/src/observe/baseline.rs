//! What is usual for one container, and whether it is far from that.
//!
//! The usual is an exponentially weighted mean, how far values are from it an exponentially weighted mean of absolute
//! differences; for normally distributed values the standard deviation is √(π/2) ≈ 1.2533 times that, and outliers move it
//! far less than they move a root of squares. A value is unusual when it is more than six deviations above the mean, and
//! above it by so much that anybody would care.
//!
//! Less than usual is never unusual: an idle container is not ill. While a value is unusual the mean follows it ten times
//! more slowly and the deviation not at all, so what lasts for hours becomes usual, and a peak does not.

use hemostat_schema::{
    Span, Timestamp,
    observation::{Evidence, Severity},
};

use super::{
    hold::{Hold, LONGEST_GAP, Side},
    signals::High,
};

/// The weight of a sample falls to 1/e in this time.
const MEMORY: Span = Span::from_secs(600);
/// Nothing is unusual before the baseline rests on so many samples,
const LEAST_SAMPLES: u32 = 60;
/// and on so long a time.
const LEAST_TIME: Span = Span::from_secs(300);
/// So many deviations from the mean are unusual.
const DEVIATIONS: f64 = 6.0;
/// The standard deviation of normally distributed values, by their mean absolute difference.
const NORMAL: f64 = 1.2533;
/// What is unusual is followed so much more slowly.
const RELUCTANCE: f64 = 10.0;

/// What is usual for one signal of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Baseline {
    since: Option<Timestamp>,
    last: Option<Timestamp>,
    samples: u32,
    mean: f64,
    /// The mean absolute difference from the mean.
    difference: f64,
    value: f64,
    hold: Hold,
}

impl Baseline {
    /// Takes a value in; one that is not `floor` above the mean is not unusual, however steady the signal has been.
    pub(super) fn take(&mut self, at: Timestamp, value: f64, floor: f64, sustained: Span) {
        let since = *self.since.get_or_insert(at);
        let reach = (DEVIATIONS * NORMAL * self.difference).max(floor);
        let above = value - self.mean;
        let is_warm = self.samples >= LEAST_SAMPLES && Span::between(since, at) >= LEAST_TIME;
        let unusual = is_warm && above >= reach;
        let side = Side { above: unusual, critical: false, below: !is_warm || above < reach / 2.0 };
        self.hold.take(at, side, sustained);
        self.value = value;
        self.learn(at, above, unusual);
    }

    /// `above` is how far above the mean the value is.
    fn learn(&mut self, at: Timestamp, above: f64, unusual: bool) {
        let passed = self.last.replace(at).map_or(Span::ZERO, |last| Span::between(last, at).min(LONGEST_GAP));
        self.samples = self.samples.saturating_add(1);
        let by_age = 1.0 - (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        // As long as there are few samples all weigh the same, or the first would weigh more than all others.
        let weight = by_age.max(1.0 / f64::from(self.samples));
        if unusual {
            self.mean += weight / RELUCTANCE * above;
        } else {
            self.mean += weight * above;
            self.difference += weight * (above.abs() - self.difference);
        }
    }

    /// What says that it has been far above what is usual for `sustained`.
    pub(super) fn high(&self, sustained: Span) -> Option<High> {
        let held = self.hold.high(sustained)?;
        let evidence = Evidence::Unusual {
            value: self.value,
            expected: self.mean,
            deviation: NORMAL * self.difference,
            held: held.span(),
        };
        Some(High { at: held.at, since: held.since, severity: Severity::Low, evidence })
    }

    /// The last sample's time, when it has been near what is usual for `clear_after`.
    pub(super) fn low(&self, clear_after: Span) -> Option<Timestamp> {
        self.hold.low(clear_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;
    use proptest::prelude::*;

    const FLOOR: f64 = 10.0;
    const SUSTAINED: Span = Span::from_secs(60);

    /// A value every 5 s; gives whether each is unusual enough, for long enough.
    fn told(values: impl IntoIterator<Item = f64>) -> (Baseline, Vec<bool>) {
        let mut baseline = Baseline::default();
        let told = (0..).step_by(5).zip(values).map(|(second, value)| {
            baseline.take(at(second), value, FLOOR, SUSTAINED);
            baseline.high(SUSTAINED).is_some()
        });
        let told = told.collect();
        (baseline, told)
    }

    /// Values that jitter around a mean without chance.
    fn around(mean: f64, jitter: f64, count: usize) -> impl Iterator<Item = f64> + Clone {
        (0..count).map(move |n| mean + jitter * f64::from(u8::try_from(n * 7 % 11).unwrap()) / 5.0 - jitter)
    }

    fn first(told: &[bool]) -> Option<usize> {
        told.iter().position(|told| *told)
    }

    #[test]
    fn far_above_the_usual_for_its_time_is_unusual() {
        let check = |usual: f64, jitter: f64, then: f64, expected: Option<usize>| {
            let (_, told) = told(around(usual, jitter, 120).chain(around(then, jitter, 40)));
            assert_eq!(first(&told), expected.map(|n| 120 + n), "{usual} ± {jitter}, then {then}");
        };
        check(5.0, 1.0, 40.0, Some(12));
        check(5.0, 0.0, 40.0, Some(12));
        check(5.0, 0.0, 14.0, None);
        check(5.0, 1.0, 11.0, None);
        check(40.0, 8.0, 60.0, None);
        check(40.0, 1.0, 5.0, None);
    }

    #[test]
    fn a_short_peak_is_not_unusual() {
        let (_, told) = told(around(5.0, 1.0, 120).chain(around(80.0, 1.0, 10)).chain(around(5.0, 1.0, 60)));
        assert_eq!(first(&told), None);
    }

    #[test]
    fn nothing_is_unusual_while_it_warms_up() {
        let (_, before) = told(around(5.0, 1.0, 40).chain(around(90.0, 1.0, 30)));
        assert_eq!(first(&before), None);
    }

    #[test]
    fn what_was_unusual_is_over_when_it_is_near_the_usual_again() {
        let (baseline, _) = told(around(5.0, 1.0, 120).chain(around(60.0, 1.0, 40)).chain(around(5.0, 1.0, 4)));
        assert_eq!(baseline.high(SUSTAINED), None);
        assert_eq!(baseline.low(Span::from_secs(10)), Some(at(163 * 5)));
    }

    #[test]
    fn what_lasts_for_hours_becomes_usual_and_an_hour_does_not() {
        let hours = |hours: usize| told(around(5.0, 1.0, 720).chain(around(60.0, 1.0, 720 * hours))).1;
        assert_eq!(hours(1).last(), Some(&true));
        assert_eq!(hours(8).last(), Some(&false));
    }

    /// The same from the definition, with the whole history at hand.
    fn naive(values: &[(i64, f64)]) -> Option<(f64, f64)> {
        let (mut mean, mut difference) = (0.0_f64, 0.0_f64);
        for (n, (second, value)) in values.iter().enumerate() {
            let passed = if n == 0 { 0 } else { (second - values[n - 1].0).min(60) };
            let weight = (1.0 - (-(passed as f64) / 600.0).exp()).max(1.0 / (n as f64 + 1.0));
            let reach = (6.0 * 1.2533 * difference).max(FLOOR);
            let above = value - mean;
            if n >= 60 && second - values[0].0 >= 300 && above >= reach {
                mean += weight / 10.0 * above;
            } else {
                mean += weight * above;
                difference = (1.0 - weight) * difference + weight * above.abs();
            }
        }
        (!values.is_empty()).then_some((mean, difference))
    }

    proptest! {
        #[test]
        fn the_baseline_is_that_of_the_definition(
            steps in prop::collection::vec((1_i64..90, 0.0_f64..100.0), 0..200),
        ) {
            let mut now = 0;
            let values: Vec<(i64, f64)> = steps.into_iter().map(|(pause, value)| { now += pause; (now, value) }).collect();
            let mut baseline = Baseline::default();
            for (second, value) in &values {
                baseline.take(at(*second), *value, FLOOR, SUSTAINED);
            }
            if let Some((mean, difference)) = naive(&values) {
                prop_assert!((baseline.mean - mean).abs() < 1e-6, "{} {}", baseline.mean, mean);
                prop_assert!((baseline.difference - difference).abs() < 1e-6);
            }
        }

        #[test]
        fn what_does_not_reach_the_floor_is_never_unusual(values in prop::collection::vec(50.0_f64..59.9, 0..400)) {
            prop_assert_eq!(first(&told(values).1), None);
        }
    }
}
