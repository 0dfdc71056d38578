//! What of a container grows, and how near its limit it is.

use hemostat_schema::{
    ByteCount, Span,
    container::Health,
    observation::{Evidence, Severity, Symptom, Trend},
};

use super::Case;

/// Within so long of its limit a leak is restarted before it is killed.
const NEAR: Span = Span::from_secs(600);
/// Above this share of its limit, too.
const NEAR_SHARE: f64 = 0.9;
/// What is near is looked at again after no less than this.
const LOOK_AGAIN: Span = Span::from_secs(60);
/// So many more processes are ever more.
const MORE_PIDS: f64 = 2.0;
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
        self.trend(|vitals| vitals.pids as f64, MORE_PIDS)
    }

    /// So many of its busiest processes are dead, and nobody has taken notice.
    pub(super) fn dead_processes(&self) -> usize {
        let processes = self.examined_now().map_or(&[][..], |examined| &examined.processes);
        processes.iter().filter(|process| process.command.contains("<defunct>")).count()
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
                (falls(level.trend) || works) && level.severity < Severity::Critical
            })
    }
}

/// When, at this rate, the limit is reached.
fn time_to(used: ByteCount, limit: ByteCount, per_hour: ByteCount) -> Span {
    const HOUR: u128 = 3_600_000;
    let left = u128::from(limit.0.saturating_sub(used.0)) * HOUR / u128::from(per_hour.0.max(1));
    Span::from_millis(u64::try_from(left).unwrap_or(u64::MAX))
}
