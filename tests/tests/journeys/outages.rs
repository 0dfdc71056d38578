//! Processes die at the worst moment: no event is lost, no remedy is executed twice.

use std::time::Duration;

use anyhow::ensure;
use bollard::query_parameters::EventsOptions;
use futures::{StreamExt, future::join_all};
use hemostat_patient::stage::{Patient, PatientSpec};
use hemostat_tests::{Hemostat, RedisServer, TestDeployment, wait_until};

use super::make_unhealthy;

/// When HemoStat is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The authorisation is on the log; the call to Docker may or may not have been sent.
    Authorised,
    /// Docker has stopped the container.
    Died,
    /// Docker has started the container; HemoStat may not know it yet.
    Started,
}

/// Waits for the moment; must start before the patient falls ill.
async fn wait_for(moment: Moment, deployment: &TestDeployment, hemostat: &Hemostat, patient: &Patient, round: usize) {
    let action = match moment {
        Moment::Authorised => {
            let authorised = |history: &hemostat_tests::ContainerHistory| history.count("action.authorised") == round;
            hemostat.wait_until(patient, "it is authorised", authorised).await;
            return;
        }
        Moment::Died => "die",
        Moment::Started => "start",
    };
    let filters = [("container", patient.id.as_str()), ("event", action)];
    let filters = filters.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into();
    let options = EventsOptions { filters: Some(filters), ..Default::default() };
    let mut events = deployment.stage.docker().events(Some(options));
    let next = tokio::time::timeout(Duration::from_secs(60), events.next());
    next.await.expect("Docker acts within a minute").expect("Docker's events go on").expect("Docker's events are read");
}

/// Kills and restarts HemoStat at the moment, several times: every authorised restart happens once.
async fn check_kills(name: &str, moment: Moment) {
    const ROUNDS: usize = 7;
    let mut deployment = TestDeployment::new(name).await;
    deployment.set("responder.cooldown", "0s");
    deployment.set_raw("responder.max_attempts", "100");
    // Slow to stop, so that HemoStat can be killed during the restart.
    let spec = PatientSpec { stop_delay: Duration::from_millis(500), ..PatientSpec::named("a") };
    let patient = deployment.patient(spec).await;
    let mut hemostat = deployment.up().await;
    for round in 1..=ROUNDS {
        hemostat.wait_until_healthy(&patient).await;
        let ((), ()) =
            tokio::join!(wait_for(moment, &deployment, &hemostat, &patient, round), make_unhealthy(&patient));
        hemostat.kill();
        hemostat = deployment.up().await;
        let judged = |history: &hemostat_tests::ContainerHistory| history.count("alert.resolved") == round;
        let history = hemostat.wait_until(&patient, "the incident ends", judged).await;
        assert_eq!(history.count("action.authorised"), round, "{history}");
        assert_eq!(history.count("action.succeeded"), round, "{history}");
        let docker_actions = deployment.docker_actions(&patient);
        assert_eq!(
            (docker_actions.count("restart"), docker_actions.count("die")),
            (round, round),
            "{docker_actions:?}\n{history}"
        );
    }
}

#[tokio::test]
async fn killed_after_the_authorisation_hemostat_restarts_once() {
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
async fn when_redis_dies_hemostat_reports_it_and_no_event_is_lost_or_duplicated() {
    let mut redis = RedisServer::start().await;
    let mut deployment = TestDeployment::new("redis-killed").await;
    deployment.set("redis.url", redis.url());
    let patients = join_all(["a", "b", "c"].map(|name| deployment.patient(PatientSpec::named(name)))).await;
    let hemostat = deployment.up().await;
    for patient in &patients {
        hemostat.wait_until_healthy(patient).await;
    }
    join_all(patients.iter().map(make_unhealthy)).await;
    hemostat.wait_until(&patients[0], "the first is diagnosed", |history| history.count("diagnosis.reached") > 0).await;
    redis.kill();
    wait_until(Duration::from_secs(30), "HemoStat reports that Redis is gone", async || {
        let ready = reqwest::get(format!("{}/readyz", hemostat.url())).await?;
        ensure!(ready.status().as_u16() == 503, "it reports ready: {}", ready.status());
        ensure!(hemostat.output().contains("lost the log"), "output:\n{}", hemostat.output());
        Ok(())
    })
    .await;
    redis.restart().await;
    wait_until(Duration::from_secs(30), "HemoStat reports that the log is back", async || {
        ensure!(hemostat.output().contains("the log is back"), "output:\n{}", hemostat.output());
        Ok(())
    })
    .await;
    for patient in &patients {
        let history = hemostat
            .wait_until(patient, "both messages are delivered", |history| history.count("alert.delivered") == 2)
            .await;
        for kind in ["observation.symptom_raised", "action.authorised", "action.succeeded", "action.verified"] {
            assert_eq!(history.count(kind), 1, "{kind} in:\n{history}");
        }
        for kind in ["alert.raised", "alert.resolved"] {
            assert_eq!(history.count(kind), 1, "{kind} in:\n{history}");
        }
        assert_eq!(deployment.docker_actions(patient).count("restart"), 1);
    }
}
