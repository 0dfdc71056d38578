//! Patients in a real engine: they fall ill, a restart cures them or not, and the stage removes them.

#![cfg(feature = "stage")]
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    models::{ContainerInspectResponse, HealthStatusEnum},
    query_parameters::{ListContainersOptions, RestartContainerOptions},
};
use hemostat_patient::{
    Illness,
    illness::{Crash, Unhealthy},
    stage::{Patient, PatientSpec, RUN_LABEL, Stage},
};

async fn stage(name: &str) -> Stage {
    let run = format!("{name}-{}", std::process::id());
    Stage::new(run.clone(), run).await.unwrap()
}

async fn wait_until(what: &str, patient: &Patient, check: impl Fn(&ContainerInspectResponse) -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let inspected = patient.inspect().await.unwrap();
        if check(&inspected) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within 60 s: {what}; {:?}", inspected.state);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn health(inspected: &ContainerInspectResponse) -> Option<HealthStatusEnum> {
    inspected.state.as_ref()?.health.as_ref()?.status
}

async fn restart(docker: &Docker, patient: &Patient) {
    docker.restart_container(&patient.id, None::<RestartContainerOptions>).await.unwrap();
}

async fn count(docker: &Docker, run: &str) -> usize {
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("label".to_owned(), vec![format!("{RUN_LABEL}={run}")])])),
        ..Default::default()
    };
    docker.list_containers(Some(options)).await.unwrap().len()
}

#[tokio::test]
async fn a_restart_cures_a_curable_patient() {
    let stage = stage("stage-curable").await;
    let patient = stage.spawn(PatientSpec::named("a")).await.unwrap();
    wait_until("healthy at first", &patient, |now| health(now) == Some(HealthStatusEnum::HEALTHY)).await;
    patient.fall_ill(Illness::Unhealthy(Unhealthy::default())).await.unwrap();
    wait_until("unhealthy on request", &patient, |now| health(now) == Some(HealthStatusEnum::UNHEALTHY)).await;
    restart(stage.docker(), &patient).await;
    wait_until("healthy after a restart", &patient, |now| health(now) == Some(HealthStatusEnum::HEALTHY)).await;
}

#[tokio::test]
async fn a_stubborn_patient_falls_ill_again_after_a_restart() {
    let stage = stage("stage-stubborn").await;
    let spec = PatientSpec { stubborn: Some(("unhealthy", Duration::from_secs(1))), ..PatientSpec::named("a") };
    let patient = stage.spawn(spec).await.unwrap();
    for _ in 0..2 {
        wait_until("unhealthy", &patient, |now| health(now) == Some(HealthStatusEnum::UNHEALTHY)).await;
        restart(stage.docker(), &patient).await;
    }
}

#[tokio::test]
async fn a_crash_exits_with_its_code_and_an_exhausted_limit_with_an_oom_kill() {
    let stage = stage("stage-crash").await;
    let crashing = stage.spawn(PatientSpec::named("crash")).await.unwrap();
    crashing.fall_ill(Illness::Crash(Crash { code: 7 })).await.unwrap();
    wait_until("exited with 7", &crashing, |now| now.state.as_ref().is_some_and(|state| state.exit_code == Some(7)))
        .await;

    let refused = stage.spawn(PatientSpec::named("unlimited")).await.unwrap().fall_ill(Illness::Oom).await.unwrap_err();
    assert!(refused.to_string().contains("no memory limit"), "{refused}");

    let limited = PatientSpec { memory: Some(64 << 20), ..PatientSpec::named("oom") };
    let limited = stage.spawn(limited).await.unwrap();
    limited.fall_ill(Illness::Oom).await.unwrap();
    wait_until("killed by the OOM killer", &limited, |now| {
        now.state.as_ref().is_some_and(|state| state.oom_killed == Some(true))
    })
    .await;
}

#[tokio::test]
async fn a_patient_stops_at_once_or_after_its_delay() {
    let stage = stage("stage-stop").await;
    for (name, delay) in [("prompt", Duration::ZERO), ("slow", Duration::from_secs(2))] {
        let patient = stage.spawn(PatientSpec { stop_delay: delay, ..PatientSpec::named(name) }).await.unwrap();
        patient.recover().await.unwrap();
        let begun = std::time::Instant::now();
        patient.stop().await.unwrap();
        let took = begun.elapsed();
        assert!(took >= delay && took < delay + Duration::from_secs(5), "{name} took {took:?}");
        let code = patient.inspect().await.unwrap().state.and_then(|state| state.exit_code);
        assert_eq!(code, Some(0), "{name} was killed");
    }
}

#[tokio::test]
async fn the_image_stays_while_a_container_uses_it() {
    let stage = stage("stage-image").await;
    stage.spawn(PatientSpec::named("a")).await.unwrap();
    stage.remove_image().await.unwrap();
    assert!(stage.docker().inspect_image(stage.image()).await.is_ok());
}

#[tokio::test]
async fn a_dropped_stage_leaves_no_container_even_in_a_panic() {
    let stage = stage("stage-drop").await;
    let (docker, run) = (stage.docker().clone(), stage.prefix().to_owned());
    stage.spawn(PatientSpec::named("a")).await.unwrap();
    assert_eq!(count(&docker, &run).await, 1);
    let panicked = tokio::spawn(async move {
        let _stage = stage;
        panic!("on purpose");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(count(&docker, &run).await, 0);
}
