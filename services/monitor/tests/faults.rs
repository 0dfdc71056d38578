//! The monitor against a fake engine that is slow, hangs, refuses, and breaks connections: no event is lost or repeated.
//!
//! `watching.rs` tests with the real engine what a real engine can show.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hemostat_core::policy::{ContainerPolicy, NamePatterns, Policy};
use hemostat_docker::Docker;
use hemostat_fake_docker::{
    ApiFault, ContainerSpec, EngineState, Failure, FailureKind, FakeDocker, RestartPolicy, Status, UnixNanos,
    fault::FaultEffect,
};
use hemostat_monitor::{examine, host_monitor, settings::Settings, sweep};
use hemostat_redact::Redactor;
use hemostat_runtime::{
    Context,
    log::{MemoryLog, Order, Range},
};
use hemostat_schema::{Event, Family, HostName, Observation, Partition, Recorded, Span, container::ExitBy};
use tokio::task::JoinHandle;

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long HemoStat waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A simulated engine, and a monitor that watches it; both end with the test.
struct Bed {
    engine: FakeDocker,
    ctx: Context,
    monitor: JoinHandle<anyhow::Result<()>>,
    _directory: tempfile::TempDir,
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.monitor.abort();
    }
}

fn host() -> HostName {
    "test-host".parse().unwrap()
}

impl Bed {
    /// Watches containers of these names, which run, once all of them are known.
    async fn of(containers: &[(&str, ContainerSpec)]) -> Self {
        let (mut state, now) = (EngineState::new(1), UnixNanos::from(SystemTime::now()));
        for (name, spec) in containers {
            state.create(name, spec.clone(), now).unwrap();
            state.start(name, now).unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let engine = FakeDocker::at(directory.path().join("docker.sock"), state).await.unwrap();
        let ctx = Context { lease_ttl: Duration::from_secs(1), ..Context::new(Arc::new(MemoryLog::new(1))) };
        let policy = Policy {
            exclude: NamePatterns::new(Vec::<&str>::new()).unwrap(),
            container_defaults: ContainerPolicy { grace: Span::ZERO, ..ContainerPolicy::default() },
            sample_every: Span::from_millis(100),
            ..Policy::default()
        };
        let settings = Settings {
            host: host(),
            interval: Duration::from_millis(200),
            sampling: sweep::Settings::default(),
            disk_every: Duration::from_secs(1),
            policy: hemostat_runtime::unchanging(policy),
            redactor: Redactor::default(),
            examinations: Some(examine::Settings::default()),
        };
        let docker = Arc::new(Docker::new(engine.address(), TIMEOUT));
        let monitor = tokio::spawn(host_monitor::run(ctx.clone(), docker, settings));
        let bed = Self { engine, ctx, monitor, _directory: directory };
        for (name, _) in containers {
            bed.until(&format!("{name} is seen"), async |bed| bed.count(name, "seen").await >= 1).await;
        }
        bed
    }

    /// Everything that is on the log about a container, or the host.
    async fn history(&self, name: &str) -> Vec<Recorded> {
        let all = self.ctx.log.read(Partition(0), &Family::ALL, Range::ALL, Order::OldestFirst, 100_000).await.unwrap();
        all.into_iter().map(|entry| entry.event.unwrap()).filter(|event| event.subject.short() == name).collect()
    }

    /// The events of this kind; a name without a family is an observation's.
    async fn count(&self, name: &str, kind: &str) -> usize {
        let kind = if kind.contains('.') { kind.to_owned() } else { format!("observation.{kind}") };
        self.history(name).await.iter().filter(|event| event.kind() == kind).count()
    }

    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        let waiting = async {
            while !is_so(self).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, waiting).await.is_err() {
            let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
            let all = self.ctx.log.read(Partition(0), &Family::ALL, Range::ALL, Order::OldestFirst, 100_000).await;
            for event in all.unwrap().into_iter().map(|entry| entry.event.unwrap()) {
                *kinds.entry(format!("{} {}", event.subject.short(), event.kind())).or_default() += 1;
            }
            panic!("not within {DEADLINE:?}: {what}; there is {kinds:#?}");
        }
    }

    fn status(&self, name: &str) -> Status {
        self.engine.look(|state, _| state.container(name).map(|container| container.status)).unwrap()
    }

    fn fall_ill(&self, name: &str, kind: FailureKind) {
        self.engine.change(|state, now| state.inject(name, Failure::of(kind), now)).unwrap();
    }

    fn stop(&self, name: &str) {
        self.engine.change(|state, now| state.stop(name, None, now)).unwrap();
    }

    /// Waits until the end of `name`'s only run is on the log, and gives who ended it.
    async fn ended(&self, name: &str) -> ExitBy {
        self.until(&format!("{name} has ended"), async |bed| bed.count(name, "exited").await >= 1).await;
        let history = self.history(name).await;
        let mut exits = history.iter().filter_map(|event| match event.event() {
            Some(Event::Observation(Observation::Exited(exited))) => Some(exited.exit.by),
            _ => None,
        });
        exits.next_back().unwrap()
    }
}

const CRASH: FailureKind = FailureKind::Exits { code: 3 };

#[tokio::test]
async fn fifty_cuts_lose_and_repeat_no_event() {
    let names = ["a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3", "b4", "b5"];
    let restarted = || ContainerSpec::default().restart(RestartPolicy::UnlessStopped);
    let bed = Bed::of(&names.map(|name| (name, restarted()))).await;
    let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
    for turn in 0..50 {
        let name = names[turn % names.len()];
        bed.until("it runs", async |bed| bed.status(name) == Status::Running).await;
        // Cut before, after and during the event.
        if turn % 3 == 0 {
            bed.engine.cut_streams();
        }
        if turn % 2 == 0 {
            bed.fall_ill(name, CRASH);
        } else {
            bed.engine.change(|state, now| state.restart(name, None, now)).unwrap();
        }
        *runs.entry(name).or_default() += 1;
        bed.engine.cut_streams();
        tokio::time::sleep(Duration::from_millis(13 * (turn as u64 % 4))).await;
        bed.engine.cut_streams();
    }
    for name in names {
        bed.until("it runs again", async |bed| bed.status(name) == Status::Running).await;
        bed.stop(name);
    }
    for name in names {
        let expected = runs[name] + 1;
        bed.until(&format!("{name} has ended {expected} times"), async |bed| {
            bed.count(name, "exited").await >= expected
        })
        .await;
    }
    // The last event of each is its end, so a repeated one would be on the log by now.
    for name in names {
        let counts = (bed.count(name, "exited").await, bed.count(name, "started").await, bed.count(name, "seen").await);
        assert_eq!((counts.0, counts.1), (runs[name] + 1, runs[name]), "{name}: ends and beginnings");
    }
    assert_eq!(bed.count(host().as_str(), "engine_lost").await, 0, "a cut stream is no lost engine");
}

#[tokio::test]
async fn events_while_the_engine_is_down_are_found_afterwards() {
    let bed = Bed::of(&[
        ("crashed", ContainerSpec::default()),
        ("stopped", ContainerSpec::default()),
        ("well", ContainerSpec::default()),
    ])
    .await;
    bed.engine.go_down();
    bed.until("the loss is reported", async |bed| bed.count(host().as_str(), "engine_lost").await == 1).await;
    bed.fall_ill("crashed", CRASH);
    bed.stop("stopped");
    bed.until("it has ended", async |bed| bed.status("stopped") == Status::Exited).await;
    // A dockerd that was restarted remembers nothing of it.
    bed.engine.change(|state, _| state.forget_events());
    bed.engine.come_up().await.unwrap();
    assert_eq!(bed.ended("crashed").await, ExitBy::Crash);
    // It exited with 0, and the engine has forgotten who asked for it.
    assert_eq!(bed.ended("stopped").await, ExitBy::Itself);
    bed.until("it is reported that it answers", async |bed| bed.count(host().as_str(), "engine_found").await == 2)
        .await;
    for (name, ends) in [("crashed", 1), ("stopped", 1), ("well", 0)] {
        assert_eq!(bed.count(name, "exited").await, ends, "{name}");
    }
    assert_eq!(bed.count(host().as_str(), "engine_lost").await, 1);
}

#[tokio::test]
async fn a_stats_call_that_hangs_delays_only_its_own_container() {
    let bed = Bed::of(&[("stuck", ContainerSpec::default()), ("well", ContainerSpec::default())]).await;
    bed.engine.add_fault(ApiFault::new(FaultEffect::Hang).on("stats").for_container("stuck"));
    bed.until("calls hang", async |bed| bed.engine.requests("stats") > 4).await;
    let before = (bed.count("stuck", "sample.container").await, bed.count("well", "sample.container").await);
    bed.until("others are sampled on", async |bed| bed.count("well", "sample.container").await >= before.1 + 5).await;
    assert!(bed.count("stuck", "sample.container").await <= before.0 + 1);
    // Its events are still received.
    bed.fall_ill("stuck", CRASH);
    assert_eq!(bed.ended("stuck").await, ExitBy::Crash);
    bed.engine.clear_faults();
    bed.engine.change(|state, now| state.start("stuck", now)).unwrap();
    let before = bed.count("stuck", "sample.container").await;
    bed.until("it is sampled again", async |bed| bed.count("stuck", "sample.container").await > before).await;
    assert_eq!(bed.count(host().as_str(), "engine_lost").await, 0, "one call that hangs is no lost engine");
}

#[tokio::test]
async fn refused_calls_lose_no_event() {
    let names = ["a1", "a2", "a3", "a4", "a5", "a6"];
    let bed = Bed::of(&names.map(|name| (name, ContainerSpec::default()))).await;
    // The inspections after every event are refused.
    let refuse = || {
        bed.engine.clear_faults();
        for name in names {
            bed.engine.add_fault(ApiFault::new(FaultEffect::Status(500)).on("inspect").for_container(name).times(2));
        }
        for kind in ["stats", "list"] {
            bed.engine.add_fault(ApiFault::new(FaultEffect::Status(500)).on(kind).share(0.33));
        }
    };
    refuse();
    for name in names {
        bed.fall_ill(name, CRASH);
    }
    for name in names {
        assert_eq!(bed.ended(name).await, ExitBy::Crash, "{name}");
    }
    refuse();
    for name in names {
        bed.engine.change(|state, now| state.start(name, now)).unwrap();
    }
    for name in names {
        bed.until(&format!("{name} is known to run again"), async |bed| bed.count(name, "started").await >= 1).await;
        bed.stop(name);
    }
    for name in names {
        bed.until(&format!("{name} has ended twice"), async |bed| bed.count(name, "exited").await >= 2).await;
        assert_eq!((bed.count(name, "exited").await, bed.count(name, "started").await), (2, 1), "{name}");
    }
}

#[tokio::test]
async fn a_slow_engine_only_delays_events() {
    let bed = Bed::of(&[("api", ContainerSpec::default().checked_every(Duration::from_millis(200)))]).await;
    bed.engine.add_fault(ApiFault::slow(Duration::from_millis(400)));
    bed.until("it is well", async |bed| bed.count("api", "health_changed").await >= 1).await;
    bed.fall_ill("api", FailureKind::Unhealthy);
    bed.until("it has a symptom", async |bed| bed.count("api", "symptom_raised").await == 1).await;
    bed.stop("api");
    assert_eq!(bed.ended("api").await, ExitBy::Operator);
    assert_eq!(bed.count("api", "symptom_raised").await, 1);
    assert_eq!(bed.count(host().as_str(), "engine_lost").await, 0);
}
