//! How does a counter grow that nobody ticks?
//!
//! A counter is a straight line from the last instant at which its slope changed, so ten thousand of them cost nothing
//! until somebody looks. A wave may be laid over it, so that it looks like something that lives; it never makes a
//! growing line fall.

use std::{f64::consts::TAU, time::Duration};

use crate::UnixNanos;

/// How long a wave is.
const RIPPLE_PERIOD: f64 = 60.0;
/// How far a wave bends the slope.
const RIPPLE: f64 = 0.3;

/// A value that changes steadily.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counter {
    value: f64,
    per_second: f64,
    since: UnixNanos,
}

impl Counter {
    /// Level from `now` on.
    pub(crate) fn level(value: f64, now: UnixNanos) -> Self {
        Self { value, per_second: 0.0, since: now }
    }

    /// Its value now.
    pub(crate) fn at(&self, now: UnixNanos) -> f64 {
        self.value + self.per_second * now.since(self.since).as_secs_f64()
    }

    /// Its value now, with a wave over it that begins at `phase` (0 to 1).
    pub(crate) fn at_with_ripple(&self, now: UnixNanos, phase: f64) -> f64 {
        let crest =
            |seconds: f64| RIPPLE * RIPPLE_PERIOD / TAU * (1.0 - (TAU * (seconds / RIPPLE_PERIOD + phase)).cos());
        let seconds = now.since(self.since).as_secs_f64();
        self.at(now) + self.per_second * (crest(seconds) - crest(0.0))
    }

    /// From now on it grows by so much a second.
    pub(crate) fn set_slope(&mut self, per_second: f64, now: UnixNanos) {
        *self = Self { value: self.at(now), per_second, since: now };
    }

    /// The same for a line that is read with a wave over it, so that it does not jump.
    pub(crate) fn set_slope_with_ripple(&mut self, per_second: f64, now: UnixNanos, phase: f64) {
        *self = Self { value: self.at_with_ripple(now, phase), per_second, since: now };
    }

    /// It is so much more at once.
    pub(crate) fn rise(&mut self, by: f64) {
        self.value += by;
    }

    /// How long until it reaches `value`; none where it never does.
    pub(crate) fn until(&self, value: f64, now: UnixNanos) -> Option<Duration> {
        let missing = value - self.at(now);
        if missing <= 0.0 {
            return Some(Duration::ZERO);
        }
        (self.per_second > 0.0).then(|| Duration::from_secs_f64((missing / self.per_second).min(1e9)))
    }
}

/// A counter as it is written: whole, and never below zero.
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
    fn it_grows_by_its_slope_from_the_last_turn_on() {
        let mut line = Counter::level(10.0, at(0.0));
        line.set_slope(2.0, at(5.0));
        assert_eq!(line.at(at(8.0)), 16.0);
        line.rise(100.0);
        line.set_slope(0.0, at(8.0));
        assert_eq!(line.at(at(60.0)), 116.0);
        assert_eq!(line.until(117.0, at(60.0)), None);
        assert_eq!(line.until(116.0, at(60.0)), Some(Duration::ZERO));
        line.set_slope(0.5, at(60.0));
        assert_eq!(line.until(117.0, at(60.0)), Some(Duration::from_secs(2)));
    }

    proptest! {
        #[test]
        fn a_waving_counter_never_falls(phase in 0.0..1.0, slope in 0.0..1e9, start in 0.0..1e4, step in 0.001..100.0) {
            let mut line = Counter::level(0.0, at(0.0));
            line.set_slope_with_ripple(slope, at(0.0), phase);
            let (before, after) = (line.at_with_ripple(at(start), phase), line.at_with_ripple(at(start + step), phase));
            prop_assert!(after >= before - 1e-3, "{before} {after}");
            line.set_slope_with_ripple(slope, at(start + step), phase);
            prop_assert!((line.at_with_ripple(at(start + step), phase) - after).abs() <= 1e-3 * after.max(1.0));
        }
    }
}
