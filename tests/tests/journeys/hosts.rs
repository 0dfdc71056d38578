//! Several hosts, monitored and healed by one HemoStat.

use anyhow::ensure;
use hemostat_patient::stage::{PatientSpec, docker_host};
use hemostat_tests::{RedisServer, STEP_TIMEOUT, TestDeployment, wait_until};

use super::make_unhealthy;

/// The setting `hosts` with these names and addresses.
fn hosts(hosts: &[(&str, &str)]) -> String {
    let entry = |(name, docker): &(&str, &str)| format!("{{ name = {name:?}, docker = {docker:?} }}");
    format!("[{}]", hosts.iter().map(entry).collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn two_hosts_with_the_same_engine_are_separate() {
    let mut deployment = TestDeployment::new("two-hosts").await;
    let docker = docker_host();
    deployment.set_raw("hosts", hosts(&[("east", &docker), ("west", &docker)]));
    // Both hosts show the same container: only observe.
    deployment.set("responder.mode", "observe");
    let patient = deployment.patient(PatientSpec::named("a")).await;
    let hemostat = deployment.up().await;
    let both = async |health: &str| {
        for host in ["east", "west"] {
            let container = hemostat.get(&format!("/containers/{host}%2F{}", patient.name)).await?;
            ensure!(container["host"] == host && container["health"] == health, "{container:#}");
        }
        Ok(())
    };
    wait_until(STEP_TIMEOUT, "each host has its own container", async || both("healthy").await).await;
    make_unhealthy(&patient).await;
    wait_until(STEP_TIMEOUT, "each host's container is unhealthy", async || both("unhealthy").await).await;
    wait_until(STEP_TIMEOUT, "each host's container has its own figures", async || {
        let figures = reqwest::get(format!("{}/metrics", hemostat.url())).await?.text().await?;
        for host in ["east", "west"] {
            let label = format!("host=\"{host}\",container=\"{}\"", patient.name);
            ensure!(figures.contains(&label), "{label} is not in:\n{figures}");
        }
        Ok(())
    })
    .await;
    assert_eq!(deployment.docker_actions(&patient).count("restart"), 0, "only observed");
}

#[tokio::test]
async fn a_container_is_healed_while_another_host_is_unreachable() {
    let mut deployment = TestDeployment::new("far-host").await;
    deployment.set_raw("hosts", hosts(&[("gone", "tcp://127.0.0.1:1"), ("bed", &docker_host())]));
    let patient = deployment.patient(PatientSpec::named("a")).await;
    let hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&patient).await;
    make_unhealthy(&patient).await;
    hemostat.wait_until_recovered(&patient).await;
    assert_eq!(deployment.docker_actions(&patient).count("restart"), 1);
    let events = hemostat.get("/events?host=gone&limit=100").await.unwrap();
    assert!(events.to_string().contains("engine_lost"), "{events:#}");
}

#[tokio::test]
async fn a_remedy_waits_for_the_responder_that_serves_its_host() {
    let redis = RedisServer::start().await;
    let mut deployment = TestDeployment::new("their-host").await;
    deployment.set("redis.url", redis.url());
    let mut others = vec![];
    for role in ["monitor", "analyzer", "alerter", "projector"] {
        others.push(deployment.start(role).wait_until_ready().await);
    }
    let query = deployment.start("query").wait_until_ready().await;
    deployment.set_raw("hosts", hosts(&[("elsewhere", "tcp://127.0.0.1:1")]));
    let other_host = deployment.start("responder").wait_until_ready().await;
    let patient = deployment.patient(PatientSpec::named("a")).await;
    query.wait_until_healthy(&patient).await;
    make_unhealthy(&patient).await;
    wait_until(STEP_TIMEOUT, "the other responder reports that no process serves the host", async || {
        let output = other_host.output();
        ensure!(output.contains("there is work on bed, which no running process serves"), "it said:\n{output}");
        Ok(())
    })
    .await;
    let history = query.history(&patient).await.unwrap();
    assert_eq!((history.count("action.authorised"), history.count("action.failed")), (1, 0), "{history}");
    deployment.set_raw("hosts", hosts(&[("bed", &docker_host())]));
    let own = deployment.start("responder").wait_until_ready().await;
    let history = query.wait_until_recovered(&patient).await;
    assert_eq!((history.count("action.authorised"), history.count("action.succeeded")), (1, 1), "{history}");
    assert_eq!(deployment.docker_actions(&patient).count("restart"), 1);
    assert!(other_host.output().contains("handing over to"), "{}", other_host.output());
    assert!(own.output().contains(&format!("restart of {} ", patient.name)), "{}", own.output());
    let parked = query.get("/parked").await.unwrap();
    assert_eq!(parked["parked"].as_array().map(Vec::len), Some(0), "{parked:#}");
}

#[tokio::test]
async fn an_invalid_host_is_refused_at_start() {
    for (value, says) in [
        (hosts(&[("a", "unix:///a.sock"), ("a", "unix:///b.sock")]), "hosts[1].name = \"a\""),
        (hosts(&[("a", "gopher://b")]), "hosts[0].docker = \"gopher://b\""),
        ("[{ name = \"a\", dokker = \"x\" }]".to_owned(), "there is no key hosts[0].dokker"),
        ("[{ name = \"a\", docker = \"tcp://b\", tls_ca = \"/none\" }]".to_owned(), "hosts[0].tls_ca = \"/none\""),
    ] {
        let mut deployment = TestDeployment::new("no-host").await;
        deployment.set_raw("hosts", value);
        let mut hemostat = deployment.start("up");
        let status = hemostat.wait_for_exit().await;
        let output = hemostat.output();
        assert!(!status.success() && output.contains(says) && output.contains(".toml"), "{says} is not in: {output}");
    }
}
