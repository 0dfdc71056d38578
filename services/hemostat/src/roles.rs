//! The roles and their tasks.

use clap::ValueEnum;
use hemostat_runtime::{Context, Task};
use hemostat_settings::Config;

/// What a process does. One process can run all roles (`hemostat up`) or one (`hemostat responder`), so that only the
/// processes that need the Docker socket or the webhook URL have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Docker → observations.
    Monitor,
    /// Symptoms → diagnoses.
    Analyzer,
    /// Diagnoses → remedies → verified outcomes.
    Responder,
    /// Incidents → alerts.
    Alerter,
    /// The log → read models.
    Projector,
    /// The log → hash chains and archive.
    Archivist,
    /// Read models and log → REST.
    Query,
}

impl Role {
    /// The tasks of this role.
    ///
    /// # Errors
    /// When its configuration is not usable.
    pub fn tasks(self, ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
        let hosts = || hemostat_docker::hosts(config, &hemostat_docker::SystemEnvironment);
        let policy = config.policy();
        Ok(match self {
            Self::Monitor => hemostat_monitor::tasks(ctx, &config.monitor, hosts()?, policy),
            Self::Analyzer => hemostat_analyzer::tasks(ctx, &config.analyzer, policy)?,
            Self::Responder => hemostat_responder::tasks(ctx, hosts()?, policy),
            Self::Alerter => hemostat_alerter::tasks(ctx, &config.alerts, policy)?,
            Self::Projector => hemostat_projector::tasks(ctx),
            Self::Archivist => {
                let (archive, retention, notary) = (&config.archive, &config.retention, &config.notary);
                let settings = hemostat_archivist::Settings { archive, retention, notary };
                hemostat_archivist::tasks(ctx, settings, config.archive_url())?
            }
            Self::Query => hemostat_query::tasks(ctx, &config.query, policy)?,
        })
    }
}

/// The tasks of all roles.
///
/// # Errors
/// When the configuration of one role is not usable.
pub fn all(ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
    let mut tasks = vec![];
    for role in Role::value_variants() {
        tasks.extend(role.tasks(ctx, config)?);
    }
    Ok(tasks)
}
