//! An event of an old version is upcast and shown, from the log to the API and the terminal.

use std::{fs, path::Path};

use anyhow::ensure;
use hemostat_tests::{RedisServer, STEP_TIMEOUT, TestDeployment, wait_until};
use serde_json::{Value, json};

/// Appends the bytes of a recorded sample, as the first event of its family.
fn put(redis: &RedisServer, kind: &str, id: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../schema/samples/{kind}.json"));
    let sample: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let text = |field: &str| sample[field].as_str().unwrap();
    // The bytes contain zeros, which a command-line argument cannot.
    let script = "local bytes = string.gsub(ARGV[5], '..', function(digits) return string.char(tonumber(digits, 16)) end) \
                  redis.call('XADD', KEYS[1], ARGV[1], 'k', ARGV[2], 's', ARGV[3], 'c', ARGV[4], 'e', bytes) \
                  return redis.call('SET', KEYS[2], ARGV[1])";
    let output = redis
        .cli(&[
            "EVAL",
            script,
            "2",
            "hemostat:{0}:actions",
            "hemostat:{0}:clock",
            id,
            text("k"),
            text("s"),
            text("c"),
            text("msgpack"),
        ])
        .unwrap();
    assert_eq!(output.trim(), "OK");
}

#[tokio::test]
async fn an_authorisation_of_version_1_is_shown_by_the_api_and_by_tail_as_the_present_version() {
    let redis = RedisServer::start().await;
    let mut deployment = TestDeployment::new("old-events").await;
    deployment.set("redis.url", redis.url());
    let mut migrate = deployment.start("migrate");
    assert!(migrate.wait_for_exit().await.success(), "output:\n{}", migrate.output());
    put(&redis, "action.authorised.1", "1767225600000-8");

    let query = deployment.start("query").wait_until_ready().await;
    let page = query.get("/events?kind=action.authorised").await.unwrap();
    let event = &page["events"][0];
    assert_eq!((&event["id"], &event["version"]), (&json!("0.1767225600000-8"), &json!(3)), "{page:#}");
    assert_eq!(event["data"]["limits"], json!({ "attempt": 1, "of": 3, "leeway": null }), "{page:#}");
    assert_eq!(event["line"], "exec of api-1 authorised, attempt 1 of 3");

    let tail = deployment.start("tail");
    wait_until(STEP_TIMEOUT, "tail shows the event", async || {
        ensure!(tail.output().contains("exec of api-1 authorised, attempt 1 of 3"), "output:\n{}", tail.output());
        Ok(())
    })
    .await;
    tail.kill();

    let projector = deployment.start("projector").wait_until_ready().await;
    wait_until(STEP_TIMEOUT, "the views hold the event", async || {
        let script =
            "return string.find(redis.call('HGET', KEYS[1], 'docker-1/api-1') or '', ARGV[1], 1, true) and 1 or 0";
        let line = "exec of api-1 authorised, attempt 1 of 3";
        let found = redis.cli(&["EVAL", script, "1", "hemostat:{0}:view:timeline.1", line])?;
        ensure!(found.trim() == "1", "output:\n{}", projector.output());
        Ok(())
    })
    .await;
}
