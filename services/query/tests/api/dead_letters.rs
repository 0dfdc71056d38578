//! Dead letters are listed, redriven and discarded, and only by requests that are not cross-site.

use hemostat_core::testing::{self, facts};
use hemostat_log::Log;
use hemostat_schema::{Family, Partition};
use serde_json::json;

use crate::server::{Answer, Server, logged};

/// A server whose views could not decode one event.
async fn with_dead_letters() -> (Server, String) {
    let (log, _) = logged(1, [testing::seen(0, facts())]).await;
    let event = log.append_raw(Partition(0), Family::Action, "action.paused.1", "host/api", b"\xff");
    crate::server::fold_all(&log).await;
    assert_eq!(log.dead_letters(Partition(0), 100).await.unwrap().len(), 6, "one per view that reads actions");
    (Server::on(log).await, event.to_string())
}

async fn post(server: &Server, path: &str, headers: &str) -> Answer {
    server.send(&format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n")).await
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn a_dead_letter_is_listed_with_its_event_and_error() {
    let (server, event) = with_dead_letters().await;
    let list = server.read("/parked").await;
    let parked = list["parked"].as_array().unwrap();
    assert_eq!(parked.len(), 6);
    for one in parked {
        assert_eq!((&one["event"], &one["family"]), (&json!(event), &json!("action")));
        assert_eq!((&one["kind"], &one["subject"]), (&json!("action.paused.1"), &json!("host/api")));
        assert!(one["error"].as_str().is_some_and(|why| !why.is_empty()), "{one}");
    }
    assert!(parked.iter().any(|one| one["group"] == "containers.1"), "{list:#}");
}

#[tokio::test]
async fn redriving_a_dead_letter_of_a_view_rebuilds_the_view_and_any_can_be_discarded() {
    let (server, _) = with_dead_letters().await;
    let list = server.read("/parked").await;
    let id = list["parked"][0]["id"].as_str().unwrap();
    let redriven = post(&server, &format!("/parked/{id}/redrive"), JSON).await;
    assert_eq!(redriven.status, 200, "{redriven:?}");
    let redriven = redriven.json();
    assert_eq!((&redriven["outcome"], &redriven["parked"]), (&json!("refilled"), &list["parked"][0]));
    let group = list["parked"][0]["group"].as_str().unwrap();
    assert_eq!(redriven["view"], format!("{group}~2"));

    let discarded = post(&server, &format!("/parked/{id}/discard"), JSON).await;
    assert_eq!((discarded.status, discarded.json()), (200, list["parked"][0].clone()));
    assert_eq!(server.read("/parked").await["parked"].as_array().unwrap().len(), 5);
    for action in ["redrive", "discard"] {
        let again = post(&server, &format!("/parked/{id}/{action}"), JSON).await;
        assert_eq!((again.status, &again.json()["type"]), (404, &json!("urn:hemostat:problem:unknown-parked")));
    }
}

#[tokio::test]
async fn a_page_of_another_site_cannot_change_dead_letters() {
    let (server, _) = with_dead_letters().await;
    let id = server.read("/parked").await["parked"][0]["id"].as_str().unwrap().to_owned();
    for (headers, status) in [
        ("", 415),
        ("Content-Type: text/plain\r\n", 415),
        ("Content-Type: application/x-www-form-urlencoded\r\n", 415),
        ("Content-Type: application/json\r\nOrigin: https://evil.example\r\n", 403),
        ("Content-Type: application/json\r\nOrigin: http://127.0.0.1.evil.example\r\n", 403),
        ("Content-Type: application/json\r\nOrigin: null\r\n", 403),
    ] {
        for action in ["redrive", "discard"] {
            let answer = post(&server, &format!("/parked/{id}/{action}"), headers).await;
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
    assert_eq!(server.read("/parked").await["parked"].as_array().unwrap().len(), 6);
    let local = format!("{JSON}Origin: http://localhost:8501\r\n");
    assert_eq!(post(&server, &format!("/parked/{id}/discard"), &local).await.status, 200);
}
