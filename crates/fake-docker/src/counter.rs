//! A usage counter as a linear function of time, so that ten thousand of them cost nothing until they are read.
//!
//! A counter is a line from the last instant at which its slope changed. A ripple can be added, so that the usage looks
//! real; it never makes a growing counter fall.

use std::{f64::consts::TAU, time::Duration};

use crate::time::UnixNanos;

/// The period of the ripple, in seconds.
const RIPPLE_PERIOD: f64 = 60.0;
/// The amplitude of the ripple, relative to the slope.
const RIPPLE: f64 = 0.3;

/// A value that changes linearly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counter {
    value: f64,
    per_second: f64,
    since: UnixNanos,
}

impl Counter {
    /// A constant value from `now` on.
    pub(crate) fn constant(value: f64, now: UnixNanos) -> Self {
        Self { value, per_second: 0.0, since: now }
    }

    /// Its value now.
    pub(crate) fn at(&self, now: UnixNanos) -> f64 {
        self.value + self.per_second * now.since(self.since).as_secs_f64()
    }

    /// Its value now with a ripple that starts at `phase` (0 to 1).
    pub(crate) fn at_with_ripple(&self, now: UnixNanos, phase: f64) -> f64 {
        let ripple =
            |seconds: f64| RIPPLE * RIPPLE_PERIOD / TAU * (1.0 - (TAU * (seconds / RIPPLE_PERIOD + phase)).cos());
        let seconds = now.since(self.since).as_secs_f64();
        self.at(now) + self.per_second * (ripple(seconds) - ripple(0.0))
    }

    /// Changes the slope, per second, from `now` on.
    pub(crate) fn set_slope(&mut self, per_second: f64, now: UnixNanos) {
        *self = Self { value: self.at(now), per_second, since: now };
    }

    /// The same for a counter that is read with a ripple, so that its value does not jump.
    pub(crate) fn set_slope_with_ripple(&mut self, per_second: f64, now: UnixNanos, phase: f64) {
        *self = Self { value: self.at_with_ripple(now, phase), per_second, since: now };
    }

    /// Adds to the value at once.
    pub(crate) fn add(&mut self, by: f64) {
        self.value += by;
    }

    /// The time until it reaches `value`; `None` if it never does.
    pub(crate) fn time_to(&self, value: f64, now: UnixNanos) -> Option<Duration> {
        let missing = value - self.at(now);
        if missing <= 0.0 {
            return Some(Duration::ZERO);
        }
        (self.per_second > 0.0).then(|| Duration::from_secs_f64((missing / self.per_second).min(1e9)))
    }
}

/// The value as a whole number, at least zero.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters are whole and positive")]
pub(crate) fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: f64) -> UnixNanos {
        UnixNanos::from_nanos(0) + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn it_grows_by_its_slope_since_the_last_change() {
        let mut counter = Counter::constant(10.0, at(0.0));
        counter.set_slope(2.0, at(5.0));
        assert_eq!(counter.at(at(8.0)), 16.0);
        counter.add(100.0);
        counter.set_slope(0.0, at(8.0));
        assert_eq!(counter.at(at(60.0)), 116.0);
        assert_eq!(counter.time_to(117.0, at(60.0)), None);
        assert_eq!(counter.time_to(116.0, at(60.0)), Some(Duration::ZERO));
        counter.set_slope(0.5, at(60.0));
        assert_eq!(counter.time_to(117.0, at(60.0)), Some(Duration::from_secs(2)));
    }

    proptest! {
        #[test]
        fn a_counter_with_ripple_never_falls(phase in 0.0..1.0, slope in 0.0..1e9, start in 0.0..1e4, step in 0.001..100.0) {
            let mut counter = Counter::constant(0.0, at(0.0));
            counter.set_slope_with_ripple(slope, at(0.0), phase);
            let (before, after) = (counter.at_with_ripple(at(start), phase), counter.at_with_ripple(at(start + step), phase));
            prop_assert!(after >= before - 1e-3, "{before} {after}");
            counter.set_slope_with_ripple(slope, at(start + step), phase);
            prop_assert!((counter.at_with_ripple(at(start + step), phase) - after).abs() <= 1e-3 * after.max(1.0));
        }
    }
}
