//! HTTP to a provider: one request, and either the body of a successful answer, limited in length, or a typed error.
//!
//! Redirects are not followed, because a header holds the key. Of an error answer only the API's error code is passed on,
//! because a message may repeat the key or the prompt.

use std::time::Duration;

use anyhow::Context;
use hemostat_schema::{ByteCount, diagnosis::Trouble};
use reqwest::{Client, Request, Response, StatusCode, header::HeaderMap, redirect};

use super::{
    chat::{ProviderError, Retry},
    error_body::ErrorBody,
};

/// The longest body, in bytes. An answer has a few kilobytes, after a long chain of thought perhaps more.
const MAX_BODY: usize = 1 << 20;

/// Connection timeout, within the timeout of the question.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Headers that hold a key. They are marked as sensitive, so that no library prints them.
const KEY_HEADERS: [&str; 2] = ["authorization", "x-api-key"];

/// HTTP client for providers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// No complete answer arrived.
    #[error("{}", .0.error)]
    NoAnswer(ProviderError),
    /// The server answered with an error status.
    #[error("it answered {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// The delay that the server asks for.
        retry_after: Option<Duration>,
        /// The error body.
        body: ErrorBody,
    },
}

impl HttpClient {
    /// A client with the system's certificates and the proxy that the environment names.
    ///
    /// # Errors
    /// When no trusted certificates are found.
    pub fn new() -> anyhow::Result<Self> {
        // It fails only if another part of the process has installed a provider before.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
            .build()
            .context("could not prepare HTTPS for language models: are the ca-certificates installed?")?;
        Ok(Self { client })
    }

    /// The client to build requests with.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The body of the answer to `request`.
    pub(super) async fn send(&self, mut request: Request) -> Result<Vec<u8>, HttpError> {
        for name in KEY_HEADERS {
            if let Some(key) = request.headers_mut().get_mut(name) {
                key.set_sensitive(true);
            }
        }
        let answer = self.client.execute(request).await.map_err(|error| HttpError::NoAnswer(unreachable(error)))?;
        let (status, retry_after) = (answer.status(), retry_after(answer.headers()));
        let body = read_body(answer).await;
        if status.is_success() {
            return body.map_err(HttpError::NoAnswer);
        }
        // The status counts even if the body cannot be read.
        let body = body.map(|body| ErrorBody::parse(&body)).unwrap_or_default();
        Err(HttpError::Status { status, retry_after, body })
    }
}

impl HttpError {
    /// Classifies the error by its status.
    pub(super) fn into_provider_error(self) -> ProviderError {
        let (status, retry_after, body) = match self {
            Self::NoAnswer(error) => return error,
            Self::Status { status, retry_after, body } => (status, retry_after, body),
        };
        let error = match body.code() {
            Some(code) => format!("it answered {status} ({code})"),
            None => format!("it answered {status}"),
        };
        let later = Retry::After(retry_after);
        let (trouble, retry) = match status {
            // The account's quota is used up: a retry would not help.
            StatusCode::TOO_MANY_REQUESTS if body.mentions("insufficient_quota") => {
                (Trouble::RateLimited, Retry::Never)
            }
            StatusCode::TOO_MANY_REQUESTS => (Trouble::RateLimited, later),
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_EARLY => (Trouble::Unreachable, later),
            status if status.is_server_error() => (Trouble::Unreachable, later),
            _ => (Trouble::Refused, Retry::Never),
        };
        let error = if status.is_redirection() {
            format!("{error}, a redirect, which HemoStat does not follow: the base URL is not that of the API")
        } else {
            error
        };
        ProviderError { trouble, error, retry }
    }
}

/// The complete body, unless it is too long or the connection breaks.
async fn read_body(mut answer: Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY => {
                let limit = ByteCount(u64::try_from(MAX_BODY).unwrap_or(u64::MAX));
                return Err(ProviderError::permanent(Trouble::Invalid, format!("its answer is longer than {limit}")));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => {
                let error = format!("its answer broke off: {}", cause(error));
                return Err(ProviderError::transient(Trouble::Unreachable, error));
            }
        }
    }
}

/// The delay that the server asks for: in seconds, or in milliseconds by OpenAI's own header.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    number("retry-after-ms").map(Duration::from_millis).or_else(|| number("retry-after").map(Duration::from_secs))
}

fn unreachable(error: reqwest::Error) -> ProviderError {
    if error.is_builder() {
        return ProviderError::permanent(Trouble::Refused, format!("the request cannot be made: {}", cause(error)));
    }
    ProviderError::transient(Trouble::Unreachable, format!("it could not be reached: {}", cause(error)))
}

/// The root cause without the URL, which may hold a password.
fn cause(error: reqwest::Error) -> String {
    anyhow::Error::new(error.without_url()).root_cause().to_string()
}
