//! The views: folds the log into the rows that people and dashboards read.
//!
//! What each view says is in `hemostat_core::view`; here is only which of them are kept. A row may be deleted at any time:
//! a view of a new version is filled from the beginning of the log.

use hemostat_core::view::{Breaker, Calibration, Containers, Cooldown, Dedup, Incidents, Timeline};
use hemostat_runtime::{Context, Task, rebuild::Rebuildable};
use hemostat_settings::Config;

/// Every view that is kept.
pub fn views() -> [Rebuildable; 7] {
    [
        Rebuildable::view::<Containers>(),
        Rebuildable::view::<Incidents>(),
        Rebuildable::view::<Timeline>(),
        Rebuildable::view::<Cooldown>(),
        Rebuildable::view::<Breaker>(),
        Rebuildable::view::<Dedup>(),
        Rebuildable::view::<Calibration>(),
    ]
}

/// Keeps every view up to date; for each of them a worker a partition.
///
/// # Errors
/// None at present; like the other roles' it may.
pub fn tasks(ctx: &Context, _: &Config) -> anyhow::Result<Vec<Task>> {
    Ok(views().iter().filter_map(|view| view.workers(ctx)).flatten().collect())
}
