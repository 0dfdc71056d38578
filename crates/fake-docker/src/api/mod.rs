//! Docker's HTTP API, version 1.41, with and without `/v1.xx` before each path; and control paths under `/simulated`.

mod containers;
mod control;
mod create;
mod inspect;
mod logs;
pub(crate) mod query;
pub(crate) mod reply;
mod stats;
mod system;
mod top;

use bytes::Bytes;
use hyper::Method;

use self::{
    query::Query,
    reply::{ApiError, Reply},
};
use crate::server::shared::Shared;

/// A request with its whole body.
#[derive(Debug)]
pub(crate) struct ApiCall {
    pub(crate) method: Method,
    /// The decoded segments of the path, without the version.
    pub(crate) path: Vec<String>,
    pub(crate) query: Query,
    pub(crate) body: Bytes,
}

/// The kind of a request, by which faults select it, and the container that it is about.
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

/// Handles a request.
pub(crate) async fn handle(shared: &Shared, call: &ApiCall) -> Reply {
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
        ["simulated", path @ ..] => control::handle(shared, &call.method, path, body),
        _ => Err(ApiError::no_page()),
    }
}
