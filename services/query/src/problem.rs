//! What is answered when a request cannot be: a problem document (RFC 9457), everywhere and always.
//!
//! A handler returns a [`Problem`]; [`tell`] writes the document at the very end, when the path is known that it is about.
//! The detail says what was wrong with this request and what would be right; the type is stable, for programs to match.

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tracing::warn;
use utoipa::ToSchema;

use crate::{log, rows};

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    candidates: Vec<String>,
}

/// Every way in which a request can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    InvalidParameter,
    ForeignHost,
    ForeignOrigin,
    NoSuchPath,
    UnknownEvent,
    UnknownContainer,
    UnknownIncident,
    UnknownParked,
    MethodNotAllowed,
    AmbiguousContainer,
    CannotRedrive,
    BodyTooLarge,
    NotJson,
    PathTooLong,
    Internal,
    Overloaded,
    TimedOut,
    LogUnreachable,
    ViewFilling,
}

impl Kind {
    /// Type (the last part of its URN), title and status.
    fn about(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::InvalidParameter => ("invalid-parameter", "A parameter is not valid", StatusCode::BAD_REQUEST),
            Self::ForeignHost => ("foreign-host", "The Host header names another machine", StatusCode::FORBIDDEN),
            Self::ForeignOrigin => ("foreign-origin", "A page of another site asks", StatusCode::FORBIDDEN),
            Self::NoSuchPath => ("no-such-path", "There is nothing at this path", StatusCode::NOT_FOUND),
            Self::UnknownEvent => ("unknown-event", "There is no such event", StatusCode::NOT_FOUND),
            Self::UnknownContainer => ("unknown-container", "There is no such container", StatusCode::NOT_FOUND),
            Self::UnknownIncident => ("unknown-incident", "There is no such incident", StatusCode::NOT_FOUND),
            Self::UnknownParked => ("unknown-parked", "There is no such parked delivery", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => {
                ("method-not-allowed", "This path does not take this method", StatusCode::METHOD_NOT_ALLOWED)
            }
            Self::AmbiguousContainer => {
                ("ambiguous-container", "Several containers have this name", StatusCode::CONFLICT)
            }
            Self::CannotRedrive => ("cannot-redrive", "It can only be discarded", StatusCode::CONFLICT),
            Self::NotJson => ("not-json", "The content type must be JSON", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::BodyTooLarge => ("body-too-large", "No body is expected", StatusCode::PAYLOAD_TOO_LARGE),
            Self::PathTooLong => ("uri-too-long", "The address is too long", StatusCode::URI_TOO_LONG),
            Self::Internal => ("internal", "HemoStat could not answer", StatusCode::INTERNAL_SERVER_ERROR),
            Self::Overloaded => ("overloaded", "Too many requests at once", StatusCode::SERVICE_UNAVAILABLE),
            Self::TimedOut => ("timed-out", "The answer took too long", StatusCode::SERVICE_UNAVAILABLE),
            Self::LogUnreachable => {
                ("log-unreachable", "The event log does not answer", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::ViewFilling => ("view-filling", "The view is not ready yet", StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    /// How many seconds to wait before it is worth asking again.
    fn retry_after(self) -> Option<u64> {
        match self {
            Self::Overloaded | Self::TimedOut | Self::ViewFilling => Some(1),
            Self::LogUnreachable => Some(5),
            _ => None,
        }
    }
}

impl Problem {
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), candidates: vec![] }
    }

    /// 400: `parameter` cannot be used, and why.
    pub fn parameter(parameter: &str, why: impl std::fmt::Display) -> Self {
        Self::new(Kind::InvalidParameter, format!("{parameter}: {why}"))
    }

    /// 403: the Host header names another machine.
    pub fn foreign_host(host: &str) -> Self {
        let host: String = host.chars().take(120).collect();
        let right = "ask for localhost, 127.0.0.1 or [::1]";
        Self::new(
            Kind::ForeignHost,
            format!("the Host header is {host:?}; {right}, so that no web page elsewhere can ask"),
        )
    }

    /// 404: no such route.
    pub fn no_such_path() -> Self {
        Self::new(Kind::NoSuchPath, "see / for what there is, or /openapi.json for all of it")
    }

    /// 404: no event has this id.
    pub fn unknown_event(id: &str) -> Self {
        Self::new(Kind::UnknownEvent, format!("the log holds no event {id}; it may have been trimmed"))
    }

    /// 404: no container has this key or name.
    pub fn unknown_container(key: &str, known: &[String]) -> Self {
        const SHOWN: usize = 10;
        let names = known.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let known = match known.len() {
            0 => "HemoStat has seen no containers yet".to_owned(),
            n if n > SHOWN => format!("HemoStat knows {n} containers, among them {names}"),
            _ => format!("HemoStat knows {names}"),
        };
        Self::new(Kind::UnknownContainer, format!("{key} is not known; {known}"))
    }

    /// 404: no incident has this id.
    pub fn unknown_incident(id: &str) -> Self {
        Self::new(Kind::UnknownIncident, format!("{id} is not known; GET /incidents lists those that are"))
    }

    /// 403: the Origin header names another site.
    pub fn foreign_origin(origin: &str) -> Self {
        let origin: String = origin.chars().take(120).collect();
        Self::new(
            Kind::ForeignOrigin,
            format!("the Origin header is {origin:?}; no page elsewhere may change anything"),
        )
    }

    /// 404: no delivery is parked under this id.
    pub fn unknown_parked(id: &str) -> Self {
        Self::new(Kind::UnknownParked, format!("nothing is parked as {id}; GET /parked lists what is"))
    }

    /// 409: what a parked delivery would need is gone.
    pub fn cannot_redrive(why: String) -> Self {
        Self::new(Kind::CannotRedrive, why)
    }

    /// 415: the header that shows that it is meant is missing.
    pub fn not_json() -> Self {
        let right = "send the header content-type: application/json, and no body";
        Self::new(Kind::NotJson, format!("{right}; a page of another site cannot"))
    }

    /// 405: the path exists, the method does not.
    pub fn method_not_allowed() -> Self {
        Self::new(Kind::MethodNotAllowed, "the Allow header says which it takes; GET reads")
    }

    /// 409: several hosts have a container of this name.
    pub fn ambiguous_container(name: &str, candidates: Vec<String>) -> Self {
        let detail = format!("{name} is on several hosts; use one of {}", candidates.join(", "));
        Self { candidates, ..Self::new(Kind::AmbiguousContainer, detail) }
    }

    /// 413: a body where none is expected.
    pub fn body_too_large() -> Self {
        Self::new(Kind::BodyTooLarge, "nothing here reads a body; send none")
    }

    /// 414: the path and query are longer than `limit` bytes.
    pub fn path_too_long(limit: usize) -> Self {
        Self::new(Kind::PathTooLong, format!("path and query may be {limit} bytes long together"))
    }

    /// 500: a handler panicked.
    pub fn panicked() -> Self {
        Self::new(Kind::Internal, "a fault in HemoStat; its log says more")
    }

    /// 503: as many requests as may be are being answered.
    pub fn overloaded(limit: usize) -> Self {
        Self::new(Kind::Overloaded, format!("{limit} requests are being answered; ask again in a moment"))
    }

    /// 503: the time for an answer is over.
    pub fn timed_out(limit: std::time::Duration) -> Self {
        Self::new(Kind::TimedOut, format!("no answer within {limit:?}; ask for less or again"))
    }

    fn document<'a>(&'a self, instance: &'a str) -> Document<'a> {
        let (name, title, status) = self.kind.about();
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
        let kind = if error.is_transient() { Kind::LogUnreachable } else { Kind::Internal };
        Self::new(kind, error.to_string())
    }
}

impl From<rows::Error> for Problem {
    fn from(error: rows::Error) -> Self {
        match error {
            rows::Error::Filling(filling) => Self::new(Kind::ViewFilling, filling.to_string()),
            rows::Error::Log(error) => error.into(),
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
    "detail": "api-9 is not known; HemoStat knows docker-1/api-1, docker-1/db",
    "instance": "/containers/api-9",
}))]
pub struct Document<'a> {
    /// What kind of problem it is; stable, for programs.
    r#type: String,
    /// The kind in words; the same for all of a kind.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What was wrong with this request, and what would be right.
    detail: &'a str,
    /// The path that was asked for.
    instance: &'a str,
    /// The keys among which to choose, where a name is ambiguous.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    candidates: &'a [String],
}

/// Without its document, which [`tell`] writes.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.about().2.into_response();
        if let Some(seconds) = self.kind.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the document of a problem, and a line in the log where HemoStat is at fault. The outermost layer.
pub async fn tell(request: Request, next: Next) -> Response {
    let path = request.uri().path().chars().take(1024).collect::<String>();
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let status = response.status();
    if status.is_server_error() {
        warn!(%path, status = status.as_u16(), "could not answer GET {path}: {}", problem.detail);
    }
    let mut told = (status, Json(problem.document(&path))).into_response();
    for (name, value) in response.headers() {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            told.headers_mut().append(name, value.clone());
        }
    }
    told.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    told
}
