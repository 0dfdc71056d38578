//! Two processes of one role: one acts, the other stands by.

use std::time::{Duration, Instant};

use anyhow::ensure;
use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{Bed, Hemostat, PATIENCE, RedisServer, until};

use super::sicken;

/// From the death of the one that acts: the lease of two seconds, what it takes to notice and to judge an illness that
/// begins meanwhile, and a busy machine.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(10);

/// Longer than it takes two processes to have shared their leases of two seconds, by heartbeats of a third of that.
const SHARED_AFTER: Duration = Duration::from_secs(4);

/// A HemoStat of single roles on one log, with two responders.
struct Team {
    bed: Bed,
    redis: RedisServer,
    /// Those that are only to be there.
    _others: Vec<Hemostat>,
    query: Hemostat,
    responders: Vec<Hemostat>,
}

impl Team {
    async fn new(name: &str) -> Self {
        let redis = RedisServer::start().await;
        let mut bed = Bed::new(name).await;
        bed.set("redis.url", redis.url());
        let mut others = vec![];
        for role in ["monitor", "analyzer", "alerter", "projector"] {
            others.push(bed.start(role).ready().await);
        }
        let query = bed.start("query").ready().await;
        let responders = vec![bed.start("responder").ready().await, bed.start("responder").ready().await];
        Self { bed, redis, _others: others, query, responders }
    }

    /// Parts the responder that may act from the one that stands by, once they have shared the work.
    async fn parted(&mut self) -> (Hemostat, Hemostat) {
        let redis = &self.redis;
        let mut held = (String::new(), Instant::now());
        let owner = until(PATIENCE, "one of the responders may act, and goes on to", async || {
            let owner = redis.cli(&["HGET", "hemostat:{0}:lease:execute", "owner"])?;
            if owner != held.0 {
                held = (owner.clone(), Instant::now());
            }
            ensure!(held.1.elapsed() > SHARED_AFTER, "it is {owner}'s since {:?}", held.1.elapsed());
            Ok(owner.trim().split('-').next().unwrap_or_default().parse::<u32>()?)
        })
        .await;
        let at = self.responders.iter().position(|responder| responder.pid() == owner);
        let acting = self.responders.remove(at.expect("the lease is held by a responder"));
        (acting, self.responders.remove(0))
    }
}

#[tokio::test]
async fn when_the_acting_responder_is_killed_the_one_standing_by_takes_over() {
    let mut team = Team::new("takeover").await;
    let patient = team.bed.patient(PatientSpec::named("a")).await;
    team.query.until_well(&patient).await;
    let (acting, _standing_by) = team.parted().await;
    acting.kill();
    let killed = Instant::now();
    sicken(&patient).await;
    team.query.until(&patient, "it is restarted", |story| story.count("action.succeeded") == 1).await;
    let took = killed.elapsed();
    assert!(took < TAKEN_OVER_WITHIN, "the one standing by had acted only after {took:?}");
    team.query.until_healed(&patient).await;
    assert_eq!(team.bed.deeds(&patient).count("restart"), 1);
}

#[tokio::test]
async fn a_responder_that_was_frozen_and_wakes_up_does_not_act_again() {
    let mut team = Team::new("frozen").await;
    // Slow to stop: the other one takes over while the restart that the frozen one has asked for is under way.
    let spec = PatientSpec { stop_delay: Duration::from_secs(4), ..PatientSpec::named("a") };
    let patient = team.bed.patient(spec).await;
    team.query.until_well(&patient).await;
    let (acting, _standing_by) = team.parted().await;
    sicken(&patient).await;
    until(PATIENCE, "Docker is asked to restart it", async || {
        let deeds = team.bed.deeds(&patient);
        ensure!(deeds.count("kill") == 1, "so far: {deeds:?}");
        Ok(())
    })
    .await;
    acting.freeze();
    let frozen = team.query.until(&patient, "it is restarted", |story| story.count("action.succeeded") == 1).await;
    assert_eq!(frozen.only("action.succeeded").data["proof"], "found", "the frozen one has told it itself:\n{frozen}");
    acting.thaw();
    // Once it answers again it has seen what happened meanwhile, and has Docker's answer to its own call.
    let awake = acting.ready().await;
    team.query.until_healed(&patient).await;
    sicken_and_wait_for_refusal(&team, &patient).await;
    let story = team.query.story(&patient).await.unwrap();
    let counts = ["action.authorised", "action.succeeded", "action.failed"].map(|kind| story.count(kind));
    assert_eq!(counts, [1, 1, 0], "{story}");
    assert_eq!(team.bed.deeds(&patient).count("restart"), 1, "{story}");
    let said = awake.said();
    assert!(
        said.contains("execute/0: another process has taken over"),
        "it does not say that it lost the lease:\n{said}"
    );
}

/// A new illness within the cooldown is refused: by then everything that was to be done has been done.
async fn sicken_and_wait_for_refusal(team: &Team, patient: &hemostat_patient::stage::Patient) {
    team.query.until_well(patient).await;
    sicken(patient).await;
    team.query.until(patient, "the second illness is refused", |story| story.count("action.refused") > 0).await;
}
