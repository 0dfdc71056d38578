//! The OpenAPI 3.1 description, generated from the handlers; `openapi/hemostat.json` is its golden copy.

use axum::{Json, routing::get};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    ask::{Ask, NoParameters},
    containers, dead_letters, events, group, incidents, metrics,
    problem::{Document, Problem},
    stats, stream,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "HemoStat",
        description = "What HemoStat observes, concludes and does. The API is reachable from this machine only.\n\n\
            Every error is a problem document (RFC 9457). Times are RFC 3339. Ids are opaque; their order is meaningful.",
        license(name = "MIT", identifier = "MIT"),
    ),
    servers((url = "http://127.0.0.1:8501", description = "the default of query.listen")),
    tags(
        (name = "events", description = "The event log."),
        (name = "containers", description = "The state of containers, and why HemoStat heals them or does not."),
        (name = "incidents", description = "Incidents, from the first symptom of a container to the end of the last one."),
        (name = "stats", description = "Statistics over the whole history."),
        (name = "parked", description = "Dead letters: events that a consumer group could not handle."),
    ),
    components(schemas(Document)),
)]
struct Api;

/// All routes with their descriptions, each in the group whose limits it needs.
pub(crate) fn routes() -> OpenApiRouter<App> {
    let read = OpenApiRouter::new()
        .routes(routes!(events::list))
        .routes(routes!(events::get))
        .routes(routes!(containers::list))
        .routes(routes!(containers::get))
        .routes(routes!(metrics::of_container))
        .routes(routes!(incidents::list))
        .routes(routes!(incidents::get))
        .routes(routes!(metrics::of_incident))
        .routes(routes!(stats::calibration))
        .routes(routes!(dead_letters::list))
        .route("/openapi.json", get(document))
        .route("/", get(index));
    let stream = OpenApiRouter::new().routes(routes!(stream::stream));
    let command = OpenApiRouter::new().routes(routes!(dead_letters::redrive)).routes(routes!(dead_letters::discard));
    OpenApiRouter::with_openapi(Api::openapi())
        .merge(group::READ.of(read))
        .merge(group::STREAM.of(stream))
        .merge(group::COMMAND.of(command))
}

/// The OpenAPI description.
pub fn describe() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// `GET /`: lists the endpoints.
async fn index(_: Ask<NoParameters>) -> Json<Value> {
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
        ("GET /openapi.json", "This API as OpenAPI 3.1"),
        ("GET /healthz", "Liveness of the process"),
        ("GET /readyz", "Readiness of its workers"),
        ("GET /metrics", "Metrics for Prometheus"),
    ] {
        paths.insert(path.to_owned(), summary.into());
    }
    Json(json!({ "name": "HemoStat", "version": env!("CARGO_PKG_VERSION"), "paths": paths }))
}

/// `GET /openapi.json`.
async fn document(_: Ask<NoParameters>) -> Result<Json<utoipa::openapi::OpenApi>, Problem> {
    Ok(Json(describe()))
}
