//! Usage that grows (memory, processes), and high usage that is explained by work.

use hemostat_schema::{
    ByteCount, Span,
    container::{Health, Vitals},
    observation::{Evidence, Severity, Symptom, Trend},
};

use crate::case::{Case, UsageLevel};

/// How long before it reaches the limit a leaking container is restarted.
const NEAR: Span = Span::from_secs(600);
/// Share of the limit from which it is restarted, too.
const NEAR_SHARE: f64 = 0.9;
/// The minimum time until a leak is evaluated again.
const MIN_RECHECK: Span = Span::from_secs(60);
/// By how many processes the mean must move to count as rising or falling.
const MORE_PIDS: f64 = 2.0;
/// How long memory must be high and steady, in a healthy container, to count as what it needs.
const FULL_FOR: Span = Span::from_secs(3600);
/// Percent above which a critical level is still critical.
pub(super) const CRITICAL: f64 = 95.0;
/// CPU percent above which a container counts as stuck rather than working.
pub(super) const STUCK: f64 = 90.0;

/// Memory that grows linearly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Leak {
    pub(super) used: ByteCount,
    pub(super) limit: ByteCount,
    pub(super) per_hour: ByteCount,
    pub(super) over: Span,
    /// The time until it reaches the limit at this rate.
    pub(super) left: Span,
}

impl Leak {
    /// Whether it reaches its limit soon.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn is_near(&self) -> bool {
        let share = if self.limit.0 == 0 { 0.0 } else { self.used.0 as f64 / self.limit.0 as f64 };
        self.left <= NEAR || share >= NEAR_SHARE
    }

    /// The time until it is near, at this rate.
    pub(super) fn near_in(&self) -> Span {
        Span::from_millis(self.left.as_millis().saturating_sub(NEAR.as_millis())).max(MIN_RECHECK)
    }
}

impl UsageLevel {
    /// Whether it was critical when it was raised, and still is.
    pub(super) fn is_critical(&self) -> bool {
        self.severity == Severity::Critical && self.value.get() > CRITICAL
    }
}

impl Case<'_> {
    /// The memory leak of the current run.
    pub(super) fn leak(&self) -> Option<Leak> {
        let active = self.current_symptom(Symptom::MemoryLeak)?;
        let Evidence::Growth { used, limit, per_hour, fit: _, over, limit_in } = active.evidence else { return None };
        // It has grown further since the symptom was raised.
        let now = self.vitals.map(|vitals| vitals.memory_used.max(used));
        let left = now.map_or(limit_in, |used| time_to(used, limit, per_hour));
        Some(Leak { used: now.unwrap_or(used), limit, per_hour, over, left })
    }

    /// The trend of the number of its processes.
    #[expect(clippy::cast_precision_loss, reason = "a number of processes")]
    pub(super) fn pids_trend(&self) -> Trend {
        let pids = |vitals: &Vitals| vitals.pids as f64;
        let trend = self.trend(pids, MORE_PIDS);
        let samples = self.current_examination().map_or(&[][..], |examined| &examined.samples);
        // A number that jumped and then stayed is higher than before, but does not rise.
        let newer = &samples[samples.len() - samples.len() / 2..];
        match newer.first().zip(newer.last()).map(|(first, last)| pids(&last.vitals) - pids(&first.vitals)) {
            Some(moved) if newer.len() > 1 && trend == Trend::Rising && moved <= -MORE_PIDS => Trend::Falling,
            Some(moved) if newer.len() > 1 && trend == Trend::Rising && moved < MORE_PIDS => Trend::Steady,
            _ => trend,
        }
    }

    /// How many of the listed processes are zombies: dead, but not reaped by their parent.
    pub(super) fn zombie_processes(&self) -> usize {
        let processes = self.current_examination().map_or(&[][..], |examined| &examined.processes);
        processes.iter().filter(|process| process.command.contains("<defunct>")).count()
    }

    /// Whether its memory has been high for an hour without growing, and its health check passes.
    pub(super) fn holds_memory_steadily(&self) -> bool {
        let steady =
            self.level(Symptom::MemoryHigh).is_some_and(|level| level.trend == Trend::Steady && !level.is_critical());
        steady && self.facts.health == Health::Healthy && self.symptom_age(Symptom::MemoryHigh) >= FULL_FOR
    }

    /// Whether high CPU is explained by work: it makes progress, or it is healthy and reports work or answers requests.
    pub(super) fn is_explained_by_work(&self, level: Symptom) -> bool {
        let well = self.facts.health == Health::Healthy;
        level == Symptom::CpuHigh
            && self.facts.health != Health::Unhealthy
            && (self.makes_progress() || well && (self.reports_finite_work() || self.answers_requests()))
    }

    /// Whether its only symptoms are high usage that falls, or that is explained by work.
    pub(super) fn is_only_easing(&self) -> bool {
        let falls = |trend: Trend| trend == Trend::Falling;
        let mut levels = self.levels().peekable();
        self.has_only(&[Symptom::CpuHigh, Symptom::MemoryHigh])
            && self.facts.health != Health::Unhealthy
            && levels.peek().is_some()
            && levels.all(|level| {
                let works = level.symptom == Symptom::CpuHigh && level.value.get() <= STUCK;
                self.is_explained_by_work(level.symptom)
                    || (falls(level.trend) || works) && level.severity < Severity::Critical
            })
    }
}

/// The time until the limit is reached at this rate.
fn time_to(used: ByteCount, limit: ByteCount, per_hour: ByteCount) -> Span {
    const HOUR: u128 = 3_600_000;
    let left = u128::from(limit.0.saturating_sub(used.0)) * HOUR / u128::from(per_hour.0.max(1));
    Span::from_millis(u64::try_from(left).unwrap_or(u64::MAX))
}
