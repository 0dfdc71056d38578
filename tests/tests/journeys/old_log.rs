//! A whole log of the version before the newest migration is opened, migrated, and means what it meant.

use std::path::Path;

use hemostat_tests::{RedisServer, STEP_TIMEOUT, TestDeployment};
use tokio::time::Instant;

#[tokio::test]
async fn a_log_of_the_version_before_is_migrated_and_verified_as_equal_and_sound() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/log-0002.rdb");
    let redis = RedisServer::with_dump(&fixture).await;
    let mut deployment = TestDeployment::new("old-log").await;
    deployment.set("redis.url", redis.url());
    deployment.set("redis.durability", "everysec");
    let migrated = run(&mut deployment, "migrate").await;
    assert!(migrated.is_ok_and(|output| output.contains("0003_samples")));
    // The projector has not built the views of this version, so they cannot be checked; all other rows are equal.
    let before = run(&mut deployment, "verify").await.expect_err("three views are new");
    assert!(before.contains("\nequal: ") && before.contains("180 events, 180 of them in hash chains"), "{before}");
    let sound = run(&mut deployment, "fsck").await;
    assert!(sound.as_ref().is_ok_and(|output| output.contains("sound")), "{sound:?}");

    let projector = deployment.start("projector");
    let deadline = Instant::now() + 2 * STEP_TIMEOUT;
    let verified = loop {
        let verified = run(&mut deployment, "verify").await;
        if verified.is_ok() || Instant::now() > deadline {
            break verified;
        }
    };
    assert!(
        verified.as_ref().is_ok_and(|output| output.contains("180 events, 180 of them in hash chains")),
        "{verified:?}"
    );
    projector.stop().await;
}

/// The output of a tool; an error if it failed.
async fn run(deployment: &mut TestDeployment, command: &str) -> Result<String, String> {
    let mut process = deployment.start(command);
    match process.wait_for_exit().await.success() {
        true => Ok(process.output()),
        false => Err(process.output()),
    }
}
