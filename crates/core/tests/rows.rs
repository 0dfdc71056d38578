//! Rows in Redis keep the names with which they were first written, whatever the fields are called in Rust.

use hemostat_core::{
    alerting::Alerting,
    decider::Decider,
    judge::Judge,
    observe::{
        self, Phase,
        condition::{Condition, OperatorHalt},
    },
    remedy::{Authorisation, backoff::AttemptEnd},
    testing::{self, at, fold, id, incident_event, reached, run, subject},
    views::{Stage, cooldown},
};
use hemostat_schema::{
    Recorded,
    action::{Authorised, Limits, Remedy},
};
use serde::Serialize;
use serde_json::{Value, json};

/// The row of a container that was diagnosed and whose restart was authorised.
fn row<D: Decider>() -> Value {
    let authorised = Authorised {
        remedy: Remedy::Restart,
        target: run(0).into(),
        arguments: None,
        diagnosis: id(4),
        limits: Limits::of_attempt(1, 3),
        stop_timeout: None,
        dry_run: false,
        policy: None,
        trigger: None,
    };
    let events = [incident_event(10, reached(run(0))), incident_event(10, authorised)];
    let events = testing::unhealthy().into_iter().chain(events);
    let log: Vec<Recorded> = (1..).zip(events).map(|(n, event)| event.recorded(id(n), &[])).collect();
    let (states, _) = fold::<D>(&log);
    written(&states[&subject()])
}

fn written(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("a row can be written")
}

#[track_caller]
fn check(row: &Value, expected: &[&str]) {
    let mut names: Vec<&str> = row.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn the_rows_of_the_deciders_keep_their_field_names() {
    let remedy = row::<Authorisation>();
    let expected = ["attempts", "breaker", "condition", "cooldown", "denied", "once", "proposal", "told", "wanted"];
    check(&remedy, &expected);
    check(&remedy["told"], &["incident", "refusals"]);
    check(&remedy["wanted"], &["confidence", "diagnosis", "incident", "remedy", "symptoms", "target", "verdict"]);
    check(&remedy["attempts"][0], &["action", "at", "end", "incident"]);
    let condition = &remedy["condition"];
    check(condition, &["cleared", "deed", "facts", "halted", "observed_at", "standing"]);
    check(&condition["standing"]["unhealthy"], &["evidence", "incident", "severity", "since", "target"]);

    let judge = row::<Judge>();
    check(&judge, &["act", "condition", "once"]);
    let expected = [
        "action",
        "at",
        "done",
        "dry_run",
        "incident",
        "observed",
        "remedy",
        "setback",
        "stop_timeout",
        "target",
        "vitals",
    ];
    check(&judge["act"], &expected);

    let alerting = row::<Alerting>();
    check(&alerting, &["cases", "condition", "once"]);
    let case = alerting["cases"].as_object().and_then(|cases| cases.values().next()).expect("one incident");
    let expected = [
        "escalated",
        "failed",
        "healed",
        "in_hand",
        "root_cause",
        "severity",
        "stage",
        "suppressed",
        "symptoms",
        "tried",
        "troubles",
    ];
    check(case, &expected);
    assert_eq!(case["stage"], json!("untold"));
    check(&case["tried"], &["attempt", "dry_run", "of", "remedy"]);
}

#[test]
fn the_rows_of_the_monitor_and_of_the_views_keep_their_field_names() {
    let expected = ["cleared_at", "facts", "incident", "last_exit", "phase", "restarts", "standing"];
    check(&written(&observe::State::default()), &expected);
    check(&written(&Condition::default()), &["cleared", "deed", "facts", "halted", "observed_at", "standing"]);
    let rest = hemostat_core::remedy::cooldown::Cooldown { incident: None, since: at(0) };
    let row = cooldown::Row { cooldown: rest, why: cooldown::Why::Healed, last: id(1) };
    check(&written(&row), &["last", "rest", "why"]);
}

#[test]
fn renamed_variants_keep_their_names() {
    assert_eq!(written(&OperatorHalt::Paused), json!("frozen"));
    assert_eq!(written(&Phase::Paused), json!("frozen"));
    assert_eq!(written(&AttemptEnd::NotExecuted), json!("withheld"));
    assert_eq!(written(&Stage::NotExecuted { why: "so".into() }), json!({ "is": "withheld", "why": "so" }));
}
