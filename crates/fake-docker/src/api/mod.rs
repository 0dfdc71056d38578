//! What is asked over HTTP, and what is answered: Docker's API as of 1.41, with and without `/v1.xx` before each path,
//! and our own paths under `/simulated`.

mod containers;
mod control;
mod create;
mod inspect;
mod logs;
mod query;
mod stats;
mod system;
mod top;

use std::convert::Infallible;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{Method, Response, StatusCode, body::Frame, header};
use serde::Serialize;

pub(crate) use self::query::Query;
use crate::{Outcome, Refusal, server::Shared};

/// The version of Docker's API that is spoken.
const API_VERSION: &str = "1.41";
/// The version of Docker that is played.
const VERSION: &str = "20.10.24";

/// The connection is to be closed in the middle.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("cut")]
pub(crate) struct ConnectionCut;

/// What is sent back.
pub(crate) type Body = UnsyncBoxBody<Bytes, ConnectionCut>;
pub(crate) type Reply = Response<Body>;

/// A request, read to its end.
#[derive(Debug)]
pub(crate) struct ApiCall {
    pub(crate) method: Method,
    /// The path's parts, decoded, without a version.
    pub(crate) path: Vec<String>,
    pub(crate) query: Query,
    pub(crate) body: Bytes,
}

/// Why a request cannot be answered as it was meant to.
#[derive(Debug)]
pub(crate) struct ApiError(StatusCode, String);

impl ApiError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }

    /// What a fault makes of a request.
    pub(crate) fn faulty(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self(status, "the simulation was told to fail".to_owned())
    }

    /// As Docker does for a path that it does not know.
    fn no_page() -> Self {
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
            // Docker's own slip.
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

/// What kind of request it is, by the name that a fault goes by, and about which container.
pub(crate) fn kind(call: &ApiCall) -> (&'static str, Option<&str>) {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    match (&call.method, path.as_slice()) {
        (_, ["_ping"]) => ("ping", None),
        (_, ["version"]) => ("version", None),
        (_, ["info"]) => ("info", None),
        (_, ["events"]) => ("events", None),
        (_, ["system", "df"]) => ("df", None),
        (_, ["images", ..]) => ("image", None),
        (_, ["simulated", ..]) => ("simulated", None),
        (_, ["containers", "json"]) => ("list", None),
        (_, ["containers", "create"]) => ("create", None),
        (&Method::DELETE, ["containers", key]) => ("remove", Some(key)),
        (_, ["containers", key, verb]) => {
            const VERBS: [&str; 12] = [
                "stats", "logs", "top", "start", "stop", "restart", "kill", "pause", "unpause", "rename", "update",
                "json",
            ];
            match VERBS.into_iter().find(|known| known == verb) {
                Some("json") => ("inspect", Some(key)),
                Some(known) => (known, Some(key)),
                None => ("unknown", Some(key)),
            }
        }
        _ => ("unknown", None),
    }
}

/// Answers a call.
pub(crate) async fn answer(shared: &Shared, call: &ApiCall) -> Reply {
    dispatch(shared, call).await.unwrap_or_else(ApiError::into_reply)
}

async fn dispatch(shared: &Shared, call: &ApiCall) -> Result<Reply, ApiError> {
    let ApiCall { query, body, .. } = call;
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let (get, post) = (call.method == Method::GET || call.method == Method::HEAD, call.method == Method::POST);
    match path.as_slice() {
        ["_ping"] if get => Ok(system::ping()),
        ["version"] if get => Ok(system::version()),
        ["info"] if get => Ok(system::info(shared)),
        ["events"] if get => system::events(shared, query),
        ["system", "df"] if get => Ok(system::disk_use(shared)),
        ["images", name @ .., "json"] if get && !name.is_empty() => system::image(shared, &name.join("/")),
        ["containers", "json"] if get => containers::list(shared, query),
        ["containers", "create"] if post => create::create(shared, query, body),
        ["containers", key] if call.method == Method::DELETE => containers::remove(shared, key, query).await,
        ["containers", key, "json"] if get => inspect::inspect(shared, key, query),
        ["containers", key, "stats"] if get => stats::stats(shared, key, query).await,
        ["containers", key, "logs"] if get => logs::logs(shared, key, query),
        ["containers", key, "top"] if get => top::top(shared, key, query),
        ["containers", key, verb] if post => containers::act(shared, key, verb, query, body).await,
        ["simulated", path @ ..] => control::answer(shared, &call.method, path, body),
        _ => Err(ApiError::no_page()),
    }
}

/// Answers what was asked for when it is done.
async fn when_done(shared: &Shared, answer: Result<Outcome, Refusal>) -> Result<Reply, ApiError> {
    match answer? {
        Outcome::Done => Ok(empty(StatusCode::NO_CONTENT)),
        Outcome::NoChange => Ok(empty(StatusCode::NOT_MODIFIED)),
        Outcome::Pending(operation) => {
            shared.done(operation).await;
            Ok(empty(StatusCode::NO_CONTENT))
        }
    }
}

pub(crate) fn empty(status: StatusCode) -> Reply {
    whole(status, None, Bytes::new())
}

fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    whole(status, Some("application/json"), body.into())
}

fn ok(value: &impl Serialize) -> Reply {
    json(StatusCode::OK, value)
}

fn whole(status: StatusCode, kind: Option<&'static str>, body: Bytes) -> Reply {
    let body = Full::new(body).map_err(|never: Infallible| match never {}).boxed_unsync();
    with_headers(status, kind, body)
}

/// A body that goes on as long as the stream does.
fn streamed(kind: &'static str, lines: impl Stream<Item = Result<Bytes, ConnectionCut>> + Send + 'static) -> Reply {
    let frames = lines.map(|line| line.map(Frame::data));
    with_headers(StatusCode::OK, Some(kind), StreamBody::new(frames).boxed_unsync())
}

fn with_headers(status: StatusCode, kind: Option<&'static str>, body: Body) -> Reply {
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
