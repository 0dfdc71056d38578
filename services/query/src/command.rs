//! What every command has besides its own path: who gave it, a key that makes it idempotent, and a body.
//!
//! A command ends as an event on the log, and its answer is that event. A client that got no answer sends the request again
//! with the same key: it gets the event of the first time, and nothing is done twice.

use axum::{
    body,
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use hemostat_runtime::commands::Executed;
use hemostat_schema::Operator;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::error::Category;
use utoipa::{IntoParams, ToSchema};

use crate::{group, guard, problem::Problem, wire::Event};

/// The client's key of a command (draft-ietf-httpapi-idempotency-key-header).
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Whether the answer is that of an earlier request with the same key.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Who gives the command.
const OPERATOR: HeaderName = HeaderName::from_static("hemostat-operator");

/// A command, and who gave it.
#[derive(Debug)]
pub struct Command<T> {
    /// The same for each try of one command.
    pub key: String,
    /// Who gave it.
    pub by: Operator,
    /// The body; the default, if there is none.
    pub order: T,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Command<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        guard::ensure_not_cross_site(request.headers())?;
        let key = key(request.headers())?;
        let by = operator(request.headers())?;
        let limit = group::COMMAND.body;
        let bytes = body::to_bytes(request.into_body(), limit).await.map_err(|_| Problem::body_too_large(limit))?;
        let text = if bytes.is_empty() { b"{}" } else { &bytes[..] };
        let order = serde_json::from_slice(text).map_err(|error| match error.classify() {
            Category::Data => Problem::invalid_body(&error),
            Category::Syntax | Category::Eof | Category::Io => Problem::malformed_body(&error),
        })?;
        Ok(Self { key, by, order })
    }
}

/// The key, with or without the quotes that the draft demands. One is made for a client that sends none: then each request is
/// a command of its own.
fn key(headers: &HeaderMap) -> Result<String, Problem> {
    const MAX: usize = 128;
    let Some(value) = headers.get(KEY) else { return Ok(format!("{:032x}", fastrand::u128(..))) };
    let text = value.to_str().unwrap_or_default();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let is_valid = (1..=MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if !is_valid || headers.get_all(KEY).iter().count() > 1 {
        return Err(Problem::parameter("Idempotency-Key", "it must be 1 to 128 visible characters, such as a UUID"));
    }
    Ok(text.to_owned())
}

/// Nothing authenticates a client yet, so the name is what the client claims.
fn operator(headers: &HeaderMap) -> Result<Operator, Problem> {
    let name = headers.get(OPERATOR).map_or("anonymous", |name| name.to_str().unwrap_or_default());
    Operator::claimed(name).map_err(|error| Problem::parameter("HemoStat-Operator", error))
}

/// The headers of every command, for its description.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "they are read from the request itself")]
pub struct CommandHeaders {
    /// A key of your choice, the same for each try of one command: the command is executed once, and each try gets the same
    /// answer. It is remembered for at least a day.
    #[param(rename = "Idempotency-Key", example = "8e03978e-40d5-43dd-bc93-6894a57f9324", max_length = 128)]
    key: Option<String>,
    /// Your name, for the log. Nothing verifies it, so the event calls it `claimed`. Default: `anonymous`.
    #[param(rename = "HemoStat-Operator", example = "ann", max_length = 128)]
    operator: Option<String>,
}

/// The body of a command that needs nothing but a reason.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why, for the log.
    #[schema(example = "the webhook URL is correct now")]
    pub reason: Option<String>,
}

/// The answer of a command: its event.
#[derive(Debug)]
pub struct Answer {
    key: String,
    executed: Executed,
}

impl Answer {
    /// The answer to the command with this key.
    pub fn new(key: String, executed: Executed) -> Self {
        Self { key, executed }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Self { key, executed: Executed { event, first_time } } = self;
        let mut response = axum::Json(Event::from(&event)).into_response();
        // A key consists of visible characters.
        if let Ok(key) = HeaderValue::from_str(&format!("\"{key}\"")) {
            response.headers_mut().insert(KEY, key);
        }
        if !first_time {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
