//! Every error response is a problem document (RFC 9457).
//!
//! A handler returns a [`Problem`]; the outermost layer, [`write_document`], adds the path and writes the document. `detail`
//! says what is wrong with the request and what would be valid; `type` is stable and meant for programs.

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hemostat_log as log;
use hemostat_runtime::{commands::CommandError, read_model};
use hemostat_schema::EventId;
use serde::Serialize;
use tracing::warn;
use utoipa::ToSchema;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    candidates: Vec<String>,
}

/// A kind of failure: the last part of the type's URN, the title, the status, and after how many seconds a retry may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind(&'static str, &'static str, StatusCode, Option<u64>);

impl Kind {
    const INVALID_PARAMETER: Self =
        Self("invalid-parameter", "A parameter is not valid", StatusCode::BAD_REQUEST, None);
    const FOREIGN_HOST: Self =
        Self("foreign-host", "The Host header names another machine", StatusCode::FORBIDDEN, None);
    const FOREIGN_ORIGIN: Self =
        Self("foreign-origin", "The request comes from a page of another site", StatusCode::FORBIDDEN, None);
    const NO_SUCH_PATH: Self = Self("no-such-path", "There is nothing at this path", StatusCode::NOT_FOUND, None);
    const UNKNOWN_EVENT: Self = Self("unknown-event", "There is no such event", StatusCode::NOT_FOUND, None);
    const UNKNOWN_CONTAINER: Self =
        Self("unknown-container", "There is no such container", StatusCode::NOT_FOUND, None);
    const UNKNOWN_INCIDENT: Self = Self("unknown-incident", "There is no such incident", StatusCode::NOT_FOUND, None);
    const UNKNOWN_DEAD_LETTER: Self =
        Self("unknown-parked", "There is no such dead letter", StatusCode::NOT_FOUND, None);
    const METHOD_NOT_ALLOWED: Self =
        Self("method-not-allowed", "This path does not support this method", StatusCode::METHOD_NOT_ALLOWED, None);
    const EVENTS_GONE: Self = Self("events-gone", "Events in between are gone", StatusCode::GONE, None);
    const AMBIGUOUS_CONTAINER: Self =
        Self("ambiguous-container", "Several containers have this name", StatusCode::CONFLICT, None);
    const CANNOT_REDRIVE: Self =
        Self("cannot-redrive", "The dead letter can only be discarded", StatusCode::CONFLICT, None);
    const MALFORMED_BODY: Self = Self("malformed-body", "The body is not JSON", StatusCode::BAD_REQUEST, None);
    const INVALID_BODY: Self =
        Self("invalid-body", "The body is not what the command takes", StatusCode::UNPROCESSABLE_ENTITY, None);
    const KEY_REUSED: Self =
        Self("key-reused", "The key belongs to another command", StatusCode::UNPROCESSABLE_ENTITY, None);
    const NOT_JSON: Self = Self("not-json", "The content type must be JSON", StatusCode::UNSUPPORTED_MEDIA_TYPE, None);
    const BODY_TOO_LARGE: Self = Self("body-too-large", "The body is too large", StatusCode::PAYLOAD_TOO_LARGE, None);
    const PATH_TOO_LONG: Self = Self("uri-too-long", "The URI is too long", StatusCode::URI_TOO_LONG, None);
    const INTERNAL: Self = Self("internal", "Internal error", StatusCode::INTERNAL_SERVER_ERROR, None);
    const OVERLOADED: Self =
        Self("overloaded", "Too many concurrent requests", StatusCode::SERVICE_UNAVAILABLE, Some(1));
    const TIMED_OUT: Self = Self("timed-out", "The request timed out", StatusCode::SERVICE_UNAVAILABLE, Some(1));
    const LOG_UNREACHABLE: Self =
        Self("log-unreachable", "The event log does not answer", StatusCode::SERVICE_UNAVAILABLE, Some(5));
    const VIEW_FILLING: Self =
        Self("view-filling", "The view is not ready yet", StatusCode::SERVICE_UNAVAILABLE, Some(1));
}

impl Problem {
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), candidates: vec![] }
    }

    /// 400: the query string is not valid.
    pub fn parameters(why: &str) -> Self {
        Self::new(Kind::INVALID_PARAMETER, why)
    }

    /// 400: `parameter` is not valid, and why.
    pub fn parameter(parameter: &str, why: impl std::fmt::Display) -> Self {
        Self::new(Kind::INVALID_PARAMETER, format!("{parameter}: {why}"))
    }

    /// 403: the Host header names another machine.
    pub fn foreign_host(host: &str) -> Self {
        let host: String = host.chars().take(120).collect();
        let valid = "use localhost, 127.0.0.1 or [::1]";
        Self::new(
            Kind::FOREIGN_HOST,
            format!("the Host header is {host:?}; {valid} (this keeps web pages of other sites out)"),
        )
    }

    /// 404: no such route.
    pub fn no_such_path() -> Self {
        Self::new(Kind::NO_SUCH_PATH, "GET / lists the paths, /openapi.json describes them")
    }

    /// 404: no event has this id.
    pub fn unknown_event(id: &str) -> Self {
        Self::new(Kind::UNKNOWN_EVENT, format!("there is no event {id} in the log; it may have been trimmed"))
    }

    /// 410: a stream cannot continue without a gap.
    pub fn events_gone(last: EventId) -> Self {
        let detail =
            format!("events up to {last} were trimmed, and there is no archive; begin without after, or after {last}");
        Self::new(Kind::EVENTS_GONE, detail)
    }

    /// 404: no container has this key or name.
    pub fn unknown_container(key: &str, known: &[String]) -> Self {
        const SHOWN: usize = 10;
        let names = known.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let known = match known.len() {
            0 => "HemoStat has seen no containers yet".to_owned(),
            n if n > SHOWN => format!("HemoStat knows {n} containers, for example {names}"),
            _ => format!("HemoStat knows {names}"),
        };
        Self::new(Kind::UNKNOWN_CONTAINER, format!("there is no container {key}; {known}"))
    }

    /// 404: no incident has this id.
    pub fn unknown_incident(id: &str) -> Self {
        Self::new(Kind::UNKNOWN_INCIDENT, format!("there is no incident {id}; GET /incidents lists all"))
    }

    /// 403: the Origin header names another site.
    pub fn foreign_origin(origin: &str) -> Self {
        let origin: String = origin.chars().take(120).collect();
        Self::new(
            Kind::FOREIGN_ORIGIN,
            format!("the Origin header is {origin:?}; only pages of this machine may send this request"),
        )
    }

    /// 404: no dead letter has this id.
    pub fn unknown_dead_letter(id: &str) -> Self {
        Self::new(Kind::UNKNOWN_DEAD_LETTER, format!("there is no dead letter {id}; GET /parked lists all"))
    }

    /// What went wrong with a command about something that exists.
    pub fn command(error: CommandError) -> Self {
        match error {
            CommandError::Unknown => Self::new(Kind::NO_SUCH_PATH, error.to_string()),
            CommandError::KeyReused => Self::new(Kind::KEY_REUSED, error.to_string()),
            CommandError::Impossible(why) => Self::new(Kind::CANNOT_REDRIVE, why),
            CommandError::Log(error) => error.into(),
        }
    }

    /// 400: the body is not JSON.
    pub fn malformed_body(error: &serde_json::Error) -> Self {
        Self::new(Kind::MALFORMED_BODY, format!("the body is not JSON: {error}"))
    }

    /// 422: the body is JSON, but not what the command takes.
    pub fn invalid_body(error: &serde_json::Error) -> Self {
        Self::new(Kind::INVALID_BODY, error.to_string())
    }

    /// 415: the content type that keeps other sites out is missing.
    pub fn not_json() -> Self {
        let valid = "send the header content-type: application/json, and a JSON body or none";
        Self::new(Kind::NOT_JSON, format!("{valid} (a page of another site cannot send this header)"))
    }

    /// 405: the path exists, the method does not.
    pub fn method_not_allowed() -> Self {
        Self::new(Kind::METHOD_NOT_ALLOWED, "the Allow header lists the supported methods; use GET to read")
    }

    /// 409: several hosts have a container of this name.
    pub fn ambiguous_container(name: &str, candidates: Vec<String>) -> Self {
        let detail = format!("several hosts have a container {name}; use one of {}", candidates.join(", "));
        Self { candidates, ..Self::new(Kind::AMBIGUOUS_CONTAINER, detail) }
    }

    /// 413: the request has a body of more than `limit` bytes.
    pub fn body_too_large(limit: usize) -> Self {
        let detail = match limit {
            0 => "this endpoint reads no body; send none".to_owned(),
            _ => format!("the body may have at most {limit} bytes"),
        };
        Self::new(Kind::BODY_TOO_LARGE, detail)
    }

    /// 414: the path and query are longer than `limit` bytes.
    pub fn path_too_long(limit: usize) -> Self {
        Self::new(Kind::PATH_TOO_LONG, format!("path and query together may have at most {limit} bytes"))
    }

    /// 500: a handler panicked.
    pub fn panicked() -> Self {
        Self::new(Kind::INTERNAL, "a fault in HemoStat; see its log")
    }

    /// 503: the maximum of concurrent requests is reached.
    pub fn overloaded(limit: usize) -> Self {
        Self::new(Kind::OVERLOADED, format!("{limit} requests are in flight; try again in a moment"))
    }

    /// 503: the request timed out.
    pub fn timed_out(limit: std::time::Duration) -> Self {
        Self::new(Kind::TIMED_OUT, format!("no answer within {limit:?}; ask for less, or try again"))
    }

    fn document<'a>(&'a self, instance: &'a str) -> Document<'a> {
        let Kind(name, title, status, _) = self.kind;
        Document {
            r#type: format!("urn:hemostat:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            instance,
            candidates: &self.candidates,
        }
    }
}

impl From<log::Error> for Problem {
    fn from(error: log::Error) -> Self {
        let kind = if error.is_transient() { Kind::LOG_UNREACHABLE } else { Kind::INTERNAL };
        Self::new(kind, error.to_string())
    }
}

impl From<read_model::Error> for Problem {
    fn from(error: read_model::Error) -> Self {
        match error {
            read_model::Error::Building(filling) => Self::new(Kind::VIEW_FILLING, filling.to_string()),
            read_model::Error::Log(error) => error.into(),
        }
    }
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
#[schema(example = json!({
    "type": "urn:hemostat:problem:unknown-container",
    "title": "There is no such container",
    "status": 404,
    "detail": "there is no container api-9; HemoStat knows docker-1/api-1, docker-1/db",
    "instance": "/containers/api-9",
}))]
pub struct Document<'a> {
    /// The kind of problem; stable, for programs.
    r#type: String,
    /// The kind for people; the same for all problems of a kind.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request, and what would be valid.
    detail: &'a str,
    /// The requested path.
    instance: &'a str,
    /// The keys to choose from, if a name is ambiguous.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    candidates: &'a [String],
}

/// Without the document, which [`write_document`] adds.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Kind(_, _, status, retry_after) = self.kind;
        let mut response = status.into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The outermost layer: writes the problem document, and logs server errors.
pub async fn write_document(request: Request, next: Next) -> Response {
    let path = request.uri().path().chars().take(1024).collect::<String>();
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let status = response.status();
    if status.is_server_error() {
        warn!(%path, status = status.as_u16(), "request for {path} failed: {}", problem.detail);
    }
    let mut document = (status, Json(problem.document(&path))).into_response();
    for (name, value) in response.headers() {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            document.headers_mut().append(name, value.clone());
        }
    }
    document.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    document
}
