//! The groups of routes and their limits. Each group has its own, so that one cannot starve another: a hundred dashboards
//! that follow the log do not keep a command out, and a slow query does not end a stream.
//!
//! | group | body | timeout | concurrently |
//! |---|---|---|---|
//! | [`READ`] | none | 10 s | 64 |
//! | [`STREAM`] | none | none: it ends with the client, the shutdown, or by itself | 128 |
//! | [`COMMAND`] | JSON, 64 KiB | 10 s | 16 |

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use tokio::{sync::Semaphore, time::timeout};
use utoipa_axum::router::OpenApiRouter;

use crate::{app::App, problem::Problem};

/// Routes that read, and answer at once.
pub const READ: Group = Group { concurrent: 64, timeout: Some(Duration::from_secs(10)), body: 0 };
/// Routes that answer for as long as the client listens.
pub const STREAM: Group = Group { concurrent: 128, timeout: None, body: 0 };
/// Routes that change something.
pub const COMMAND: Group = Group { concurrent: 16, timeout: Some(Duration::from_secs(10)), body: 64 * 1024 };

/// The limits of a group.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Maximum concurrent requests. One over the limit fails at once instead of queueing.
    concurrent: usize,
    /// Maximum time until the response begins.
    timeout: Option<Duration>,
    /// Maximum bytes of a request's body.
    pub body: usize,
}

impl Group {
    /// Puts the routes of `router` into this group.
    pub fn of(self, router: OpenApiRouter<App>) -> OpenApiRouter<App> {
        let slots = Arc::new(Semaphore::new(self.concurrent));
        router.layer(middleware::from_fn_with_state((self, slots), limit))
    }
}

async fn limit(State((group, slots)): State<(Group, Arc<Semaphore>)>, request: Request, next: Next) -> Response {
    if announced_body(request.headers()) > group.body {
        return Problem::body_too_large(group.body).into_response();
    }
    let Ok(slot) = slots.try_acquire_owned() else { return Problem::overloaded(group.concurrent).into_response() };
    let Some(limit) = group.timeout else {
        let (parts, body) = next.run(request).await.into_parts();
        // The slot is free when the client or the handler has ended the stream.
        let body = body.into_data_stream().map(move |part| {
            let _held = &slot;
            part
        });
        return Response::from_parts(parts, Body::from_stream(body));
    };
    timeout(limit, next.run(request)).await.unwrap_or_else(|_| Problem::timed_out(limit).into_response())
}

/// The bytes of the body, at least: of one without a length it is known only that there is one.
fn announced_body(headers: &HeaderMap) -> usize {
    let length = headers.get(header::CONTENT_LENGTH).map(|length| length.to_str().unwrap_or_default());
    match length {
        Some(length) => length.parse().unwrap_or(usize::MAX),
        None => usize::from(headers.contains_key(header::TRANSFER_ENCODING)),
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use tower::ServiceExt;

    use super::*;

    fn router(group: Group) -> Router {
        let slots = Arc::new(Semaphore::new(group.concurrent));
        let endless = || Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>());
        Router::new()
            .route("/never", get(std::future::pending::<()>))
            .route("/endless", get(async move || endless()))
            .layer(middleware::from_fn_with_state((group, slots), limit))
    }

    async fn ask(router: &Router, path: &str) -> Response {
        router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_takes_too_long_times_out_and_one_over_the_limit_fails_at_once() {
        let limit = Duration::from_secs(10);
        let router = router(Group { concurrent: 1, timeout: Some(limit), body: 0 });
        let first = tokio::spawn({
            let router = router.clone();
            async move { ask(&router, "/never").await }
        });
        tokio::task::yield_now().await;
        assert_eq!(ask(&router, "/never").await.extensions().get(), Some(&Problem::overloaded(1)));
        assert_eq!(first.await.unwrap().extensions().get(), Some(&Problem::timed_out(limit)));
        assert_eq!(
            ask(&router, "/never").await.extensions().get(),
            Some(&Problem::timed_out(limit)),
            "the slot is free"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_has_no_timeout_and_holds_its_slot_until_it_is_dropped() {
        let router = router(Group { concurrent: 1, timeout: None, body: 0 });
        let stream = ask(&router, "/endless").await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(ask(&router, "/endless").await.extensions().get(), Some(&Problem::overloaded(1)));
        drop(stream);
        assert_eq!(ask(&router, "/endless").await.status(), 200);
    }

    #[test]
    fn a_body_is_announced_by_its_length_or_its_encoding() {
        for (name, value, bytes) in [
            (header::CONTENT_LENGTH, "0", 0),
            (header::CONTENT_LENGTH, "17", 17),
            (header::CONTENT_LENGTH, "99999999999999999999999999", usize::MAX),
            (header::TRANSFER_ENCODING, "chunked", 1),
            (header::HOST, "localhost", 0),
        ] {
            let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
            assert_eq!(announced_body(&headers), bytes, "{headers:?}");
        }
    }
}
