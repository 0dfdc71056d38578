//! The alerter: turns incidents into alerts and delivers them to channels.
//!
//! One decider, `hemostat_core::alerting`, records which alerts to send (with deduplication and escalation). For each
//! channel one effect, `delivery`, sends each recorded alert; `removed` cleans up after channels that are no longer
//! configured. Only this role needs the channels' addresses.

mod channel;
mod delivery;
mod notification;
mod open;
mod removed;
mod slack;
mod webhook;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use hemostat_core::{
    alerting::{Alerting, delivery_group},
    policy::Policy,
};
use hemostat_runtime::{Context, Task, decider, effect};
use hemostat_settings::Alerts;
use tokio::sync::watch;
use tracing::info;

use self::delivery::DeliverAlerts;

/// The alerter's tasks: deciding, and delivering to each channel, one worker of each per partition.
///
/// # Errors
/// When the address of a channel is not a web address.
pub fn tasks(ctx: &Context, alerts: &Alerts, policy: &watch::Receiver<Arc<Policy>>) -> anyhow::Result<Vec<Task>> {
    let channels = alerts.all_channels();
    if channels.is_empty() {
        info!("no alert channel is configured (alerts.channels); alerts are only recorded on the log");
    }
    let mut tasks = decider::<Alerting>(ctx, policy);
    for channel in &channels {
        let opened = open::open(channel, alerts.slack_timeout)?;
        let deliver = DeliverAlerts::new(ctx, opened, channel.severity, Duration::from(alerts.retry_for));
        tasks.extend(effect(ctx, deliver));
    }
    let groups: BTreeSet<String> = channels.iter().map(|channel| delivery_group(&channel.name)).collect();
    tasks.push(removed::task(ctx.clone(), groups));
    Ok(tasks)
}
