//! The views: folds the log into the rows that people and dashboards read.
//!
//! What each view says is in `hemostat_core::view`; here is only which of them are kept. A row may be deleted at any time:
//! a view of a new version is filled from the beginning of the log.

use hemostat_core::view::{Breaker, Containers, Cooldown, Dedup, Incidents, Timeline};
use hemostat_runtime::{Config, Context, Task, projection};

/// Keeps every view up to date; for each of them a worker a partition.
///
/// # Errors
/// None at present; like the other roles' it may.
pub fn tasks(ctx: &Context, _: &Config) -> anyhow::Result<Vec<Task>> {
    let views = [
        projection::<Containers>(ctx),
        projection::<Incidents>(ctx),
        projection::<Timeline>(ctx),
        projection::<Cooldown>(ctx),
        projection::<Breaker>(ctx),
        projection::<Dedup>(ctx),
    ];
    Ok(views.into_iter().flatten().collect())
}
