//! Checks of every request; the limits of time, size and concurrency are those of its group ([`crate::group`]).
//!
//! The API has no authentication yet, so it listens on loopback only ([`crate::listen`]). That keeps other machines out,
//! but not web pages in a browser on this machine. A page may resolve its own name to 127.0.0.1 (DNS rebinding); its
//! requests carry that name as Host, so only names of this machine are accepted. Any page may also send requests to
//! 127.0.0.1, though it cannot read the answer (CSRF); so a command passes [`ensure_not_cross_site`].

use std::net::IpAddr;

use crate::problem::Problem;
use axum::{
    extract::Request,
    http::{HeaderMap, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Maximum bytes of path and query.
const MAX_URI: usize = 8 * 1024;

/// Rejects requests with a foreign Host header, or a URI that is too long.
pub async fn admit(request: Request, next: Next) -> Response {
    match check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let header = headers.get(header::HOST).map(|host| host.to_str().unwrap_or("(not text)"));
    let host = uri.authority().map(Authority::as_str).or(header).unwrap_or_default();
    if !is_this_machine(host) {
        return Err(Problem::foreign_host(host));
    }
    if uri.path_and_query().is_some_and(|uri| uri.as_str().len() > MAX_URI) {
        return Err(Problem::path_too_long(MAX_URI));
    }
    Ok(())
}

/// Whether a Host header is `localhost` or a loopback address.
fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Refuses a request that comes from a page of another site. A browser sends JSON to another origin only after a CORS
/// preflight, which is never allowed here, and it sends the Origin header.
pub fn ensure_not_cross_site(headers: &HeaderMap) -> Result<(), Problem> {
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap_or("(not text)"));
    if let Some(origin) = header(header::ORIGIN)
        && !origin.parse::<Uri>().is_ok_and(|origin| origin.host().is_some_and(is_this_machine))
    {
        return Err(Problem::foreign_origin(origin));
    }
    let kind = header(header::CONTENT_TYPE).and_then(|kind| kind.split(';').next()).unwrap_or_default();
    if kind.trim().eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Problem::not_json()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_accepted() {
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
}
