//! The REST API: serves the log and the read models.
//!
//! It decides nothing. What operators order is appended as a command, an event that says who ordered it. There is no
//! authentication yet, so it listens on loopback only.

mod app;
mod ask;
mod command;
mod containers;
mod dead_letters;
mod events;
mod group;
mod guard;
mod held;
mod incidents;
mod listen;
mod metrics;
mod openapi;
mod problem;
mod stats;
mod stream;
mod wire;

use std::sync::Arc;

use axum::{Router, middleware, response::IntoResponse};
use hemostat_core::Policy;
use hemostat_runtime::{Context, Task};
use hemostat_settings::Query;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;

pub use self::openapi::describe;
use self::{app::App, problem::Problem};

/// Listens and serves until the shutdown.
///
/// # Errors
/// When `query.listen` is not a loopback address, or cannot be bound.
pub fn tasks(ctx: &Context, query: &Query, policy: &watch::Receiver<Arc<Policy>>) -> anyhow::Result<Vec<Task>> {
    let listener = listen::bind(query.listen)?;
    let router = router(ctx, policy.clone()).merge(hemostat_process::router(ctx));
    Ok(vec![Task::new("query", listen::serve(listener, guarded(router), ctx.shutdown.clone()))])
}

/// The API of this process's log and archive. `policy` determines what the API says about how containers are treated. The
/// router is not [`guarded`] yet, so that the health endpoints can be merged.
pub fn router(ctx: &Context, policy: watch::Receiver<Arc<Policy>>) -> Router {
    let (api, _) = openapi::routes().split_for_parts();
    api.with_state(App {
        log: Arc::clone(&ctx.log),
        history: ctx.history.clone(),
        policy,
        clock: Arc::clone(&ctx.clock),
        shutdown: ctx.shutdown.clone(),
    })
}

/// Adds the checks and the error handling of every request (see the modules `guard` and `problem`).
pub fn guarded(router: Router) -> Router {
    router
        .fallback(async || Problem::no_such_path())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(CatchPanicLayer::custom(|_| Problem::panicked().into_response()))
        .layer(middleware::from_fn(guard::admit))
        .layer(middleware::from_fn(problem::write_document))
}
