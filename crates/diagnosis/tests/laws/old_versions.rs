//! Events of an old version are folded like events of the current version.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::{collections::BTreeMap, fmt::Debug, fs, path::Path};

use hemostat_core::{
    Decider, Projection,
    alerting::Alerting,
    judge::Judge,
    remedy::Authorisation,
    testing::fold,
    views::{Breaker, Calibration, Containers, Cooldown, Dedup, Incidents, Timeline},
};
use hemostat_diagnosis::Triage;
use hemostat_schema::{
    Action, Event, EventId, IncidentId, NewEvent, Partition, Recorded, Subject, Timestamp,
    action::{Authorised, Limits},
    codec,
    container::Run,
};
use serde_json::Value;

/// The stored sample of a kind and version, decoded from the bytes that were on the log.
fn sample(kind: &str, id: EventId) -> Recorded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../schema/samples/{kind}.json"));
    let sample: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let text = |field: &str| sample[field].as_str().unwrap();
    let bytes: Vec<u8> = text("msgpack")
        .as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect();
    codec::decode(id, text("k"), text("s"), Some(text("c")), &bytes).unwrap()
}

fn states<D: Decider>(log: &[Recorded]) -> impl Debug + PartialEq {
    fold::<D>(log)
}

fn rows<P: Projection>(log: &[Recorded]) -> BTreeMap<String, P::Row> {
    let mut rows = BTreeMap::new();
    for event in log.iter().filter(|event| P::READS.contains(&event.family())) {
        for key in P::keys(event) {
            if let Some(row) = P::evolve(rows.remove(&key), &key, event) {
                rows.insert(key, row);
            }
        }
    }
    rows
}

#[test]
fn an_authorisation_of_version_1_is_folded_like_a_current_one_with_unknown_limits() {
    let id = |seq| EventId { partition: Partition(0), ms: 1_767_225_600_000, seq };
    let subject: Subject = "docker-1/api-1".parse().unwrap();
    let at: Timestamp = "2026-01-01T00:00:05Z".parse().unwrap();
    let old = sample("action.authorised.1", id(8));
    let run = "4f5a0c3b2d1e4f5a0c3b2d1e4f5a0c3b2d1e4f5a0c3b2d1e4f5a0c3b2d1e4f5a".parse().unwrap();
    let today = Authorised {
        remedy: hemostat_schema::action::Remedy::Exec { argv: vec!["kill".into(), "-HUP".into(), "1".into()] },
        target: Run { id: run, started_at: Some("2026-01-01T00:00:00.123456789Z".parse().unwrap()) }.into(),
        arguments: None,
        diagnosis: id(1),
        limits: Limits::of_attempt(1, 3),
        stop_timeout: Some(hemostat_schema::Span::from_secs(30)),
        dry_run: false,
        policy: None,
        trigger: None,
    };
    let incident = IncidentId::begun(&subject, "2026-01-01T00:00:00Z".parse().unwrap());
    let today = NewEvent::new(subject.clone(), at, today)
        .in_incident(Some(incident))
        .caused_by(hemostat_schema::Cause::Event(id(7)));
    let today = Recorded { trace: old.trace, ..today.recorded(id(8), &[]) };
    assert!(matches!(old.event(), Some(Event::Action(Action::Authorised(_)))));
    assert_eq!(old, today, "lifted, it is the event of today");

    let seen = hemostat_core::testing::seen(0, hemostat_core::testing::facts()).event;
    let seen = NewEvent::new(subject, at, seen).recorded(id(1), &[]);
    let (log, same) = ([seen.clone(), old], [seen, today]);
    assert_eq!(states::<Triage>(&log), states::<Triage>(&same));
    assert_eq!(states::<Authorisation>(&log), states::<Authorisation>(&same));
    assert_eq!(states::<Judge>(&log), states::<Judge>(&same));
    assert_eq!(states::<Alerting>(&log), states::<Alerting>(&same));

    let containers = rows::<Containers>(&log);
    let last = serde_json::to_value(&containers["docker-1/api-1"]).unwrap();
    assert_eq!(last["action"]["attempt"], 1, "{last:#}");
    assert_eq!(last["action"]["of"], 3, "{last:#}");
    assert_eq!(containers, rows::<Containers>(&same));
    assert_eq!(rows::<Incidents>(&log), rows::<Incidents>(&same));
    assert_eq!(rows::<Timeline>(&log), rows::<Timeline>(&same));
    assert_eq!(rows::<Cooldown>(&log), rows::<Cooldown>(&same));
    assert_eq!(rows::<Breaker>(&log), rows::<Breaker>(&same));
    assert_eq!(rows::<Dedup>(&log), rows::<Dedup>(&same));
    assert_eq!(rows::<Calibration>(&log), rows::<Calibration>(&same));
}
