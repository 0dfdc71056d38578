//! An answer as of an instant is the answer that was given at that instant.

use hemostat_core::testing::{at, cleared, incident_event, reached, run, unhealthy};
use hemostat_history::EventJson;
use hemostat_log::{Log, Order, Range};
use hemostat_schema::{Family, Partition, observation::Symptom};
use serde_json::{Value, json};

use crate::server::{Server, fold_all, logged};

const PATHS: [&str; 5] =
    ["/containers", "/containers/api", "/incidents", "/incidents?state=open", "/stats/calibration"];

#[tokio::test]
async fn an_answer_as_of_an_event_is_the_answer_right_after_it() {
    let mut history = unhealthy();
    history.extend([incident_event(11, reached(run(0))), cleared(18, Symptom::Unhealthy)]);
    let (log, ids) = logged(1, history.clone()).await;
    fold_all(&log).await;
    let now = Server::on(log).await;
    for end in 1..=history.len() {
        let (then, _) = logged(1, history[..end].iter().cloned()).await;
        fold_all(&then).await;
        let then = Server::on(then).await;
        for path in PATHS {
            let glue = if path.contains('?') { '&' } else { '?' };
            let then_path = format!("{path}{glue}as_of={}", ids[end - 1]);
            assert_eq!(now.read(&then_path).await, then.read(path).await, "{then_path}");
        }
    }
    let incident = now.read("/incidents").await["incidents"][0]["id"].as_str().unwrap().to_owned();
    let read = now.read(&format!("/incidents/{incident}?as_of={}", ids[3])).await;
    assert_eq!((&read["state"], read["diagnoses"].as_array().unwrap().len()), (&json!("open"), 1));
    assert_eq!(now.get(&format!("/incidents/{incident}?as_of={}", ids[1])).await.status, 404, "it had not begun");
}

#[tokio::test]
async fn before_the_first_event_there_is_nothing_and_an_invalid_instant_is_refused() {
    let server = Server::after(unhealthy()).await;
    let before = at(-86_400);
    assert_eq!(server.read(&format!("/containers?as_of={before}")).await["containers"], json!([]));
    assert_eq!(server.get(&format!("/containers/host%2Fapi?as_of={before}")).await.status, 404);
    for path in
        ["/containers?as_of=soon", "/containers/api?as_of=", "/incidents?as_of=2h", "/stats/calibration?as_of=now"]
    {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("as_of"), "{path}");
    }
}

#[tokio::test]
async fn an_exported_event_has_the_json_form_of_the_api() {
    let (log, ids) = logged(1, unhealthy()).await;
    let broken = log.append_raw(Partition(0), Family::Observation, "nonsense", "host/api", b"?");
    let entries = log.read(Partition(0), &Family::ALL, Range::ALL, Order::OldestFirst, 10).await.unwrap();
    assert_eq!(entries.len(), ids.len() + 1);
    let server = Server::on(log).await;
    for entry in &entries {
        let exported: Value = serde_json::to_value(EventJson::from(entry)).unwrap();
        assert_eq!(exported, server.read(&format!("/events/{}", entry.id)).await, "{}", entry.id);
    }
    assert_eq!(entries.last().map(|entry| entry.id), Some(broken));
}
