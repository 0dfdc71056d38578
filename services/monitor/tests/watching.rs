//! The monitor against the real Docker engine.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says where, and shows what it met"
)]

mod bed;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bed::{Bed, DEADLINE, Patient, context, history, host, wait_for};
use bollard::query_parameters::StopContainerOptionsBuilder;
use hemostat_monitor::{
    engine::Docker,
    shift::{self, Settings},
};
use hemostat_runtime::Context;
use hemostat_schema::{
    Event, Observation, Recorded,
    container::{Exit, ExitBy},
    observation::Symptom,
};
use tokio::{
    net::{UnixListener, UnixStream},
    task::{JoinHandle, JoinSet},
};

const IDLE: &str = "trap exit TERM; while true; do sleep 0.1; done";

/// A monitor that ends with the test.
struct Monitor(JoinHandle<anyhow::Result<()>>);

impl Monitor {
    fn start(ctx: &Context, bed: &Bed) -> Self {
        Self::at(ctx, bed, &std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned()))
    }

    fn at(ctx: &Context, bed: &Bed, docker: &str) -> Self {
        let engine = Arc::new(Docker::new(docker, Duration::from_secs(20)));
        let settings = Settings { host: host(), interval: Duration::from_secs(1), policy: Arc::new(bed.policy()) };
        Self(tokio::spawn(shift::run(ctx.clone(), engine, settings)))
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.0.abort();
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
async fn a_container_that_turns_unhealthy_is_told_at_once() {
    let (bed, ctx) = (Bed::new().await, context());
    let patient = Patient { script: IDLE, health: Some("test ! -e /sick"), ..Patient::default() };
    bed.start("api", patient).await;
    let _monitor = Monitor::start(&ctx, &bed);
    let name = bed.name("api");
    seen(&ctx, &name).await;
    bed.exec("api", "touch /sick").await;
    let (said, on_log) = wait_for(ctx.log.as_ref(), &name, "symptom", |recorded, event| match observation(event)? {
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
async fn who_ended_a_run_is_told_as_it_was() {
    let (bed, ctx) = (Bed::new().await, context());
    let _monitor = Monitor::start(&ctx, &bed);
    let crash = "until test -e /go; do sleep 0.1; done; exit 3";
    let hog = "until test -e /go; do sleep 0.1; done; exec tail /dev/zero";
    bed.start("stopped", Patient { script: IDLE, ..Patient::default() }).await;
    bed.start("crashed", Patient { script: crash, ..Patient::default() }).await;
    bed.start("done", Patient { script: "sleep 0.5", ..Patient::default() }).await;
    bed.start("hog", Patient { script: hog, memory: Some(16 << 20), ..Patient::default() }).await;
    for short in ["stopped", "crashed", "done", "hog"] {
        seen(&ctx, &bed.name(short)).await;
    }
    bed.exec("crashed", "touch /go").await;
    bed.exec("hog", "touch /go").await;
    let gently = StopContainerOptionsBuilder::new().t(5).build();
    bed.docker.stop_container(&bed.name("stopped"), Some(gently)).await.unwrap();
    for (short, by, ill) in [
        ("stopped", ExitBy::Operator, None),
        ("crashed", ExitBy::Crash, Some(Symptom::Exited)),
        ("done", ExitBy::Itself, None),
        ("hog", ExitBy::Oom, Some(Symptom::OomKilled)),
    ] {
        let name = bed.name(short);
        let ended = wait_for(ctx.log.as_ref(), &name, "end", |_, event| exit(event)).await;
        assert_eq!(ended.by, by, "{short}: {ended:?}");
        let raised =
            history(ctx.log.as_ref(), &name).await.iter().find_map(|event| match observation(event.event()?)? {
                Observation::SymptomRaised(raised) => Some(raised.symptom),
                _ => None,
            });
        assert_eq!(raised, ill, "{short}");
    }
}

#[tokio::test]
async fn running_containers_are_sampled() {
    let (bed, ctx) = (Bed::new().await, context());
    let _monitor = Monitor::start(&ctx, &bed);
    bed.start("busy", Patient { script: "while true; do true; done", memory: Some(64 << 20), ..Patient::default() })
        .await;
    let vitals = wait_for(ctx.log.as_ref(), &bed.name("busy"), "sample", |_, event| match observation(event)? {
        Observation::Sampled(sampled) => Some(sampled.vitals),
        _ => None,
    })
    .await;
    assert!(vitals.cpu.get() > 0.0 && vitals.memory.get() > 0.0, "{vitals:?}");
    assert_eq!(vitals.memory_limit.0, 64 << 20);
}

#[tokio::test]
async fn a_second_monitor_stands_by_and_goes_on_without_telling_anything_twice() {
    let (bed, ctx) = (Bed::new().await, context());
    let patient = Patient { script: IDLE, health: Some("test ! -e /sick"), ..Patient::default() };
    bed.start("api", patient).await;
    let name = bed.name("api");
    let first = Monitor::start(&ctx, &bed);
    seen(&ctx, &name).await;
    let second_ctx = Context { owner: "second".to_owned(), ..ctx.clone() };
    let _second = Monitor::start(&second_ctx, &bed);
    drop(first);
    // Falls ill while nobody watches, and the second takes over.
    bed.exec("api", "touch /sick").await;
    wait_for(ctx.log.as_ref(), &name, "symptom", |_, event| {
        matches!(observation(event)?, Observation::SymptomRaised(_)).then_some(())
    })
    .await;
    let history = history(ctx.log.as_ref(), &name).await;
    let counts = ["seen", "symptom_raised"].map(|kind| count(&history, &format!("observation.{kind}")));
    assert_eq!(counts, [1, 1]);
}

#[tokio::test]
async fn what_happens_while_the_engine_cannot_be_reached_is_told_afterwards() {
    let (bed, ctx) = (Bed::new().await, context());
    bed.start("api", Patient { script: IDLE, ..Patient::default() }).await;
    let name = bed.name("api");
    let mut line = Line::new(&bed.name("docker"));
    line.join().await;
    let _monitor = Monitor::at(&ctx, &bed, &format!("unix://{}", line.path.display()));
    seen(&ctx, &name).await;
    line.cut();
    let lost = |_: &Recorded, event: &Event| matches!(observation(event)?, Observation::EngineLost(_)).then_some(());
    wait_for(ctx.log.as_ref(), host().as_str(), "loss of the engine", lost).await;
    let gently = StopContainerOptionsBuilder::new().t(5).build();
    bed.docker.stop_container(&name, Some(gently)).await.unwrap();
    line.join().await;
    let ended = wait_for(ctx.log.as_ref(), &name, "end", |_, event| exit(event)).await;
    assert_eq!(ended.by, ExitBy::Operator);
    let about_host = history(ctx.log.as_ref(), host().as_str()).await;
    let counts = ["engine_found", "engine_lost"].map(|kind| count(&about_host, &format!("observation.{kind}")));
    assert_eq!(counts, [2, 1]);
    assert_eq!(count(&history(ctx.log.as_ref(), &name).await, "observation.exited"), 1);
}

/// A line to the engine that can be cut.
struct Line {
    path: PathBuf,
    calls: Option<JoinHandle<()>>,
}

impl Line {
    fn new(name: &str) -> Self {
        Self { path: std::env::temp_dir().join(format!("{name}.sock")), calls: None }
    }

    async fn join(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let listener = UnixListener::bind(&self.path).unwrap();
        self.calls = Some(tokio::spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                calls.spawn(async move {
                    if let Ok(mut far) = UnixStream::connect(Path::new("/var/run/docker.sock")).await {
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

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
    }
}
