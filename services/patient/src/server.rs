//! The patient's HTTP interface: health, metrics, and starting and stopping illnesses.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{Illness, condition::Condition};

/// `GET /health`, `GET /metrics`, `POST /stress/{illness}` and `POST /stress/stop`.
pub fn router(condition: Arc<Condition>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/stress/stop", post(stop))
        .route("/stress/{illness}", post(stress))
        .with_state(condition)
}

async fn health(State(condition): State<Arc<Condition>>) -> Response {
    if condition.is_healthy() {
        (StatusCode::OK, Json(json!({ "status": "healthy" }))).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unhealthy" }))).into_response()
    }
}

async fn metrics(State(condition): State<Arc<Condition>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], condition.metrics())
}

async fn stop(State(condition): State<Arc<Condition>>) -> impl IntoResponse {
    condition.recover();
    Json(json!({ "stopped": true }))
}

async fn stress(State(condition): State<Arc<Condition>>, Path(name): Path<String>, body: Bytes) -> Response {
    let refused = |status: StatusCode, error: String| (status, Json(json!({ "error": error }))).into_response();
    let illness = match requested(&name, &body) {
        Ok(illness) => illness,
        Err((status, error)) => return refused(status, error),
    };
    match condition.fall_ill(illness) {
        Ok(()) => (StatusCode::ACCEPTED, Json(json!({ "illness": name, "with": illness.body() }))).into_response(),
        Err(no_limit) => refused(StatusCode::CONFLICT, no_limit.to_string()),
    }
}

/// The illness that a request starts. An empty body means the default parameters.
fn requested(name: &str, body: &[u8]) -> Result<Illness, (StatusCode, String)> {
    fn parse<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, (StatusCode, String)> {
        if body.trim_ascii().is_empty() {
            return Ok(T::default());
        }
        serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, format!("the body is invalid: {error}")))
    }
    let illness =
        match name.parse().map_err(|error: crate::illness::Invalid| (StatusCode::NOT_FOUND, error.to_string()))? {
            Illness::Cpu(_) => Illness::Cpu(parse(body)?),
            Illness::Memory(_) => Illness::Memory(parse(body)?),
            Illness::Unhealthy(_) => Illness::Unhealthy(parse(body)?),
            Illness::Crash(_) => Illness::Crash(parse(body)?),
            Illness::Leak(_) => Illness::Leak(parse(body)?),
            Illness::Crowd(_) => Illness::Crowd(parse(body)?),
            Illness::Flapping(_) => Illness::Flapping(parse(body)?),
            Illness::Disk(_) => Illness::Disk(parse(body)?),
            Illness::Oom => Illness::Oom,
            Illness::OomChild => Illness::OomChild,
        };
    illness.checked().map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    async fn serve() -> (String, Arc<Condition>) {
        let condition = Arc::new(Condition::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(axum::serve(listener, router(Arc::clone(&condition))).into_future());
        (address, condition)
    }

    #[tokio::test]
    async fn the_health_check_fails_during_the_illness() {
        let (address, _) = serve().await;
        let status = async |method, path| http::exchange(&address, method, path, "").await.unwrap().status;
        assert_eq!(status("GET", "/health").await, 200);
        assert_eq!(status("POST", "/stress/unhealthy").await, 202);
        assert_eq!(status("GET", "/health").await, 503);
        assert_eq!(status("POST", "/stress/stop").await, 200);
        assert_eq!(status("GET", "/health").await, 200);
        assert_eq!(status("GET", "/metrics").await, 200);
    }

    #[tokio::test]
    async fn an_invalid_request_is_refused_with_the_reason_and_starts_no_illness() {
        let (address, condition) = serve().await;
        for (path, body, status, reason) in [
            ("/stress/cpu", r#"{"duration": 0}"#, 422, "duration must be 1 to 300 seconds, not 0"),
            ("/stress/cpu", r#"{"intensity": 2}"#, 422, "intensity must be above 0 and at most 1, not 2"),
            ("/stress/memory", r#"{"size_mb": 5000}"#, 422, "size_mb must be 1 to 2000, not 5000"),
            ("/stress/memory", r#"{"size_mb": -1}"#, 400, "invalid value"),
            ("/stress/unhealthy", r#"{"seconds": 3}"#, 400, "unknown field `seconds`"),
            ("/stress/crash", r#"{"code": 0}"#, 422, "code must be 1 to 255, not 0"),
            ("/stress/crash", "{", 400, "the body is invalid"),
            ("/stress/flu", "", 404, "not an illness"),
        ] {
            let answer = http::exchange(&address, "POST", path, body).await.unwrap();
            assert_eq!(answer.status, status, "{path} {body}");
            assert!(answer.body.contains(reason), "{path} {body}: {}", answer.body);
        }
        for name in Illness::NAMES {
            assert!(!condition.has(name), "{name}");
        }
    }
}
