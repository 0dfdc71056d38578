//! The symptoms of a patient, and the remedies of HemoStat.

use std::collections::BTreeSet;

use anyhow::ensure;
use futures::future::join_all;
use hemostat_patient::{
    Illness,
    illness::{Crash, Memory},
    stage::PatientSpec,
};
use hemostat_tests::{ContainerHistory, STEP_TIMEOUT, TestDeployment, wait_until};

use super::make_unhealthy;

/// The alert is resolved, and both of its messages are delivered: the end of a curable patient's incident.
fn is_resolved(history: &ContainerHistory) -> bool {
    history.count("alert.resolved") == 1 && history.count("alert.delivered") == 2
}

/// The log holds exactly one remedy, and each event is caused by the previous one.
fn check_one_healing(history: &ContainerHistory, symptom: &str, remedy: &str) {
    assert_eq!(history.only("observation.symptom_raised").data["symptom"], symptom, "{history}");
    assert_eq!(history.only("action.authorised").data["remedy"], remedy, "{history}");
    assert_eq!(history.only("action.verified").data["outcome"], "recovered", "{history}");
    assert_eq!(history.only("alert.resolved").data["how"], "healed", "{history}");
    let chain = [
        "observation.symptom_raised",
        "observation.examined",
        "diagnosis.reached",
        "action.authorised",
        "action.succeeded",
    ];
    for pair in chain.windows(2) {
        let (cause, effect) = (history.only(pair[0]), history.only(pair[1]));
        assert_eq!(effect.cause.as_ref(), Some(&cause.id), "{} is not caused by {}:\n{history}", pair[1], pair[0]);
    }
    let incidents: BTreeSet<_> = history.0.iter().filter_map(|event| event.incident.as_ref()).collect();
    assert_eq!(incidents.len(), 1, "it is one incident:\n{history}");
}

#[tokio::test]
async fn an_unhealthy_container_is_restarted_recovers_and_the_operator_is_notified() {
    let mut deployment = TestDeployment::new("unhealthy").await;
    let patient = deployment.patient(PatientSpec::named("a")).await;
    let hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&patient).await;
    make_unhealthy(&patient).await;
    let history = hemostat.wait_until(&patient, "it is healed and the alert is resolved", is_resolved).await;
    check_one_healing(&history, "unhealthy", "restart");
    assert_eq!(deployment.docker_actions(&patient).count("restart"), 1);

    let incident = history.only("action.verified").incident.clone().unwrap();
    let shown = hemostat.get(&format!("/incidents/{incident}")).await.unwrap();
    assert_eq!(shown["state"], "recovered", "{shown}");
    assert_eq!(deployment.slack.messages().len(), 2, "{:?}", deployment.slack.titles());

    wait_until(STEP_TIMEOUT, "no delivery is pending at rest", async || {
        for stream in ["observations", "diagnoses", "actions", "alerts"] {
            let groups = deployment.redis_cli(&["--json", "XINFO", "GROUPS", &format!("hemostat:{{0}}:{stream}")])?;
            let groups: serde_json::Value = serde_json::from_str(&groups)?;
            let pending = |group: &serde_json::Value| group["pending"] != 0;
            ensure!(!groups.as_array().is_some_and(|groups| groups.iter().any(pending)), "{stream}: {groups}");
        }
        Ok(())
    })
    .await;
    assert!(hemostat.stop().await.success(), "it did not exit with success:\n{}", deployment.output());
}

#[tokio::test]
async fn a_crashed_container_that_docker_does_not_restart_is_started() {
    let mut deployment = TestDeployment::new("crashed").await;
    let patient = deployment.patient(PatientSpec::named("a")).await;
    let hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&patient).await;
    patient.fall_ill(Illness::Crash(Crash { code: 1 })).await.unwrap();
    let history = hemostat.wait_until(&patient, "it is healed and the alert is resolved", is_resolved).await;
    check_one_healing(&history, "exited", "start");
    let docker_actions = deployment.docker_actions(&patient);
    assert_eq!((docker_actions.count("start"), docker_actions.count("restart")), (2, 0), "{docker_actions:?}");
}

#[tokio::test]
async fn a_container_with_high_memory_is_restarted() {
    let mut deployment = TestDeployment::new("memory").await;
    // Without a health check: one that fails during the restart would be a symptom of its own.
    let spec = PatientSpec { memory: Some(96 << 20), health_interval: None, ..PatientSpec::named("a") };
    let patient = deployment.patient(spec).await;
    let hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&patient).await;
    patient.fall_ill(Illness::Memory(Memory { duration: 300, size_mb: 84 })).await.unwrap();
    let history = hemostat.wait_until(&patient, "it is healed and the alert is resolved", is_resolved).await;
    check_one_healing(&history, "memory_high", "restart");
}

#[tokio::test]
async fn hemostat_gives_up_a_stubborn_container_after_three_attempts_with_backoff() {
    let mut deployment = TestDeployment::new("stubborn").await;
    let spec = PatientSpec { stubborn: Some(("unhealthy", std::time::Duration::ZERO)), ..PatientSpec::named("a") };
    let patient = deployment.patient(spec).await;
    let hemostat = deployment.up().await;
    let given_up =
        |history: &ContainerHistory| history.count("action.gave_up") == 1 && history.count("alert.escalated") == 1;
    let history = hemostat.wait_until(&patient, "HemoStat gives it up", given_up).await;
    let attempts = history.all("action.authorised");
    assert_eq!(attempts.len(), 3, "{history}");
    let gaps: Vec<_> = attempts.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at)).collect();
    assert!(gaps[0] < gaps[1], "{gaps:?} do not grow:\n{history}");

    // An operator restarts it and it falls ill again: HemoStat has given up, and alerts only once.
    let docker = deployment.stage.docker();
    docker.restart_container(&patient.id, None).await.unwrap();
    let starts = history.count("observation.started");
    let unhealthy_again = |history: &ContainerHistory| {
        let started = history.0.iter().filter(|event| event.kind == "observation.started").nth(starts);
        let sick = |event: &&hemostat_tests::Event| {
            event.kind == "observation.health_changed" && event.data["to"] == "unhealthy"
        };
        started.is_some_and(|started| history.0.iter().filter(sick).any(|event| event.at > started.at))
    };
    let history = hemostat.wait_until(&patient, "it is unhealthy again", unhealthy_again).await;
    assert_eq!(history.count("action.authorised"), 3, "{history}");
    assert_eq!(history.count("alert.raised"), 1, "{history}");
    assert_eq!(deployment.docker_actions(&patient).count("restart"), 4, "three by HemoStat and one by hand");
    let shown = hemostat.container(&patient).await.unwrap();
    assert_eq!(shown["breaker"]["position"], "tripped", "{shown}");
}

#[tokio::test]
async fn a_container_that_an_operator_stopped_is_left_alone_and_the_api_shows_why() {
    let mut deployment = TestDeployment::new("stopped").await;
    let patient = deployment.patient(PatientSpec::named("a")).await;
    let hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&patient).await;
    patient.stop().await.unwrap();
    let shown = wait_until(STEP_TIMEOUT, "it is left alone", async || {
        let shown = hemostat.container(&patient).await?;
        ensure!(shown["attention"]["reason"] == "left_alone", "{}", shown["attention"]);
        Ok(shown)
    })
    .await;
    assert!(shown["attention"]["sentence"].as_str().unwrap().contains("operator"), "{shown}");
    // Marker: when HemoStat has healed another container, it would also have acted on the stopped one.
    let other = deployment.patient(PatientSpec::named("b")).await;
    hemostat.wait_until_healthy(&other).await;
    make_unhealthy(&other).await;
    hemostat.wait_until(&other, "the other one is healed", is_resolved).await;
    let history = hemostat.history(&patient).await.unwrap();
    assert_eq!((history.count("action.authorised"), history.count("alert.raised")), (0, 0), "{history}");
    assert_eq!(deployment.docker_actions(&patient).count("start"), 1);
}

#[tokio::test]
async fn three_containers_that_fail_at_once_raise_three_alerts() {
    let mut deployment = TestDeployment::new("three").await;
    let patients = join_all(["a", "b", "c"].map(|name| deployment.patient(PatientSpec::named(name)))).await;
    let hemostat = deployment.up().await;
    for patient in &patients {
        hemostat.wait_until_healthy(patient).await;
    }
    join_all(patients.iter().map(make_unhealthy)).await;
    for patient in &patients {
        let history = hemostat.wait_until(patient, "it is healed and the alert is resolved", is_resolved).await;
        check_one_healing(&history, "unhealthy", "restart");
    }
    let titles = deployment.slack.titles();
    for patient in &patients {
        assert_eq!(titles.iter().filter(|title| title.contains(&patient.name)).count(), 2, "{titles:?}");
    }
}
