//! The signal of symptom `disk_filling`: whether this container is the one that fills the disk.
//!
//! Sizes are expensive to ask for, so the monitor measures them every few minutes, whether the container runs or not. A
//! full disk affects every container of the host; the symptom is raised for the container that keeps the most on it,
//! for one that would fill the rest within a day, and, however empty the disk is, for one that will fill it within an
//! hour.

use std::collections::VecDeque;

use hemostat_schema::{
    ByteCount, Percent, Span, Timestamp,
    observation::{Evidence, Severity},
    sample::{Disk, Storage as Measured},
};

use super::{
    debounce::{Comparison, clear_threshold},
    exceeded::Exceeded,
};

/// Maximum measurements kept.
const MAX_MEASUREMENTS: usize = 12;
/// The growth rate is computed over this time.
const WINDOW: Span = Span::from_secs(3600);
/// Growth is steady if the last measurements, this many, each exceed the one before; a single burst is not growth.
const STEADY: usize = 3;
/// An unchanged size is written to the log this often.
const WRITE_EVERY: Span = Span::from_secs(3600);
/// Sizes and hourly growth below this are ignored, in bytes.
const MIN_BYTES: u64 = 1 << 20;

/// What a container keeps on disk, and the disk.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Storage {
    sizes: VecDeque<(Timestamp, u64)>,
    disk: Option<Disk>,
    is_largest: bool,
    /// The size last written to the log.
    written: Option<(Timestamp, u64)>,
}

impl Storage {
    /// Whether the measurement is written to the log: the first one, a notable change, and one an hour.
    pub(super) fn is_due(&self, at: Timestamp, stored: &Measured) -> bool {
        self.written
            .is_none_or(|(last, size)| is_notable(size, total_size(stored)) || Span::between(last, at) >= WRITE_EVERY)
    }

    /// The measurement is on the log.
    pub(super) fn written(&mut self, at: Timestamp, stored: &Measured) {
        self.written = Some((at, total_size(stored)));
    }

    /// Adds a measurement; `is_largest`: no other container of the host keeps more.
    pub(super) fn add(&mut self, at: Timestamp, stored: &Measured, disk: Option<Disk>, is_largest: bool) {
        self.sizes.retain(|(before, _)| Span::between(*before, at) <= WINDOW);
        if self.sizes.len() == MAX_MEASUREMENTS {
            self.sizes.pop_front();
        }
        self.sizes.push_back((at, total_size(stored)));
        (self.disk, self.is_largest) = (disk, is_largest);
    }

    /// The evidence, if the container fills the disk.
    pub(super) fn exceeded(&self, threshold: Percent) -> Option<Exceeded> {
        let ((at, size), disk) = (*self.sizes.back()?, self.disk.as_ref()?);
        if !self.fills(disk, threshold.get(), 1) {
            return None;
        }
        let value = disk.used();
        let evidence = Evidence::Disk {
            path: disk.path.clone(),
            value,
            threshold,
            writable: ByteCount(size),
            per_hour: ByteCount(self.per_hour()),
        };
        let critical = Comparison::of(value, threshold).critical;
        let severity = if critical { Severity::Critical } else { Severity::High };
        Some(Exceeded { at, since: at, severity, evidence })
    }

    /// The time of the last measurement, if the container does not fill the disk; none while the disk is unknown.
    pub(super) fn cleared(&self, threshold: Percent) -> Option<Timestamp> {
        let ((at, _), disk) = (*self.sizes.back()?, self.disk.as_ref()?);
        (!self.fills(disk, clear_threshold(threshold.get()), 2)).then_some(at)
    }

    /// `patience` multiplies the time limits: 1 to raise the symptom, 2 to keep it.
    fn fills(&self, disk: &Disk, threshold: f64, patience: u64) -> bool {
        let per_hour = self.per_hour();
        let full_within = |hours: u64| per_hour >= MIN_BYTES && per_hour.saturating_mul(hours) >= disk.available.0;
        let keeps_most = self.is_largest && self.sizes.back().is_some_and(|(_, size)| *size >= MIN_BYTES);
        let is_full = disk.used().get() > threshold;
        is_full && (keeps_most || full_within(24 * patience)) || self.is_steady() && full_within(patience)
    }

    /// Growth in bytes per hour over the window; zero if it shrinks.
    fn per_hour(&self) -> u64 {
        let Some(((begun, first), (ended, last))) = self.sizes.front().zip(self.sizes.back()) else { return 0 };
        let passed = u128::from(Span::between(*begun, *ended).as_millis());
        let more = u128::from(last.saturating_sub(*first));
        (more * 3_600_000).checked_div(passed).map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
    }

    fn is_steady(&self) -> bool {
        let sizes: Vec<u64> = self.sizes.iter().rev().take(STEADY).map(|(_, size)| *size).collect();
        sizes.len() == STEADY && sizes.windows(2).all(|pair| pair[0] > pair[1])
    }
}

/// Writable layer and volumes, in bytes.
fn total_size(stored: &Measured) -> u64 {
    stored.volumes.iter().fold(stored.writable.0, |sum, volume| sum.saturating_add(volume.size.0))
}

/// Whether a size differs enough from the one last recorded (`before`) to be recorded again.
fn is_notable(before: u64, now: u64) -> bool {
    let moved = before.abs_diff(now);
    // A twentieth counts only from 64 KiB on.
    moved >= MIN_BYTES || (moved >= MIN_BYTES / 16 && moved >= before / 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, run};

    const MIB: u64 = 1 << 20;

    /// Measurements every five minutes, on a disk of 100,000 MiB of which `left` are free.
    fn after(sizes: &[u64], left: u64, is_largest: bool) -> Storage {
        let mut storage = Storage::default();
        for (second, size) in (0..).step_by(300).zip(sizes) {
            let stored = Measured { target: run(0), writable: ByteCount(size * MIB), volumes: vec![] };
            let disk = Disk {
                path: "/var/lib/docker".into(),
                size: ByteCount(100_000 * MIB),
                available: ByteCount(left * MIB),
            };
            storage.add(at(second), &stored, Some(disk), is_largest);
        }
        storage
    }

    #[test]
    fn the_container_that_keeps_the_most_on_a_full_disk_or_fills_it_is_the_one() {
        let check = |sizes: &[u64], left: u64, is_largest: bool, exceeded: Option<Severity>, cleared: bool| {
            let storage = after(sizes, left, is_largest);
            let threshold = Percent::clamped(90.0);
            let found = (storage.exceeded(threshold).map(|found| found.severity), storage.cleared(threshold).is_some());
            assert_eq!(found, (exceeded, cleared), "{sizes:?} MiB, {left} left, largest: {is_largest}");
        };
        check(&[], 50_000, true, None, false);
        check(&[500], 50_000, true, None, true);
        check(&[500], 9_000, true, Some(Severity::High), false);
        check(&[500], 4_000, true, Some(Severity::Critical), false);
        check(&[500], 9_000, false, None, true);
        check(&[0], 9_000, true, None, true);
        // Between the two thresholds: a raised symptom stays, and none is raised.
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
    fn an_unknown_disk_neither_raises_nor_clears() {
        let mut storage = after(&[500], 1_000, true);
        let stored = Measured { target: run(0), writable: ByteCount(500 * MIB), volumes: vec![] };
        storage.add(at(600), &stored, None, true);
        let threshold = Percent::clamped(90.0);
        assert_eq!((storage.exceeded(threshold), storage.cleared(threshold)), (None, None));
    }

    #[test]
    fn the_evidence_names_the_disk_and_the_growth() {
        let Exceeded { evidence, .. } = after(&[500, 510, 540], 2_000, true).exceeded(Percent::clamped(90.0)).unwrap();
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
