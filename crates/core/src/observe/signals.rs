//! What is remembered of the samples of one run; none of it is on the log.

use hemostat_schema::{
    ByteCount, Percent, Span, Timestamp,
    container::{Strain, Vitals},
    observation::{Evidence, Resource, Severity},
};

use super::{
    baseline::Baseline,
    growth::Growth,
    hold::{Held, Hold, Side},
    kills::Kills,
    level::Level,
    storage::Storage,
};
use crate::policy::{Care, Sensitivity};

/// CPU or memory so many points above the usual is worth a word.
const UNUSUAL_POINTS: f64 = 10.0;
/// So many bytes a second above the usual are.
const UNUSUAL_BYTES: f64 = 1_048_576.0;

/// A signal that has been too much for its time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct High {
    /// When that was known.
    pub(super) at: Timestamp,
    /// Since when it has been too much.
    pub(super) since: Timestamp,
    pub(super) severity: Severity,
    pub(super) evidence: Evidence,
}

impl High {
    pub(super) fn held(held: Held, evidence: Evidence) -> Self {
        Self { at: held.at, since: held.since, severity: held.severity, evidence }
    }
}

/// What is remembered of the samples of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Signals {
    pub(super) cpu: Level,
    pub(super) memory: Level,
    pub(super) throttled: Level,
    pub(super) pressure: Pressure,
    pub(super) pids: Pids,
    pub(super) growth: Growth,
    pub(super) usual: Usual,
    pub(super) kills: Kills,
    pub(super) storage: Storage,
}

impl Signals {
    /// Another run begins: what its container keeps on disk stays, everything else does not.
    pub(super) fn begin(&mut self) {
        *self = Self { storage: std::mem::take(&mut self.storage), ..Self::default() };
    }

    /// Takes a sample of the run that began at `started` in.
    pub(super) fn take(
        &mut self,
        at: Timestamp,
        vitals: &Vitals,
        started: Option<Timestamp>,
        care: &Care,
        sensitivity: &Sensitivity,
    ) {
        let sustained = care.sustained;
        self.cpu.take(at, vitals.cpu, care.cpu, sustained);
        self.memory.take(at, vitals.memory, care.memory, sustained);
        match vitals.strain.throttled {
            Some(throttled) => self.throttled.take(at, throttled, sensitivity.throttled, sustained),
            None => self.throttled.miss(at, sustained),
        }
        self.pressure.take(at, &vitals.strain, sensitivity, sustained);
        self.pids.take(at, vitals, sensitivity.pids, sustained);
        self.growth.take(at, (vitals.memory_used, vitals.memory_limit), started, sensitivity);
        if sensitivity.adaptive {
            self.usual.take(at, vitals, sustained);
        }
    }
}

/// For how long it has waited too much, and for what.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Pressure {
    worst: Option<(Resource, Percent)>,
    hold: Hold,
}

impl Pressure {
    fn take(&mut self, at: Timestamp, strain: &Strain, sensitivity: &Sensitivity, sustained: Span) {
        self.worst = worst(strain, sensitivity);
        let side = self.worst.map_or(Side::BELOW, |(_, value)| Side::of(value, sensitivity.pressure));
        self.hold.take(at, side, sustained);
    }

    /// What says so. It is never critical: what waits still works.
    pub(super) fn high(&self, sustained: Span, threshold: Percent) -> Option<High> {
        let (resource, value) = self.worst?;
        let held = self.hold.high(sustained)?;
        let evidence = Evidence::Stalled { resource, value, threshold, held: held.span() };
        Some(High::held(Held { severity: Severity::High, ..held }, evidence))
    }

    pub(super) fn low(&self, clear_after: Span) -> Option<Timestamp> {
        self.hold.low(clear_after)
    }
}

/// What it waits for most.
///
/// What its own limit keeps from a CPU waits for one, too; that is told as throttling, and not a second time.
pub(crate) fn worst(strain: &Strain, sensitivity: &Sensitivity) -> Option<(Resource, Percent)> {
    let throttled = strain.throttled.is_some_and(|throttled| throttled > sensitivity.throttled);
    [
        (Resource::Cpu, strain.cpu.filter(|_| !throttled)),
        (Resource::Memory, strain.memory),
        (Resource::Disk, strain.disk),
    ]
    .into_iter()
    .filter_map(|(resource, value)| Some((resource, value?)))
    .max_by(|(_, one), (_, other)| one.get().total_cmp(&other.get()))
}

/// For how long it has had nearly as many processes and threads as it may.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Pids {
    last: Option<(u64, u64)>,
    hold: Hold,
}

impl Pids {
    fn take(&mut self, at: Timestamp, vitals: &Vitals, threshold: Percent, sustained: Span) {
        self.last = vitals.pids_limit.map(|limit| (vitals.pids, limit));
        let side = crowding(vitals).map_or(Side::BELOW, |share| Side::of(share, threshold));
        self.hold.take(at, side, sustained);
    }

    pub(super) fn high(&self, sustained: Span) -> Option<High> {
        let (value, limit) = self.last?;
        let held = self.hold.high(sustained)?;
        Some(High::held(held, Evidence::Count { value, limit, held: held.span() }))
    }

    pub(super) fn low(&self, clear_after: Span) -> Option<Timestamp> {
        self.hold.low(clear_after)
    }
}

/// Which share of its processes and threads it has; none without a limit.
#[expect(clippy::cast_precision_loss, reason = "a share")]
pub(crate) fn crowding(vitals: &Vitals) -> Option<Percent> {
    let limit = vitals.pids_limit.filter(|limit| *limit > 0)?;
    Some(Percent::clamped(vitals.pids as f64 / limit as f64 * 100.0))
}

/// What is usual for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Usual {
    pub(super) cpu: Baseline,
    pub(super) memory: Baseline,
    pub(super) network: Baseline,
    pub(super) block: Baseline,
    counters: Option<Counters>,
}

/// Bytes that went in and out since the run began.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Counters {
    at: Timestamp,
    network: u64,
    block: u64,
}

impl Usual {
    fn take(&mut self, at: Timestamp, vitals: &Vitals, sustained: Span) {
        self.cpu.take(at, vitals.cpu.get(), UNUSUAL_POINTS, sustained);
        self.memory.take(at, vitals.memory.get(), UNUSUAL_POINTS, sustained);
        let sum = |one: ByteCount, other: ByteCount| one.0.saturating_add(other.0);
        let now = Counters {
            at,
            network: sum(vitals.network_rx, vitals.network_tx),
            block: sum(vitals.block_read, vitals.block_write),
        };
        let Some(before) = self.counters.replace(now) else { return };
        if let Some(rate) = now.rate(&before, |counters| counters.network) {
            self.network.take(at, rate, UNUSUAL_BYTES, sustained);
        }
        if let Some(rate) = now.rate(&before, |counters| counters.block) {
            self.block.take(at, rate, UNUSUAL_BYTES, sustained);
        }
    }
}

impl Counters {
    /// In bytes a second; none where no time has passed or the counter fell, as when a network was left.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    fn rate(&self, before: &Self, counter: fn(&Self) -> u64) -> Option<f64> {
        let passed = Span::between(before.at, self.at).as_secs_f64();
        let moved = counter(self).checked_sub(counter(before))?;
        (passed > 0.0).then(|| moved as f64 / passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_for_what_it_waits_for_most_and_its_own_limit_is_told_elsewhere() {
        let share = |value: Option<f64>| value.map(Percent::clamped);
        let check = |throttled, [cpu, memory, disk]: [Option<f64>; 3], expected: Option<(Resource, f64)>| {
            let strain =
                Strain { throttled: share(throttled), cpu: share(cpu), memory: share(memory), disk: share(disk) };
            let found = worst(&strain, &Sensitivity::default()).map(|(resource, value)| (resource, value.get()));
            assert_eq!(found, expected, "{strain:?}");
        };
        check(None, [None, None, None], None);
        check(None, [Some(50.0), Some(10.0), Some(20.0)], Some((Resource::Cpu, 50.0)));
        check(Some(10.0), [Some(50.0), Some(10.0), Some(20.0)], Some((Resource::Cpu, 50.0)));
        check(Some(90.0), [Some(99.0), Some(10.0), Some(20.0)], Some((Resource::Disk, 20.0)));
        check(Some(90.0), [Some(99.0), None, None], None);
        check(None, [Some(0.0), Some(60.0), None], Some((Resource::Memory, 60.0)));
    }
}
