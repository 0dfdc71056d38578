//! The REST interface: everything that is on the log and in the views, for reading.
//!
//! It decides nothing and writes no events; the one thing that it changes is what was parked. As there are no tokens yet,
//! it listens on loopback only.

mod ask;
mod containers;
mod events;
mod guard;
mod history;
mod incidents;
mod listen;
mod openapi;
mod parked;
mod problem;
mod stats;
mod wire;

use std::sync::Arc;

use axum::{Router, middleware, response::IntoResponse, routing};
use hemostat_core::Policy;
use hemostat_history::History;
use hemostat_runtime::{Context, Task, log, rows};
use hemostat_settings::Config;
use tower_http::catch_panic::CatchPanicLayer;

use problem::Problem;

pub use openapi::describe;

/// What the handlers need.
#[derive(Debug, Clone)]
struct App {
    log: Arc<dyn log::Log>,
    history: History,
    policy: Arc<Policy>,
}

/// Listens and answers until the shutdown.
///
/// # Errors
/// When `query.listen` is not a loopback address or cannot be listened on.
pub fn tasks(ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
    let listener = listen::bind(config.query.listen)?;
    let router = router(ctx.history.clone(), config.policy()).merge(hemostat_process::router(ctx));
    Ok(vec![Task::new("query", listen::serve(listener, guarded(router), ctx.shutdown.clone()))])
}

/// The interface on this log and its archive; `policy` is by what containers are said to be cared for. Not [`guarded`]
/// yet, so that the runtime's own pages can be added.
pub fn router(history: History, policy: Policy) -> Router {
    let (api, _) = openapi::routes().split_for_parts();
    api.route("/openapi.json", routing::get(openapi::document))
        .route("/", routing::get(openapi::index))
        .layer(middleware::from_fn_with_state(guard::Capacity::default(), guard::limit))
        .with_state(App { log: Arc::clone(history.log()), history, policy: Arc::new(policy) })
}

/// With everything around it that every request passes (see the modules `guard` and `problem`).
pub fn guarded(router: Router) -> Router {
    router
        .fallback(async || Problem::no_such_path())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(CatchPanicLayer::custom(|_| Problem::panicked().into_response()))
        .layer(middleware::from_fn(guard::admit))
        .layer(middleware::from_fn(problem::tell))
}
