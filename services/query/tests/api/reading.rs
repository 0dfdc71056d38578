//! Answers for typical histories.

use hemostat_core::testing::{
    self, at, cleared, event, exited, facts, incident, incident_event, reached, run, unhealthy,
};
use hemostat_schema::{
    Cause, NewEvent, Span,
    action::{Authorised, Limits, Outcome, Refusal, Refused, Remedy, Verified},
    alert::Raised,
    container::ExitBy,
    observation::{Removed, Severity, Symptom},
};
use serde_json::json;

use crate::server::{Server, logged};

fn authorised() -> Authorised {
    Authorised {
        remedy: Remedy::Restart,
        target: run(0).into(),
        arguments: None,
        diagnosis: testing::id(4),
        limits: Limits::of_attempt(1, 3),
        stop_timeout: None,
        dry_run: false,
        policy: None,
        trigger: None,
    }
}

/// Unhealthy at 10, diagnosed, alerted, authorised at 12, healthy at 18, verified at 20; each event caused by the one before.
async fn healed() -> Server {
    let raised = Raised { severity: Severity::High, title: "api is unhealthy".into(), text: String::new() };
    let mut history = unhealthy();
    history.extend([incident_event(11, reached(run(0))), incident_event(11, raised), incident_event(12, authorised())]);
    let (_, ids) = logged(1, history.clone()).await;
    history[5] = incident_event(12, Authorised { diagnosis: ids[3], ..authorised() });
    for (n, event) in history.iter_mut().enumerate().skip(2) {
        event.cause = Some(Cause::Event(ids[n - 1]));
    }
    let verdict = Verified {
        action: ids[5],
        remedy: Remedy::Restart,
        outcome: Outcome::Recovered,
        why: "its health check passes".into(),
        took: Span::from_secs(8),
        policy: None,
        trigger: None,
    };
    history.extend([cleared(18, Symptom::Unhealthy), incident_event(20, verdict)]);
    Server::after(history).await
}

#[tokio::test]
async fn a_healed_container_shows_how_it_was_healed() {
    let server = healed().await;
    let api = server.read("/containers/api").await;
    for (pointer, expected) in [
        ("/key", json!("host/api")),
        ("/state", json!("running")),
        ("/image", json!("api:1")),
        ("/symptoms", json!([])),
        ("/incident", json!(null)),
        ("/diagnosis/root_cause", json!("its health check fails")),
        ("/action/outcome", json!("recovered")),
        ("/action/took_ms", json!(8000)),
        ("/care/mode", json!("auto")),
        ("/care/actions", json!(["restart", "start"])),
        ("/counters/recovered", json!(1)),
        ("/cooldown/why", json!("healed")),
        ("/cooldown/until", json!("2026-01-01T01:00:20Z")),
        ("/breaker/position", json!("passing")),
        ("/timeline/1/line", json!("api turned unhealthy")),
        ("/timeline/7/line", json!("api recovered after 8.0 s")),
    ] {
        assert_eq!(api.pointer(pointer), Some(&expected), "{pointer} of {api:#}");
    }
}

#[tokio::test]
async fn an_incident_is_a_chain_of_causes() {
    let server = healed().await;
    let found = server.read("/incidents?state=ended").await;
    let id = incident(10).to_string();
    assert_eq!(found["incidents"][0]["id"], id);
    let incident = server.read(&format!("/incidents/{id}")).await;
    assert_eq!(
        (&incident["state"], &incident["subject"], &incident["ended"]),
        (&json!("recovered"), &json!("host/api"), &json!("2026-01-01T00:00:20Z"))
    );
    let events = incident["events"].as_array().unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "observation.health_changed",
            "observation.symptom_raised",
            "diagnosis.reached",
            "alert.raised",
            "action.authorised",
            "observation.symptom_cleared",
            "action.verified",
        ]
    );
    for pair in events[..5].windows(2) {
        assert_eq!(pair[1]["cause"], pair[0]["id"], "{pair:#?}");
    }
    assert_eq!(incident["alerts"], json!([events[3]["id"]]));
}

#[tokio::test]
async fn a_container_that_an_operator_stopped_says_why_hemostat_leaves_it_alone() {
    let server = Server::after([testing::seen(0, facts()), exited(5, run(0), ExitBy::Operator)]).await;
    let attention = server.read("/containers/host%2Fapi").await["attention"].clone();
    assert_eq!(
        attention,
        json!({
            "reason": "left_alone",
            "sentence": "stopped by an operator at 2026-01-01T00:00:05Z; HemoStat leaves it alone",
            "until": null,
        })
    );
}

#[tokio::test]
async fn containers_are_found_by_state_symptom_and_host() {
    let on = |key: &str, event: NewEvent| NewEvent { subject: key.parse().unwrap(), ..event };
    let mut history = vec![
        on("a/well", testing::seen(0, facts())),
        on("b/stopped", testing::seen(0, facts())),
        on("b/stopped", exited(5, run(0), ExitBy::Operator)),
        on("b/gone", testing::seen(0, facts())),
        on("b/gone", event(6, Removed { target: run(0) })),
    ];
    history.extend(unhealthy().into_iter().map(|event| on("b/sick", event)));
    let (log, _) = logged(3, history).await;
    let server = Server::on(log).await;
    for (query, expected) in [
        ("", vec!["a/well", "b/sick", "b/stopped"]),
        ("?state=running", vec!["a/well", "b/sick"]),
        ("?symptom=unhealthy", vec!["b/sick"]),
        ("?host=b&state=exited", vec!["b/stopped"]),
        ("?host=c", vec![]),
    ] {
        let found = server.read(&format!("/containers{query}")).await;
        let keys: Vec<_> =
            found["containers"].as_array().unwrap().iter().map(|of| of["key"].as_str().unwrap()).collect();
        assert_eq!(keys, expected, "{query}");
    }
}

#[tokio::test]
async fn incidents_come_latest_first_and_in_pages() {
    let begun =
        |second| NewEvent { incident: Some(incident(second)), ..testing::raised(second, Symptom::Unhealthy, run(0)) };
    let over = |second| NewEvent { incident: Some(incident(second)), ..cleared(second + 5, Symptom::Unhealthy) };
    let server = Server::after([begun(10), over(10), begun(20), over(20), begun(30)]).await;
    let ids = |page: &serde_json::Value| -> Vec<String> {
        page["incidents"].as_array().unwrap().iter().map(|of| of["id"].as_str().unwrap().to_owned()).collect()
    };
    let check = async |query: &str, seconds: &[i64], next: Option<i64>| {
        let page = server.read(&format!("/incidents{query}")).await;
        assert_eq!(ids(&page), seconds.iter().map(|at| incident(*at).to_string()).collect::<Vec<_>>(), "{query}");
        assert_eq!(page["next"], json!(next.map(|at| incident(at).to_string())), "{query}");
    };
    check("", &[30, 20, 10], None).await;
    check("?limit=2", &[30, 20], Some(20)).await;
    check(&format!("?limit=2&cursor={}", incident(20)), &[10], None).await;
    check("?state=open", &[30], None).await;
    check("?state=ended&limit=1", &[20], Some(20)).await;
    check("?container=host/other", &[], None).await;
}

#[tokio::test]
async fn one_event_is_read_by_its_id() {
    let refused = incident_event(
        12,
        Refused {
            remedy: Remedy::Restart,
            diagnosis: testing::id(4),
            refusal: Refusal::CoolingDown { until: at(3600) },
            policy: None,
            trigger: None,
        },
    );
    let (log, ids) = logged(1, [refused]).await;
    let server = Server::on(log).await;
    let event = server.read(&format!("/events/{}", ids[0])).await;
    assert_eq!(event["kind"], "action.refused");
    assert_eq!(event["at"], "2026-01-01T00:00:12Z");
    assert_eq!(event["subject"], "host/api");
    assert_eq!(event["incident"], incident(10).to_string());
    assert_eq!(
        event["line"],
        "restart of api refused: it is in cooldown after its last incident until 2026-01-01T01:00:00Z"
    );
    assert_eq!(event["data"]["remedy"], "restart");
    assert_eq!(server.read("/events?kind=action.refused").await["events"][0], event);
}

#[tokio::test]
async fn calibration_compares_stated_confidence_with_outcomes() {
    let server = healed().await;
    let stats = server.read("/stats/calibration").await;
    let method = &stats["methods"][0];
    for (pointer, expected) in [
        ("/by", json!("rule:unhealthy")),
        ("/reached", json!(1)),
        ("/judged", json!(1)),
        ("/recovered", json!(1)),
        ("/inconclusive", json!(0)),
        ("/stated", json!(0.9)),
        ("/came_true", json!(1.0)),
        ("/bins/9/from", json!(0.9)),
        ("/bins/9/judged", json!(1)),
        ("/bins/9/came_true", json!(1.0)),
        ("/bins/8/came_true", json!(null)),
        ("/thresholds/7/threshold", json!(0.7)),
        ("/thresholds/7/judged", json!(1)),
        ("/opinions", json!(null)),
    ] {
        assert_eq!(method.pointer(pointer), Some(&expected), "{pointer} of {method:#}");
    }
    assert!((method["brier"].as_f64().unwrap() - 0.01).abs() < 1e-9, "{method:#}");
    assert_eq!((method["bins"].as_array().unwrap().len(), stats["methods"].as_array().unwrap().len()), (10, 1));
    assert_eq!(Server::after([]).await.read("/stats/calibration").await, json!({ "methods": [] }));
}

#[tokio::test]
async fn calibration_sums_over_all_hosts() {
    let on = |key: &str, event: NewEvent| NewEvent { subject: key.parse().unwrap(), ..event };
    let history = ["a/x", "b/x", "b/y"].map(|key| on(key, incident_event(11, reached(run(0)))));
    let (log, _) = logged(3, history).await;
    let stats = Server::on(log).await.read("/stats/calibration").await;
    assert_eq!((&stats["methods"][0]["reached"], &stats["methods"][1]), (&json!(3), &json!(null)));
}

#[tokio::test]
async fn the_index_lists_every_endpoint() {
    let server = Server::after([]).await;
    let index = server.read("/").await;
    let described = server.read("/openapi.json").await;
    for (path, item) in described["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let asked = format!("{} {path}", method.to_uppercase());
            assert!(index["paths"][&asked].is_string(), "{asked} in {index:#}");
        }
    }
    let head = server.send("HEAD /containers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}
