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
use hemostat_runtime::{Context, Task, health::Condition};
use serde::Serialize;
use tokio::{net::TcpListener, time::timeout};

use crate::metrics;

#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    log: &'static str,
    workers: BTreeMap<String, Condition>,
}

/// `GET /healthz` (the process runs), `/readyz` (the log answers, and every worker serves or stands by), `/metrics`
/// (Prometheus).
pub fn router(ctx: &Context) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
        .with_state(ctx.clone())
}

async fn ready(State(ctx): State<Context>) -> impl IntoResponse {
    let reachable = matches!(timeout(Duration::from_secs(1), ctx.log.ping()).await, Ok(Ok(())));
    let workers = ctx.health.conditions();
    let ready = reachable && workers.values().all(|is| matches!(is, Condition::Serving | Condition::StandingBy));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, log: if reachable { "reachable" } else { "unreachable" }, workers }))
}

async fn exposition() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render())
}

/// Refuses an address that `key` sets where other machines could reach it: nothing here asks who is there.
///
/// # Errors
/// When `listen` is not loopback.
pub fn ensure_loopback(key: &str, listen: SocketAddr) -> anyhow::Result<()> {
    ensure!(
        listen.ip().is_loopback(),
        "{key} is {listen}: the API has no access tokens yet, so it may only listen on this machine; \
         set it to 127.0.0.1:{port} and let a proxy that asks for a password make it public",
        port = listen.port()
    );
    Ok(())
}

/// Serves [`router`] for a role that runs alone.
///
/// # Errors
/// When `listen` is not loopback, or cannot be listened on.
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
    async fn ready_is_who_serves_or_stands_by() {
        let ctx = Context::new(Arc::new(MemoryLog::new(1)));
        for (condition, expected) in [
            (Condition::Starting, StatusCode::SERVICE_UNAVAILABLE),
            (Condition::Serving, StatusCode::OK),
            (Condition::Retrying, StatusCode::SERVICE_UNAVAILABLE),
            (Condition::StandingBy, StatusCode::OK),
        ] {
            ctx.health.set("responder/0", condition);
            assert_eq!(status(&ctx).await, expected, "{condition:?}");
        }
        ctx.health.set("alerter/0", Condition::Starting);
        assert_eq!(status(&ctx).await, StatusCode::SERVICE_UNAVAILABLE, "all of them must be");
    }

    #[tokio::test]
    async fn nothing_but_loopback_is_listened_on() {
        let ctx = Context::new(Arc::new(MemoryLog::new(1)));
        for public in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8501"] {
            let error = serve(&ctx, public.parse().unwrap()).await.unwrap_err().to_string();
            assert!(error.starts_with(&format!("runtime.health_listen is {public}")), "{error}");
        }
        assert!(serve(&ctx, "127.0.0.1:0".parse().unwrap()).await.is_ok());
    }
}
