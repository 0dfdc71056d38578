//! The signal of a share with a threshold (CPU, memory, throttling), and its trend.

use std::collections::VecDeque;

use hemostat_schema::{
    Percent, Span, Timestamp,
    observation::{Evidence, Trend},
};

use super::{
    debounce::{Comparison, Debounce},
    exceeded::Exceeded,
};

/// Samples from which the trend is computed.
const TREND_SAMPLES: usize = 12;
/// A share that moves by at least this many percentage points rises or falls; one that moves less is steady.
const TREND_POINTS: f64 = 2.0;

/// The last samples of one share, debounced.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Level {
    recent: VecDeque<Percent>,
    debounce: Debounce,
}

impl Level {
    pub(super) fn add(&mut self, at: Timestamp, value: Percent, threshold: Percent, sustained: Span) {
        if self.debounce.add(at, Comparison::of(value, threshold), sustained) {
            self.recent.clear();
        }
        if self.recent.len() == TREND_SAMPLES {
            self.recent.pop_front();
        }
        self.recent.push_back(value);
    }

    /// A sample without this share: it counts as low.
    pub(super) fn add_missing(&mut self, at: Timestamp, sustained: Span) {
        self.recent.clear();
        self.debounce.add(at, Comparison::BELOW, sustained);
    }

    /// The evidence, if the share has been above `threshold` for `sustained`.
    pub(super) fn exceeded(&self, sustained: Span, threshold: Percent) -> Option<Exceeded> {
        let value = *self.recent.back()?;
        let held = self.debounce.exceeded(sustained)?;
        let evidence = Evidence::Level { value, threshold, held: held.span(), trend: self.trend() };
        Some(Exceeded::sustained(held, evidence))
    }

    /// The time of the last sample, if the share has been below its clear threshold for `clear_after`.
    pub(super) fn cleared(&self, clear_after: Span) -> Option<Timestamp> {
        self.debounce.cleared(clear_after)
    }

    /// Compares the mean of the newer half of the last samples with the mean of the older half.
    ///
    /// One outlier at either end hardly moves these means (a mean of differences is only last minus first), and over a
    /// minute they show a slow leak that no two neighbouring samples show.
    fn trend(&self) -> Trend {
        let half = self.recent.len() / 2;
        if half < 2 {
            return Trend::Unknown;
        }
        let mean = |samples: &mut dyn Iterator<Item = &Percent>| {
            let (sum, count) = samples.fold((0.0, 0.0), |(sum, count), value| (sum + value.get(), count + 1.0));
            sum / count
        };
        let moved = mean(&mut self.recent.iter().rev().take(half)) - mean(&mut self.recent.iter().take(half));
        match moved {
            moved if moved >= TREND_POINTS => Trend::Rising,
            moved if moved <= -TREND_POINTS => Trend::Falling,
            _ => Trend::Steady,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn the_trend_compares_the_means_of_the_two_halves() {
        let check = |values: &[f64], expected: Trend| {
            let mut level = Level::default();
            for (second, value) in (0..).step_by(5).zip(values) {
                level.add(at(second), Percent::clamped(*value), Percent::clamped(80.0), Span::from_secs(20));
            }
            assert_eq!(level.trend(), expected, "{values:?}");
        };
        check(&[], Trend::Unknown);
        check(&[10.0, 90.0, 90.0], Trend::Unknown);
        check(&[60.0, 64.0, 68.0, 72.0], Trend::Rising);
        check(&[72.0, 68.0, 64.0, 60.0], Trend::Falling);
        check(&[80.0, 81.0, 80.5, 80.0, 81.0, 80.2], Trend::Steady);
        check(&[70.0, 70.5, 71.0, 71.5, 72.0, 72.5, 73.0, 73.5, 74.0, 74.5, 75.0, 75.5], Trend::Rising);
        check(&[80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 80.0, 85.0], Trend::Steady);
    }
}
