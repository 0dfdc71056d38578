//! Sends messages to a Slack incoming webhook, with retries and exponential backoff.
//!
//! The webhook URL is a secret: anyone who has it can post. So it appears in no log line, error or event, and redirects are
//! not followed. Of an error answer only Slack's error code is passed on, because the body may repeat the URL.

use std::time::Duration;

use anyhow::{Context, ensure};
use backon::{ExponentialBuilder, Retryable};
use hemostat_schema::Span;
use hemostat_settings::Secret;
use reqwest::{Client, Response, StatusCode, Url, header::RETRY_AFTER, redirect};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use tracing::{info, warn};

mod message;

pub(crate) use message::Message;

/// Bytes of an error answer that are read.
const MAX_BODY: usize = 1024;

/// Timeouts and backoff of a delivery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// Timeout of one attempt.
    pub(crate) timeout: Duration,
    /// How long after the first attempt the last one may begin.
    pub(crate) retry_for: Duration,
    /// Delay before the first retry; it doubles each time, with jitter.
    pub(crate) min_delay: Duration,
    /// The longest delay, even if the server asks for more.
    pub(crate) max_delay: Duration,
    /// Minimum interval between log lines about a delivery that keeps failing.
    pub(crate) log_interval: Duration,
}

impl RetryPolicy {
    /// Delays from a second to a minute, and a log line every five minutes.
    pub(crate) fn new(timeout: Duration, retry_for: Duration) -> Self {
        let secs = Duration::from_secs;
        Self { timeout, retry_for, min_delay: secs(1), max_delay: secs(60), log_interval: secs(300) }
    }
}

/// A Slack incoming webhook.
#[derive(Debug)]
pub(crate) struct Slack {
    http: Client,
    url: Secret,
    retry: RetryPolicy,
}

/// The outcome of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// Number of attempts.
    pub(crate) attempts: u32,
    /// From the first attempt to the last answer.
    pub(crate) took: Span,
    /// Why Slack did not accept the message; none if it did.
    pub(crate) error: Option<String>,
}

/// Why one attempt failed.
#[derive(Debug)]
enum SendError<E> {
    /// The execution guard forbids it.
    NotAllowed(E),
    /// A retry would fail, too.
    Permanent(String),
    /// A retry may succeed, but not before `retry_after` if the server names one.
    Transient { error: String, retry_after: Option<Duration> },
}

impl<E> SendError<E> {
    fn transient(error: impl Into<String>) -> Self {
        Self::Transient { error: error.into(), retry_after: None }
    }
}

impl Slack {
    /// The channel's name on the log.
    pub(crate) const NAME: &'static str = "slack";

    /// # Errors
    /// When `url` is not a web address, or no trusted certificates are found.
    pub(crate) fn new(url: Secret, retry: RetryPolicy) -> anyhow::Result<Self> {
        let parsed = Url::parse(url.current().expose_secret()).ok();
        let is_web = parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https"));
        ensure!(is_web, "alerts.slack_webhook_url is not a web address; Slack's begin with https://hooks.slack.com/");
        // It fails only if another part of the process has installed a provider before.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = Client::builder()
            .timeout(retry.timeout)
            .redirect(redirect::Policy::none())
            .build()
            .context("could not prepare HTTPS for alerts: are the ca-certificates installed?")?;
        Ok(Self { http, url, retry })
    }

    /// Sends `message` until Slack accepts it, rejects it permanently, or `retry_for` is over. `check` runs before each
    /// attempt.
    ///
    /// # Errors
    /// The error of `check`, after which nothing is sent.
    pub(crate) async fn send<E>(
        &self,
        message: &Message,
        mut check: impl FnMut() -> Result<(), E>,
    ) -> Result<Delivery, E> {
        let RetryPolicy { retry_for, min_delay, max_delay, log_interval, .. } = self.retry;
        let begun = Instant::now();
        let mut attempts = 0;
        let mut last_logged: Option<Instant> = None;
        let backoff = ExponentialBuilder::default()
            .with_min_delay(min_delay)
            .with_max_delay(max_delay)
            .with_jitter()
            .without_max_times();
        let outcome = (|| {
            let checked = check();
            attempts += 1;
            async {
                checked.map_err(SendError::NotAllowed)?;
                self.attempt(message).await
            }
        })
        .retry(backoff)
        .when(|error| matches!(error, SendError::Transient { .. }))
        .adjust(|error, delay| {
            let delay = match error {
                SendError::Transient { retry_after: Some(retry_after), .. } => *retry_after,
                SendError::Transient { retry_after: None, .. } | SendError::Permanent(_) | SendError::NotAllowed(_) => {
                    delay?
                }
            };
            let delay = delay.min(max_delay);
            (begun.elapsed() + delay <= retry_for).then_some(delay)
        })
        .notify(|error, delay| {
            if let SendError::Transient { error, .. } = error
                && last_logged.is_none_or(|last| last.elapsed() >= log_interval)
            {
                last_logged = Some(Instant::now());
                let left = Span::from(retry_for.saturating_sub(begun.elapsed()));
                warn!("could not deliver an alert to Slack: {error}; retrying in {delay:.1?}, for {left} at most");
            }
        })
        .await;
        let took = Span::from(begun.elapsed());
        let error = match outcome {
            Ok(()) => None,
            Err(SendError::NotAllowed(error)) => return Err(error),
            Err(SendError::Permanent(error) | SendError::Transient { error, .. }) => Some(error),
        };
        if error.is_none() && attempts > 1 {
            info!("delivered the alert to Slack at attempt {attempts}, after {took}");
        }
        Ok(Delivery { attempts, took, error })
    }

    async fn attempt<E>(&self, message: &Message) -> Result<(), SendError<E>> {
        let answer = self.http.post(self.url.current().expose_secret()).json(message).send().await;
        let mut answer = answer.map_err(|error| SendError::transient(self.describe(error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut error = format!("it answered {status}");
        if status.is_redirection() {
            error.push_str(", a redirect, which HemoStat does not follow: the URL is not that of a webhook");
        } else if let Some(code) = error_code(&read_body(&mut answer).await) {
            error.push_str(&format!(" ({code})"));
        }
        if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) {
            return Err(SendError::Transient { error, retry_after: retry_after.map(Duration::from_secs) });
        }
        Err(SendError::Permanent(error))
    }

    /// Describes a connection error without the URL.
    fn describe(&self, error: reqwest::Error) -> String {
        if error.is_timeout() {
            return format!("it did not answer within {}", Span::from(self.retry.timeout));
        }
        let error = anyhow::Error::new(error.without_url());
        format!("it could not be reached: {}", error.root_cause())
    }
}

/// The beginning of the body: an error code is short, and a faulty server may send an endless body.
async fn read_body(answer: &mut Response) -> String {
    let mut body = Vec::new();
    while body.len() < MAX_BODY
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_BODY - body.len())]);
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// The body, if it is one of Slack's error codes, such as `no_service` or `channel_is_archived`.
fn error_code(body: &str) -> Option<&str> {
    let is_code = !body.is_empty() && body.len() <= 40 && body.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_code.then_some(body)
}

#[cfg(test)]
mod tests;
