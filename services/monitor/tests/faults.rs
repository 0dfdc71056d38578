//! The monitor against a simulated engine that is slow, hangs, refuses, and is cut off: nothing is missed, nothing doubled.
//!
//! `watching.rs` has the real engine; what can be asked of it is asked there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hemostat_core::{
    Policy,
    policy::{Care, Names},
};
use hemostat_fake_docker::{Fault, Illness, Kind, Life, Moment, Restart, Simulated, Spec, World, fault::Does};
use hemostat_monitor::{
    engine::Docker,
    examine,
    shift::{self, Settings},
    sweep,
};
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
    engine: Simulated,
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
    async fn of(containers: &[(&str, Spec)]) -> Self {
        let (mut world, now) = (World::new(1), Moment::from(SystemTime::now()));
        for (name, spec) in containers {
            world.create(name, spec.clone(), now).unwrap();
            world.start(name, now).unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let engine = Simulated::at(directory.path().join("docker.sock"), world).await.unwrap();
        let ctx = Context { lease_ttl: Duration::from_secs(1), ..Context::new(Arc::new(MemoryLog::new(1))) };
        let policy = Policy {
            exclude: Names::new(Vec::<&str>::new()).unwrap(),
            care: Care { grace: Span::ZERO, ..Care::default() },
            sample_every: Span::from_millis(100),
            ..Policy::default()
        };
        let settings = Settings {
            host: host(),
            interval: Duration::from_millis(200),
            sampling: sweep::Settings::default(),
            disk_every: Duration::from_secs(1),
            policy: Arc::new(policy),
            redactor: Redactor::default(),
            examinations: Some(examine::Settings::default()),
        };
        let docker = Arc::new(Docker::new(engine.address(), TIMEOUT));
        let monitor = tokio::spawn(shift::run(ctx.clone(), docker, settings));
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

    async fn count(&self, name: &str, kind: &str) -> usize {
        let kind = format!("observation.{kind}");
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

    fn life(&self, name: &str) -> Life {
        self.engine.look(|world, _| world.container(name).map(|container| container.life)).unwrap()
    }

    fn fall_ill(&self, name: &str, kind: Kind) {
        self.engine.change(|world, now| world.fall_ill(name, Illness::of(kind), now)).unwrap();
    }

    fn stop(&self, name: &str) {
        self.engine.change(|world, now| world.stop(name, None, now)).unwrap();
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

const CRASH: Kind = Kind::Exits { code: 3 };

#[tokio::test]
async fn fifty_cuts_hide_nothing_and_double_nothing() {
    let names = ["a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3", "b4", "b5"];
    let restarted = || Spec::default().restart(Restart::UnlessStopped);
    let bed = Bed::of(&names.map(|name| (name, restarted()))).await;
    let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
    for turn in 0..50 {
        let name = names[turn % names.len()];
        bed.until("it runs", async |bed| bed.life(name) == Life::Running).await;
        // Cut now before, now after, and now in the middle.
        if turn % 3 == 0 {
            bed.engine.cut_streams();
        }
        if turn % 2 == 0 {
            bed.fall_ill(name, CRASH);
        } else {
            bed.engine.change(|world, now| world.restart(name, None, now)).unwrap();
        }
        *runs.entry(name).or_default() += 1;
        bed.engine.cut_streams();
        tokio::time::sleep(Duration::from_millis(13 * (turn as u64 % 4))).await;
        bed.engine.cut_streams();
    }
    for name in names {
        bed.until("it runs again", async |bed| bed.life(name) == Life::Running).await;
        bed.stop(name);
    }
    for name in names {
        let expected = runs[name] + 1;
        bed.until(&format!("{name} has ended {expected} times"), async |bed| {
            bed.count(name, "exited").await >= expected
        })
        .await;
    }
    // The last word about each is its end, so whatever was to come twice has come.
    for name in names {
        let counts = (bed.count(name, "exited").await, bed.count(name, "started").await, bed.count(name, "seen").await);
        assert_eq!((counts.0, counts.1), (runs[name] + 1, runs[name]), "{name}: ends and beginnings");
    }
    assert_eq!(bed.count(host().as_str(), "engine_lost").await, 0, "a cut stream is no lost engine");
}

#[tokio::test]
async fn what_happens_while_the_engine_is_down_is_found_afterwards() {
    let bed = Bed::of(&[("crashed", Spec::default()), ("stopped", Spec::default()), ("well", Spec::default())]).await;
    bed.engine.go_down();
    bed.until("the loss is told", async |bed| bed.count(host().as_str(), "engine_lost").await == 1).await;
    bed.fall_ill("crashed", CRASH);
    bed.stop("stopped");
    bed.until("it has ended", async |bed| bed.life("stopped") == Life::Exited).await;
    // A dockerd that was restarted remembers nothing of it.
    bed.engine.change(|world, _| world.forget());
    bed.engine.come_up().await.unwrap();
    assert_eq!(bed.ended("crashed").await, ExitBy::Crash);
    // It ended with 0, and nobody remembers who asked for it.
    assert_eq!(bed.ended("stopped").await, ExitBy::Itself);
    bed.until("it is told that it answers", async |bed| bed.count(host().as_str(), "engine_found").await == 2).await;
    for (name, ends) in [("crashed", 1), ("stopped", 1), ("well", 0)] {
        assert_eq!(bed.count(name, "exited").await, ends, "{name}");
    }
    assert_eq!(bed.count(host().as_str(), "engine_lost").await, 1);
}

#[tokio::test]
async fn a_call_that_hangs_holds_up_its_own_container_only() {
    let bed = Bed::of(&[("stuck", Spec::default()), ("well", Spec::default())]).await;
    bed.engine.add_fault(Fault::new(Does::Hang).on("stats").about("stuck"));
    bed.until("calls hang", async |bed| bed.engine.requests("stats") > 4).await;
    let before = (bed.count("stuck", "sampled").await, bed.count("well", "sampled").await);
    bed.until("others are sampled on", async |bed| bed.count("well", "sampled").await >= before.1 + 5).await;
    assert!(bed.count("stuck", "sampled").await <= before.0 + 1);
    // What happens to it is heard all the same.
    bed.fall_ill("stuck", CRASH);
    assert_eq!(bed.ended("stuck").await, ExitBy::Crash);
    bed.engine.clear_faults();
    bed.engine.change(|world, now| world.start("stuck", now)).unwrap();
    let before = bed.count("stuck", "sampled").await;
    bed.until("it is sampled again", async |bed| bed.count("stuck", "sampled").await > before).await;
    assert_eq!(bed.count(host().as_str(), "engine_lost").await, 0, "one call that hangs is no lost engine");
}

#[tokio::test]
async fn an_engine_that_refuses_hides_nothing() {
    let names = ["a1", "a2", "a3", "a4", "a5", "a6"];
    let bed = Bed::of(&names.map(|name| (name, Spec::default()))).await;
    // Every event is followed by inspections that are refused.
    let refuse = || {
        bed.engine.clear_faults();
        for name in names {
            bed.engine.add_fault(Fault::new(Does::Status(500)).on("inspect").about(name).times(2));
        }
        for kind in ["stats", "list"] {
            bed.engine.add_fault(Fault::new(Does::Status(500)).on(kind).share(0.33));
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
        bed.engine.change(|world, now| world.start(name, now)).unwrap();
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
async fn a_slow_engine_makes_nothing_but_delay() {
    let bed = Bed::of(&[("api", Spec::default().checked_every(Duration::from_millis(200)))]).await;
    bed.engine.add_fault(Fault::slow(Duration::from_millis(400)));
    bed.until("it is well", async |bed| bed.count("api", "health_changed").await >= 1).await;
    bed.fall_ill("api", Kind::Unhealthy);
    bed.until("it is ill", async |bed| bed.count("api", "symptom_raised").await == 1).await;
    bed.stop("api");
    assert_eq!(bed.ended("api").await, ExitBy::Operator);
    assert_eq!(bed.count("api", "symptom_raised").await, 1);
    assert_eq!(bed.count(host().as_str(), "engine_lost").await, 0);
}
