//! The alerter: from incidents to messages that people get.
//!
//! What is worth telling is decided by `hemostat_core::alerting`; here a message is made of it and carried to Slack. Only
//! this role needs the webhook's address.

mod deliver;
mod slack;

use std::{sync::Arc, time::Duration};

use hemostat_core::alerting::Alerting;
use hemostat_runtime::{Context, Task, decider, effect};
use hemostat_settings::Config;
use tracing::info;

use self::{
    deliver::Deliver,
    slack::{Patience, Slack},
};

/// The alerter's work: telling, and delivering, one worker of each for each partition.
///
/// # Errors
/// When the webhook's address is not a web address.
pub fn tasks(ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
    let alerts = &config.alerts;
    let patience = Patience::new(alerts.slack_timeout, Duration::from(alerts.retry_for));
    let channel = alerts.slack_webhook_url.clone().map(|address| Slack::new(address, patience)).transpose()?;
    if channel.is_none() {
        info!("no alert channel is configured (alerts.slack_webhook_url): alerts are on the log only");
    }
    let mut tasks = decider::<Alerting>(ctx, Arc::new(config.policy()));
    tasks.extend(effect(ctx, Deliver { channel }));
    Ok(tasks)
}
