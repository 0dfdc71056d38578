//! What of a container grows, and how near its limit it is.

use hemostat_schema::{
    ByteCount, Span,
    container::{Health, Vitals},
    observation::{Evidence, Severity, Symptom, Trend},
};

use super::{Case, case::Level};

/// Within so long of its limit a leak is restarted before it is killed.
const NEAR: Span = Span::from_secs(600);
/// Above this share of its limit, too.
const NEAR_SHARE: f64 = 0.9;
/// What is near is looked at again after no less than this.
const LOOK_AGAIN: Span = Span::from_secs(60);
/// So many more processes are ever more.
const MORE_PIDS: f64 = 2.0;
/// Memory that has been so high for so long, in a container that is well, is what it needs.
const FULL_FOR: Span = Span::from_secs(3600);
/// Above this a level that has been critical is critical still.
pub(super) const CRITICAL: f64 = 95.0;
/// CPU above this is not mere work.
pub(super) const STUCK: f64 = 90.0;

/// Memory that grows along a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Leak {
    pub(super) used: ByteCount,
    pub(super) limit: ByteCount,
    pub(super) per_hour: ByteCount,
    pub(super) over: Span,
    /// When, at this rate, the limit is reached.
    pub(super) left: Span,
}

impl Leak {
    /// Whether it will be killed before long.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn is_near(&self) -> bool {
        let share = if self.limit.0 == 0 { 0.0 } else { self.used.0 as f64 / self.limit.0 as f64 };
        self.left <= NEAR || share >= NEAR_SHARE
    }

    /// After which time it is near, if it goes on so.
    pub(super) fn near_in(&self) -> Span {
        Span::from_millis(self.left.as_millis().saturating_sub(NEAR.as_millis())).max(LOOK_AGAIN)
    }
}

impl Level {
    /// Whether it was critical when it was told, and is.
    pub(super) fn is_critical(&self) -> bool {
        self.severity == Severity::Critical && self.value.get() > CRITICAL
    }
}

impl Case<'_> {
    /// The leak that its present run has.
    pub(super) fn leak(&self) -> Option<Leak> {
        let standing = self.standing_now(Symptom::MemoryLeak)?;
        let Evidence::Growth { used, limit, per_hour, fit: _, over, limit_in } = standing.evidence else { return None };
        // Since it was raised it has gone on.
        let now = self.vitals.map(|vitals| vitals.memory_used.max(used));
        let left = now.map_or(limit_in, |used| time_to(used, limit, per_hour));
        Some(Leak { used: now.unwrap_or(used), limit, per_hour, over, left })
    }

    /// Where the number of its processes is going.
    #[expect(clippy::cast_precision_loss, reason = "a number of processes")]
    pub(super) fn pids_trend(&self) -> Trend {
        let pids = |vitals: &Vitals| vitals.pids as f64;
        let trend = self.trend(pids, MORE_PIDS);
        let samples = self.examined_now().map_or(&[][..], |examined| &examined.samples);
        // What leapt up and goes no further is not ever more, though it is more than it was.
        let newer = &samples[samples.len() - samples.len() / 2..];
        match newer.first().zip(newer.last()).map(|(first, last)| pids(&last.vitals) - pids(&first.vitals)) {
            Some(moved) if newer.len() > 1 && trend == Trend::Rising && moved <= -MORE_PIDS => Trend::Falling,
            Some(moved) if newer.len() > 1 && trend == Trend::Rising && moved < MORE_PIDS => Trend::Steady,
            _ => trend,
        }
    }

    /// So many of its busiest processes are dead, and nobody has taken notice.
    pub(super) fn dead_processes(&self) -> usize {
        let processes = self.examined_now().map_or(&[][..], |examined| &examined.processes);
        processes.iter().filter(|process| process.command.contains("<defunct>")).count()
    }

    /// Whether its memory is high, has been for long without growing, and its health check has nothing against it.
    pub(super) fn holds_its_memory(&self) -> bool {
        let steady =
            self.level(Symptom::MemoryHigh).is_some_and(|level| level.trend == Trend::Steady && !level.is_critical());
        steady && self.facts.health == Health::Healthy && self.stood(Symptom::MemoryHigh) >= FULL_FOR
    }

    /// Whether a high level is its work, on which it gets on, and its health check has nothing against it.
    pub(super) fn is_work(&self, level: Symptom) -> bool {
        let well = self.facts.health == Health::Healthy;
        level == Symptom::CpuHigh
            && self.facts.health != Health::Unhealthy
            && (self.gets_on() || well && (self.names_its_work() || self.answers()))
    }

    /// Whether all that it is ill of is a high level that falls by itself, or is no more than work.
    pub(super) fn only_eases(&self) -> bool {
        let falls = |trend: Trend| trend == Trend::Falling;
        let mut levels = self.levels().peekable();
        self.is_only_ill_of(&[Symptom::CpuHigh, Symptom::MemoryHigh])
            && self.facts.health != Health::Unhealthy
            && levels.peek().is_some()
            && levels.all(|level| {
                let works = level.symptom == Symptom::CpuHigh && level.value.get() <= STUCK;
                self.is_work(level.symptom) || (falls(level.trend) || works) && level.severity < Severity::Critical
            })
    }
}

/// When, at this rate, the limit is reached.
fn time_to(used: ByteCount, limit: ByteCount, per_hour: ByteCount) -> Span {
    const HOUR: u128 = 3_600_000;
    let left = u128::from(limit.0.saturating_sub(used.0)) * HOUR / u128::from(per_hour.0.max(1));
    Span::from_millis(u64::try_from(left).unwrap_or(u64::MAX))
}
