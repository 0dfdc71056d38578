//! What cannot work is said in one clear line.

use std::{os::unix::fs::symlink, time::Duration};

use anyhow::ensure;
use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{Bed, PATIENCE, RedisServer, until};

/// Starts `hemostat up`, which must end by itself with an error, and returns what it said.
async fn refused(bed: &mut Bed) -> String {
    let mut hemostat = bed.start("up");
    let status = hemostat.ended().await;
    assert!(!status.success(), "it ended well:\n{}", hemostat.said());
    hemostat.said()
}

#[tokio::test]
async fn a_bad_value_is_refused_with_its_key_and_what_would_be_right() {
    let mut bed = Bed::new("bad-value").await;
    bed.set("responder.cooldown", "soon");
    let said = refused(&mut bed).await;
    for part in ["responder.cooldown", "soon", ".toml", "\"1h\""] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[tokio::test]
async fn a_password_that_redis_refuses_is_said_and_not_told() {
    let redis = RedisServer::with_password(Some("right-horse")).await;
    let mut bed = Bed::new("bad-password").await;
    bed.set("redis.url", redis.url());
    bed.set("redis.password", "wrong-horse");
    let said = refused(&mut bed).await;
    assert!(said.contains("password"), "{said}");
    assert!(!said.contains("horse"), "a password is told: {said}");
}

#[tokio::test]
async fn a_second_hemostat_on_the_same_data_is_refused() {
    let mut bed = Bed::new("second").await;
    let first = bed.up().await;
    let said = refused(&mut bed).await;
    assert!(said.contains("another HemoStat"), "{said}");
    assert!(said.contains(&bed.data_dir().display().to_string()), "{said}");
    assert!(first.stop().await.success());
}

#[tokio::test]
async fn hemostat_waits_for_a_docker_engine_that_is_not_there_yet() {
    let mut bed = Bed::new("no-docker").await;
    let socket = bed.data_dir().with_file_name("docker.sock");
    bed.set("docker.host", format!("unix://{}", socket.display()));
    let patient = bed.patient(PatientSpec::named("a")).await;
    let mut hemostat = bed.start("up");
    until(PATIENCE, "HemoStat says that Docker is missing", async || {
        ensure!(hemostat.said().contains("there is no socket"), "it said:\n{}", hemostat.said());
        Ok(())
    })
    .await;
    let real = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    symlink(real.strip_prefix("unix://").expect("a local engine"), &socket).unwrap();
    hemostat = hemostat.ready().await;
    hemostat.until_well(&patient).await;
    assert!(hemostat.said().matches("docker.sock").count() < 20, "it floods:\n{}", hemostat.said());
    let ended = tokio::time::timeout(Duration::from_secs(30), hemostat.stop()).await.expect("it ends");
    assert!(ended.success());
}
