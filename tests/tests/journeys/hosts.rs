//! Several hosts, watched and healed by one HemoStat.

use anyhow::ensure;
use hemostat_patient::stage::{PatientSpec, docker_host};
use hemostat_tests::{Bed, PATIENCE, RedisServer, until};

use super::sicken;

/// `[[hosts]]` with these names and addresses.
fn hosts(hosts: &[(&str, &str)]) -> String {
    let entry = |(name, docker): &(&str, &str)| format!("{{ name = {name:?}, docker = {docker:?} }}");
    format!("[{}]", hosts.iter().map(entry).collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn two_hosts_are_two_also_where_they_are_the_same_engine() {
    let mut bed = Bed::new("two-hosts").await;
    let docker = docker_host();
    bed.set_raw("hosts", hosts(&[("east", &docker), ("west", &docker)]));
    // Each sees the same container: neither is to act on it.
    bed.set("responder.mode", "observe");
    let patient = bed.patient(PatientSpec::named("a")).await;
    let hemostat = bed.up().await;
    let both = async |health: &str| {
        for host in ["east", "west"] {
            let container = hemostat.get(&format!("/containers/{host}%2F{}", patient.name)).await?;
            ensure!(container["host"] == host && container["health"] == health, "{container:#}");
        }
        Ok(())
    };
    until(PATIENCE, "each host has its own container", async || both("healthy").await).await;
    sicken(&patient).await;
    until(PATIENCE, "each host's container is ill", async || both("unhealthy").await).await;
    until(PATIENCE, "each host's container has its own figures", async || {
        let figures = reqwest::get(format!("{}/metrics", hemostat.url())).await?.text().await?;
        for host in ["east", "west"] {
            let label = format!("host=\"{host}\",container=\"{}\"", patient.name);
            ensure!(figures.contains(&label), "{label} is not in:\n{figures}");
        }
        Ok(())
    })
    .await;
    assert_eq!(bed.deeds(&patient).count("restart"), 0, "only observed");
}

#[tokio::test]
async fn a_container_is_healed_by_its_own_hosts_engine_while_another_host_is_out_of_reach() {
    let mut bed = Bed::new("far-host").await;
    bed.set_raw("hosts", hosts(&[("gone", "tcp://127.0.0.1:1"), ("bed", &docker_host())]));
    let patient = bed.patient(PatientSpec::named("a")).await;
    let hemostat = bed.up().await;
    hemostat.until_well(&patient).await;
    sicken(&patient).await;
    hemostat.until_healed(&patient).await;
    assert_eq!(bed.deeds(&patient).count("restart"), 1);
    let events = hemostat.get("/events?host=gone&limit=100").await.unwrap();
    assert!(events.to_string().contains("engine_lost"), "{events:#}");
}

#[tokio::test]
async fn what_is_for_the_host_of_another_responder_is_left_to_it_and_done_when_it_comes() {
    let redis = RedisServer::start().await;
    let mut bed = Bed::new("their-host").await;
    bed.set("redis.url", redis.url());
    let mut others = vec![];
    for role in ["monitor", "analyzer", "alerter", "projector"] {
        others.push(bed.start(role).ready().await);
    }
    let query = bed.start("query").ready().await;
    bed.set_raw("hosts", hosts(&[("elsewhere", "tcp://127.0.0.1:1")]));
    let strange = bed.start("responder").ready().await;
    let patient = bed.patient(PatientSpec::named("a")).await;
    query.until_well(&patient).await;
    sicken(&patient).await;
    until(PATIENCE, "it is known that nobody is there to do it", async || {
        let said = strange.said();
        ensure!(said.contains("there is work on bed, and no process is there that serves it"), "it said:\n{said}");
        Ok(())
    })
    .await;
    let story = query.story(&patient).await.unwrap();
    assert_eq!((story.count("action.authorised"), story.count("action.failed")), (1, 0), "{story}");
    bed.set_raw("hosts", hosts(&[("bed", &docker_host())]));
    let own = bed.start("responder").ready().await;
    let story = query.until_healed(&patient).await;
    assert_eq!((story.count("action.authorised"), story.count("action.succeeded")), (1, 1), "{story}");
    assert_eq!(bed.deeds(&patient).count("restart"), 1);
    assert!(strange.said().contains("handing it over to"), "{}", strange.said());
    assert!(own.said().contains(&format!("restart of {} ", patient.name)), "{}", own.said());
    let parked = query.get("/parked").await.unwrap();
    assert_eq!(parked["parked"].as_array().map(Vec::len), Some(0), "{parked:#}");
}

#[tokio::test]
async fn a_host_that_cannot_be_is_refused_at_start() {
    for (value, says) in [
        (hosts(&[("a", "unix:///a.sock"), ("a", "unix:///b.sock")]), "hosts[1].name = \"a\""),
        (hosts(&[("a", "gopher://b")]), "hosts[0].docker = \"gopher://b\""),
        ("[{ name = \"a\", dokker = \"x\" }]".to_owned(), "there is no key hosts[0].dokker"),
        ("[{ name = \"a\", docker = \"tcp://b\", tls_ca = \"/none\" }]".to_owned(), "hosts[0].tls_ca = \"/none\""),
    ] {
        let mut bed = Bed::new("no-host").await;
        bed.set_raw("hosts", value);
        let mut hemostat = bed.start("up");
        let status = hemostat.ended().await;
        let said = hemostat.said();
        assert!(!status.success() && said.contains(says) && said.contains(".toml"), "{says} is not in: {said}");
    }
}
