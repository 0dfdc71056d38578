//! `GET /events/stream`: every event once, over real HTTP.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use futures::StreamExt as _;
use hemostat_core::{Policy, testing};
use hemostat_log::{Log as _, MemoryLog};
use hemostat_runtime::Context;
use hemostat_schema::{EventId, Family, NewEvent, Partition};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::server::{Server, SseEvent, SseReader, append, logged};

/// An event about a container of this host.
fn on(host: &str) -> NewEvent {
    NewEvent { subject: format!("{host}/api").parse().unwrap(), ..testing::seen(0, testing::facts()) }
}

async fn read(stream: &mut SseReader, count: usize) -> Vec<SseEvent> {
    let mut read = vec![];
    for _ in 0..count {
        read.push(stream.next().await.expect("an event"));
    }
    read
}

fn ids(events: &[SseEvent]) -> BTreeSet<String> {
    events.iter().map(|event| event.data["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_event_is_streamed_with_its_id_its_kind_and_the_json_of_the_api() {
    let (log, _) = logged(1, testing::unhealthy()).await;
    let server = Server::on(log.clone()).await;
    let mut stream = server.stream("/events/stream", "").await;
    for expected in testing::unhealthy() {
        let id = append(&log, expected.clone()).await;
        let event = stream.next().await.unwrap();
        assert_eq!((event.id, event.event), (id.to_string(), expected.event.kind()));
        assert_eq!(event.data, server.read(&format!("/events/{id}")).await);
    }
}

#[tokio::test]
async fn a_stream_that_was_cut_continues_where_it_was() {
    for partitions in [1, 3] {
        let (log, _) = logged(partitions, ["a", "b", "c"].map(on)).await;
        let server = Server::on(log.clone()).await;
        let mut stream = server.stream("/events/stream", "").await;
        let mut last = stream.begin.clone();
        let mut got = BTreeSet::new();
        let mut appended = BTreeSet::new();
        for round in 0..4 {
            for host in ["a", "b", "b", "c"] {
                appended.insert(append(&log, on(host)).await.to_string());
            }
            // Cut before the first event, after the first one, in the middle, and at the end.
            let events = read(&mut stream, [0, 1, 6, 9][round]).await;
            last = events.last().map_or(last, |event| event.id.clone());
            for id in ids(&events) {
                assert!(got.insert(id), "an event came twice");
            }
            drop(stream);
            stream = server.stream("/events/stream?after=0.1-1", &format!("Last-Event-ID: {last}\r\n")).await;
        }
        assert_eq!(got, appended, "with {partitions} partitions");
        let late = append(&log, on("c")).await.to_string();
        let after = last.replace(',', "%2C");
        for path in ["/events/stream?after=".to_owned() + &after, "/events/stream?host=c&after=".to_owned() + &after] {
            assert_eq!(ids(&read(&mut server.stream(&path, "").await, 1).await), BTreeSet::from([late.clone()]));
        }
    }
}

#[tokio::test]
async fn a_stream_begins_after_an_event_or_at_a_time_and_passes_its_filters_only() {
    let (log, all) = logged(1, ["a", "b", "a"].map(on)).await;
    let server = Server::on(log.clone()).await;
    for (query, expected) in [
        (format!("after={}", all[0]), vec![all[1], all[2]]),
        (format!("after={}", testing::at(-1)), all.clone()),
        (format!("after={}&host=a", testing::at(-1)), vec![all[0], all[2]]),
        (format!("after={}&container=b/api&kind=observation.seen&family=observation", testing::at(-1)), vec![all[1]]),
    ] {
        let mut stream = server.stream(&format!("/events/stream?{query}"), "").await;
        let found = ids(&read(&mut stream, expected.len()).await);
        assert_eq!(found, expected.iter().map(EventId::to_string).collect(), "{query}");
    }
}

#[tokio::test]
async fn a_place_from_which_a_stream_cannot_continue_is_refused() {
    let (log, all) = logged(1, ["a", "b", "a"].map(on)).await;
    log.trim(Partition(0), Family::Observation, all[1]).await.unwrap();
    let server = Server::on(log).await;
    let start = EventId::start(Partition(0));
    for (request, headers, status, says) in [
        ("after=5", String::new(), 400, "after: \"5\" is not an event id"),
        ("after=", String::new(), 400, "after: \"\" is not an event id"),
        ("from=0.1-1", String::new(), 400, "unknown field `from`"),
        ("kind=smelled", String::new(), 400, "kind"),
        ("", "Last-Event-ID: 0.1-1,0.1-2\r\n".to_owned(), 400, "Last-Event-ID: \"0.1-1,0.1-2\" is not"),
        ("", format!("Last-Event-ID: {start}\r\n"), 410, "were trimmed, and there is no archive"),
        (&format!("after={start}&family=observation"), String::new(), 410, &all[0].to_string()),
    ] {
        let request = format!("GET /events/stream?{request} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n");
        let answer = server.send(&request).await;
        assert_eq!(answer.status, status, "{request}: {answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(says), "{request}: {answer:?}");
    }
    let after = format!("/events/stream?after={}", all[0]);
    assert_eq!(read(&mut server.stream(&after, "").await, 2).await.len(), 2, "nothing after it is gone");
    server.stream(&format!("/events/stream?after={start}&family=alert"), "").await;
}

#[tokio::test]
async fn the_shutdown_ends_a_stream_with_a_last_event() {
    let server = Server::after([]).await;
    let mut stream = server.stream("/events/stream", "").await;
    server.shutdown.cancel();
    let last = stream.next().await.unwrap();
    assert_eq!((last.event.as_str(), &last.data["reason"]), ("end", &json!("shutdown")));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn streams_have_a_limit_of_their_own_and_reads_are_answered_beside_them() {
    let (log, _) = logged(1, ["a"].map(on)).await;
    let server = Server::on(log.clone()).await;
    let mut streams = vec![];
    for _ in 0..128 {
        streams.push(server.stream("/events/stream", "").await);
    }
    let refused = server.get("/events/stream").await;
    assert_eq!((refused.status, &refused.json()["type"]), (503, &json!("urn:hemostat:problem:overloaded")));
    assert_eq!(server.read("/events").await["events"].as_array().unwrap().len(), 1);

    let id = append(&log, on("b")).await.to_string();
    for stream in &mut streams {
        assert_eq!(stream.next().await.unwrap().id, id);
    }
    // The slot is free when the server has seen the end of the connection.
    drop(streams.pop());
    while server.status_of_stream().await == 503 {
        tokio::task::yield_now().await;
    }
}

/// A stream whose client takes an event only when the test says so.
async fn pulled(log: &Arc<MemoryLog>) -> impl futures::Stream<Item = String> + Unpin {
    let router = hemostat_query::guarded(hemostat_query::router(
        &Context::new(log.clone()),
        hemostat_runtime::unchanging(Policy::default()),
    ));
    let request = Request::get("/events/stream").header("Host", "localhost").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    response.into_body().into_data_stream().map(|part| String::from_utf8(part.unwrap().to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_while_events_wait_is_ended() {
    let log = Arc::new(MemoryLog::new(1));
    let mut stream = pulled(&log).await;
    assert!(stream.next().await.unwrap().starts_with(": following"));
    for _ in 0..3 {
        append(&log, on("a")).await;
    }
    assert!(stream.next().await.unwrap().contains("event: observation.seen"));
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert!(stream.next().await.unwrap().contains("event: observation.seen"), "29 seconds are not too slow");
    tokio::time::sleep(Duration::from_secs(31)).await;
    let last = stream.next().await.unwrap();
    let data: Value = serde_json::from_str(last.lines().find_map(|line| line.strip_prefix("data: ")).unwrap()).unwrap();
    assert!(last.contains("event: end\n") && !last.contains("id:"), "{last}");
    assert_eq!(data["reason"], "too_slow");
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_has_heartbeats_and_goes_on() {
    let log = Arc::new(MemoryLog::new(1));
    let mut stream = pulled(&log).await;
    assert!(stream.next().await.unwrap().starts_with(": following"));
    for _ in 0..10 {
        assert_eq!(stream.next().await.unwrap(), ": heartbeat\n\n");
    }
    append(&log, on("a")).await;
    assert!(stream.next().await.unwrap().contains("event: observation.seen"));
}
