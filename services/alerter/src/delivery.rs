//! The effect that delivers alerts to one channel and records whether the channel accepted them.
//!
//! Each channel has a consumer group of its own, so a dead channel delays no other. Within a channel the alerts about a
//! container keep their order, also while one of them is retried: `resolved` never arrives before its `raised`. A retry is a
//! durable timer ([`Fault::RetryAt`]), so a restart neither loses it nor begins its hour again.
//!
//! Every alert gets one recorded outcome per channel: delivered, or undelivered after the retries. A channel may accept a
//! message twice: if it accepts one and its answer is lost, late or an error (5xx, 408), or if the process dies or loses
//! its lease before the outcome is committed. A webhook offers no way to ask whether a message arrived, so the duplicate
//! cannot be prevented.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::anyhow;
use async_trait::async_trait;
use hemostat_core::alerting::delivery_group;
use hemostat_runtime::{Clock, Context, Effect, ExecutionGuard, Fault, log::Log, retry::Backoff};
use hemostat_schema::{
    Alert, Cause, Event, Family, NewEvent, Recorded, Span, Timestamp,
    alert::{Delivered, Undelivered},
    observation::Severity,
};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::{
    channel::{Channel, SendError},
    notification::Notification,
};

/// Delay before the first retry; it doubles each time, with jitter.
const MIN_DELAY: Duration = Duration::from_secs(1);
/// The longest delay, even if the channel asks for more.
const MAX_DELAY: Duration = Duration::from_secs(60);
/// Minimum interval between log lines about a channel that keeps failing.
const LOG_INTERVAL: Duration = Duration::from_secs(300);

/// Delivers alerts to one channel.
#[derive(Debug)]
pub(crate) struct DeliverAlerts {
    channel: Box<dyn Channel>,
    group: String,
    /// Incidents that are less severe are not sent.
    least: Severity,
    /// How long after the first attempt the last one may begin.
    retry_for: Duration,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    last_logged: Mutex<Option<Instant>>,
}

impl DeliverAlerts {
    pub(crate) fn new(ctx: &Context, channel: Box<dyn Channel>, least: Severity, retry_for: Duration) -> Self {
        let (group, log, clock) = (delivery_group(channel.name()), ctx.log.clone(), ctx.clock.clone());
        Self { channel, group, least, retry_for, log, clock, last_logged: Mutex::default() }
    }

    /// The severity of the alert that `event` escalates or resolves; none if there is none, or it is no longer on the log.
    async fn severity(&self, event: &Recorded) -> Result<Option<Severity>, Fault> {
        let alert = match event.event() {
            Some(Event::Alert(Alert::Raised(raised))) => return Ok(Some(raised.severity)),
            Some(Event::Alert(Alert::Escalated(escalated))) => escalated.alert,
            Some(Event::Alert(Alert::Resolved(resolved))) => resolved.alert,
            Some(Event::Alert(
                Alert::Tested(_) | Alert::Suppressed(_) | Alert::Delivered(_) | Alert::Undelivered(_),
            ))
            | Some(Event::Observation(_) | Event::Diagnosis(_) | Event::Action(_) | Event::Sample(_))
            | None => return Ok(None),
        };
        let entry = self.log.get(alert).await.map_err(|error| Fault::Retry(error.into()))?;
        Ok(match entry.and_then(|entry| entry.event.ok()?.event().cloned()) {
            Some(Event::Alert(Alert::Raised(raised))) => Some(raised.severity),
            _ => None,
        })
    }

    fn outcome(&self, event: &Recorded, at: Timestamp, outcome: impl Into<Event>) -> NewEvent {
        let outcome = NewEvent::new(event.subject.clone(), at, outcome);
        outcome.in_incident(event.incident.clone()).caused_by(Cause::Event(event.id))
    }

    fn log_failure(&self, error: &str, next: Timestamp, give_up: Timestamp) {
        let mut last = self.last_logged.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            *last = Some(Instant::now());
            let name = self.channel.name();
            warn!(
                "could not deliver an alert to the channel {name}: {error}; retrying at {next:.0}, until {give_up:.0} at most"
            );
        }
    }
}

#[async_trait]
impl Effect for DeliverAlerts {
    const READS: &'static [Family] = &[Family::Alert];

    fn group(&self) -> &str {
        &self.group
    }

    fn wants(&self, event: &Recorded) -> bool {
        match event.event() {
            Some(Event::Alert(alert)) => match alert {
                Alert::Raised(_) | Alert::Escalated(_) | Alert::Resolved(_) | Alert::Tested(_) => true,
                Alert::Suppressed(_) | Alert::Delivered(_) | Alert::Undelivered(_) => false,
            },
            Some(Event::Observation(_) | Event::Diagnosis(_) | Event::Action(_) | Event::Sample(_)) | None => false,
        }
    }

    fn begins_now(&self) -> bool {
        true
    }

    /// The open alerts: the last event of each that people are told.
    fn keep_open(&self, open: &mut Vec<Recorded>, event: Recorded) {
        let Some(Event::Alert(alert)) = event.event() else { return };
        match alert {
            Alert::Raised(_) | Alert::Escalated(_) => {
                open.retain(|earlier| earlier.incident != event.incident);
                open.push(event);
            }
            Alert::Resolved(_) => open.retain(|earlier| earlier.incident != event.incident),
            Alert::Suppressed(_) | Alert::Tested(_) | Alert::Delivered(_) | Alert::Undelivered(_) => {}
        }
    }

    async fn run(&self, event: &Recorded, guard: &ExecutionGuard) -> Result<Vec<NewEvent>, Fault> {
        let severity = self.severity(event).await?;
        let is_severe = severity.is_none_or(|severity| severity >= self.least);
        let Some(notification) = Notification::of(event, severity).filter(|_| is_severe) else { return Ok(vec![]) };
        guard.check_lease()?;
        let sent = self.channel.send(&notification).await;

        let (now, attempts, first) = (self.clock.now(), guard.attempt(), guard.first_attempt_at());
        let (alert, channel, took) = (event.id, self.channel.name().to_owned(), Span::between(first, now));
        let (error, retry_at) = match sent {
            Ok(_) => {
                if attempts > 1 {
                    info!("delivered the alert to the channel {channel} at attempt {attempts}, after {took}");
                }
                return Ok(vec![self.outcome(event, now, Delivered { alert, channel, attempts, took })]);
            }
            Err(SendError::Permanent(error)) => (error, None),
            Err(SendError::Transient { error, retry_after }) => {
                let delay =
                    retry_after.unwrap_or_else(|| Backoff::resumed(MIN_DELAY, MAX_DELAY, attempts - 1).next_delay());
                (error, Some(Span::from(delay.min(MAX_DELAY)).after(now)))
            }
        };
        let give_up = Span::from(self.retry_for).after(first);
        match retry_at.filter(|at| *at <= give_up) {
            Some(at) => {
                self.log_failure(&error, at, give_up);
                Err(Fault::RetryAt(at, anyhow!("{channel}: {error}")))
            }
            None => {
                error!(
                    "an alert about {} did not reach the channel {channel} in {attempts} attempts: {error}",
                    event.subject
                );
                Ok(vec![self.outcome(event, now, Undelivered { alert, channel, attempts, error })])
            }
        }
    }
}

#[cfg(test)]
mod tests;
