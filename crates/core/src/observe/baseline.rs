//! The usual level of a signal of one container, and whether the signal is far above it.
//!
//! The baseline is an exponentially weighted mean; the spread around it is an exponentially weighted mean of absolute
//! differences. For normally distributed values the standard deviation is √(π/2) ≈ 1.2533 times that, and outliers move
//! it far less than they move a root of squares. A value is unusual if it is more than six deviations above the mean
//! and at least a fixed floor above it, so that a very steady signal does not become unusual by a trifle.
//!
//! A value below the baseline is never unusual: an idle container is not sick. While a value is unusual the mean
//! follows it ten times more slowly and the spread does not follow it at all, so a load that lasts for hours becomes
//! usual and a peak does not.

use hemostat_schema::{
    ByteCount, Span, Timestamp,
    container::Vitals,
    observation::{Evidence, Severity},
};

use super::{
    debounce::{Comparison, Debounce, MAX_GAP},
    exceeded::Exceeded,
};

/// The time constant of the weighted means: the weight of a sample falls to 1/e within it.
const TIME_CONSTANT: Span = Span::from_secs(600);
/// Minimum samples before anything counts as unusual.
const MIN_SAMPLES: u32 = 60;
/// Minimum time before anything counts as unusual.
const MIN_TIME: Span = Span::from_secs(300);
/// A value this many standard deviations above the mean is unusual.
const DEVIATIONS: f64 = 6.0;
/// Standard deviation of normally distributed values, in mean absolute differences.
const NORMAL: f64 = 1.2533;
/// The mean follows an unusual value this many times more slowly.
const UNUSUAL_SLOWDOWN: f64 = 10.0;
/// The floor for CPU and memory, in percentage points above the mean.
const MIN_POINTS: f64 = 10.0;
/// The floor for network and block I/O, in bytes per second above the mean.
const MIN_BYTES_PER_SECOND: f64 = 1_048_576.0;

/// The baselines of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Baselines {
    pub(super) cpu: Baseline,
    pub(super) memory: Baseline,
    pub(super) network: Baseline,
    pub(super) block: Baseline,
    counters: Option<Counters>,
}

/// Bytes transferred since the run began.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Counters {
    at: Timestamp,
    network: u64,
    block: u64,
}

impl Baselines {
    pub(super) fn add(&mut self, at: Timestamp, vitals: &Vitals, sustained: Span) {
        self.cpu.add(at, vitals.cpu.get(), MIN_POINTS, sustained);
        self.memory.add(at, vitals.memory.get(), MIN_POINTS, sustained);
        let sum = |one: ByteCount, other: ByteCount| one.0.saturating_add(other.0);
        let now = Counters {
            at,
            network: sum(vitals.network_rx, vitals.network_tx),
            block: sum(vitals.block_read, vitals.block_write),
        };
        let Some(before) = self.counters.replace(now) else { return };
        if let Some(rate) = now.rate(&before, |counters| counters.network) {
            self.network.add(at, rate, MIN_BYTES_PER_SECOND, sustained);
        }
        if let Some(rate) = now.rate(&before, |counters| counters.block) {
            self.block.add(at, rate, MIN_BYTES_PER_SECOND, sustained);
        }
    }
}

impl Counters {
    /// Bytes per second since `before`. None if no time has passed or the counter fell, as it does when the container
    /// leaves a network.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    fn rate(&self, before: &Self, counter: fn(&Self) -> u64) -> Option<f64> {
        let passed = Span::between(before.at, self.at).as_secs_f64();
        let moved = counter(self).checked_sub(counter(before))?;
        (passed > 0.0).then(|| moved as f64 / passed)
    }
}

/// The baseline of one signal of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Baseline {
    since: Option<Timestamp>,
    last: Option<Timestamp>,
    samples: u32,
    mean: f64,
    /// The mean absolute difference from the mean.
    difference: f64,
    value: f64,
    debounce: Debounce,
}

impl Baseline {
    /// Adds a value. A value less than `floor` above the mean is not unusual, however steady the signal has been.
    fn add(&mut self, at: Timestamp, value: f64, floor: f64, sustained: Span) {
        let since = *self.since.get_or_insert(at);
        let reach = (DEVIATIONS * NORMAL * self.difference).max(floor);
        let above = value - self.mean;
        let is_warm = self.samples >= MIN_SAMPLES && Span::between(since, at) >= MIN_TIME;
        let unusual = is_warm && above >= reach;
        let sample = Comparison { above: unusual, critical: false, below: !is_warm || above < reach / 2.0 };
        self.debounce.add(at, sample, sustained);
        self.value = value;
        self.learn(at, above, unusual);
    }

    /// Updates mean and spread; `above` is how far the value is above the mean.
    fn learn(&mut self, at: Timestamp, above: f64, unusual: bool) {
        let passed = self.last.replace(at).map_or(Span::ZERO, |last| Span::between(last, at).min(MAX_GAP));
        self.samples = self.samples.saturating_add(1);
        let by_age = 1.0 - (-passed.as_secs_f64() / TIME_CONSTANT.as_secs_f64()).exp();
        // While there are few samples they all weigh the same; else the first would outweigh all others.
        let weight = by_age.max(1.0 / f64::from(self.samples));
        if unusual {
            self.mean += weight / UNUSUAL_SLOWDOWN * above;
        } else {
            self.mean += weight * above;
            self.difference += weight * (above.abs() - self.difference);
        }
    }

    /// The evidence, if the value has been unusual for `sustained`.
    pub(super) fn exceeded(&self, sustained: Span) -> Option<Exceeded> {
        let held = self.debounce.exceeded(sustained)?;
        let evidence = Evidence::Unusual {
            value: self.value,
            expected: self.mean,
            deviation: NORMAL * self.difference,
            held: held.span(),
        };
        Some(Exceeded { at: held.at, since: held.since, severity: Severity::Low, evidence })
    }

    /// The time of the last sample, if the value has been near the baseline for `clear_after`.
    pub(super) fn cleared(&self, clear_after: Span) -> Option<Timestamp> {
        self.debounce.cleared(clear_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;
    use proptest::prelude::*;

    const FLOOR: f64 = 10.0;
    const SUSTAINED: Span = Span::from_secs(60);

    /// One value every 5 s; for each, whether the signal is exceeded.
    fn exceeded(values: impl IntoIterator<Item = f64>) -> (Baseline, Vec<bool>) {
        let mut baseline = Baseline::default();
        let exceeded = (0..).step_by(5).zip(values).map(|(second, value)| {
            baseline.add(at(second), value, FLOOR, SUSTAINED);
            baseline.exceeded(SUSTAINED).is_some()
        });
        let exceeded = exceeded.collect();
        (baseline, exceeded)
    }

    /// Values that jitter around a mean; deterministic.
    fn around(mean: f64, jitter: f64, count: usize) -> impl Iterator<Item = f64> + Clone {
        (0..count).map(move |n| mean + jitter * f64::from(u8::try_from(n * 7 % 11).unwrap()) / 5.0 - jitter)
    }

    fn first(exceeded: &[bool]) -> Option<usize> {
        exceeded.iter().position(|exceeded| *exceeded)
    }

    #[test]
    fn a_value_far_above_the_baseline_for_the_required_time_is_unusual() {
        let check = |usual: f64, jitter: f64, then: f64, expected: Option<usize>| {
            let (_, exceeded) = exceeded(around(usual, jitter, 120).chain(around(then, jitter, 40)));
            assert_eq!(first(&exceeded), expected.map(|n| 120 + n), "{usual} ± {jitter}, then {then}");
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
        let (_, exceeded) = exceeded(around(5.0, 1.0, 120).chain(around(80.0, 1.0, 10)).chain(around(5.0, 1.0, 60)));
        assert_eq!(first(&exceeded), None);
    }

    #[test]
    fn nothing_is_unusual_during_warm_up() {
        let (_, before) = exceeded(around(5.0, 1.0, 40).chain(around(90.0, 1.0, 30)));
        assert_eq!(first(&before), None);
    }

    #[test]
    fn an_unusual_value_is_cleared_near_the_baseline() {
        let (baseline, _) = exceeded(around(5.0, 1.0, 120).chain(around(60.0, 1.0, 40)).chain(around(5.0, 1.0, 4)));
        assert_eq!(baseline.exceeded(SUSTAINED), None);
        assert_eq!(baseline.cleared(Span::from_secs(10)), Some(at(163 * 5)));
    }

    #[test]
    fn a_load_of_eight_hours_becomes_usual_and_one_of_an_hour_does_not() {
        let hours = |hours: usize| exceeded(around(5.0, 1.0, 720).chain(around(60.0, 1.0, 720 * hours))).1;
        assert_eq!(hours(1).last(), Some(&true));
        assert_eq!(hours(8).last(), Some(&false));
    }

    /// The baseline by its definition, from the whole history.
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
        fn the_baseline_matches_its_definition(
            steps in prop::collection::vec((1_i64..90, 0.0_f64..100.0), 0..200),
        ) {
            let mut now = 0;
            let values: Vec<(i64, f64)> = steps.into_iter().map(|(pause, value)| { now += pause; (now, value) }).collect();
            let mut baseline = Baseline::default();
            for (second, value) in &values {
                baseline.add(at(*second), *value, FLOOR, SUSTAINED);
            }
            if let Some((mean, difference)) = naive(&values) {
                prop_assert!((baseline.mean - mean).abs() < 1e-6, "{} {}", baseline.mean, mean);
                prop_assert!((baseline.difference - difference).abs() < 1e-6);
            }
        }

        #[test]
        fn a_value_below_the_floor_is_never_unusual(values in prop::collection::vec(50.0_f64..59.9, 0..400)) {
            prop_assert_eq!(first(&exceeded(values).1), None);
        }
    }
}
