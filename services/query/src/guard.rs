//! What every request passes before it is answered, and what an answer may cost.
//!
//! There are no tokens yet, so the interface listens on loopback only ([`crate::listen`]). That keeps other machines out,
//! but not the web pages in a browser on this one: a page may point a name of its own at 127.0.0.1 (DNS rebinding) and
//! ask. Its requests carry that name as Host, so only names of this machine are answered. A page elsewhere may also send
//! what is addressed to 127.0.0.1 by that name, though it cannot read the answer; so what changes something must be
//! [`Deliberate`].

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Uri, header, request::Parts, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::{sync::Semaphore, time::timeout};

use crate::problem::Problem;

/// Path and query together.
const LONGEST_URI: usize = 8 * 1024;
/// Requests that are answered at once.
const AT_ONCE: usize = 64;
/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Lets through what is meant for this machine and is no longer than it may be.
pub async fn admit(request: Request, next: Next) -> Response {
    match check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let named = headers.get(header::HOST).map(|host| host.to_str().unwrap_or("(not text)"));
    let host = uri.authority().map(Authority::as_str).or(named).unwrap_or_default();
    if !is_this_machine(host) {
        return Err(Problem::foreign_host(host));
    }
    if uri.path_and_query().is_some_and(|asked| asked.as_str().len() > LONGEST_URI) {
        return Err(Problem::path_too_long(LONGEST_URI));
    }
    let announced = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if announced || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Problem::body_too_large());
    }
    Ok(())
}

/// Whether a Host header names this machine by a name that only this machine gives itself.
fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// That no page in a browser asks that was not meant to: a browser sends JSON to another origin only after it has asked
/// whether it may, which is never allowed here, and it says from where it asks.
#[derive(Debug)]
pub struct Deliberate;

impl<S: Send + Sync> FromRequestParts<S> for Deliberate {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let said = |name| parts.headers.get(name).map(|value| value.to_str().unwrap_or("(not text)"));
        if let Some(origin) = said(header::ORIGIN)
            && !origin.parse::<Uri>().is_ok_and(|origin| origin.host().is_some_and(is_this_machine))
        {
            return Err(Problem::foreign_origin(origin));
        }
        let kind = said(header::CONTENT_TYPE).and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if kind.trim().eq_ignore_ascii_case("application/json") { Ok(Self) } else { Err(Problem::not_json()) }
    }
}

/// How many answers may be under way.
#[derive(Debug, Clone)]
pub struct Capacity(Arc<Semaphore>);

impl Default for Capacity {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// Answers within the time there is for it, and only so many requests at once; a crowd is told so at once instead of
/// being made to wait.
pub async fn limit(State(Capacity(capacity)): State<Capacity>, request: Request, next: Next) -> Response {
    let Ok(_permit) = capacity.try_acquire() else { return Problem::overloaded(AT_ONCE).into_response() };
    match timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::timed_out(ANSWER_WITHIN).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in ["localhost", "LOCALHOST:8501", "127.0.0.1", "127.0.0.1:9", "127.8.8.8:80", "[::1]", "[::1]:8501"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "localhost@evil.example",
            "evil.example@localhost",
            "a b",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    async fn answered(capacity: Capacity) -> Response {
        let never = axum::routing::get(std::future::pending::<()>);
        let layer = axum::middleware::from_fn_with_state(capacity, limit);
        let router = axum::Router::new().route("/", never).layer(layer);
        router.oneshot(Request::get("/").body(axum::body::Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_too_long_is_given_up() {
        let response = answered(Capacity::default()).await;
        assert_eq!(response.extensions().get(), Some(&Problem::timed_out(ANSWER_WITHIN)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_turned_away_at_once() {
        let response = answered(Capacity(Arc::new(Semaphore::new(0)))).await;
        assert_eq!(response.extensions().get(), Some(&Problem::overloaded(AT_ONCE)));
    }
}
