//! The channel Slack: an incoming webhook.

mod message;

use async_trait::async_trait;

use self::message::Message;
use crate::{
    channel::{Channel, Receipt, SendError},
    notification::Notification,
    webhook::Webhook,
};

/// A Slack incoming webhook.
#[derive(Debug)]
pub(crate) struct Slack {
    pub(crate) name: String,
    pub(crate) webhook: Webhook,
}

#[async_trait]
impl Channel for Slack {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, notification: &Notification) -> Result<Receipt, SendError> {
        self.webhook.post(|request| request.json(&Message::of(notification))).await
    }
}
