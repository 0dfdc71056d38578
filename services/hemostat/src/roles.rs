//! Which role brings which tasks.

use clap::ValueEnum;
use hemostat_runtime::{Context, Task};
use hemostat_settings::Config;

/// What a process does. One process may do all of it (`hemostat up`) or one part (`hemostat responder`), so that only
/// those who need the Docker socket or the webhook's address have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Docker → observations.
    Monitor,
    /// Symptoms → diagnoses.
    Analyzer,
    /// Diagnoses → remedies → verdicts.
    Responder,
    /// Incidents → messages.
    Alerter,
    /// The log → rows.
    Projector,
    /// The log → proof and archive.
    Archivist,
    /// Rows and log → REST.
    Query,
}

impl Role {
    /// Its tasks.
    ///
    /// # Errors
    /// When its configuration cannot work.
    pub fn tasks(self, ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
        match self {
            Self::Monitor => hemostat_monitor::tasks(ctx, config),
            Self::Analyzer => hemostat_analyzer::tasks(ctx, config),
            Self::Responder => hemostat_responder::tasks(ctx, config),
            Self::Alerter => hemostat_alerter::tasks(ctx, config),
            Self::Projector => hemostat_projector::tasks(ctx, config),
            Self::Archivist => hemostat_archivist::tasks(ctx, config),
            Self::Query => hemostat_query::tasks(ctx, config),
        }
    }
}

/// The tasks of all roles.
///
/// # Errors
/// When the configuration of one cannot work.
pub fn all(ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
    let mut tasks = vec![];
    for role in Role::value_variants() {
        tasks.extend(role.tasks(ctx, config)?);
    }
    Ok(tasks)
}
