//! Dead letters are listed, redriven and discarded by commands: once per key, with who did it on the log, and only by
//! requests that are not cross-site.

use std::sync::Arc;

use futures::future::join_all;
use hemostat_core::testing::{self, facts};
use hemostat_log::{Log, MemoryLog};
use hemostat_schema::{EventId, Family, Partition};
use serde_json::{Value, json};

use crate::server::{Answer, Server, fold_all, logged};

/// A log whose views could not decode one event.
async fn with_dead_letters() -> (Arc<MemoryLog>, EventId) {
    let (log, _) = logged(1, [testing::seen(0, facts())]).await;
    let event = log.append_raw(Partition(0), Family::Action, "action.paused.1", "host/api", b"\xff");
    fold_all(&log).await;
    assert_eq!(log.dead_letters(Partition(0), 100).await.unwrap().len(), 6, "one per view that reads actions");
    (log, event)
}

async fn post(server: &Server, path: &str, headers: &str, body: &str) -> Answer {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}{length}Connection: close\r\n\r\n{body}");
    server.send(&request).await
}

const JSON: &str = "Content-Type: application/json\r\n";

fn keyed(key: &str) -> String {
    format!("{JSON}Idempotency-Key: \"{key}\"\r\n")
}

/// The ids of the dead letters, the newest first.
async fn letters(server: &Server) -> Vec<String> {
    let list = server.read("/parked").await;
    list["parked"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// The events of commands.
async fn commands(server: &Server) -> Vec<Value> {
    let mut all = vec![];
    for kind in ["action.dead_letter_redriven", "action.dead_letter_discarded"] {
        let page = server.read(&format!("/events?kind={kind}")).await;
        all.extend(page["events"].as_array().unwrap().iter().cloned());
    }
    all
}

#[tokio::test]
async fn a_dead_letter_is_listed_with_its_event_and_error() {
    let (log, event) = with_dead_letters().await;
    let list = Server::on(log).await.read("/parked").await;
    let parked = list["parked"].as_array().unwrap();
    assert_eq!(parked.len(), 6);
    for one in parked {
        assert_eq!((&one["event"], &one["family"]), (&json!(event), &json!("action")));
        assert_eq!((&one["kind"], &one["subject"]), (&json!("action.paused.1"), &json!("host/api")));
        assert!(one["error"].as_str().is_some_and(|why| !why.is_empty()), "{one}");
    }
    assert!(parked.iter().any(|one| one["group"] == "containers.2"), "{list:#}");
}

#[tokio::test]
async fn a_command_is_an_event_that_says_who_ordered_what_and_why() {
    let (log, event) = with_dead_letters().await;
    let server = Server::on(log).await;
    let parked = server.read("/parked").await["parked"][0].clone();
    let (id, group) = (parked["id"].as_str().unwrap(), parked["group"].as_str().unwrap());
    let letter = json!({ "id": id, "group": group, "event": event, "error": parked["error"] });

    let headers = format!("{}HemoStat-Operator: ann\r\n", keyed("k-1"));
    let redriven = post(&server, &format!("/parked/{id}/redrive"), &headers, r#"{"reason":"fixed"}"#).await;
    assert_eq!((redriven.status, redriven.headers["idempotency-key"].as_str()), (200, "\"k-1\""), "{redriven:?}");
    let redriven = redriven.json();
    assert_eq!((&redriven["kind"], &redriven["subject"]), (&json!("action.dead_letter_redriven"), &json!("@hemostat")));
    assert_eq!(redriven["cause"], json!(event));
    let by = json!({ "name": "ann", "identity": "claimed" });
    let view = format!("{group}~2");
    let data = json!({ "letter": letter, "how": "rebuilt", "view": view, "by": by, "reason": "fixed" });
    assert_eq!(redriven["data"], data);
    assert!(redriven["line"].as_str().unwrap().starts_with("ann (claimed) redrove dead letter"), "{redriven}");

    let discarded = post(&server, &format!("/parked/{id}/discard"), JSON, "").await;
    assert_eq!(discarded.status, 200, "{discarded:?}");
    assert!(discarded.headers["idempotency-key"].len() > 20, "one is made: {discarded:?}");
    let by = json!({ "name": "anonymous", "identity": "claimed" });
    assert_eq!(discarded.json()["data"], json!({ "letter": letter, "by": by, "reason": null }));
    assert_eq!(letters(&server).await.len(), 5);
    assert_eq!(commands(&server).await, [redriven, discarded.json()]);

    for action in ["redrive", "discard"] {
        let again = post(&server, &format!("/parked/{id}/{action}"), JSON, "").await;
        assert_eq!((again.status, &again.json()["type"]), (404, &json!("urn:hemostat:problem:unknown-parked")));
    }
    assert_eq!(commands(&server).await.len(), 2);
}

#[tokio::test]
async fn a_resent_command_gets_the_answer_of_the_first_time_and_changes_nothing() {
    let (log, _) = with_dead_letters().await;
    let server = Server::on(log.clone()).await;
    let ids = letters(&server).await;
    for (index, action) in ["redrive", "discard"].into_iter().enumerate() {
        let (path, key) = (format!("/parked/{}/{action}", ids[index]), keyed(action));
        let first = post(&server, &path, &key, r#"{"reason":"fixed"}"#).await;
        assert_eq!((first.status, first.headers.get("idempotent-replayed")), (200, None), "{first:?}");
        // What was ordered is done: the view is rebuilt, the dead letter is gone.
        fold_all(&log).await;
        let left = letters(&server).await;
        for body in [r#"{"reason":"fixed"}"#, r#" { "reason" : "fixed" } "#] {
            let again = post(&server, &path, &key, body).await;
            assert_eq!((again.status, again.json()), (200, first.json()));
            assert_eq!(again.headers["idempotent-replayed"], "true");
        }
        let other_action = format!("/parked/{}/{}", ids[index], ["discard", "redrive"][index]);
        let other_letter = format!("/parked/{}/{action}", ids[5]);
        let other_name = format!("{key}HemoStat-Operator: bob\r\n");
        for (path, headers, body) in [
            (&path, &key, ""),
            (&path, &key, r#"{"reason":"other"}"#),
            (&path, &other_name, r#"{"reason":"fixed"}"#),
            (&other_action, &key, r#"{"reason":"fixed"}"#),
            (&other_letter, &key, r#"{"reason":"fixed"}"#),
        ] {
            let refused = post(&server, path, headers, body).await;
            let problem = (refused.status, refused.json()["type"].clone());
            assert_eq!(problem, (422, json!("urn:hemostat:problem:key-reused")), "{path} {headers} {body}");
        }
        assert_eq!((letters(&server).await, commands(&server).await.len()), (left, index + 1));
    }
}

#[tokio::test]
async fn commands_through_several_processes_are_executed_once() {
    let (log, _) = with_dead_letters().await;
    let servers = [Server::on(log.clone()).await, Server::on(log.clone()).await];
    let ids = letters(&servers[0]).await;
    let everywhere = |path: String, header: fn(usize) -> String| {
        let servers = &servers;
        async move {
            let path = &path;
            join_all((0..8).map(|n| async move { post(&servers[n % 2], path, &header(n), "").await })).await
        }
    };

    let same_key = everywhere(format!("/parked/{}/discard", ids[0]), |_| keyed("one")).await;
    for answer in &same_key {
        assert_eq!((answer.status, answer.json()), (200, same_key[0].json()));
    }
    assert_eq!(same_key.iter().filter(|answer| !answer.headers.contains_key("idempotent-replayed")).count(), 1);

    let own_keys = everywhere(format!("/parked/{}/discard", ids[1]), |n| keyed(&n.to_string())).await;
    let mut statuses: Vec<_> = own_keys.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404, 404, 404, 404, 404, 404, 404]);
    assert_eq!(commands(&servers[0]).await.len(), 2);
}

#[tokio::test]
async fn a_command_that_is_not_valid_is_refused_with_what_would_be() {
    let (log, _) = with_dead_letters().await;
    let server = Server::on(log).await;
    let path = format!("/parked/{}/discard", letters(&server).await[0]);
    let huge = format!(r#"{{"reason":"{}"}}"#, "x".repeat(64 * 1024));
    let chunked = format!("{JSON}Transfer-Encoding: chunked\r\n");
    let in_chunks = format!("{:x}\r\n{huge}\r\n0\r\n\r\n", huge.len());
    for (headers, body, status, name, says) in [
        (JSON, huge.as_str(), 413, "body-too-large", "at most 65536 bytes"),
        (JSON, "{", 400, "malformed-body", "EOF while parsing"),
        (JSON, "reason", 400, "malformed-body", "line 1 column 1"),
        (JSON, r#"{"raeson":"x"}"#, 422, "invalid-body", "unknown field `raeson`"),
        (JSON, r#"{"reason":5}"#, 422, "invalid-body", "invalid type: integer"),
        (JSON, "[]", 422, "invalid-body", "invalid"),
        ("Content-Type: text/plain\r\n", r#"{"reason":"x"}"#, 415, "not-json", "application/json"),
        (&keyed(""), "", 400, "invalid-parameter", "Idempotency-Key: it must be 1 to 128"),
        (&keyed(&"k".repeat(129)), "", 400, "invalid-parameter", "Idempotency-Key: it must be 1 to 128"),
        (&(keyed("a") + "Idempotency-Key: b\r\n"), "", 400, "invalid-parameter", "Idempotency-Key"),
        (&format!("{JSON}HemoStat-Operator:  \r\n"), "", 400, "invalid-parameter", "HemoStat-Operator"),
        (
            &format!("{JSON}HemoStat-Operator: {}\r\n", "a".repeat(129)),
            "",
            400,
            "invalid-parameter",
            "an operator's name",
        ),
    ] {
        let answer = post(&server, &path, headers, body).await;
        let problem = answer.json();
        assert_eq!(
            (answer.status, &problem["type"]),
            (status, &json!(format!("urn:hemostat:problem:{name}"))),
            "{problem}"
        );
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    let request = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{chunked}Connection: close\r\n\r\n{in_chunks}");
    assert_eq!(server.send(&request).await.status, 413, "a body without a length is limited, too");
    assert_eq!((letters(&server).await.len(), commands(&server).await.len()), (6, 0));
}

#[tokio::test]
async fn a_page_of_another_site_cannot_change_dead_letters() {
    let (log, _) = with_dead_letters().await;
    let server = Server::on(log).await;
    let id = letters(&server).await[0].clone();
    for (headers, status) in [
        ("", 415),
        ("Content-Type: text/plain\r\n", 415),
        ("Content-Type: application/x-www-form-urlencoded\r\n", 415),
        ("Content-Type: application/json\r\nOrigin: https://evil.example\r\n", 403),
        ("Content-Type: application/json\r\nOrigin: http://127.0.0.1.evil.example\r\n", 403),
        ("Content-Type: application/json\r\nOrigin: null\r\n", 403),
    ] {
        for action in ["redrive", "discard"] {
            let answer = post(&server, &format!("/parked/{id}/{action}"), headers, "").await;
            assert_eq!(answer.status, status, "{action} with {headers:?}: {answer:?}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
    }
    let preflight = format!(
        "OPTIONS /parked/{id}/discard HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:3000\r\n\
         Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\nConnection: close\r\n\r\n"
    );
    let answer = server.send(&preflight).await;
    assert_eq!((answer.status, answer.headers.get("access-control-allow-origin")), (405, None));
    assert_eq!(letters(&server).await.len(), 6);
    let local = format!("{JSON}Origin: http://localhost:8501\r\n");
    assert_eq!(post(&server, &format!("/parked/{id}/discard"), &local, "").await.status, 200);
}
