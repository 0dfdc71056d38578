//! The interface's own description (OpenAPI 3.1), made from the handlers; `openapi/hemostat.json` is its golden copy.

use axum::Json;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    ask::{Ask, Nothing},
    containers, events, incidents, parked,
    problem::{Document, Problem},
    stats,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "HemoStat",
        description = "What HemoStat sees, concludes and does. It answers on this machine only.\n\n\
            Every failure is a problem document (RFC 9457). Times are RFC 3339, ids are opaque but for their order.",
        license(name = "MIT", identifier = "MIT"),
    ),
    servers((url = "http://127.0.0.1:8501", description = "where it listens unless query.listen says otherwise")),
    tags(
        (name = "events", description = "The log: every fact, in one order."),
        (name = "containers", description = "How containers are, and why they are, or are not, being healed."),
        (name = "incidents", description = "Illnesses from the first symptom to the end of the last."),
        (name = "stats", description = "What can be counted over all of history."),
        (name = "parked", description = "Deliveries that a part of HemoStat could not handle (dead letters)."),
    ),
    components(schemas(Document)),
)]
struct Api;

/// Every path that is described.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(events::list))
        .routes(routes!(events::get))
        .routes(routes!(containers::list))
        .routes(routes!(containers::get))
        .routes(routes!(incidents::list))
        .routes(routes!(incidents::get))
        .routes(routes!(stats::calibration))
        .routes(routes!(parked::list))
        .routes(routes!(parked::redrive))
        .routes(routes!(parked::discard))
}

/// The description of the interface.
pub fn describe() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// What there is, for whoever opens `/`.
pub(crate) async fn index(_: Ask<Nothing>) -> Json<Value> {
    let api = describe();
    let mut paths = Map::new();
    for (path, item) in api.paths.paths {
        for (method, operation) in [("GET", item.get), ("POST", item.post)] {
            let Some(operation) = operation else { continue };
            let summary = operation.summary.unwrap_or_default();
            paths.insert(format!("{method} {path}"), summary.trim_end_matches('.').into());
        }
    }
    for (path, summary) in [
        ("GET /openapi.json", "All of this, for programs"),
        ("GET /healthz", "Whether the process lives"),
        ("GET /readyz", "Whether its workers work"),
        ("GET /metrics", "Figures, for Prometheus"),
    ] {
        paths.insert(path.to_owned(), summary.into());
    }
    Json(json!({ "name": "HemoStat", "version": env!("CARGO_PKG_VERSION"), "paths": paths }))
}

/// `GET /openapi.json`.
pub(crate) async fn document(_: Ask<Nothing>) -> Result<Json<utoipa::openapi::OpenApi>, Problem> {
    Ok(Json(describe()))
}
