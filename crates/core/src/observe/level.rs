//! How long CPU and memory have stood above or below their thresholds without a break, and where they are going.

use std::collections::VecDeque;

use hemostat_schema::{
    Percent, Span, Timestamp,
    container::Vitals,
    observation::{Severity, Trend},
};

use crate::policy::Care;

/// Above this a level is critical.
const CRITICAL: f64 = 95.0;
/// A level must fall so many points below its threshold to be over, so that one that hovers at it does not flap.
const HYSTERESIS: f64 = 5.0;
/// One or two samples prove nothing, however far apart they are.
const LEAST_SAMPLES: u32 = 3;
/// Samples further apart than this (or than the time that a level must hold, when that is longer) prove nothing about
/// the time between them.
const LONGEST_GAP: Span = Span::from_secs(60);
/// The trend is that of the last so many samples.
const TREND_SAMPLES: usize = 12;
/// A level that has moved so many points is not steady.
const TREND_POINTS: f64 = 2.0;

/// The windows of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Levels {
    pub(super) cpu: Level,
    pub(super) memory: Level,
}

impl Levels {
    pub(super) fn take(&mut self, at: Timestamp, vitals: &Vitals, care: &Care) {
        self.cpu.take(at, vitals.cpu, care.cpu, care.sustained);
        self.memory.take(at, vitals.memory, care.memory, care.sustained);
    }
}

/// The window of one value.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Level {
    recent: VecDeque<(Timestamp, Percent)>,
    above: Option<Streak>,
    critical: Option<Streak>,
    below: Option<Streak>,
}

/// Samples in a row on one side of a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Streak {
    since: Timestamp,
    samples: u32,
}

/// A level that has been too high for its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct High {
    pub(super) at: Timestamp,
    pub(super) since: Timestamp,
    pub(super) severity: Severity,
    pub(super) value: Percent,
    pub(super) held: Span,
    pub(super) trend: Trend,
}

impl Level {
    fn take(&mut self, at: Timestamp, value: Percent, threshold: Percent, sustained: Span) {
        let gap = self.recent.back().map_or(Span::ZERO, |(last, _)| Span::between(*last, at));
        if gap > sustained.max(LONGEST_GAP) {
            *self = Self::default();
        }
        let (value, threshold) = ((at, value), threshold.get());
        let end_of_high = (threshold - HYSTERESIS).max(threshold / 2.0);
        let number = value.1.get();
        count(&mut self.above, at, number > threshold);
        count(&mut self.critical, at, number > threshold.max(CRITICAL));
        count(&mut self.below, at, number < end_of_high);
        self.recent.push_back(value);
        if self.recent.len() > TREND_SAMPLES {
            self.recent.pop_front();
        }
    }

    /// Whether it has been above its threshold for `sustained`; critical, when it has been that for as long.
    pub(super) fn high(&self, sustained: Span) -> Option<High> {
        let (at, value) = *self.recent.back()?;
        let proves = |streak: &Streak| streak.samples >= LEAST_SAMPLES && Span::between(streak.since, at) >= sustained;
        let above = self.above.filter(proves)?;
        let severity =
            if self.critical.is_some_and(|streak| proves(&streak)) { Severity::Critical } else { Severity::High };
        let held = Span::between(above.since, at);
        Some(High { at, since: above.since, severity, value, held, trend: self.trend() })
    }

    /// The last sample's time, when it has been well below its threshold for `clear_after`.
    pub(super) fn low(&self, clear_after: Span) -> Option<Timestamp> {
        let (at, _) = *self.recent.back()?;
        self.below.filter(|streak| Span::between(streak.since, at) >= clear_after).map(|_| at)
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
        let mean = |samples: &mut dyn Iterator<Item = &(Timestamp, Percent)>| {
            let (sum, count) = samples.fold((0.0, 0.0), |(sum, count), (_, value)| (sum + value.get(), count + 1.0));
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

    /// A level with threshold 80 and 20 s to hold, after samples of these seconds and values.
    fn after(samples: &[(i64, f64)]) -> Level {
        let mut level = Level::default();
        for (seconds, value) in samples {
            level.take(at(*seconds), Percent::clamped(*value), Percent::clamped(80.0), Span::from_secs(20));
        }
        level
    }

    #[test]
    fn a_level_is_high_when_it_has_been_above_without_a_break_for_its_time() {
        let check = |samples: &[(i64, f64)], expected: Option<(Severity, u64)>| {
            let high = after(samples).high(Span::from_secs(20));
            assert_eq!(high.map(|high| (high.severity, high.held.as_millis() / 1000)), expected, "{samples:?}");
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
    fn a_level_is_low_only_well_below_its_threshold() {
        let check = |samples: &[(i64, f64)], expected: Option<i64>| {
            assert_eq!(after(samples).low(Span::from_secs(10)), expected.map(at), "{samples:?}");
        };
        check(&[(0, 74.0), (5, 74.0)], None);
        check(&[(0, 74.0), (5, 74.0), (10, 74.0)], Some(10));
        check(&[(0, 74.0), (5, 76.0), (10, 74.0)], None);
        check(&[(0, 79.0), (5, 79.0), (10, 79.0)], None);
    }

    #[test]
    fn the_trend_is_that_of_the_means_of_the_halves() {
        let check = |values: &[f64], expected: Trend| {
            let samples: Vec<(i64, f64)> = values.iter().enumerate().map(|(n, v)| (n as i64 * 5, *v)).collect();
            assert_eq!(after(&samples).trend(), expected, "{values:?}");
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
