//! A master dies between two illnesses, and its replica takes over. No remedy is executed while no replica holds its
//! authorisation; once there is a replica again, it is.

use anyhow::ensure;
use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{Cluster, ContainerHistory, STEP_TIMEOUT, Sentinels, TestDeployment, wait_until};

use super::make_unhealthy;

/// A key of the only partition.
const KEY: &str = "hemostat:{0}:clock";

/// Redis servers with failover.
trait Servers {
    /// Kills the master of the log, waits for the failover, and returns the killed server.
    async fn fail_over(&mut self) -> usize;
    /// Starts it as a replica.
    async fn restart(&mut self, server: usize);
}

impl Servers for Cluster {
    async fn fail_over(&mut self) -> usize {
        self.kill_holder(KEY).await
    }

    async fn restart(&mut self, server: usize) {
        self.restart(server).await;
    }
}

impl Servers for Sentinels {
    async fn fail_over(&mut self) -> usize {
        self.kill_master().await
    }

    async fn restart(&mut self, server: usize) {
        self.restart(server).await;
    }
}

fn is_resolved(history: &ContainerHistory) -> bool {
    history.count("alert.resolved") == 1 && history.count("alert.delivered") >= 2
}

async fn check(mut deployment: TestDeployment, mut servers: impl Servers) {
    deployment.set("redis.durability", "replicas:1");
    deployment.set("redis.durable_within", "500ms");
    let before = deployment.patient(PatientSpec::named("before")).await;
    let after = deployment.patient(PatientSpec::named("after")).await;
    let hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&before).await;
    hemostat.wait_until_healthy(&after).await;
    make_unhealthy(&before).await;
    let healed = hemostat.wait_until(&before, "it is healed before the failover", is_resolved).await;

    let killed = servers.fail_over().await;
    wait_until(STEP_TIMEOUT, "HemoStat continues with the new master", async || {
        let ready = reqwest::get(format!("{}/readyz", hemostat.url())).await?;
        ensure!(ready.status().is_success(), "{}", ready.text().await?);
        Ok(())
    })
    .await;
    let kept = hemostat.history(&before).await.unwrap();
    for event in &healed.0 {
        assert!(kept.0.iter().any(|now| now.id == event.id), "{} {} is lost:\n{kept}", event.id, event.kind);
    }

    // The new master has no replica: a second failover would lose the authorisation.
    make_unhealthy(&after).await;
    let is_withheld =
        |history: &ContainerHistory| history.all("action.refused").iter().any(|refused| reason(refused) == "undurable");
    hemostat.wait_until(&after, "the restart is withheld", is_withheld).await;
    assert_eq!(deployment.docker_actions(&after).count("restart"), 0, "{}", hemostat.history(&after).await.unwrap());

    servers.restart(killed).await;
    let history = hemostat.wait_until(&after, "it is healed after the failover", is_resolved).await;
    assert_eq!(history.count("action.succeeded"), 1, "{history}");
    assert_eq!(history.only("action.verified").data["outcome"], "recovered", "{history}");
    assert_eq!(
        (deployment.docker_actions(&before).count("restart"), deployment.docker_actions(&after).count("restart")),
        (1, 1),
        "{history}"
    );
}

fn reason(refused: &hemostat_tests::Event) -> &str {
    refused.data["refusal"]["reason"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn in_a_cluster_a_container_is_healed_before_and_after_a_failover() {
    let cluster = Cluster::start().await;
    let mut deployment = TestDeployment::new("cluster").await;
    deployment.set("redis.url", cluster.url());
    check(deployment, cluster).await;
}

#[tokio::test]
async fn behind_sentinels_a_container_is_healed_before_and_after_a_failover() {
    let sentinels = Sentinels::start().await;
    let mut deployment = TestDeployment::new("sentinel").await;
    deployment.set("redis.url", sentinels.url());
    deployment.set("redis.password", sentinels.password());
    deployment.set("redis.sentinel_password", sentinels.sentinel_password());
    check(deployment, sentinels).await;
}
