//! Rules that say to wait and see.

use hemostat_schema::observation::{Symptom, Trend};

use super::{Finding, unclear};
use crate::{Case, words};

/// The name of the rule that says to wait and see.
pub(crate) const SETTLING: &str = "settling";

/// The name of the rule that says that it seems to pass.
pub(crate) const EASING: &str = "easing";

pub(super) fn settling(case: &Case<'_>) -> Option<Finding> {
    let open = case.ills().any(|symptom| match symptom {
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
        | Symptom::BlockUnusual => case.standing_now(symptom).is_none(),
    });
    let root_cause =
        format!("it was ill ({}) and has not shown yet how it is now", words::symptoms(case.standing.keys()));
    open.then(|| unclear(0.5, root_cause, "its present run is too young to tell, so it is watched"))
}

pub(super) fn easing(case: &Case<'_>) -> Option<Finding> {
    let level = case.levels().next()?;
    let why = match level.trend {
        Trend::Falling => "it is falling by itself",
        Trend::Unknown | Trend::Rising | Trend::Steady => "it may just be at work",
    };
    Some(unclear(0.5, words::level(case, &level), why).citing(["samples"]))
}
