//! The projector: folds the log into the read models that the API, the CLI and dashboards show.
//!
//! `hemostat_core::views` defines what each view contains; this crate lists which views are maintained. Rows are derived
//! data and may be deleted at any time: a new version of a view is rebuilt from the beginning of the log.

use hemostat_core::views::{
    Breaker, Calibration, Containers, Cooldown, Dedup, IncidentSamples, Incidents, Metrics, Timeline,
};
use hemostat_runtime::{Context, Task, rebuild::Rebuildable};

/// All views.
pub fn views() -> [Rebuildable; 9] {
    [
        Rebuildable::view::<Containers>(),
        Rebuildable::view::<Incidents>(),
        Rebuildable::view::<Timeline>(),
        Rebuildable::view::<Cooldown>(),
        Rebuildable::view::<Breaker>(),
        Rebuildable::view::<Dedup>(),
        Rebuildable::view::<Calibration>(),
        Rebuildable::view::<Metrics>(),
        Rebuildable::view::<IncidentSamples>(),
    ]
}

/// The projector's tasks: one worker per view and partition.
pub fn tasks(ctx: &Context) -> Vec<Task> {
    views().iter().filter_map(|view| view.workers(ctx)).flatten().collect()
}
