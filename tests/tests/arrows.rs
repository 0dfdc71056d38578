//! Proves, from `cargo metadata`, which crate may depend on which: the arrows of ARCHITECTURE.md.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

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

const SERVICES: [&str; 6] = ["monitor", "analyzer", "responder", "alerter", "projector", "query"];

#[test]
fn each_crate_depends_on_the_crates_below_it_and_on_no_other() {
    let below = |name: &str| match name {
        "hemostat-schema" => set([]),
        "hemostat-core" | "hemostat-log" => set(["hemostat-schema"]),
        "hemostat-archive" => set(["hemostat-schema", "hemostat-log"]),
        "hemostat-runtime" => set(["hemostat-schema", "hemostat-core", "hemostat-log", "hemostat-archive"]),
        // The one service that writes the archive.
        "hemostat-archivist" => set(["hemostat-schema", "hemostat-archive", "hemostat-runtime"]),
        "hemostat-patient" | "hemostat-simulated" => set([]),
        "hemostat-engine" => set(["hemostat-schema", "hemostat-runtime"]),
        // The two that speak to Docker.
        "hemostat-monitor" | "hemostat-responder" => {
            set(["hemostat-schema", "hemostat-core", "hemostat-runtime", "hemostat-engine"])
        }
        "hemostat-history" => {
            set(["hemostat-schema", "hemostat-core", "hemostat-log", "hemostat-archive", "hemostat-runtime"])
        }
        // It answers for instants of the past as well.
        "hemostat-query" => set(["hemostat-schema", "hemostat-core", "hemostat-runtime", "hemostat-history"]),
        name if SERVICES.iter().any(|service| name.strip_prefix("hemostat-") == Some(service)) => {
            set(["hemostat-schema", "hemostat-core", "hemostat-runtime"])
        }
        "hemostat" | "hemostat-tests" => {
            let mut all =
                set(["hemostat-schema", "hemostat-core", "hemostat-log", "hemostat-runtime", "hemostat-patient"]);
            all.extend(SERVICES.map(|service| format!("hemostat-{service}")));
            all.extend(
                ["hemostat-archive", "hemostat-archivist", "hemostat-engine", "hemostat-history", "hemostat-simulated"]
                    .map(str::to_owned),
            );
            all
        }
        unknown => panic!("{unknown} is new: say in this test what it may depend on"),
    };
    for (name, depends_on) in dependencies() {
        let ours: BTreeSet<_> =
            depends_on.into_iter().filter(|dependency| dependency.starts_with("hemostat")).collect();
        let allowed = below(&name);
        let above: Vec<_> = ours.difference(&allowed).collect();
        assert!(above.is_empty(), "{name} must not depend on {above:?}");
    }
}

/// Besides its owner, the test bed knows Docker, HTTP and its own fake Slack: it looks at them as the outside does.
#[test]
fn each_foreign_system_is_known_to_few_crates() {
    let all = dependencies();
    for (foreign, expected) in [
        ("fred", set(["hemostat-log"])),
        (
            "bollard",
            set(["hemostat-engine", "hemostat-monitor", "hemostat-responder", "hemostat-patient", "hemostat-tests"]),
        ),
        // The archive only for object_store, which speaks to S3 by it.
        ("reqwest", set(["hemostat-alerter", "hemostat-analyzer", "hemostat-archive", "hemostat-tests"])),
        ("async-openai", set(["hemostat-analyzer"])),
        ("object_store", set(["hemostat-archive"])),
        ("parquet", set(["hemostat-archive"])),
        ("axum", set(["hemostat-query", "hemostat-runtime", "hemostat-patient", "hemostat-tests"])),
        ("utoipa", set(["hemostat-query"])),
        ("hyper", set(["hemostat-simulated"])),
        ("config", set(["hemostat-runtime"])),
    ] {
        let know: BTreeSet<_> =
            all.iter().filter(|(_, depends_on)| depends_on.contains(foreign)).map(|(name, _)| name.clone()).collect();
        assert_eq!(know, expected, "these depend on {foreign}; a new one is a decision: say so in this test");
    }
}

#[test]
fn vocabulary_and_decisions_are_free_of_the_world() {
    let all = dependencies();
    for name in ["hemostat-schema", "hemostat-core"] {
        for worldly in ["tokio", "futures", "async-trait", "fastrand", "tracing", "metrics", "config", "tempfile"] {
            assert!(!all[name].contains(worldly), "{name} must not depend on {worldly}");
        }
    }
}
