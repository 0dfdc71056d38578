//! Posts to an address over HTTP, once: what most channels have in common.
//!
//! The address is a secret: anyone who has it can post. So it appears in no log line, error or event, and redirects are
//! not followed. Of an error answer only a short error code is passed on, because the body may repeat the address.

use std::time::Duration;

use anyhow::{Context, ensure};
use hemostat_schema::Span;
use hemostat_settings::{Channel as Configured, Secret};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header::RETRY_AFTER, redirect};
use secrecy::ExposeSecret as _;

use crate::channel::{Receipt, SendError};

/// Bytes of an error answer that are read.
const MAX_BODY: usize = 1024;

/// An address to post to.
#[derive(Debug)]
pub(crate) struct Webhook {
    http: Client,
    url: Secret,
    timeout: Duration,
}

impl Webhook {
    /// # Errors
    /// When the channel's address is not a web address, or no trusted certificates are found.
    pub(crate) fn new(channel: &Configured, timeout: Duration) -> anyhow::Result<Self> {
        let parsed = Url::parse(channel.url.current().expose_secret()).ok();
        let is_web = parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https"));
        ensure!(is_web, "the url of the alert channel {} is not a web address", channel.name);
        // It fails only if another part of the process has installed a provider before.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = Client::builder()
            .timeout(timeout)
            .redirect(redirect::Policy::none())
            .build()
            .context("could not prepare HTTPS for alerts: are the ca-certificates installed?")?;
        Ok(Self { http, url: channel.url.clone(), timeout })
    }

    /// Posts once; `request` adds headers and the body.
    pub(crate) async fn post(
        &self,
        request: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Receipt, SendError> {
        let answer = request(self.http.post(self.url.current().expose_secret())).send().await;
        let mut answer = answer.map_err(|error| match error.is_builder() {
            // As with a header that HTTP does not allow.
            true => SendError::Permanent("the request cannot be made".to_owned()),
            false => SendError::Transient { error: self.describe(error), retry_after: None },
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Receipt);
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
            return format!("it did not answer within {}", Span::from(self.timeout));
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

/// The body, if it is an error code, such as Slack's `no_service` or `channel_is_archived`.
fn error_code(body: &str) -> Option<&str> {
    let is_code = !body.is_empty() && body.len() <= 40 && body.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_code.then_some(body)
}

#[cfg(test)]
mod tests;
