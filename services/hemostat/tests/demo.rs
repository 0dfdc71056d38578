//! `hemostat demo --simulated` as a user starts it, on a machine without Docker: the whole story is told, and ends well.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

/// Longer than the demo itself waits before it gives up.
const LIMIT: Duration = Duration::from_secs(150);

#[tokio::test]
async fn the_simulated_demo_tells_the_whole_story_without_docker() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_hemostat"))
        .args(["demo", "--simulated"])
        .env_clear()
        // Where redis-server is found.
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("DOCKER_HOST", "unix:///nonexistent")
        .env("NO_COLOR", "1")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let output = timeout(LIMIT, demo.wait_with_output()).await.expect("the demo ends by itself").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{said}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    let (_, table) = said.rsplit_once('─').expect("there is a table");
    let rows: Vec<&str> = table.lines().map(str::trim_end).filter(|row| !row.is_empty()).collect();
    for (patient, parts) in [
        ("unhealthy", &["restart", "recovered", "1 (2 of 2 messages delivered)"][..]),
        ("crashed", &["crashed", "start", "recovered", "1 (2 of 2 messages delivered)"]),
        ("memory", &["memory high", "restart", "recovered", "1 (2 of 2 messages delivered)"]),
        ("stubborn", &["restart ×3", "given up", "1 (2 of 2 messages delivered)"]),
        ("stopped", &["left alone", "0 (0 of 0 messages delivered)"]),
    ] {
        let row = rows.iter().find(|row| row.split_whitespace().next() == Some(patient));
        let row = row.unwrap_or_else(|| panic!("{patient} is not in the table:\n{said}"));
        for part in parts {
            assert!(row.contains(part), "{patient}: no {part:?} in {row:?}\n{said}");
        }
    }
}
