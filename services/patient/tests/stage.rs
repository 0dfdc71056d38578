//! Patients in a real engine: they fall ill, a restart cures them or not, and the stage takes them away.

#![cfg(feature = "stage")]
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    models::{ContainerInspectResponse, ContainerStatsResponse, HealthStatusEnum},
    query_parameters::{InspectContainerOptions, ListContainersOptions, RestartContainerOptions, StatsOptions},
};
use futures::TryStreamExt;
use hemostat_patient::{
    Illness,
    illness::{Crash, Disk, Flap, Leak, Pids, Throttle, Unhealthy},
    stage::{Patient, PatientSpec, RUN_LABEL, Stage},
};

async fn stage(name: &str) -> Stage {
    let run = format!("{name}-{}", std::process::id());
    Stage::new(run.clone(), run).await.unwrap()
}

async fn until(what: &str, patient: &Patient, check: impl Fn(&ContainerInspectResponse) -> bool) {
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

/// Waits until the engine's counters show what is wanted.
async fn until_counted(
    what: &str,
    stage: &Stage,
    patient: &Patient,
    wanted: impl Fn(&ContainerStatsResponse) -> Option<u64>,
) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let options = StatsOptions { stream: false, one_shot: true };
        let stats = stage.docker().stats(&patient.id, Some(options)).try_next().await.unwrap().unwrap();
        if wanted(&stats).is_some() {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within 60 s: {what}; {stats:?}");
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
    until("healthy at first", &patient, |now| health(now) == Some(HealthStatusEnum::HEALTHY)).await;
    patient.fall_ill(Illness::Unhealthy(Unhealthy::default())).await.unwrap();
    until("unhealthy when told", &patient, |now| health(now) == Some(HealthStatusEnum::UNHEALTHY)).await;
    restart(stage.docker(), &patient).await;
    until("healthy after a restart", &patient, |now| health(now) == Some(HealthStatusEnum::HEALTHY)).await;
}

#[tokio::test]
async fn a_stubborn_patient_falls_ill_again_after_a_restart() {
    let stage = stage("stage-stubborn").await;
    let spec = PatientSpec { stubborn: Some(("unhealthy", Duration::from_secs(1))), ..PatientSpec::named("a") };
    let patient = stage.spawn(spec).await.unwrap();
    for _ in 0..2 {
        until("unhealthy", &patient, |now| health(now) == Some(HealthStatusEnum::UNHEALTHY)).await;
        restart(stage.docker(), &patient).await;
    }
}

#[tokio::test]
async fn a_crash_ends_with_its_code_and_an_exhausted_limit_with_an_oom_kill() {
    let stage = stage("stage-crash").await;
    let crashing = stage.spawn(PatientSpec::named("crash")).await.unwrap();
    crashing.fall_ill(Illness::Crash(Crash { code: 7 })).await.unwrap();
    until("exited with 7", &crashing, |now| now.state.as_ref().is_some_and(|state| state.exit_code == Some(7))).await;

    let refused = stage.spawn(PatientSpec::named("unlimited")).await.unwrap().fall_ill(Illness::Oom).await.unwrap_err();
    assert!(refused.to_string().contains("no memory limit"), "{refused}");

    let limited = PatientSpec { memory: Some(64 << 20), ..PatientSpec::named("oom") };
    let limited = stage.spawn(limited).await.unwrap();
    limited.fall_ill(Illness::Oom).await.unwrap();
    until("killed for want of memory", &limited, |now| {
        now.state.as_ref().is_some_and(|state| state.oom_killed == Some(true))
    })
    .await;
}

#[tokio::test]
async fn a_patient_that_loses_a_child_lives_on_and_one_that_aborts_does_not() {
    let stage = stage("stage-child").await;
    let limited = PatientSpec { memory: Some(64 << 20), ..PatientSpec::named("parent") };
    let parent = stage.spawn(limited).await.unwrap();
    let record = stage.record();
    parent.recover().await.unwrap();
    let before = parent.inspect().await.unwrap().state.unwrap();
    parent.fall_ill(Illness::OomChild).await.unwrap();
    // Docker says of a container only when it has ended that it was short of memory; of the moment it tells an event.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while record.of(&parent.id).count("oom") == 0 {
        assert!(tokio::time::Instant::now() < deadline, "no process was killed for want of memory within 60 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = parent.inspect().await.unwrap().state.unwrap();
    assert_eq!((after.running, after.started_at), (Some(true), before.started_at), "the patient itself lives on");
    parent.recover().await.unwrap();

    let aborting = stage.spawn(PatientSpec::named("abort")).await.unwrap();
    aborting.fall_ill(Illness::Abort).await.unwrap();
    // 128 and the signal's number: SIGSEGV.
    until("ended by a signal", &aborting, |now| now.state.as_ref().is_some_and(|state| state.exit_code == Some(139)))
        .await;
}

#[tokio::test]
async fn what_the_engine_counts_grows_as_it_was_asked_for() {
    let stage = stage("stage-counts").await;
    let spec =
        PatientSpec { memory: Some(256 << 20), cpus: Some(0.05), pids: Some(100), ..PatientSpec::named("counted") };
    let patient = stage.spawn(spec).await.unwrap();
    for illness in [
        Illness::Leak(Leak { duration: 60, mb_per_minute: 180 }),
        Illness::Pids(Pids { duration: 60, count: 60 }),
        Illness::Throttle(Throttle { duration: 60, threads: 2 }),
    ] {
        patient.fall_ill(illness).await.unwrap();
    }
    // A small limit, so that it is reached on a busy machine, too.
    let throttled = |stats: &ContainerStatsResponse| {
        stats.cpu_stats.as_ref()?.throttling_data.as_ref()?.throttled_time.filter(|ns| *ns > 100_000_000)
    };
    let crowded = |stats: &ContainerStatsResponse| stats.pids_stats.as_ref()?.current.filter(|pids| *pids >= 60);
    let leaky = |stats: &ContainerStatsResponse| stats.memory_stats.as_ref()?.usage.filter(|bytes| *bytes > 20 << 20);
    until_counted("throttled for a tenth of a second", &stage, &patient, throttled).await;
    until_counted("a crowd of 60", &stage, &patient, crowded).await;
    until_counted("20 MiB of memory", &stage, &patient, leaky).await;
    patient.recover().await.unwrap();
    // What the limit does not let it have, it has not: the patient lives on.
    patient.fall_ill(Illness::Pids(Pids { duration: 60, count: 500 })).await.unwrap();
    // Nearly so many: a health check may have been there when the last ones came.
    let full = |stats: &ContainerStatsResponse| stats.pids_stats.as_ref()?.current.filter(|pids| *pids >= 90);
    until_counted("as many as the limit allows", &stage, &patient, full).await;
    patient.recover().await.unwrap();
}

#[tokio::test]
async fn a_file_in_the_writable_layer_is_counted_and_is_gone_after_a_restart() {
    let stage = stage("stage-disk").await;
    let patient = stage.spawn(PatientSpec::named("a")).await.unwrap();
    patient.fall_ill(Illness::Disk(Disk { size_mb: 30, ..Disk::default() })).await.unwrap();
    let size = async || {
        let options = InspectContainerOptions { size: true };
        stage.docker().inspect_container(&patient.id, Some(options)).await.unwrap().size_rw.unwrap()
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while size().await < 30 << 20 {
        assert!(tokio::time::Instant::now() < deadline, "{} bytes are in the layer", size().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    restart(stage.docker(), &patient).await;
    patient.recover().await.unwrap();
    assert!(size().await < 1 << 20, "{} bytes are left in the layer", size().await);
}

#[tokio::test]
async fn a_flapping_patient_is_called_unhealthy_and_healthy_in_turn() {
    let stage = stage("stage-flap").await;
    let patient = stage.spawn(PatientSpec::named("a")).await.unwrap();
    patient.fall_ill(Illness::Flap(Flap { duration: None, every: 2 })).await.unwrap();
    for _ in 0..2 {
        until("unhealthy", &patient, |now| health(now) == Some(HealthStatusEnum::UNHEALTHY)).await;
        until("healthy again", &patient, |now| health(now) == Some(HealthStatusEnum::HEALTHY)).await;
    }
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
        let _on_stage = stage;
        panic!("on purpose");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(count(&docker, &run).await, 0);
}
