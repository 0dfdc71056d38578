//! The responder's effect against the real Docker engine: a remedy is executed once, whenever a process dies.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says where, and shows what it met"
)]

use std::time::Duration;

use hemostat_docker::Docker;
use hemostat_patient::{
    Illness,
    illness::Crash,
    stage::{EventRecorder, Patient, PatientSpec, docker_host},
};
use hemostat_process::run;
use hemostat_responder::{Execute, engine::Engine};
use hemostat_runtime::{Context, Producer, effect};
use hemostat_schema::{
    Action, ContainerId, Event, EventId, NewEvent, Partition, Span, Subject, Timestamp,
    action::{Authorised, Failed, Limits, Proof, Remedy, Succeeded},
    container::Run,
};
use hemostat_tests::in_process::{context, history, host, stage, start, wait_for};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

fn engine() -> Docker {
    Docker::new(docker_host(), Duration::from_secs(20))
}

/// A responder that can be killed: its tasks end wherever they are, as those of a killed process.
struct Responder(JoinHandle<anyhow::Result<()>>);

impl Responder {
    fn start(ctx: &Context) -> Self {
        let ctx = Context { owner: format!("{:08x}", fastrand::u32(..)), ..ctx.clone() };
        let execute = Execute::new(
            host(),
            engine(),
            ctx.clock.clone(),
            hemostat_runtime::unchanging(hemostat_core::Policy::default()),
        );
        Self(tokio::spawn(async move { run(&ctx, effect(&ctx, execute)).await }))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn intend(ctx: &Context, name: &str, intent: Authorised) -> EventId {
    let mut producer = Producer::acquire(ctx, Partition(0), &format!("test-{name}")).await.unwrap();
    let subject = Subject::container(host(), name.parse().unwrap());
    let event = NewEvent::new(subject, Timestamp::now(), intent);
    producer.append(vec![event], vec![]).await.unwrap()[0]
}

async fn intent(patient: &Patient, remedy: Remedy) -> Authorised {
    let id: ContainerId = patient.id.parse().unwrap();
    let started_at = engine().container_state(&id).await.unwrap().started_at;
    Authorised {
        remedy,
        target: Run { id, started_at }.into(),
        arguments: None,
        diagnosis: EventId::start(Partition(0)),
        limits: Limits::of_attempt(1, 3),
        stop_timeout: Some(Span::from_secs(5)),
        dry_run: false,
        policy: None,
        trigger: None,
    }
}

async fn outcome(ctx: &Context, name: &str) -> Result<Succeeded, Failed> {
    wait_for(ctx.log.as_ref(), name, "outcome", |_, event| match event {
        Event::Action(Action::Succeeded(done)) => Some(Ok(done.clone())),
        Event::Action(Action::Failed(failed)) => Some(Err(failed.clone())),
        _ => None,
    })
    .await
}

/// Waits until the engine's record shows each of these events this many times.
async fn until_recorded(recorder: &EventRecorder, patient: &Patient, deeds: &[(&str, usize)]) {
    let counted = || deeds.iter().all(|(deed, times)| recorder.of(&patient.id).count(deed) == *times);
    let waited = timeout(Duration::from_secs(10), async {
        while !counted() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "not {deeds:?} but {:?}", recorder.of(&patient.id));
}

#[tokio::test]
async fn an_authorised_restart_is_executed_and_reported_with_the_new_run() {
    let (stage, ctx) = (stage().await, context());
    let recorder = stage.recorder();
    let patient = start(&stage, PatientSpec::named("api")).await;
    let intent = intent(&patient, Remedy::Restart).await;
    let _responder = Responder::start(&ctx);
    let action = intend(&ctx, &patient.name, intent.clone()).await;
    let done = outcome(&ctx, &patient.name).await.unwrap();
    let run = intent.target.run().unwrap().clone();
    let now = engine().container_state(&run.id).await.unwrap();
    assert_eq!((done.action, done.proof), (action, Proof::Answered));
    assert_eq!(done.target, Some(Run { id: run.id, started_at: now.started_at }));
    assert!(now.started_at > run.started_at && done.called_at.is_some());
    until_recorded(&recorder, &patient, &[("restart", 1), ("start", 2)]).await;
}

#[tokio::test]
async fn an_exited_container_is_started_and_a_superseded_intent_touches_nothing() {
    let (stage, ctx) = (stage().await, context());
    let recorder = stage.recorder();
    let patient = start(&stage, PatientSpec::named("job")).await;
    patient.fall_ill(Illness::Crash(Crash { code: 1 })).await.unwrap();
    until_recorded(&recorder, &patient, &[("die", 1)]).await;
    let ended = intent(&patient, Remedy::Start).await;
    let _responder = Responder::start(&ctx);
    intend(&ctx, &patient.name, ended.clone()).await;
    assert_eq!(outcome(&ctx, &patient.name).await.unwrap().proof, Proof::Answered);
    // The same intent again is about a run that has ended.
    let again = intend(&ctx, &patient.name, ended).await;
    let failed = wait_for(ctx.log.as_ref(), &patient.name, "refusal to act", |_, event| match event {
        Event::Action(Action::Failed(failed)) => Some(failed.clone()),
        _ => None,
    })
    .await;
    assert_eq!(failed.action, again);
    assert_eq!(failed.error, "superseded: it has been restarted since it was diagnosed");
    until_recorded(&recorder, &patient, &[("start", 2)]).await;
}

#[tokio::test]
async fn a_container_that_is_gone_and_a_dry_run_end_in_a_clear_outcome() {
    let (stage, ctx) = (stage().await, context());
    let recorder = stage.recorder();
    let patient = start(&stage, PatientSpec::named("api")).await;
    let _responder = Responder::start(&ctx);
    let dry = Authorised { dry_run: true, ..intent(&patient, Remedy::Restart).await };
    intend(&ctx, &patient.name, dry.clone()).await;
    assert_eq!(outcome(&ctx, &patient.name).await.unwrap().proof, Proof::DryRun);

    let nowhere = Run { id: "0123456789abcdef".parse().unwrap(), started_at: None };
    let gone = format!("{}-gone", stage.prefix());
    intend(&ctx, &gone, Authorised { target: nowhere.into(), dry_run: false, ..dry }).await;
    let failed = outcome(&ctx, &gone).await.unwrap_err();
    assert_eq!(failed.error, "superseded: the container is gone: it was removed or recreated");
    until_recorded(&recorder, &patient, &[("start", 1), ("kill", 0), ("restart", 0)]).await;
}

/// The first responder is killed this many milliseconds after the intent; a second one takes over.
async fn restarted_once(killed_after: u64) {
    let (stage, ctx) = (stage().await, context());
    let recorder = stage.recorder();
    let spec = PatientSpec { stop_delay: Duration::from_secs(2), ..PatientSpec::named("slow") };
    let patient = start(&stage, spec).await;
    let name = &patient.name;
    let before = intent(&patient, Remedy::Restart).await;
    let first = Responder::start(&ctx);
    intend(&ctx, name, before.clone()).await;
    sleep(Duration::from_millis(killed_after)).await;
    drop(first);
    let _second = Responder::start(&ctx);
    let done = outcome(&ctx, name).await.unwrap();
    let story = format!("killed after {killed_after} ms, {:?}", done.proof);
    println!("{story}");
    // A call sent before the kill would show by now, or within the time that it may take.
    let restarted_again = timeout(Duration::from_secs(4), async {
        while recorder.of(&patient.id).count("start") <= 2 {
            sleep(Duration::from_millis(100)).await;
        }
    });
    assert!(restarted_again.await.is_err(), "{story}: a second restart");
    let deeds = recorder.of(&patient.id);
    assert_eq!(["die", "start", "restart"].map(|deed| deeds.count(deed)), [1, 2, 1], "{story}: {deeds:?}");
    let outcomes = history(ctx.log.as_ref(), name).await;
    let outcomes = outcomes.iter().filter(|event| event.kind() == "action.succeeded").count();
    assert_eq!(outcomes, 1, "{story}");
}

#[tokio::test]
async fn a_responder_killed_before_it_calls_leaves_one_restart() {
    restarted_once(0).await;
}

#[tokio::test]
async fn a_responder_killed_as_it_calls_leaves_one_restart() {
    futures::future::join_all([3, 6, 10, 15, 25, 50].map(restarted_once)).await;
}

#[tokio::test]
async fn a_responder_killed_during_the_restart_leaves_one_restart() {
    futures::future::join_all([300, 1000, 1900].map(restarted_once)).await;
}

#[tokio::test]
async fn a_responder_killed_as_the_restart_ends_leaves_one_restart() {
    futures::future::join_all([2100, 2300, 2500].map(restarted_once)).await;
}
