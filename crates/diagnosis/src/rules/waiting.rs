//! Rules that wait for more evidence.

use hemostat_schema::observation::{Symptom, Trend};

use super::finding::{Finding, unclear};
use crate::{case::Case, phrases};

/// The name of the rule that waits for the current run to show how it is.
pub(crate) const SETTLING: &str = "settling";

/// The name of the rule for a usage that seems to go down by itself.
pub(crate) const EASING: &str = "easing";

/// Applies when the current run has not shown a symptom of the run before it. Cause: unknown as yet. Unclear, because
/// the run is too young to judge.
pub(super) fn settling(case: &Case<'_>) -> Option<Finding> {
    let open = case.serious_symptoms().any(|symptom| match symptom {
        Symptom::Unhealthy | Symptom::Exited | Symptom::OomKilled => !case.is_down(),
        Symptom::CpuHigh | Symptom::MemoryHigh => case.level(symptom).is_none(),
        Symptom::RestartLoop => false,
        Symptom::OomChild
        | Symptom::Flapping
        | Symptom::CpuThrottled
        | Symptom::Pressure
        | Symptom::PidsHigh
        | Symptom::MemoryLeak
        | Symptom::DiskFilling
        | Symptom::CpuUnusual
        | Symptom::MemoryUnusual
        | Symptom::NetworkUnusual
        | Symptom::BlockUnusual => case.current_symptom(symptom).is_none(),
    });
    let symptoms = phrases::symptoms(case.active_symptoms.keys());
    let root_cause = format!("it had symptoms ({symptoms}), and its current state is not known yet");
    open.then(|| unclear(0.5, root_cause, "its current run is too young to judge, so HemoStat watches it"))
}

/// Applies when a usage is high but falls, or is no worse than work may be. Cause: load. Unclear, because it may go down
/// by itself.
pub(super) fn easing(case: &Case<'_>) -> Option<Finding> {
    let level = case.levels().next()?;
    let why = match level.trend {
        Trend::Falling => "it is falling by itself",
        Trend::Unknown | Trend::Rising | Trend::Steady => "this may be normal work",
    };
    Some(unclear(0.5, phrases::level(case, &level), why).citing(["samples"]))
}
