//! No event is missed and none is reported twice, whatever happens to the engine and to its connections.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod own_dockerd;
mod running_monitor;

use std::{collections::BTreeSet, process::Command, sync::Arc, time::Duration};

use async_trait::async_trait;
use bollard::models::{ContainerInspectResponse, ContainerStatsResponse, EventMessage, RestartPolicyNameEnum};
use futures::stream::BoxStream;
use hemostat_docker::{Docker, EngineInfo, Error};
use hemostat_monitor::engine::Engine;
use hemostat_patient::{
    Illness,
    illness::Crash,
    stage::{Patient, PatientSpec, docker_host},
};
use hemostat_runtime::log::Log;
use hemostat_schema::{
    ContainerId, Event, Observation, Recorded, Sample, Timestamp,
    container::{ExitBy, Run},
};
use hemostat_tests::in_process::{DEADLINE, context, history, host, policy, stage, start, wait_for};
use own_dockerd::OwnEngine;
use running_monitor::{Proxy, RunningMonitor};

const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

fn observation(event: &Event) -> Option<&Observation> {
    match event {
        Event::Observation(observation) => Some(observation),
        _ => None,
    }
}

/// The runs whose end is on the log.
async fn ended(log: &dyn Log, name: &str) -> Vec<Run> {
    let history = history(log, name).await;
    let exited = |event: &Recorded| match observation(event.event()?)? {
        Observation::Exited(exited) => Some(exited.target.clone()),
        _ => None,
    };
    history.iter().filter_map(exited).collect()
}

async fn count(log: &dyn Log, name: &str, kind: &str) -> usize {
    history(log, name).await.iter().filter(|event| event.kind() == kind).count()
}

async fn seen(log: &dyn Log, name: &str) {
    wait_for(log, name, "seen", |_, event| {
        matches!(observation(event)?, Observation::Seen(_) | Observation::Started(_)).then_some(())
    })
    .await;
}

/// Waits until this many ends are on the log.
async fn until_ended(log: &dyn Log, name: &str, times: usize) {
    let mut append_signal = log.append_signal(hemostat_schema::Partition(0));
    let all = tokio::time::timeout(DEADLINE, async {
        while ended(log, name).await.len() < times {
            let _ = tokio::time::timeout(Duration::from_secs(1), append_signal.changed()).await;
        }
    });
    assert!(all.await.is_ok(), "{name}: {} of {times} ends are on the log", ended(log, name).await.len());
}

/// Waits until a patient that crashes has done so.
async fn until_down(patient: &Patient) {
    let down = tokio::time::timeout(DEADLINE, async {
        while patient.inspect().await.unwrap().state.unwrap().running == Some(true) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    down.await.unwrap_or_else(|_| panic!("{} did not crash", patient.name));
}

#[tokio::test]
async fn fifty_cuts_of_the_event_stream_lose_and_repeat_no_event() {
    let (stage, ctx) = (stage().await, context());
    let log = ctx.log.as_ref();
    let recorder = stage.recorder();
    let proxy = Proxy::to(&docker_host(), &format!("{}-proxy", stage.prefix()));
    let engine = Arc::new(Docker::new(proxy.address(), ANSWERS_WITHIN));
    let _monitor = RunningMonitor::start(&ctx, engine, policy(&stage));
    let crashes = start(&stage, PatientSpec::named("crashes")).await;
    let stops = start(&stage, PatientSpec::named("stops")).await;
    for patient in [&crashes, &stops] {
        seen(log, &patient.name).await;
    }
    for cut in 0..50_u64 {
        // Each cut falls elsewhere: before, within and after what happens meanwhile.
        let happens = async {
            match cut % 5 {
                0 => crashes.fall_ill(Illness::Crash(Crash { code: 3 })).await.unwrap(),
                1 => {
                    until_down(&crashes).await;
                    crashes.start_again().await.unwrap();
                }
                2 => stops.stop().await.unwrap(),
                3 => stops.start_again().await.unwrap(),
                _ => {}
            }
        };
        let cuts = async {
            tokio::time::sleep(Duration::from_millis(cut * 37 % 250)).await;
            proxy.cut();
        };
        tokio::join!(happens, cuts);
    }
    for patient in [&crashes, &stops] {
        let died = recorder.of(&patient.id).count("die");
        assert!(died >= 10, "{}: {died}", patient.name);
        until_ended(log, &patient.name, died).await;
    }
    // Docker reports in order: when a later event is on the log, no earlier one can follow.
    let later = start(&stage, PatientSpec::named("later")).await;
    seen(log, &later.name).await;
    for patient in [&crashes, &stops] {
        let died = recorder.of(&patient.id).count("die");
        let ended = ended(log, &patient.name).await;
        let runs: BTreeSet<_> = ended.iter().map(|target| target.started_at).collect();
        assert_eq!((ended.len(), runs.len()), (died, died), "{}: {ended:?}", patient.name);
    }
    assert_eq!(count(log, host().as_str(), "observation.engine_lost").await, 0, "a cut connection is no lost engine");
}

/// An engine that never answers stats calls of one container.
#[derive(Debug)]
struct StuckEngine {
    engine: Docker,
    on: String,
}

#[async_trait]
impl Engine for StuckEngine {
    async fn info(&self) -> Result<EngineInfo, Error> {
        self.engine.info().await
    }
    async fn ping(&self) -> Result<(), Error> {
        self.engine.ping().await
    }
    async fn list(&self) -> Result<Vec<ContainerId>, Error> {
        self.engine.list().await
    }
    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInspectResponse, Error> {
        self.engine.inspect(id).await
    }
    async fn stats(&self, id: &ContainerId) -> Result<ContainerStatsResponse, Error> {
        if id.as_str() == self.on {
            return std::future::pending().await;
        }
        self.engine.stats(id).await
    }
    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EventMessage, Error>> {
        self.engine.events(since)
    }
}

#[tokio::test]
async fn a_stats_call_that_hangs_delays_only_its_own_container() {
    let (stage, ctx) = (stage().await, context());
    let log = ctx.log.as_ref();
    let (stuck, other) = (start(&stage, PatientSpec::named("stuck")).await, PatientSpec::named("other"));
    let other = start(&stage, other).await;
    let engine = StuckEngine { engine: Docker::new(docker_host(), ANSWERS_WITHIN), on: stuck.id.clone() };
    let _monitor = RunningMonitor::sampling_by_api(&ctx, Arc::new(engine), policy(&stage));
    wait_for(log, &other.name, "sample", |_, event| matches!(event, Event::Sample(Sample::Container(_))).then_some(()))
        .await;
    // Everything else about the stuck container is still observed.
    stuck.fall_ill(Illness::Crash(Crash { code: 3 })).await.unwrap();
    until_ended(log, &stuck.name, 1).await;
    assert_eq!(count(log, &stuck.name, "sample.container").await, 0);
    assert_eq!(count(log, host().as_str(), "observation.engine_lost").await, 0);
}

#[tokio::test]
async fn an_end_while_the_engine_was_down_is_reported_once() {
    let (stage, ctx) = (stage().await, context());
    let log = ctx.log.as_ref();
    let mut engine = OwnEngine::start(&format!("{}-engine", stage.prefix()), stage.docker(), stage.image()).await;
    let [dies, returns, later] = ["dies", "returns", "later"].map(|name| format!("{}-{name}", stage.prefix()));
    let dying = engine.run(&dies, stage.image(), RestartPolicyNameEnum::NO).await;
    engine.run(&returns, stage.image(), RestartPolicyNameEnum::ALWAYS).await;
    let docker = Arc::new(Docker::new(engine.address(), ANSWERS_WITHIN));
    let _monitor = RunningMonitor::start(&ctx, docker, policy(&stage));
    for name in [&dies, &returns] {
        seen(log, name).await;
    }
    engine.kill();
    wait_for(log, host().as_str(), "loss of the engine", |_, event| {
        matches!(observation(event)?, Observation::EngineLost(_)).then_some(())
    })
    .await;
    assert!(Command::new("kill").args(["-9", &dying.to_string()]).status().unwrap().success());
    engine.up().await;
    until_ended(log, &dies, 1).await;
    wait_for(log, &returns, "return", |_, event| matches!(observation(event)?, Observation::Started(_)).then_some(()))
        .await;
    // Docker reports in order: when a later event is on the log, no earlier one can follow.
    engine.run(&later, stage.image(), RestartPolicyNameEnum::NO).await;
    seen(log, &later).await;
    let by = history(log, &dies).await.iter().find_map(|event| match observation(event.event()?)? {
        Observation::Exited(exited) => Some(exited.exit.by),
        _ => None,
    });
    // No event says who ended it, so it is not reported as a crash.
    assert_eq!(by, Some(ExitBy::Unknown));
    assert_eq!(ended(log, &dies).await.len(), 1);
    assert_eq!(count(log, &returns, "observation.started").await, 1);
    let lost = count(log, host().as_str(), "observation.engine_lost").await;
    let found = count(log, host().as_str(), "observation.engine_found").await;
    assert_eq!((lost, found), (1, 2));
}
