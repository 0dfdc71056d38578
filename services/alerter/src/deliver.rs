//! The effect that carries an alert to a channel, and tells on the log whether it arrived.
//!
//! A message is sent at least once: only a process that dies between Slack's answer and the commit sends it twice. Slack
//! offers no way to ask whether a webhook's message arrived, so that small window cannot be closed.

use async_trait::async_trait;
use hemostat_runtime::{Effect, Fault, Permit};
use hemostat_schema::{
    Alert, Cause, Event, Family, NewEvent, Recorded,
    alert::{Delivered, Undelivered},
};
use tracing::error;

use crate::slack::{Message, Slack};

/// Carries alerts to a channel.
#[derive(Debug)]
pub(crate) struct Deliver {
    /// None: alerts stay on the log.
    pub(crate) channel: Option<Slack>,
}

#[async_trait]
impl Effect for Deliver {
    const GROUP: &'static str = "deliver";
    const READS: &'static [Family] = &[Family::Alert];

    fn wants(&self, event: &Recorded) -> bool {
        let is_told = match event.event() {
            Some(Event::Alert(alert)) => match alert {
                Alert::Raised(_) | Alert::Escalated(_) | Alert::Resolved(_) | Alert::Tested(_) => true,
                Alert::Suppressed(_) | Alert::Delivered(_) | Alert::Undelivered(_) => false,
            },
            _ => false,
        };
        is_told && self.channel.is_some()
    }

    async fn run(&self, event: &Recorded, permit: &Permit) -> Result<Vec<NewEvent>, Fault> {
        let (Some(slack), Some(message)) = (&self.channel, Message::telling(event)) else {
            return Ok(vec![]);
        };
        let sent = slack.send(&message, || permit.check()).await?;
        let (alert, channel, attempts) = (event.id, Slack::NAME.to_owned(), sent.attempts);
        let outcome: Event = match sent.error {
            None => Delivered { alert, channel, attempts, took: sent.took }.into(),
            Some(error) => {
                error!("an alert about {} did not reach Slack in {attempts} attempts: {error}", event.subject);
                Undelivered { alert, channel, attempts, error }.into()
            }
        };
        let outcome = NewEvent::new(event.subject.clone(), sent.took.after(permit.now()), outcome);
        Ok(vec![outcome.in_incident(event.incident.clone()).caused_by(Cause::Event(event.id))])
    }
}
