//! A whole log of the version before the newest migration is opened, migrated, and means what it meant.

use std::path::Path;

use hemostat_tests::{RedisServer, TestDeployment};

#[tokio::test]
async fn a_log_of_the_version_before_is_migrated_and_verified_as_equal_and_sound() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/log-0002.rdb");
    let redis = RedisServer::with_dump(&fixture).await;
    let mut deployment = TestDeployment::new("old-log").await;
    deployment.set("redis.url", redis.url());
    deployment.set("redis.durability", "everysec");
    let mut run = async |command: &str| {
        let mut process = deployment.start(command);
        let status = process.wait_for_exit().await;
        (status.success(), process.output())
    };
    let (succeeded, output) = run("migrate").await;
    assert!(succeeded && output.contains("0003_samples"), "output:\n{output}");
    for (command, says) in [("verify", "180 events, 180 of them in hash chains"), ("fsck", "sound")] {
        let (succeeded, output) = run(command).await;
        assert!(succeeded && output.contains(says), "{command}:\n{output}");
    }
}
