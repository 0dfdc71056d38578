//! An invalid setup is reported in one clear line.

use std::{os::unix::fs::symlink, time::Duration};

use anyhow::ensure;
use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{RedisServer, STEP_TIMEOUT, TestDeployment, wait_until};

/// Starts `hemostat up`, which must exit with an error, and returns its output.
async fn refused(deployment: &mut TestDeployment) -> String {
    let mut hemostat = deployment.start("up");
    let status = hemostat.wait_for_exit().await;
    assert!(!status.success(), "it exited with success:\n{}", hemostat.output());
    hemostat.output()
}

#[tokio::test]
async fn an_invalid_value_is_refused_with_its_key_and_a_valid_example() {
    let mut deployment = TestDeployment::new("bad-value").await;
    deployment.set("responder.cooldown", "soon");
    let output = refused(&mut deployment).await;
    for part in ["responder.cooldown", "soon", ".toml", "\"1h30m\""] {
        assert!(output.contains(part), "{part} is not in: {output}");
    }
}

#[tokio::test]
async fn a_refused_password_is_reported_but_not_printed() {
    let redis = RedisServer::with_password(Some("right-horse")).await;
    let mut deployment = TestDeployment::new("bad-password").await;
    deployment.set("redis.url", redis.url());
    deployment.set("redis.password", "wrong-horse");
    let output = refused(&mut deployment).await;
    assert!(output.contains("password"), "{output}");
    assert!(!output.contains("horse"), "a password is printed: {output}");
}

#[tokio::test]
async fn a_second_hemostat_on_the_same_data_is_refused() {
    let mut deployment = TestDeployment::new("second").await;
    let first = deployment.up().await;
    let output = refused(&mut deployment).await;
    assert!(output.contains("another HemoStat"), "{output}");
    assert!(output.contains(&deployment.data_dir().display().to_string()), "{output}");
    assert!(first.stop().await.success());
}

#[tokio::test]
async fn hemostat_waits_for_a_docker_engine_that_starts_later() {
    let mut deployment = TestDeployment::new("no-docker").await;
    let socket = deployment.data_dir().with_file_name("docker.sock");
    deployment.set("docker.host", format!("unix://{}", socket.display()));
    let patient = deployment.patient(PatientSpec::named("a")).await;
    let mut hemostat = deployment.start("up");
    wait_until(STEP_TIMEOUT, "HemoStat reports that Docker is missing", async || {
        ensure!(hemostat.output().contains("there is no socket"), "output:\n{}", hemostat.output());
        Ok(())
    })
    .await;
    let real = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    symlink(real.strip_prefix("unix://").expect("a local engine"), &socket).unwrap();
    hemostat = hemostat.wait_until_ready().await;
    hemostat.wait_until_healthy(&patient).await;
    assert!(hemostat.output().matches("docker.sock").count() < 20, "it floods the log:\n{}", hemostat.output());
    let wait_for_exit = tokio::time::timeout(Duration::from_secs(30), hemostat.stop()).await.expect("it exits");
    assert!(wait_for_exit.success());
}
