//! The roles and their tasks.

use std::sync::Arc;

use clap::{Subcommand, ValueEnum};
use hemostat_core::Policy;
use hemostat_process::policy::Records;
use hemostat_runtime::{Context, Task};
use hemostat_settings::Config;
use tokio::sync::watch;

// What a process does. One process can run all roles (`hemostat up`) or one (`hemostat responder`), so that only the
// processes that need the Docker socket or the webhook URL have it.
// No doc comment: clap would show it as what `hemostat` itself does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand, ValueEnum)]
pub enum Role {
    /// Runs the monitor only: watches Docker and records observations.
    Monitor,
    /// Runs the analyzer only: diagnoses symptoms, by rules or a language model.
    Analyzer,
    /// Runs the responder only: authorises, executes and verifies remedies.
    Responder,
    /// Runs the alerter only: sends alerts about incidents.
    Alerter,
    /// Runs the projector only: builds the read models that the API serves.
    Projector,
    /// Runs the archivist only: hashes, archives and trims the log.
    Archivist,
    /// Runs the query service only: the REST API.
    Query,
}

impl Role {
    /// Whether a process with this role alone records its policy: whether it decides by it.
    pub fn records(self) -> Records {
        match self {
            Self::Monitor | Self::Analyzer | Self::Responder | Self::Alerter => Records::Policy,
            Self::Projector | Self::Archivist | Self::Query => Records::Nothing,
        }
    }

    /// The tasks of this role.
    ///
    /// # Errors
    /// When its configuration is not usable.
    pub fn tasks(
        self,
        ctx: &Context,
        config: &Config,
        policy: &watch::Receiver<Arc<Policy>>,
    ) -> anyhow::Result<Vec<Task>> {
        let hosts = || hemostat_docker::hosts(config, &hemostat_docker::SystemEnvironment);
        Ok(match self {
            Self::Monitor => hemostat_monitor::tasks(ctx, &config.monitor, hosts()?, policy),
            Self::Analyzer => hemostat_analyzer::tasks(ctx, &config.analyzer, policy)?,
            Self::Responder => hemostat_responder::tasks(ctx, hosts()?, policy),
            Self::Alerter => hemostat_alerter::tasks(ctx, &config.alerts, policy)?,
            Self::Projector => hemostat_projector::tasks(ctx),
            Self::Archivist => hemostat_archivist::tasks(ctx, config)?,
            Self::Query => hemostat_query::tasks(ctx, &config.query, policy)?,
        })
    }
}

/// The tasks of all roles.
///
/// # Errors
/// When the configuration of one role is not usable.
pub fn all(ctx: &Context, config: &Config, policy: &watch::Receiver<Arc<Policy>>) -> anyhow::Result<Vec<Task>> {
    let mut tasks = vec![];
    for role in Role::value_variants() {
        tasks.extend(role.tasks(ctx, config, policy)?);
    }
    Ok(tasks)
}
