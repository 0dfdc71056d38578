//! The JSON Schema of each kind and version, and one sample of each that must be readable for ever.
//!
//! `UPDATE_GOLDEN=1` writes new and different schemas and new samples, but never changes an existing sample: it stands for
//! the events on existing logs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use hemostat_schema::{Event, EventId, IncidentId, NewEvent, Partition, Timestamp, TraceParent, codec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::examples::examples;

const ADVICE: &str =
    "if that is meant, read schema/README.md, then run `UPDATE_GOLDEN=1 cargo test -p hemostat-schema`";

/// A sample: the decoded event and its original bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sample {
    k: String,
    s: String,
    c: Option<EventId>,
    at: Timestamp,
    incident: Option<IncidentId>,
    trace: Option<TraceParent>,
    data: Value,
    msgpack: String,
}

impl Sample {
    fn of(event: &NewEvent) -> Self {
        let encoded = codec::encode(event).unwrap();
        let recorded = event.clone().recorded(EventId::start(Partition(0)), &[]);
        Self {
            k: encoded.kind,
            s: encoded.subject,
            c: recorded.cause,
            at: recorded.at,
            incident: recorded.incident.clone(),
            trace: recorded.trace,
            data: recorded.data(),
            msgpack: encoded.envelope.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        assert!(self.msgpack.len().is_multiple_of(2), "{}: half a byte", self.k);
        let digits: Vec<u32> = self.msgpack.chars().map(|c| c.to_digit(16).unwrap()).collect();
        digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Updates the folders once, before any test reads them, if `UPDATE_GOLDEN=1`.
static UPDATED: LazyLock<()> = LazyLock::new(|| {
    if std::env::var_os("UPDATE_GOLDEN").is_none_or(|value| value != "1") {
        return;
    }
    for info in Event::kinds() {
        write("events", &format!("{}.{}", info.kind(), info.version), &(info.schema)());
    }
    for sample in examples().iter().map(Sample::of) {
        if !folder("samples").join(format!("{}.json", sample.k)).exists() {
            write("samples", &sample.k, &sample);
        }
    }
});

/// The kinds and versions that have a file in a folder.
fn kept(name: &str) -> BTreeSet<String> {
    LazyLock::force(&UPDATED);
    let files = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files
        .map(|file| file.strip_suffix(".json").unwrap_or_else(|| panic!("schema/{name}/{file} is no .json")).to_owned())
        .collect()
}

fn read<T: serde::de::DeserializeOwned>(name: &str, kind: &str) -> Option<T> {
    LazyLock::force(&UPDATED);
    let path = folder(name).join(format!("{kind}.json"));
    let text = fs::read_to_string(&path).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{} is not readable: {error}", path.display())))
}

fn write(name: &str, kind: &str, value: &impl Serialize) {
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    fs::write(folder(name).join(format!("{kind}.json")), text).unwrap();
}

#[test]
fn a_schema_changes_only_with_its_golden() {
    for info in Event::kinds() {
        let kind = format!("{}.{}", info.kind(), info.version);
        let schema = serde_json::to_value((info.schema)()).unwrap();
        let golden: Option<Value> = read("events", &kind);
        assert_eq!(golden.as_ref(), Some(&schema), "schema/events/{kind}.json is not what the code says: {ADVICE}");
    }
}

#[test]
fn every_kind_has_a_sample() {
    for example in examples() {
        let sample = Sample::of(&example);
        match read::<Sample>("samples", &sample.k) {
            None => panic!("schema/samples/{}.json is missing: {ADVICE}", sample.k),
            // The sample may lack fields that were added later; another test checks its content.
            Some(kept) => assert_eq!((kept.k, kept.s), (sample.k, sample.s)),
        }
    }
    let examples: BTreeSet<String> = examples().iter().map(|event| Sample::of(event).k).collect();
    let kinds: BTreeSet<String> = Event::kinds().map(|info| format!("{}.{}", info.kind(), info.version)).collect();
    assert_eq!(examples, kinds, "examples.rs has one event of each kind");
}

#[test]
fn every_sample_decodes_to_its_recorded_content() {
    for kind in kept("samples") {
        let sample: Sample = read("samples", &kind).unwrap();
        assert_eq!(sample.k, kind);
        let cause = sample.c.map(|cause| cause.to_string());
        let id = EventId { partition: Partition(0), ms: 1, seq: 1 };
        let recorded = codec::decode(id, &sample.k, &sample.s, cause.as_deref(), &sample.bytes())
            .unwrap_or_else(|error| panic!("the kept sample {kind} cannot be read any more: {error:?}"));
        assert!(recorded.event().is_some(), "{kind} is not known any more; a kind is never taken away");
        assert_eq!(recorded.subject.to_string(), sample.s, "{kind}");
        assert_eq!((recorded.at, &recorded.incident), (sample.at, &sample.incident), "{kind}");
        assert_eq!((recorded.cause, recorded.trace), (sample.c, sample.trace), "{kind}");
        if kind == format!("{}.{}", recorded.kind(), current(&recorded.kind())) {
            assert_eq!(recorded.data(), sample.data, "{kind}");
        }
    }
}

#[test]
fn version_1_of_authorised_is_upcast_without_a_snapshot_of_the_limits_and_its_run_is_the_target() {
    let sample: Sample = read("samples", "action.authorised.1").unwrap();
    let id = EventId { partition: Partition(0), ms: 1, seq: 1 };
    let lifted = codec::decode(id, &sample.k, &sample.s, None, &sample.bytes()).unwrap();
    assert_eq!(lifted.version(), 3);
    let mut data = lifted.data();
    assert_eq!(data["limits"].take(), json!({ "attempt": 1, "of": 3, "leeway": null }));
    let mut kept = sample.data;
    for moved in ["attempt", "of"] {
        kept.as_object_mut().unwrap().remove(moved).unwrap();
    }
    data.as_object_mut().unwrap().remove("limits");
    kept["target"] = json!({ "run": kept["target"] });
    assert_eq!(data, kept, "every other field is unchanged");
}

#[test]
fn every_file_is_a_known_kind_and_no_version_is_missing() {
    for folder in ["events", "samples"] {
        for kind in kept(folder) {
            let (name, version) = kind.rsplit_once('.').unwrap();
            let version: u16 = version.parse().unwrap();
            assert!((1..=current(name)).contains(&version), "schema/{folder}/{kind}.json has no known version");
        }
    }
    assert_eq!(kept("events"), kept("samples"), "each version has its schema and its sample");
    for info in Event::kinds() {
        for version in 1..=info.version {
            let kind = format!("{}.{version}", info.kind());
            assert!(kept("samples").contains(&kind), "schema/samples/{kind}.json was removed, but old logs contain it");
        }
    }
}

/// The version of `kind` that this program writes.
fn current(kind: &str) -> u16 {
    let info = Event::kinds().find(|info| info.kind() == kind);
    info.unwrap_or_else(|| panic!("{kind} is not a kind; a kind is never taken away")).version
}
