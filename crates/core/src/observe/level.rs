//! How long a share has stood above or below its threshold without a break, and where it is going.

use std::collections::VecDeque;

use hemostat_schema::{
    Percent, Span, Timestamp,
    observation::{Evidence, Trend},
};

use super::{
    hold::{Hold, Side},
    signals::High,
};

/// The trend is that of the last so many samples.
const TREND_SAMPLES: usize = 12;
/// A level that has moved so many points is not steady.
const TREND_POINTS: f64 = 2.0;

/// The window of one share.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Level {
    recent: VecDeque<Percent>,
    hold: Hold,
}

impl Level {
    pub(super) fn take(&mut self, at: Timestamp, value: Percent, threshold: Percent, sustained: Span) {
        if self.hold.take(at, Side::of(value, threshold), sustained) {
            self.recent.clear();
        }
        if self.recent.len() == TREND_SAMPLES {
            self.recent.pop_front();
        }
        self.recent.push_back(value);
    }

    /// Nothing is measured: what is not there is not high.
    pub(super) fn miss(&mut self, at: Timestamp, sustained: Span) {
        self.recent.clear();
        self.hold.take(at, Side::BELOW, sustained);
    }

    /// What says that it has been above `threshold` for `sustained`; none where it has not.
    pub(super) fn high(&self, sustained: Span, threshold: Percent) -> Option<High> {
        let value = *self.recent.back()?;
        let held = self.hold.high(sustained)?;
        let evidence = Evidence::Level { value, threshold, held: held.span(), trend: self.trend() };
        Some(High::held(held, evidence))
    }

    /// The last sample's time, when it has been well below its threshold for `clear_after`.
    pub(super) fn low(&self, clear_after: Span) -> Option<Timestamp> {
        self.hold.low(clear_after)
    }

    /// The mean of the newer half of the last samples against that of the older half.
    ///
    /// The means of halves do not care for one outlier at either end, as a mean of differences would (it is nothing but
    /// last less first); and the sum over a minute shows a slow leak that no two samples show.
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
    fn the_trend_is_that_of_the_means_of_the_halves() {
        let check = |values: &[f64], expected: Trend| {
            let mut level = Level::default();
            for (second, value) in (0..).step_by(5).zip(values) {
                level.take(at(second), Percent::clamped(*value), Percent::clamped(80.0), Span::from_secs(20));
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
