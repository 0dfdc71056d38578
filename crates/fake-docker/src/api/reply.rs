//! Responses: bodies, headers and errors, as Docker sends them.

use std::convert::Infallible;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{Response, StatusCode, body::Frame, header};
use serde::Serialize;

use crate::engine::outcome::Refusal;

/// The version of Docker's API that the server speaks.
pub(super) const API_VERSION: &str = "1.41";
/// The version of Docker that it claims to be.
pub(super) const VERSION: &str = "20.10.24";

/// An error that makes the server close the connection without completing the response.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("cut")]
pub(crate) struct ConnectionCut;

/// The body of a response.
pub(crate) type Body = UnsyncBoxBody<Bytes, ConnectionCut>;
/// A response.
pub(crate) type Reply = Response<Body>;

/// An error response, with Docker's status and message.
#[derive(Debug)]
pub(crate) struct ApiError(pub(super) StatusCode, pub(super) String);

impl ApiError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }

    /// The response to a request that fails because of an injected fault.
    pub(crate) fn faulty(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self(status, "the simulation was told to fail".to_owned())
    }

    /// Docker's response to an unknown path.
    pub(super) fn no_page() -> Self {
        Self(StatusCode::NOT_FOUND, "page not found".to_owned())
    }

    pub(crate) fn into_reply(self) -> Reply {
        json(self.0, &Message { message: &self.1 })
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Unknown(_) => StatusCode::NOT_FOUND,
            Refusal::Invalid(_) => StatusCode::BAD_REQUEST,
            // Docker answers this with 500, too.
            Refusal::NotPaused(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Refusal::NameTaken { .. }
            | Refusal::NotRunning(_)
            | Refusal::AlreadyPaused(_)
            | Refusal::StillRunning(_)
            | Refusal::Restarting(_) => StatusCode::CONFLICT,
        };
        Self(status, refusal.to_string())
    }
}

#[derive(Serialize)]
struct Message<'a> {
    message: &'a str,
}

pub(super) fn empty(status: StatusCode) -> Reply {
    whole(status, None, Bytes::new())
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    whole(status, Some("application/json"), body.into())
}

pub(super) fn ok(value: &impl Serialize) -> Reply {
    json(StatusCode::OK, value)
}

pub(super) fn whole(status: StatusCode, kind: Option<&'static str>, body: Bytes) -> Reply {
    let body = Full::new(body).map_err(|never: Infallible| match never {}).boxed_unsync();
    with_headers(status, kind, body)
}

/// A response whose body lasts as long as the stream.
pub(super) fn streamed(
    kind: &'static str,
    lines: impl Stream<Item = Result<Bytes, ConnectionCut>> + Send + 'static,
) -> Reply {
    let frames = lines.map(|line| line.map(Frame::data));
    with_headers(StatusCode::OK, Some(kind), StreamBody::new(frames).boxed_unsync())
}

pub(super) fn with_headers(status: StatusCode, kind: Option<&'static str>, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert("Api-Version", header::HeaderValue::from_static(API_VERSION));
    headers.insert("Ostype", header::HeaderValue::from_static("linux"));
    headers.insert(header::SERVER, header::HeaderValue::from_static("Docker/20.10.24 (simulated)"));
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    }
    reply
}
