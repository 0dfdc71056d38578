//! Two processes of one role: one acts, the other stands by.

use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{Bed, Hemostat, PATIENCE, RedisServer, Story, until};

use super::sicken;

/// A HemoStat of single roles on one log, with two responders.
struct Team {
    bed: Bed,
    redis: RedisServer,
    others: Vec<Hemostat>,
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
        Self { bed, redis, others, query, responders }
    }

    /// Parts the responder that may act from the one that stands by.
    async fn parted(&mut self) -> (Hemostat, Hemostat) {
        let redis = &self.redis;
        let owner = until(PATIENCE, "one of the responders may act", async || {
            let owner = redis.cli(&["HGET", "hemostat:{0}:lease:execute", "owner"])?;
            let pid: u32 = owner.trim().split('-').next().unwrap_or_default().parse()?;
            Ok(pid)
        })
        .await;
        let at = self.responders.iter().position(|responder| responder.pid() == owner);
        let acting = self.responders.remove(at.expect("the lease is held by a responder"));
        (acting, self.responders.remove(0))
    }
}

fn is_healed(story: &Story) -> bool {
    story.count("alert.resolved") == 1
}

#[tokio::test]
async fn when_the_acting_responder_is_killed_the_one_standing_by_takes_over() {
    let mut team = Team::new("takeover").await;
    let patient = team.bed.patient(PatientSpec::named("a")).await;
    team.query.until_well(&patient).await;
    let (acting, _standing_by) = team.parted().await;
    acting.kill();
    sicken(&patient).await;
    let story = team.query.until(&patient, "it is healed", is_healed).await;
    assert_eq!(story.only("action.verified").data["outcome"], "recovered", "{story}");
    assert_eq!(team.bed.deeds(&patient).count("restart"), 1);
    assert_eq!(team.others.len(), 4);
}

#[tokio::test]
async fn a_responder_that_was_frozen_and_wakes_up_does_not_act_again() {
    let mut team = Team::new("frozen").await;
    let patient = team.bed.patient(PatientSpec::named("a")).await;
    team.query.until_well(&patient).await;
    let (acting, _standing_by) = team.parted().await;
    sicken(&patient).await;
    team.query.until(&patient, "it is diagnosed", |story| story.count("diagnosis.reached") > 0).await;
    acting.freeze();
    let story = team.query.until(&patient, "it is healed", is_healed).await;
    acting.thaw();
    // Once it answers again it has seen what happened meanwhile.
    let acting = acting.ready().await;
    sicken_and_wait_for_refusal(&team, &patient).await;
    drop(acting);
    assert_eq!(story.count("action.authorised"), 1, "{story}");
    assert_eq!(team.bed.deeds(&patient).count("restart"), 1);
}

/// A new illness within the cooldown is refused: by then everything that was to be done has been done.
async fn sicken_and_wait_for_refusal(team: &Team, patient: &hemostat_patient::stage::Patient) {
    team.query.until_well(patient).await;
    sicken(patient).await;
    team.query.until(patient, "the second illness is refused", |story| story.count("action.refused") > 0).await;
}
