//! Processes die at the worst moment: nothing is lost, nothing is done twice.

use std::time::Duration;

use anyhow::ensure;
use bollard::query_parameters::EventsOptions;
use futures::{StreamExt, future::join_all};
use hemostat_patient::stage::{Patient, PatientSpec};
use hemostat_tests::{Bed, Hemostat, RedisServer, until};

use super::sicken;

/// The moment at which HemoStat is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The intent is on the log; Docker may or may not have been asked.
    Authorised,
    /// Docker has ended the old run.
    Died,
    /// Docker has begun the new run; HemoStat may not know it yet.
    Started,
}

/// Waits until the moment has come; begun before the patient is made ill.
async fn wait_for(moment: Moment, bed: &Bed, hemostat: &Hemostat, patient: &Patient, round: usize) {
    let action = match moment {
        Moment::Authorised => {
            let authorised = |story: &hemostat_tests::Story| story.count("action.authorised") == round;
            hemostat.until(patient, "it is authorised", authorised).await;
            return;
        }
        Moment::Died => "die",
        Moment::Started => "start",
    };
    let filters = [("container", patient.id.as_str()), ("event", action)];
    let filters = filters.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into();
    let options = EventsOptions { filters: Some(filters), ..Default::default() };
    let mut events = bed.stage.docker().events(Some(options));
    let next = tokio::time::timeout(Duration::from_secs(60), events.next());
    next.await.expect("Docker acts within a minute").expect("Docker's events go on").expect("Docker's events are read");
}

/// Kills HemoStat at the moment, again and again, and starts it again each time: every authorised restart happens once.
async fn check_kills(name: &str, moment: Moment) {
    const ROUNDS: usize = 7;
    let mut bed = Bed::new(name).await;
    bed.set("responder.cooldown", "0s");
    bed.set_raw("responder.max_retries_per_hour", "100");
    // Slow to stop, so that the restart takes long enough to be killed in.
    let spec = PatientSpec { stop_delay: Duration::from_millis(500), ..PatientSpec::named("a") };
    let patient = bed.patient(spec).await;
    let mut hemostat = bed.up().await;
    for round in 1..=ROUNDS {
        hemostat.until_well(&patient).await;
        let ((), ()) = tokio::join!(wait_for(moment, &bed, &hemostat, &patient, round), sicken(&patient));
        hemostat.kill();
        hemostat = bed.up().await;
        let judged = |story: &hemostat_tests::Story| story.count("alert.resolved") == round;
        let story = hemostat.until(&patient, "the incident ends", judged).await;
        assert_eq!(story.count("action.authorised"), round, "{story}");
        assert_eq!(story.count("action.succeeded"), round, "{story}");
        let deeds = bed.deeds(&patient);
        assert_eq!((deeds.count("restart"), deeds.count("die")), (round, round), "{deeds:?}\n{story}");
    }
}

#[tokio::test]
async fn killed_after_the_intent_hemostat_restarts_once() {
    check_kills("kill-authorised", Moment::Authorised).await;
}

#[tokio::test]
async fn killed_during_the_restart_hemostat_restarts_once() {
    check_kills("kill-died", Moment::Died).await;
}

#[tokio::test]
async fn killed_before_the_outcome_is_on_the_log_hemostat_restarts_once() {
    check_kills("kill-started", Moment::Started).await;
}

#[tokio::test]
async fn when_redis_dies_hemostat_says_so_and_no_event_is_lost_or_doubled() {
    let mut redis = RedisServer::start().await;
    let mut bed = Bed::new("redis-killed").await;
    bed.set("redis.url", redis.url());
    let patients = join_all(["a", "b", "c"].map(|name| bed.patient(PatientSpec::named(name)))).await;
    let hemostat = bed.up().await;
    for patient in &patients {
        hemostat.until_well(patient).await;
    }
    join_all(patients.iter().map(sicken)).await;
    hemostat.until(&patients[0], "the first is diagnosed", |story| story.count("diagnosis.reached") > 0).await;
    redis.kill();
    until(Duration::from_secs(30), "HemoStat says that Redis is gone", async || {
        let ready = reqwest::get(format!("{}/readyz", hemostat.url())).await?;
        ensure!(ready.status().as_u16() == 503, "it calls itself ready: {}", ready.status());
        ensure!(hemostat.said().contains("lost the log"), "it said:\n{}", hemostat.said());
        Ok(())
    })
    .await;
    redis.restart().await;
    until(Duration::from_secs(30), "HemoStat says that the log is back", async || {
        ensure!(hemostat.said().contains("the log is back"), "it said:\n{}", hemostat.said());
        Ok(())
    })
    .await;
    for patient in &patients {
        let story = hemostat.until(patient, "it is told", |story| story.count("alert.delivered") == 2).await;
        for kind in ["observation.symptom_raised", "action.authorised", "action.succeeded", "action.verified"] {
            assert_eq!(story.count(kind), 1, "{kind} in:\n{story}");
        }
        for kind in ["alert.raised", "alert.resolved"] {
            assert_eq!(story.count(kind), 1, "{kind} in:\n{story}");
        }
        assert_eq!(bed.deeds(patient).count("restart"), 1);
    }
}
