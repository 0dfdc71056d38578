//! Which crate may depend on which (the arrows of ARCHITECTURE.md), and that no files of a crate form an import cycle.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

mod import_cycles;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// The crates of the workspace, each with what it depends on directly (tests and benches aside).
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let direct = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap();
        all.iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| text(&dependency["name"]))
            .collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|package| (text(&package["name"]), direct(package))).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// The map of ARCHITECTURE.md: what each crate may depend on, without the prefix `hemostat-`.
fn below(name: &str) -> BTreeSet<String> {
    const RUNTIME: &[&str] = &["schema", "core", "log", "runtime"];
    let below: &[&[&str]] = match name {
        "schema" | "redact" | "patient" | "fake-docker" => &[],
        "core" | "log" => &[&["schema"]],
        "diagnosis" => &[&["schema", "core"]],
        "archive" => &[&["schema", "log"]],
        "settings" => &[&["schema", "core", "redact", "log"]],
        "docker" => &[&["schema", "settings"]],
        "runtime" => &[&["schema", "core", "log"]],
        "process" => &[RUNTIME, &["archive", "settings"]],
        "history" => &[RUNTIME, &["diagnosis", "archive"]],
        "projector" => &[RUNTIME],
        "alerter" => &[RUNTIME, &["settings"]],
        "analyzer" => &[RUNTIME, &["settings", "diagnosis"]],
        // The two that speak to Docker.
        "monitor" | "responder" => &[RUNTIME, &["settings", "redact", "docker"]],
        // The one service that writes the archive.
        "archivist" => &[RUNTIME, &["settings", "archive"]],
        // It also answers for the past, and serves the health endpoint on its own port.
        "query" => &[RUNTIME, &["settings", "history", "process"]],
        "hemostat" | "tests" => return dependencies().into_keys().collect(),
        unknown => panic!("{unknown} is new: say in this test what it may depend on"),
    };
    below.concat().into_iter().map(|name| format!("hemostat-{name}")).collect()
}

#[test]
fn each_crate_depends_on_the_crates_below_it_and_on_no_other() {
    for (name, depends_on) in dependencies() {
        let ours: BTreeSet<_> =
            depends_on.into_iter().filter(|dependency| dependency.starts_with("hemostat")).collect();
        let allowed = below(name.strip_prefix("hemostat-").unwrap_or(&name));
        let above: Vec<_> = ours.difference(&allowed).collect();
        assert!(above.is_empty(), "{name} must not depend on {above:?}");
    }
}

/// Besides its owner, the test bed uses Docker, HTTP and Redis: it checks HemoStat from outside.
#[test]
fn each_foreign_system_is_known_to_few_crates() {
    let all = dependencies();
    for (foreign, expected) in [
        ("fred", set(["hemostat-log"])),
        // The embedded Redis is asked before there is a log; the bench's baseline must not be a client with a cost.
        ("redis-protocol", set(["hemostat-process", "hemostat-tests"])),
        ("bollard", set(["hemostat-docker", "hemostat-patient", "hemostat-tests"])),
        // The archive only for object_store, which speaks to S3 by it.
        ("reqwest", set(["hemostat-alerter", "hemostat-analyzer", "hemostat-archive", "hemostat-tests"])),
        ("async-openai", set(["hemostat-analyzer"])),
        ("object_store", set(["hemostat-archive"])),
        ("parquet", set(["hemostat-archive"])),
        ("axum", set(["hemostat-query", "hemostat-process", "hemostat-patient", "hemostat-tests"])),
        // History defines the JSON form of an event, of which the API's description is derived.
        ("utoipa", set(["hemostat-history", "hemostat-query"])),
        ("hyper", set(["hemostat-fake-docker"])),
        // The words by which diagnoses are recognised are data in a file that is compiled in.
        ("toml", set(["hemostat", "hemostat-diagnosis", "hemostat-settings"])),
    ] {
        let know: BTreeSet<_> =
            all.iter().filter(|(_, depends_on)| depends_on.contains(foreign)).map(|(name, _)| name.clone()).collect();
        assert_eq!(know, expected, "these depend on {foreign}; a new one is a decision: say so in this test");
    }
}

#[test]
fn vocabulary_and_decisions_are_free_of_the_world() {
    let all = dependencies();
    for name in ["hemostat-schema", "hemostat-core", "hemostat-diagnosis", "hemostat-redact"] {
        for worldly in ["tokio", "futures", "async-trait", "fastrand", "tracing", "metrics", "config", "tempfile"] {
            assert!(!all[name].contains(worldly), "{name} must not depend on {worldly}");
        }
    }
}
