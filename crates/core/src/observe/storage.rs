//! Whether it is this container that fills the disk.
//!
//! Sizes are dear to ask for, so they come once in some minutes, whether it runs or not. A full disk is everybody's
//! trouble; it is told of those who keep the most on it, or who would fill what is left within a day, and of whoever will
//! fill it within an hour however empty it is now.

use std::collections::VecDeque;

use hemostat_schema::{
    ByteCount, Percent, Span, Timestamp,
    observation::{DiskMeasured, Evidence, Severity, Stored},
};

use super::{
    hold::{Side, end_of_high},
    signals::High,
};

/// So many measurements are remembered, at most.
const REMEMBERED: usize = 12;
/// Growth is that of this time.
const WINDOW: Span = Span::from_secs(3600);
/// One burst is no growth: so many measurements in a row must be higher than the one before.
const STEADY: usize = 3;
/// What is smaller is nothing.
const LEAST: u64 = 1 << 20;

/// What a container keeps on disk, and the disk.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Storage {
    kept: VecDeque<(Timestamp, u64)>,
    disk: Option<DiskMeasured>,
    is_largest: bool,
}

impl Storage {
    /// Takes a measurement in; `is_largest` says that no other container keeps more.
    pub(super) fn take(&mut self, at: Timestamp, stored: &Stored, disk: Option<DiskMeasured>, is_largest: bool) {
        self.kept.retain(|(before, _)| Span::between(*before, at) <= WINDOW);
        if self.kept.len() == REMEMBERED {
            self.kept.pop_front();
        }
        self.kept.push_back((at, kept(stored)));
        (self.disk, self.is_largest) = (disk, is_largest);
    }

    /// What says that it fills the disk.
    pub(super) fn high(&self, threshold: Percent) -> Option<High> {
        let ((at, kept), disk) = (*self.kept.back()?, self.disk.as_ref()?);
        if !self.fills(disk, threshold.get(), 1) {
            return None;
        }
        let value = disk.used();
        let evidence = Evidence::Disk {
            path: disk.path.clone(),
            value,
            threshold,
            writable: ByteCount(kept),
            per_hour: ByteCount(self.per_hour()),
        };
        let critical = Side::of(value, threshold).critical;
        let severity = if critical { Severity::Critical } else { Severity::High };
        Some(High { at, since: at, severity, evidence })
    }

    /// The last measurement's time, when it says that it does not; none where the disk is not known.
    pub(super) fn low(&self, threshold: Percent) -> Option<Timestamp> {
        let ((at, _), disk) = (*self.kept.back()?, self.disk.as_ref()?);
        (!self.fills(disk, end_of_high(threshold.get()), 2)).then_some(at)
    }

    fn fills(&self, disk: &DiskMeasured, threshold: f64, patience: u64) -> bool {
        let per_hour = self.per_hour();
        let full_within = |hours: u64| per_hour >= LEAST && per_hour.saturating_mul(hours) >= disk.available.0;
        let keeps_most = self.is_largest && self.kept.back().is_some_and(|(_, kept)| *kept >= LEAST);
        let is_full = disk.used().get() > threshold;
        is_full && (keeps_most || full_within(24 * patience)) || self.is_steady() && full_within(patience)
    }

    /// How many bytes more in an hour, at the rate of the window; zero when it shrinks.
    fn per_hour(&self) -> u64 {
        let Some(((begun, first), (ended, last))) = self.kept.front().zip(self.kept.back()) else { return 0 };
        let passed = u128::from(Span::between(*begun, *ended).as_millis());
        let more = u128::from(last.saturating_sub(*first));
        (more * 3_600_000).checked_div(passed).map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
    }

    fn is_steady(&self) -> bool {
        let sizes: Vec<u64> = self.kept.iter().rev().take(STEADY).map(|(_, size)| *size).collect();
        sizes.len() == STEADY && sizes.windows(2).all(|pair| pair[0] > pair[1])
    }
}

/// All that it keeps.
pub(super) fn kept(stored: &Stored) -> u64 {
    stored.volumes.iter().fold(stored.writable.0, |sum, volume| sum.saturating_add(volume.size.0))
}

/// Whether it is worth telling that a container keeps so much, when it was told last that it kept `before`.
pub(super) fn is_notable(before: u64, now: u64) -> bool {
    let moved = before.abs_diff(now);
    // A twentieth of next to nothing is nothing.
    moved >= LEAST || (moved >= LEAST / 16 && moved >= before / 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, run};

    const MIB: u64 = 1 << 20;

    /// A disk of 100,000 MiB with so many left; measurements every five minutes.
    fn after(sizes: &[u64], left: u64, is_largest: bool) -> Storage {
        let mut storage = Storage::default();
        for (second, size) in (0..).step_by(300).zip(sizes) {
            let stored = Stored { target: run(0), writable: ByteCount(size * MIB), volumes: vec![] };
            let disk = DiskMeasured {
                path: "/var/lib/docker".into(),
                size: ByteCount(100_000 * MIB),
                available: ByteCount(left * MIB),
            };
            storage.take(at(second), &stored, Some(disk), is_largest);
        }
        storage
    }

    #[test]
    fn it_is_told_of_who_keeps_the_most_on_a_full_disk_or_fills_it() {
        let check = |sizes: &[u64], left: u64, is_largest: bool, high: Option<Severity>, low: bool| {
            let storage = after(sizes, left, is_largest);
            let threshold = Percent::clamped(90.0);
            let said = (storage.high(threshold).map(|high| high.severity), storage.low(threshold).is_some());
            assert_eq!(said, (high, low), "{sizes:?} MiB, {left} left, largest: {is_largest}");
        };
        check(&[], 50_000, true, None, false);
        check(&[500], 50_000, true, None, true);
        check(&[500], 9_000, true, Some(Severity::High), false);
        check(&[500], 4_000, true, Some(Severity::Critical), false);
        check(&[500], 9_000, false, None, true);
        check(&[0], 9_000, true, None, true);
        // Half-way between full and not: what was told stands, and nothing new is told.
        check(&[500], 12_000, true, None, false);
        // 10 MiB in five minutes are 120 in an hour: 2,880 in a day.
        check(&[500, 510], 2_000, false, Some(Severity::Critical), false);
        check(&[500, 510], 9_000, false, None, true);
        check(&[500, 540], 8_000, false, Some(Severity::High), false);
        // 5,000 in five minutes: 60,000 in an hour; once is a burst.
        check(&[500, 5_500], 50_000, false, None, true);
        check(&[500, 5_500, 10_500], 50_000, false, Some(Severity::High), false);
        check(&[500, 10_500, 10_500], 50_000, false, None, true);
        check(&[10_500, 5_500, 500], 50_000, false, None, true);
    }

    #[test]
    fn a_disk_that_nobody_can_see_is_nobodys_fault() {
        let mut storage = after(&[500], 1_000, true);
        let stored = Stored { target: run(0), writable: ByteCount(500 * MIB), volumes: vec![] };
        storage.take(at(600), &stored, None, true);
        assert_eq!((storage.high(Percent::clamped(90.0)), storage.low(Percent::clamped(90.0))), (None, None));
    }

    #[test]
    fn the_evidence_says_which_disk_and_how_fast() {
        let High { evidence, .. } = after(&[500, 510, 540], 2_000, true).high(Percent::clamped(90.0)).unwrap();
        let expected = Evidence::Disk {
            path: "/var/lib/docker".into(),
            value: Percent::clamped(98.0),
            threshold: Percent::clamped(90.0),
            writable: ByteCount(540 * MIB),
            per_hour: ByteCount(240 * MIB),
        };
        assert_eq!(evidence, expected);
    }

    #[test]
    fn a_change_is_notable_by_its_size_or_by_its_share() {
        let check = |before: u64, now: u64, notable: bool| {
            assert_eq!(is_notable(before, now), notable, "{before} to {now}");
        };
        check(0, 0, false);
        check(0, MIB, true);
        check(100 * MIB, 101 * MIB, true);
        check(101 * MIB, 100 * MIB, true);
        check(0, 40_000, false);
        check(0, 70_000, true);
        check(MIB, MIB + 70_000, true);
        check(4 * MIB, 4 * MIB + 70_000, false);
    }
}
