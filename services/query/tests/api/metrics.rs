//! What was measured.

use hemostat_core::testing::{at, event, incident, incident_event, raised, run, seen, started, vitals};
use hemostat_schema::{NewEvent, Span, observation::Symptom, sample::Container};
use serde_json::json;

use crate::server::Server;

fn sample(cpu: f64) -> Container {
    Container { vitals: vitals(cpu, 50.0, 3), holds: Span::from_secs(360) }
}

fn history() -> Vec<NewEvent> {
    let mut history = vec![seen(0, hemostat_core::testing::facts()), event(0, sample(10.0)), event(150, sample(30.0))];
    history.push(raised(10, Symptom::Unhealthy, run(0)));
    history.push(incident_event(300, sample(50.0)));
    history
}

#[tokio::test]
async fn metrics_are_minimum_mean_and_maximum_of_five_minutes() {
    let server = Server::after(history()).await;
    for key in ["api", "host%2Fapi"] {
        let range = format!("from={}&to={}", at(0), at(600));
        let found = server.read(&format!("/containers/{key}/metrics?{range}")).await;
        assert_eq!((&found["container"], &found["bucket_seconds"]), (&json!("host/api"), &json!(300)));
        let buckets = found["buckets"].as_array().unwrap();
        assert_eq!(buckets.len(), 2);
        assert_eq!(buckets[0]["at"], json!(at(0)));
        assert_eq!(buckets[0]["measured_seconds"], 300.0);
        assert_eq!(buckets[0]["cpu_percent"], json!({ "min": 10.0, "mean": 20.0, "max": 30.0 }));
        assert_eq!(buckets[0]["throttled_percent"], json!(null));
        // The last sample holds for as long as it promised.
        assert_eq!(buckets[1]["cpu_percent"], json!({ "min": 50.0, "mean": 50.0, "max": 50.0 }));
    }
}

#[tokio::test]
async fn a_container_shows_the_sample_that_holds_and_none_once_its_run_ended() {
    let server = Server::after(history()).await;
    let vitals = &server.read("/containers/api").await["vitals"];
    assert_eq!((&vitals["at"], &vitals["holds_until"]), (&json!(at(300)), &json!(at(660))));
    assert_eq!((&vitals["cpu_percent"], &vitals["pids"]), (&json!(50.0), &json!(3)));
    assert_eq!(&server.read("/containers").await["containers"][0]["vitals"], vitals);
    let earlier = server.read("/containers/api?as_of=2026-01-01T00:00:00.001Z").await;
    assert_eq!(earlier["vitals"], json!(null), "nothing was measured yet");

    let server = Server::after(history().into_iter().chain([started(400)])).await;
    assert_eq!(server.read("/containers/api").await["vitals"], json!(null));
}

#[tokio::test]
async fn an_incident_shows_the_samples_around_it() {
    let server = Server::after(history()).await;
    let found = server.read(&format!("/incidents/{}/samples", incident(10))).await;
    let cpu: Vec<_> = found["samples"].as_array().unwrap().iter().map(|sample| &sample["cpu_percent"]).collect();
    assert_eq!(cpu, [10.0, 30.0, 50.0]);
    assert_eq!((&found["container"], &found["omitted"]), (&json!("host/api"), &json!(0)));
}

#[tokio::test]
async fn what_is_not_valid_is_refused() {
    let server = Server::after(history()).await;
    let long = format!("/containers/api/metrics?from={}&to={}", at(0), at(40 * 24 * 3600));
    for (path, status) in [
        ("/containers/api/metrics?from=soon", 400),
        ("/containers/api/metrics?to=2026-01-01T00:00:00Z&from=2026-01-02T00:00:00Z", 400),
        (long.as_str(), 400),
        ("/containers/nothing/metrics", 404),
        ("/containers/host%2Fnothing/metrics", 404),
        ("/incidents/inc-0000000000000000/samples", 404),
        ("/incidents/inc-0000000000000000/samples?limit=3", 400),
    ] {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
}
