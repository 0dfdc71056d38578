//! The monitor against the real Docker engine.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says where, and shows what it met"
)]

mod running_monitor;

use std::{path::PathBuf, sync::Arc, time::Duration};

use hemostat_docker::Docker;
use hemostat_patient::{
    Illness,
    illness::{Cpu, Crash, Unhealthy},
    stage::{PatientSpec, Stage, docker_host},
};
use hemostat_runtime::Context;
use hemostat_schema::{
    Event, Observation, Recorded, Sample,
    container::{Exit, ExitBy},
    observation::Symptom,
};
use hemostat_tests::in_process::{DEADLINE, context, history, host, policy, stage, start, wait_for};
use running_monitor::RunningMonitor;
use tokio::{
    net::{UnixListener, UnixStream},
    task::{JoinHandle, JoinSet},
};

const UNHEALTHY: Illness = Illness::Unhealthy(Unhealthy { duration: None });

/// Starts monitors.
struct Monitor;

impl Monitor {
    fn start(ctx: &Context, stage: &Stage) -> RunningMonitor {
        Self::at(ctx, stage, &docker_host())
    }

    fn at(ctx: &Context, stage: &Stage, docker: &str) -> RunningMonitor {
        Self::measuring(ctx, stage, docker, Duration::ZERO)
    }

    fn measuring(ctx: &Context, stage: &Stage, docker: &str, disk_every: Duration) -> RunningMonitor {
        let engine = Arc::new(Docker::new(docker, Duration::from_secs(20)));
        RunningMonitor::measuring(ctx, engine, policy(stage), disk_every)
    }
}

fn observation(event: &Event) -> Option<&Observation> {
    match event {
        Event::Observation(observation) => Some(observation),
        _ => None,
    }
}

fn exit(event: &Event) -> Option<Exit> {
    match observation(event)? {
        Observation::Exited(exited) => Some(exited.exit),
        _ => None,
    }
}

async fn seen(ctx: &Context, name: &str) {
    wait_for(ctx.log.as_ref(), name, "seen", |_, event| {
        matches!(observation(event)?, Observation::Seen(_) | Observation::Started(_)).then_some(())
    })
    .await;
}

fn count(history: &[Recorded], kind: &str) -> usize {
    history.iter().filter(|event| event.kind() == kind).count()
}

#[tokio::test]
async fn an_unhealthy_container_is_reported_at_once() {
    let (stage, ctx) = (stage().await, context());
    let patient = start(&stage, PatientSpec::named("api")).await;
    let _monitor = Monitor::start(&ctx, &stage);
    seen(&ctx, &patient.name).await;
    patient.fall_ill(UNHEALTHY).await.unwrap();
    let (said, on_log) =
        wait_for(ctx.log.as_ref(), &patient.name, "symptom", |recorded, event| match observation(event)? {
            Observation::SymptomRaised(raised) if raised.symptom == Symptom::Unhealthy => {
                Some((recorded.at.as_millisecond(), i64::try_from(recorded.id.ms).unwrap()))
            }
            _ => None,
        })
        .await;
    println!("from Docker's event to the log: {} ms", on_log - said);
    assert!((0..1000).contains(&(on_log - said)), "{said} {on_log}");
}

#[tokio::test]
async fn who_ended_a_run_is_reported_correctly() {
    let (stage, ctx) = (stage().await, context());
    let _monitor = Monitor::start(&ctx, &stage);
    let stopped = start(&stage, PatientSpec::named("stopped")).await;
    let crashed = start(&stage, PatientSpec::named("crashed")).await;
    let hog = start(&stage, PatientSpec { memory: Some(64 << 20), ..PatientSpec::named("hog") }).await;
    let helps = PatientSpec { arguments: vec!["--help".to_owned()], ..PatientSpec::named("done") };
    let done = stage.spawn(helps).await.unwrap();
    for patient in [&stopped, &crashed, &hog, &done] {
        seen(&ctx, &patient.name).await;
    }
    crashed.fall_ill(Illness::Crash(Crash { code: 3 })).await.unwrap();
    hog.fall_ill(Illness::Oom).await.unwrap();
    stopped.stop().await.unwrap();
    for (patient, by, symptom) in [
        (stopped, ExitBy::Operator, None),
        (crashed, ExitBy::Crash, Some(Symptom::Exited)),
        (done, ExitBy::Itself, None),
        (hog, ExitBy::Oom, Some(Symptom::OomKilled)),
    ] {
        let name = &patient.name;
        let ended = wait_for(ctx.log.as_ref(), name, "end", |_, event| exit(event)).await;
        assert_eq!(ended.by, by, "{name}: {ended:?}");
        let raised =
            history(ctx.log.as_ref(), name).await.iter().find_map(|event| match observation(event.event()?)? {
                // A check may fail while a container is about to end.
                Observation::SymptomRaised(raised) if raised.symptom != Symptom::Unhealthy => Some(raised.symptom),
                _ => None,
            });
        assert_eq!(raised, symptom, "{name}");
    }
}

#[tokio::test]
async fn running_containers_are_sampled() {
    let (stage, ctx) = (stage().await, context());
    let _monitor = Monitor::start(&ctx, &stage);
    let patient = start(&stage, PatientSpec { memory: Some(64 << 20), ..PatientSpec::named("busy") }).await;
    patient.fall_ill(Illness::Cpu(Cpu { duration: 120, intensity: 0.5 })).await.unwrap();
    let vitals = wait_for(ctx.log.as_ref(), &patient.name, "sample of work", |_, event| match event {
        Event::Sample(Sample::Container(sample)) => Some(sample.vitals).filter(|vitals| vitals.cpu.get() > 0.0),
        _ => None,
    })
    .await;
    assert!(vitals.memory.get() > 0.0, "{vitals:?}");
    assert_eq!(vitals.memory_limit.0, 64 << 20);
}

#[tokio::test]
async fn disk_usage_is_reported() {
    let (stage, ctx) = (stage().await, context());
    let patient = start(&stage, PatientSpec::named("api")).await;
    let _monitor = Monitor::measuring(&ctx, &stage, &docker_host(), Duration::from_secs(1));
    let disk = wait_for(ctx.log.as_ref(), host().as_str(), "disk", |_, event| match event {
        Event::Sample(Sample::Disk(measured)) => Some(measured.clone()),
        _ => None,
    })
    .await;
    assert!(disk.size > disk.available && disk.used().get() > 0.0, "{disk:?}");
    let stored = wait_for(ctx.log.as_ref(), &patient.name, "storage", |_, event| match event {
        Event::Sample(Sample::Storage(stored)) => Some(stored.clone()),
        _ => None,
    })
    .await;
    assert_eq!((stored.target.id.as_str(), stored.volumes), (patient.id.as_str(), vec![]));
}

#[tokio::test]
async fn a_standby_monitor_takes_over_without_repeating_an_event() {
    let (stage, ctx) = (stage().await, context());
    let patient = start(&stage, PatientSpec::named("api")).await;
    let name = patient.name.clone();
    let first = Monitor::start(&ctx, &stage);
    seen(&ctx, &name).await;
    let second_ctx = Context { owner: "second".to_owned(), ..ctx.clone() };
    let _second = Monitor::start(&second_ctx, &stage);
    drop(first);
    // It becomes unhealthy while no monitor holds the lease, and the second takes over.
    patient.fall_ill(UNHEALTHY).await.unwrap();
    wait_for(ctx.log.as_ref(), &name, "symptom", |_, event| {
        matches!(observation(event)?, Observation::SymptomRaised(_)).then_some(())
    })
    .await;
    let history = history(ctx.log.as_ref(), &name).await;
    let counts = ["seen", "symptom_raised"].map(|kind| count(&history, &format!("observation.{kind}")));
    assert_eq!(counts, [1, 1]);
}

#[tokio::test]
async fn events_while_the_engine_is_unreachable_are_reported_afterwards() {
    let (stage, ctx) = (stage().await, context());
    let patient = start(&stage, PatientSpec::named("api")).await;
    let name = patient.name.clone();
    let mut proxy = Proxy::new(&format!("{}-docker", stage.prefix()));
    proxy.connect().await;
    let _monitor = Monitor::at(&ctx, &stage, &format!("unix://{}", proxy.path.display()));
    seen(&ctx, &name).await;
    proxy.cut();
    let lost = |_: &Recorded, event: &Event| matches!(observation(event)?, Observation::EngineLost(_)).then_some(());
    wait_for(ctx.log.as_ref(), host().as_str(), "loss of the engine", lost).await;
    patient.stop().await.unwrap();
    proxy.connect().await;
    let ended = wait_for(ctx.log.as_ref(), &name, "end", |_, event| exit(event)).await;
    assert_eq!(ended.by, ExitBy::Operator);
    let about_host = history(ctx.log.as_ref(), host().as_str()).await;
    let counts = ["engine_found", "engine_lost"].map(|kind| count(&about_host, &format!("observation.{kind}")));
    assert_eq!(counts, [2, 1]);
    assert_eq!(count(&history(ctx.log.as_ref(), &name).await, "observation.exited"), 1);
}

/// A proxy to the engine that can be taken away.
struct Proxy {
    path: PathBuf,
    calls: Option<JoinHandle<()>>,
}

impl Proxy {
    fn new(name: &str) -> Self {
        Self { path: std::env::temp_dir().join(format!("{name}.sock")), calls: None }
    }

    async fn connect(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let listener = UnixListener::bind(&self.path).unwrap();
        self.calls = Some(tokio::spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                calls.spawn(async move {
                    let engine = docker_host();
                    let socket = engine.strip_prefix("unix://").expect("an engine of this machine");
                    if let Ok(mut far) = UnixStream::connect(socket).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        }));
        assert!(tokio::time::timeout(DEADLINE, UnixStream::connect(&self.path)).await.unwrap().is_ok());
    }

    fn cut(&mut self) {
        if let Some(calls) = self.calls.take() {
            calls.abort();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}
