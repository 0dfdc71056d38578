//! A master dies between two illnesses, and its replica takes over. Nothing is done while no other server would keep the
//! intent; when there is one again, it is.

use anyhow::ensure;
use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{Bed, Cluster, PATIENCE, Sentinels, Story, until};

use super::sicken;

/// A key of the only partition.
const KEY: &str = "hemostat:{0}:clock";

/// Servers of which one can die.
trait Servers {
    /// Kills the master of the log, and waits until its replica has taken over. Gives which one was killed.
    async fn fail_over(&mut self) -> usize;
    /// Starts it again, as a replica.
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

fn is_told(story: &Story) -> bool {
    story.count("alert.resolved") == 1 && story.count("alert.delivered") >= 2
}

async fn check(mut bed: Bed, mut servers: impl Servers) {
    bed.set("redis.durability", "replicas:1");
    bed.set("redis.durable_within", "500ms");
    let before = bed.patient(PatientSpec::named("before")).await;
    let after = bed.patient(PatientSpec::named("after")).await;
    let hemostat = bed.up().await;
    hemostat.until_well(&before).await;
    hemostat.until_well(&after).await;
    sicken(&before).await;
    let healed = hemostat.until(&before, "it is healed before the failover", is_told).await;

    let killed = servers.fail_over().await;
    until(PATIENCE, "HemoStat goes on with the new master by itself", async || {
        let ready = reqwest::get(format!("{}/readyz", hemostat.url())).await?;
        ensure!(ready.status().is_success(), "{}", ready.text().await?);
        Ok(())
    })
    .await;
    let kept = hemostat.story(&before).await.unwrap();
    for event in &healed.0 {
        assert!(kept.0.iter().any(|now| now.id == event.id), "{} {} is lost:\n{kept}", event.id, event.kind);
    }

    // The new master has no replica: what it alone would know might be lost with it.
    sicken(&after).await;
    let is_withheld = |story: &Story| story.all("action.refused").iter().any(|refused| reason(refused) == "undurable");
    hemostat.until(&after, "the restart is withheld", is_withheld).await;
    assert_eq!(bed.deeds(&after).count("restart"), 0, "{}", hemostat.story(&after).await.unwrap());

    servers.restart(killed).await;
    let story = hemostat.until(&after, "it is healed after the failover", is_told).await;
    assert_eq!(story.count("action.succeeded"), 1, "{story}");
    assert_eq!(story.only("action.verified").data["outcome"], "recovered", "{story}");
    assert_eq!((bed.deeds(&before).count("restart"), bed.deeds(&after).count("restart")), (1, 1), "{story}");
}

fn reason(refused: &hemostat_tests::Event) -> &str {
    refused.data["refusal"]["reason"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn in_a_cluster_a_container_is_healed_before_and_after_a_failover() {
    let cluster = Cluster::start().await;
    let mut bed = Bed::new("cluster").await;
    bed.set("redis.url", cluster.url());
    check(bed, cluster).await;
}

#[tokio::test]
async fn behind_sentinels_a_container_is_healed_before_and_after_a_failover() {
    let sentinels = Sentinels::start().await;
    let mut bed = Bed::new("sentinel").await;
    bed.set("redis.url", sentinels.url());
    bed.set("redis.password", sentinels.password());
    bed.set("redis.sentinel_password", sentinels.sentinel_password());
    check(bed, sentinels).await;
}
