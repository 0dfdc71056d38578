//! The alerter: turns incidents into alerts and delivers them to Slack.
//!
//! Two workers per partition: the decider `hemostat_core::alerting` records which alerts to send (with deduplication and
//! escalation), and `delivery` sends each recorded alert to the channel. Only this role needs the webhook URL.

mod delivery;
mod slack;

use std::{sync::Arc, time::Duration};

use hemostat_core::{alerting::Alerting, policy::Policy};
use hemostat_runtime::{Context, Task, decider, effect};
use hemostat_settings::Alerts;
use tracing::info;

use self::{
    delivery::DeliverAlerts,
    slack::{RetryPolicy, Slack},
};

/// The alerter's tasks: deciding and delivering, one worker of each per partition.
///
/// # Errors
/// When the webhook URL is not a web address.
pub fn tasks(ctx: &Context, alerts: &Alerts, policy: Policy) -> anyhow::Result<Vec<Task>> {
    let retry = RetryPolicy::new(alerts.slack_timeout, Duration::from(alerts.retry_for));
    let channel = alerts.slack_webhook_url.clone().map(|url| Slack::new(url, retry)).transpose()?;
    if channel.is_none() {
        info!("no alert channel is configured (alerts.slack_webhook_url); alerts are only recorded on the log");
    }
    let mut tasks = decider::<Alerting>(ctx, Arc::new(policy));
    tasks.extend(effect(ctx, DeliverAlerts { channel }));
    Ok(tasks)
}
