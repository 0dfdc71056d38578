//! The health endpoint: `/healthz`, `/readyz` and `/metrics`.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use hemostat_runtime::{
    Context, Task,
    health::{PolicyStatus, WorkerStatus},
};
use serde::Serialize;
use tokio::{net::TcpListener, time::timeout};

use crate::metrics;

#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    log: &'static str,
    workers: BTreeMap<String, WorkerStatus>,
    policy: Option<PolicyStatus>,
}

/// Serves `GET /healthz` (the process runs), `/readyz` (the log answers, and every worker serves or stands by) and
/// `/metrics` (Prometheus).
pub fn router(ctx: &Context) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
        .with_state(ctx.clone())
}

async fn ready(State(ctx): State<Context>) -> impl IntoResponse {
    let reachable = matches!(timeout(Duration::from_secs(1), ctx.log.ping()).await, Ok(Ok(())));
    let workers = ctx.health.statuses();
    let ready =
        reachable && workers.values().all(|status| matches!(status, WorkerStatus::Serving | WorkerStatus::StandingBy));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let log = if reachable { "reachable" } else { "unreachable" };
    (status, Json(Readiness { ready, log, workers, policy: ctx.health.policy() }))
}

async fn exposition() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render())
}

/// Refuses an address, set by `key`, that other machines could reach: nothing here authenticates a client.
///
/// # Errors
/// When `listen` is not a loopback address.
pub fn ensure_loopback(key: &str, listen: SocketAddr) -> anyhow::Result<()> {
    ensure!(
        listen.ip().is_loopback(),
        "{key} is {listen}: the API has no access tokens yet, so it may only listen on this machine; \
         set it to 127.0.0.1:{port}, and publish it through a proxy that asks for a password",
        port = listen.port()
    );
    Ok(())
}

/// Serves [`router`] at `listen` (`runtime.health_listen`).
///
/// # Errors
/// When `listen` is not a loopback address, or is in use.
pub async fn serve(ctx: &Context, listen: SocketAddr) -> anyhow::Result<Task> {
    ensure_loopback("runtime.health_listen", listen)?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("could not listen on {listen} (runtime.health_listen)"))?;
    let (router, shutdown) = (router(ctx), ctx.shutdown.clone());
    Ok(Task::new("health", async move {
        tokio::select! {
            served = axum::serve(listener, router) => served.context("could not serve /healthz"),
            () = shutdown.cancelled() => Ok(()),
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hemostat_log::MemoryLog;

    use super::*;

    async fn status(ctx: &Context) -> StatusCode {
        ready(State(ctx.clone())).await.into_response().status()
    }

    #[tokio::test]
    async fn a_process_is_ready_when_every_worker_serves_or_stands_by() {
        let ctx = Context::new(Arc::new(MemoryLog::new(1)));
        for (condition, expected) in [
            (WorkerStatus::Starting, StatusCode::SERVICE_UNAVAILABLE),
            (WorkerStatus::Serving, StatusCode::OK),
            (WorkerStatus::Retrying, StatusCode::SERVICE_UNAVAILABLE),
            (WorkerStatus::StandingBy, StatusCode::OK),
        ] {
            ctx.health.set("responder/0", condition);
            assert_eq!(status(&ctx).await, expected, "{condition:?}");
        }
        ctx.health.set("alerter/0", WorkerStatus::Starting);
        assert_eq!(status(&ctx).await, StatusCode::SERVICE_UNAVAILABLE, "all workers must be ready");
    }

    #[tokio::test]
    async fn only_a_loopback_address_is_accepted() {
        let ctx = Context::new(Arc::new(MemoryLog::new(1)));
        for public in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8501"] {
            let error = serve(&ctx, public.parse().unwrap()).await.unwrap_err().to_string();
            assert!(error.starts_with(&format!("runtime.health_listen is {public}")), "{error}");
        }
        assert!(serve(&ctx, "127.0.0.1:0".parse().unwrap()).await.is_ok());
    }
}
