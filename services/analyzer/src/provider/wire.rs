//! HTTP to a provider: one request, and an answer of limited length or the reason why there is none.
//!
//! The key is in a header, so redirects are not followed. What a server says in an error is passed on only where it is
//! one of the short words that the APIs have for it: a message may repeat the key, or what was asked.

use std::{fmt, time::Duration};

use anyhow::Context;
use hemostat_schema::{ByteCount, diagnosis::Trouble};
use reqwest::{Client, Request, Response, StatusCode, header::HeaderMap, redirect};

use super::{Again, Miss, complaint::Complaint};

/// An answer of a few hundred tokens has a few thousand bytes; a train of thought may stand before it.
const LONGEST: usize = 1 << 20;

/// How long it may take to reach a server, within the time that there is for everything.
const CONNECT: Duration = Duration::from_secs(5);

/// Headers that hold a key: no library shows one that is marked.
const KEYS: [&str; 2] = ["authorization", "x-api-key"];

/// HTTP to a provider. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Wire {
    http: Client,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// There was nothing that could be read as one.
    Missed(Miss),
    /// It was answered with an error.
    Answered {
        /// Which.
        status: StatusCode,
        /// How long to wait, where the server says so.
        wait: Option<Duration>,
        /// What it complains of.
        complaint: Complaint,
    },
}

impl Wire {
    /// With the system's certificates and, where the environment names one, its proxy.
    ///
    /// # Errors
    /// When no trusted certificates are found.
    pub fn new() -> anyhow::Result<Self> {
        // An error means that another part of the process has chosen one already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = Client::builder()
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none())
            .build()
            .context("could not prepare HTTPS for language models: are the ca-certificates installed?")?;
        Ok(Self { http })
    }

    /// The client that requests are made with.
    pub(super) fn http(&self) -> &Client {
        &self.http
    }

    /// The body of the answer to `request`, if it is one.
    pub(super) async fn send(&self, mut request: Request) -> Result<Vec<u8>, Failure> {
        for name in KEYS {
            if let Some(key) = request.headers_mut().get_mut(name) {
                key.set_sensitive(true);
            }
        }
        let answer = self.http.execute(request).await.map_err(|error| Failure::Missed(unreached(error)))?;
        let (status, wait) = (answer.status(), wait(answer.headers()));
        let body = body(answer).await;
        if status.is_success() {
            return body.map_err(Failure::Missed);
        }
        // An error whose words cannot be read is one all the same.
        let complaint = body.map(|body| Complaint::read(&body)).unwrap_or_default();
        Err(Failure::Answered { status, wait, complaint })
    }
}

impl Failure {
    /// As a provider tells it, where it has no better idea.
    pub(super) fn miss(self) -> Miss {
        let (status, wait, complaint) = match self {
            Self::Missed(miss) => return miss,
            Self::Answered { status, wait, complaint } => (status, wait, complaint),
        };
        let error = match complaint.word() {
            Some(word) => format!("it answered {status} ({word})"),
            None => format!("it answered {status}"),
        };
        let later = Again::Later(wait);
        let (trouble, again) = match status {
            // Out of money, not out of breath.
            StatusCode::TOO_MANY_REQUESTS if complaint.is_of("insufficient_quota") => {
                (Trouble::RateLimited, Again::Never)
            }
            StatusCode::TOO_MANY_REQUESTS => (Trouble::RateLimited, later),
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_EARLY => (Trouble::Unreachable, later),
            status if status.is_server_error() => (Trouble::Unreachable, later),
            _ => (Trouble::Refused, Again::Never),
        };
        let error = if status.is_redirection() {
            format!("{error}, a redirect, which is not followed: the base URL is not that of its API")
        } else {
            error
        };
        Miss { trouble, error, again }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missed(miss) => f.write_str(&miss.error),
            Self::Answered { status, .. } => write!(f, "it answered {status}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Everything that was answered, unless it is too long or breaks off.
async fn body(mut answer: Response) -> Result<Vec<u8>, Miss> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST => {
                let limit = ByteCount(u64::try_from(LONGEST).unwrap_or(u64::MAX));
                return Err(Miss::never(Trouble::Invalid, format!("its answer is longer than {limit}")));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => {
                let error = format!("its answer broke off: {}", cause(error));
                return Err(Miss::later(Trouble::Unreachable, error));
            }
        }
    }
}

/// How long the server wants to be left alone: in seconds, or, as OpenAI also writes it, in milliseconds.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    number("retry-after-ms").map(Duration::from_millis).or_else(|| number("retry-after").map(Duration::from_secs))
}

fn unreached(error: reqwest::Error) -> Miss {
    if error.is_builder() {
        return Miss::never(Trouble::Refused, format!("the request cannot be made: {}", cause(error)));
    }
    Miss::later(Trouble::Unreachable, format!("it could not be reached: {}", cause(error)))
}

/// What went wrong, and never with whom: an address may hold a password.
fn cause(error: reqwest::Error) -> String {
    anyhow::Error::new(error.without_url()).root_cause().to_string()
}
