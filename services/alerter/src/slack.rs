//! A Slack incoming webhook as a channel: one message, sent until it is taken, refused, or too old.
//!
//! The address is the secret: who has it can post. So it is in no log line, error or event, and redirects are not
//! followed. What Slack answers is passed on only where it is one of Slack's own error words, as another server's error
//! page might repeat the address.

use std::time::Duration;

use anyhow::{Context, ensure};
use backon::{ExponentialBuilder, Retryable};
use hemostat_schema::Span;
use reqwest::{Client, Response, StatusCode, Url, header::RETRY_AFTER, redirect};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use tracing::{info, warn};

mod message;

pub(crate) use message::Message;

/// So many bytes of an answer are read.
const ENOUGH: usize = 1024;

/// How a failing channel is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How long one attempt may take.
    pub(crate) timeout: Duration,
    /// How long after the first attempt the last may begin.
    pub(crate) retry_for: Duration,
    /// The wait after the first attempt; each next one is twice as long.
    pub(crate) first: Duration,
    /// The longest wait, also when the server asks for more.
    pub(crate) cap: Duration,
    /// While it fails, it is said again only so often.
    pub(crate) quiet: Duration,
}

impl Patience {
    /// With waits of a second up to a minute, told every five minutes.
    pub(crate) fn new(timeout: Duration, retry_for: Duration) -> Self {
        let secs = Duration::from_secs;
        Self { timeout, retry_for, first: secs(1), cap: secs(60), quiet: secs(300) }
    }
}

/// A Slack incoming webhook.
#[derive(Debug)]
pub(crate) struct Slack {
    http: Client,
    address: SecretString,
    patience: Patience,
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    /// How many attempts were made.
    pub(crate) attempts: u32,
    /// From the first attempt to the last answer.
    pub(crate) took: Span,
    /// Why it was not taken, where it was not.
    pub(crate) error: Option<String>,
}

/// Why one attempt did not do.
#[derive(Debug)]
enum Failure<E> {
    /// We may not send.
    Forbidden(E),
    /// It would not do the next time either.
    Final(String),
    /// It may do the next time; not before that, where the server says so.
    Passing { error: String, wait: Option<Duration> },
}

impl<E> Failure<E> {
    fn passing(error: impl Into<String>) -> Self {
        Self::Passing { error: error.into(), wait: None }
    }
}

impl Slack {
    /// The channel's name, on the log.
    pub(crate) const NAME: &'static str = "slack";

    /// # Errors
    /// When the address is not one, or no trusted certificates are found.
    pub(crate) fn new(address: SecretString, patience: Patience) -> anyhow::Result<Self> {
        let parsed = Url::parse(address.expose_secret()).ok();
        let is_web = parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https"));
        ensure!(is_web, "alerts.slack_webhook_url is not a web address; Slack's begin with https://hooks.slack.com/");
        // An error means that another part of the process has chosen one already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = Client::builder()
            .timeout(patience.timeout)
            .redirect(redirect::Policy::none())
            .build()
            .context("could not prepare HTTPS for alerts: are the ca-certificates installed?")?;
        Ok(Self { http, address, patience })
    }

    /// Sends `message` until it is taken, refused for good, or `retry_for` is over. `permitted` is asked before each
    /// attempt.
    ///
    /// # Errors
    /// What `permitted` says against it.
    pub(crate) async fn send<E>(
        &self,
        message: &Message,
        mut permitted: impl FnMut() -> Result<(), E>,
    ) -> Result<Sent, E> {
        let Patience { retry_for, first, cap, quiet, .. } = self.patience;
        let begun = Instant::now();
        let mut attempts = 0;
        let mut told: Option<Instant> = None;
        let backoff =
            ExponentialBuilder::default().with_min_delay(first).with_max_delay(cap).with_jitter().without_max_times();
        let outcome = (|| {
            let permitted = permitted();
            attempts += 1;
            async { self.attempt(message, permitted).await }
        })
        .retry(backoff)
        .when(|failure| matches!(failure, Failure::Passing { .. }))
        .adjust(|failure, delay| {
            let wait = match failure {
                Failure::Passing { wait: Some(wait), .. } => (*wait).min(cap),
                _ => delay?.min(cap),
            };
            (begun.elapsed() + wait <= retry_for).then_some(wait)
        })
        .notify(|failure, wait| {
            if let Failure::Passing { error, .. } = failure
                && told.is_none_or(|told| told.elapsed() >= quiet)
            {
                told = Some(Instant::now());
                let left = Span::from(retry_for.saturating_sub(begun.elapsed()));
                warn!("Slack did not take an alert: {error}; trying again in {wait:.1?} and for {left} at most");
            }
        })
        .await;
        let took = Span::from(begun.elapsed());
        let error = match outcome {
            Ok(()) => None,
            Err(Failure::Forbidden(error)) => return Err(error),
            Err(Failure::Final(error) | Failure::Passing { error, .. }) => Some(error),
        };
        if error.is_none() && attempts > 1 {
            info!("Slack took the alert at attempt {attempts}, after {took}");
        }
        Ok(Sent { attempts, took, error })
    }

    async fn attempt<E>(&self, message: &Message, permitted: Result<(), E>) -> Result<(), Failure<E>> {
        permitted.map_err(Failure::Forbidden)?;
        let answer = self.http.post(self.address.expose_secret()).json(message).send().await;
        let mut answer = answer.map_err(|error| Failure::passing(self.describe(error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut error = format!("it answered {status}");
        if status.is_redirection() {
            error.push_str(", a redirect, which is not followed: the address is not a webhook's");
        } else if let Some(word) = slack_word(&beginning(&mut answer).await) {
            error.push_str(&format!(" ({word})"));
        }
        if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) {
            return Err(Failure::Passing { error, wait: wait.map(Duration::from_secs) });
        }
        Err(Failure::Final(error))
    }

    /// What went wrong, and never with whom.
    fn describe(&self, error: reqwest::Error) -> String {
        if error.is_timeout() {
            return format!("it did not answer within {}", Span::from(self.patience.timeout));
        }
        let error = anyhow::Error::new(error.without_url());
        format!("it could not be reached: {}", error.root_cause())
    }
}

/// The beginning of what was answered: an error word is short, and a server may answer without end.
async fn beginning(answer: &mut Response) -> String {
    let mut body = Vec::new();
    while body.len() < ENOUGH
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        body.extend_from_slice(&chunk[..chunk.len().min(ENOUGH - body.len())]);
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// One of Slack's own error words, such as `no_service` or `channel_is_archived`.
fn slack_word(body: &str) -> Option<&str> {
    let is_word = !body.is_empty() && body.len() <= 40 && body.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_word.then_some(body)
}

#[cfg(test)]
mod tests;
