//! Opens the channels that are configured: the one place that knows all kinds.

use std::time::Duration;

use hemostat_settings::{Channel as Configured, ChannelKind};

use crate::{channel::Channel, slack::Slack, webhook::Webhook};

/// The channel as configured.
///
/// # Errors
/// When its address is not a web address, or no trusted certificates are found.
pub(crate) fn open(channel: &Configured, timeout: Duration) -> anyhow::Result<Box<dyn Channel>> {
    let (name, webhook) = (channel.name.clone(), Webhook::new(channel, timeout)?);
    Ok(match channel.kind {
        ChannelKind::Slack => Box::new(Slack { name, webhook }),
    })
}
