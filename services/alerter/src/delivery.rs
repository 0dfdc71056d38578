//! The effect that delivers alerts to a channel and records whether the channel accepted them.
//!
//! Every alert gets one recorded outcome: delivered, or undelivered after the retries. Slack may accept a message twice: if it accepts one and its answer is lost, late or an error
//! (5xx, 408), or if the process dies or loses its lease before the outcome is committed. Slack offers no way to ask whether
//! a webhook message arrived, so the duplicate cannot be prevented.

use async_trait::async_trait;
use hemostat_runtime::{Effect, ExecutionGuard, Fault};
use hemostat_schema::{
    Alert, Cause, Event, Family, NewEvent, Recorded,
    alert::{Delivered, Undelivered},
};
use tracing::error;

use crate::slack::{Message, Slack};

/// Delivers alerts to a channel.
#[derive(Debug)]
pub(crate) struct DeliverAlerts {
    /// None if no channel is configured; alerts are then only recorded on the log.
    pub(crate) channel: Option<Slack>,
}

#[async_trait]
impl Effect for DeliverAlerts {
    const READS: &'static [Family] = &[Family::Alert];

    fn group(&self) -> &str {
        "deliver"
    }

    fn wants(&self, event: &Recorded) -> bool {
        let needs_delivery = match event.event() {
            Some(Event::Alert(alert)) => match alert {
                Alert::Raised(_) | Alert::Escalated(_) | Alert::Resolved(_) | Alert::Tested(_) => true,
                Alert::Suppressed(_) | Alert::Delivered(_) | Alert::Undelivered(_) => false,
            },
            Some(Event::Observation(_) | Event::Diagnosis(_) | Event::Action(_) | Event::Sample(_)) | None => false,
        };
        needs_delivery && self.channel.is_some()
    }

    async fn run(&self, event: &Recorded, guard: &ExecutionGuard) -> Result<Vec<NewEvent>, Fault> {
        let (Some(slack), Some(message)) = (&self.channel, Message::for_alert(event)) else {
            return Ok(vec![]);
        };
        let delivery = slack.send(&message, || guard.check_lease()).await?;
        let (alert, channel, attempts) = (event.id, Slack::NAME.to_owned(), delivery.attempts);
        let outcome: Event = match delivery.error {
            None => Delivered { alert, channel, attempts, took: delivery.took }.into(),
            Some(error) => {
                error!("an alert about {} did not reach Slack in {attempts} attempts: {error}", event.subject);
                Undelivered { alert, channel, attempts, error }.into()
            }
        };
        let outcome = NewEvent::new(event.subject.clone(), delivery.took.after(guard.began_at()), outcome);
        Ok(vec![outcome.in_incident(event.incident.clone()).caused_by(Cause::Event(event.id))])
    }
}
