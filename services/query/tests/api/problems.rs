//! Every error is a problem document that says what is wrong.

use std::sync::Arc;

use hemostat_core::testing::{self, facts};
use hemostat_schema::{NewEvent, observation::Seen};

use crate::{
    broken::Broken,
    server::{Answer, Server, logged},
};

#[track_caller]
fn check(request: &str, answer: &Answer, status: u16, name: &str, says: &str) {
    assert_eq!(answer.status, status, "{request}: {answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{request}");
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:hemostat:problem:{name}"), "{request}: {problem}");
    assert_eq!(problem["status"], status, "{request}");
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{request}: {problem}");
    assert!(problem["instance"].as_str().is_some_and(|path| path.starts_with('/')), "{request}: {problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(says), "{request}: {detail:?} does not say {says:?}");
}

#[tokio::test]
async fn an_invalid_request_is_answered_with_what_would_be_valid() {
    let server = Server::after(testing::unhealthy()).await;
    for (path, status, name, says) in [
        ("/events?limit=0", 400, "invalid-parameter", "limit: \"0\" is not a number from 1 to 1000"),
        ("/events?limit=1001", 400, "invalid-parameter", "1 to 1000"),
        ("/events?limit=many", 400, "invalid-parameter", "1 to 1000"),
        ("/events?limit=", 400, "invalid-parameter", "1 to 1000"),
        ("/events?limit=1&limit=2", 400, "invalid-parameter", "duplicate field"),
        ("/events?famliy=action", 400, "invalid-parameter", "unknown field `famliy`"),
        (
            "/events?family=actions",
            400,
            "invalid-parameter",
            "family: \"actions\" is not one of observation, diagnosis, action, alert, sample",
        ),
        ("/events?kind=authorised", 400, "invalid-parameter", "such as action.authorised"),
        ("/events?kind=action.smelled", 400, "invalid-parameter", "such as action.authorised"),
        ("/events?kind=action.authorised&family=alert", 400, "invalid-parameter", "of the family action"),
        ("/events?container=a/b/c", 400, "invalid-parameter", "host/name such as docker-1/api-1"),
        ("/events?container=", 400, "invalid-parameter", "host/name such as docker-1/api-1"),
        ("/events?container=a/b&host=c", 400, "invalid-parameter", "it is on a, but host is c"),
        ("/events?incident=42", 400, "invalid-parameter", "an incident id such as"),
        ("/events?host=a%2Fb", 400, "invalid-parameter", "a host name"),
        ("/events?from=yesterday", 400, "invalid-parameter", "a timestamp such as"),
        ("/events?to=2026-13-01T00:00:00Z", 400, "invalid-parameter", "a timestamp such as"),
        ("/events?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 400, "invalid-parameter", "comes after to"),
        ("/events?order=up", 400, "invalid-parameter", "order: \"up\" is not one of newest, oldest"),
        ("/events?cursor=5", 400, "invalid-parameter", "an event id such as"),
        ("/events?kind=%FF", 400, "invalid-parameter", "such as action.authorised"),
        ("/events/", 404, "no-such-path", "/openapi.json"),
        ("/events/17", 400, "invalid-parameter", "an event id such as"),
        ("/events/0.17-4", 404, "unknown-event", "0.17-4"),
        ("/events/9.17-4", 404, "unknown-event", "9.17-4"),
        ("/events/0.17-4?x=1", 400, "invalid-parameter", "unknown field `x`"),
        ("/containers?state=well", 400, "invalid-parameter", "one of created, running"),
        ("/containers?symptom=pain", 400, "invalid-parameter", "one of unhealthy, exited"),
        ("/containers/%FF", 400, "invalid-parameter", "path"),
        ("/containers/a%20b", 400, "invalid-parameter", "a container's key such as my-host/api-1"),
        ("/containers/api-9", 404, "unknown-container", "HemoStat knows host/api"),
        (
            "/containers/other%2Fapi",
            404,
            "unknown-container",
            "there is no container other/api; HemoStat knows host/api",
        ),
        ("/stats/calibration?by=rule", 400, "invalid-parameter", "unknown field"),
        ("/incidents?state=closed", 400, "invalid-parameter", "one of open, ended"),
        ("/incidents?cursor=0.1-1", 400, "invalid-parameter", "an incident id such as"),
        ("/incidents/17", 400, "invalid-parameter", "an incident id such as"),
        ("/incidents/inc-0000000000000000", 404, "unknown-incident", "GET /incidents"),
        ("/nowhere", 404, "no-such-path", "/openapi.json"),
        ("//events", 404, "no-such-path", "/openapi.json"),
        ("/?x=1", 400, "invalid-parameter", "unknown field `x`"),
    ] {
        check(path, &server.get(path).await, status, name, says);
    }
}

#[tokio::test]
async fn a_name_on_several_hosts_is_ambiguous_and_lists_the_candidates() {
    let seen = |key: &str| NewEvent::new(key.parse().unwrap(), testing::at(0), Seen { facts: facts() });
    let (log, _) = logged(4, [seen("a/web"), seen("b/web"), seen("c/db")]).await;
    let server = Server::on(log).await;
    let answer = server.get("/containers/web").await;
    check("web", &answer, 409, "ambiguous-container", "use one of a/web, b/web");
    assert_eq!(answer.json()["candidates"], serde_json::json!(["a/web", "b/web"]));
    assert_eq!(server.read("/containers/db").await["key"], "c/db");
    assert_eq!(server.read("/containers/b%2Fweb").await["key"], "b/web");
}

#[tokio::test]
async fn requests_that_are_not_local_reads_are_refused() {
    let server = Server::after([]).await;
    let long = "x".repeat(9000);
    for (request, status, name, says) in [
        ("POST /events HTTP/1.1\r\nHost: localhost\r\n", 405, "method-not-allowed", "GET"),
        ("DELETE /containers/api HTTP/1.1\r\nHost: localhost\r\n", 405, "method-not-allowed", "GET"),
        ("GET /events HTTP/1.1\r\nHost: evil.example\r\n", 403, "foreign-host", "evil.example"),
        ("GET /events HTTP/1.1\r\nHost: 127.0.0.1.evil.example:8501\r\n", 403, "foreign-host", "localhost"),
        ("GET /events HTTP/1.0\r\n", 403, "foreign-host", "localhost"),
        ("GET /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n", 413, "body-too-large", "send none"),
        (
            "GET /containers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n",
            413,
            "body-too-large",
            "send none",
        ),
        (&format!("GET /events?kind={long} HTTP/1.1\r\nHost: localhost\r\n"), 414, "uri-too-long", "8192"),
    ] {
        let answer = server.send(&format!("{request}Connection: close\r\n\r\n")).await;
        check(request, &answer, status, name, says);
        if status == 405 {
            assert_eq!(answer.headers["allow"], "GET,HEAD", "{request}");
        }
    }
    for host in ["localhost", "LocalHost:8501", "127.0.0.1", "[::1]:8501"] {
        let request = format!("GET /containers HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(server.send(&request).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn an_unreachable_log_is_a_503_with_retry_after() {
    let server = Server::on(Arc::new(Broken { panics: false })).await;
    for path in [
        "/events",
        "/events/0.1-1",
        "/events/stream",
        "/containers",
        "/containers/api",
        "/incidents",
        "/incidents/inc-0000000000000000",
        "/stats/calibration",
    ] {
        let answer = server.get(path).await;
        check(path, &answer, 503, "log-unreachable", "no connection to Redis at 127.0.0.1:6379");
        assert_eq!(answer.headers["retry-after"], "5", "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_a_500() {
    let server = Server::on(Arc::new(Broken { panics: true })).await;
    check("a panic", &server.get("/events/0.1-1").await, 500, "internal", "a fault in HemoStat");
    assert_eq!(server.get("/").await.status, 200, "the next request is answered");
}
