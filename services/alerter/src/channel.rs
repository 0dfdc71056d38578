//! A channel: where people read notifications, such as Slack. One file for each kind; `open` knows them all.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

use crate::notification::Notification;

/// Sends notifications to people. It knows nothing of events, retries and positions: `delivery` does.
#[async_trait]
pub(crate) trait Channel: Debug + Send + Sync + 'static {
    /// Its name on the log, as configured.
    fn name(&self) -> &str;

    /// Sends a notification once.
    async fn send(&self, notification: &Notification) -> Result<Receipt, SendError>;
}

/// The channel accepted the notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt;

/// Why a channel did not accept a notification. The texts go to the log and to people, so they contain no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SendError {
    /// A retry would fail, too.
    Permanent(String),
    /// A retry may succeed, but not before `retry_after` if the channel names a time.
    Transient { error: String, retry_after: Option<Duration> },
}
