//! Two processes of one role: one holds the lease, the other is on standby.

use std::time::{Duration, Instant};

use anyhow::ensure;
use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{Hemostat, RedisServer, STEP_TIMEOUT, TestDeployment, wait_until};

use super::make_unhealthy;

/// From the active responder's death: the lease of two seconds, the detection and diagnosis of an illness that begins
/// meanwhile, and a margin for a busy machine.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(10);

/// After this time two processes have settled their assignment: leases last two seconds, heartbeats a third of that.
const SETTLED_AFTER: Duration = Duration::from_secs(4);

/// A HemoStat of single roles on one log, with two responders.
struct TwoResponders {
    deployment: TestDeployment,
    redis: RedisServer,
    /// The other roles.
    _others: Vec<Hemostat>,
    query: Hemostat,
    responders: Vec<Hemostat>,
}

impl TwoResponders {
    async fn new(name: &str) -> Self {
        let redis = RedisServer::start().await;
        let mut deployment = TestDeployment::new(name).await;
        deployment.set("redis.url", redis.url());
        let mut others = vec![];
        for role in ["monitor", "analyzer", "alerter", "projector"] {
            others.push(deployment.start(role).wait_until_ready().await);
        }
        let query = deployment.start("query").wait_until_ready().await;
        let responders = vec![
            deployment.start("responder").wait_until_ready().await,
            deployment.start("responder").wait_until_ready().await,
        ];
        Self { deployment, redis, _others: others, query, responders }
    }

    /// Returns the responder with the lease and the one on standby, once the assignment is settled.
    async fn active_and_standby(&mut self) -> (Hemostat, Hemostat) {
        let redis = &self.redis;
        let mut held = (String::new(), Instant::now());
        let owner = wait_until(STEP_TIMEOUT, "one of the responders holds the lease and keeps it", async || {
            let owner = redis.cli(&["HGET", "hemostat:{0}:lease:execute", "owner"])?;
            if owner != held.0 {
                held = (owner.clone(), Instant::now());
            }
            ensure!(held.1.elapsed() > SETTLED_AFTER, "{owner} holds it since {:?}", held.1.elapsed());
            Ok(owner.trim().split('-').next().unwrap_or_default().parse::<u32>()?)
        })
        .await;
        let at = self.responders.iter().position(|responder| responder.pid() == owner);
        let active = self.responders.remove(at.expect("the lease is held by a responder"));
        (active, self.responders.remove(0))
    }
}

#[tokio::test]
async fn when_the_active_responder_is_killed_the_standby_takes_over() {
    let mut hemostat = TwoResponders::new("takeover").await;
    let patient = hemostat.deployment.patient(PatientSpec::named("a")).await;
    hemostat.query.wait_until_healthy(&patient).await;
    let (active, _standby) = hemostat.active_and_standby().await;
    active.kill();
    let killed = Instant::now();
    make_unhealthy(&patient).await;
    hemostat.query.wait_until(&patient, "it is restarted", |history| history.count("action.succeeded") == 1).await;
    let took = killed.elapsed();
    assert!(took < TAKEN_OVER_WITHIN, "the standby acted only after {took:?}");
    hemostat.query.wait_until_recovered(&patient).await;
    assert_eq!(hemostat.deployment.docker_actions(&patient).count("restart"), 1);
}

#[tokio::test]
async fn a_responder_that_was_suspended_and_resumes_does_not_act_again() {
    let mut hemostat = TwoResponders::new("frozen").await;
    // Slow to stop: the standby takes over during the restart that the suspended responder requested.
    let spec = PatientSpec { stop_delay: Duration::from_secs(4), ..PatientSpec::named("a") };
    let patient = hemostat.deployment.patient(spec).await;
    hemostat.query.wait_until_healthy(&patient).await;
    let (active, _standby) = hemostat.active_and_standby().await;
    make_unhealthy(&patient).await;
    wait_until(STEP_TIMEOUT, "Docker begins the restart", async || {
        let docker_actions = hemostat.deployment.docker_actions(&patient);
        ensure!(docker_actions.count("kill") == 1, "so far: {docker_actions:?}");
        Ok(())
    })
    .await;
    active.suspend();
    let frozen =
        hemostat.query.wait_until(&patient, "it is restarted", |history| history.count("action.succeeded") == 1).await;
    assert_eq!(
        frozen.only("action.succeeded").data["proof"],
        "found",
        "the suspended responder recorded the outcome itself:\n{frozen}"
    );
    active.resume();
    // Once it is ready again it has read the log and received Docker's response to its own call.
    let awake = active.wait_until_ready().await;
    hemostat.query.wait_until_recovered(&patient).await;
    sicken_and_wait_for_refusal(&hemostat, &patient).await;
    let history = hemostat.query.history(&patient).await.unwrap();
    let counts = ["action.authorised", "action.succeeded", "action.failed"].map(|kind| history.count(kind));
    assert_eq!(counts, [1, 1, 0], "{history}");
    assert_eq!(hemostat.deployment.docker_actions(&patient).count("restart"), 1, "{history}");
    let output = awake.output();
    assert!(
        output.contains("execute/0: another process has taken over"),
        "it does not report that it lost the lease:\n{output}"
    );
}

/// Marker: when the remedy of a new illness is refused because of the cooldown, all earlier events are processed.
async fn sicken_and_wait_for_refusal(hemostat: &TwoResponders, patient: &hemostat_patient::stage::Patient) {
    hemostat.query.wait_until_healthy(patient).await;
    make_unhealthy(patient).await;
    hemostat
        .query
        .wait_until(patient, "the second illness is refused", |history| history.count("action.refused") > 0)
        .await;
}
