//! HemoStat's cost with a hundred, a thousand and ten thousand containers, on a fake Docker engine whose stats API responds
//! at once, so that only HemoStat's own part is measured. `make bench-monitor` measures with the real engine.
//!
//! `HEMOSTAT_BENCH_CONTAINERS=1000` skips larger sizes.

use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use hemostat_fake_docker::{ContainerSpec, EngineState, Failure, FailureKind, FakeDocker, UnixNanos, fleet::Fleet};
use hemostat_tests::{
    BenchResults, Hemostat, SimulatedDeployment,
    instants::{appended_at, instant},
    process::{cpu_seconds, family_of, rss},
    wait_until,
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

const SIZES: [usize; 3] = [100, 1_000, 10_000];
const INTERVAL: Duration = Duration::from_secs(5);
/// Duration of a measurement.
const REST: Duration = Duration::from_secs(60);
/// Number of containers that exit, and of those that become unhealthy.
const SUBJECTS: usize = 50;
/// Deadline until all containers are known and sampled.
const STEP_TIMEOUT: Duration = Duration::from_secs(180);
/// Minimum time without requests that separates two sweeps.
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() {
    let most = std::env::var("HEMOSTAT_BENCH_CONTAINERS").ok().and_then(|most| most.parse().ok()).unwrap_or(usize::MAX);
    let mut results = BenchResults::of("monitor_scale");
    let mut each = vec![];
    for size in SIZES.into_iter().filter(|size| *size <= most) {
        each.push(measure(size, &mut results).await);
    }
    if let (Some(few), Some(many)) = (each.first(), each.last()) {
        // Linear scaling: the cost per container does not grow with their number.
        results.add("cpu_per_container_many_to_few", many / few, "ratio", Some(1.0));
    }
    results.publish();
}

/// Measures this number of containers and returns the CPU time per container and minute, in ms.
async fn measure(size: usize, results: &mut BenchResults) -> f64 {
    let mut deployment = SimulatedDeployment::of(state(size)).await;
    deployment.set("monitor.interval", "5s");
    deployment.set_raw("responder.dry_run", "true");
    let began = Instant::now();
    let hemostat = deployment.up().await;
    let engine = &deployment.engine;
    wait_until(STEP_TIMEOUT, "the whole fleet is sampled twice", async || {
        let asked = engine.requests("stats");
        ensure!(asked >= 2 * (size + 2 * SUBJECTS) as u64, "{asked} so far");
        Ok(())
    })
    .await;
    results.add(format!("{size}_sampled_twice_after"), began.elapsed().as_secs_f64(), "s", None);
    sleep(2 * INTERVAL).await;

    let family = family_of(hemostat.pid());
    let used = || family.values().map(|pid| cpu_seconds(*pid)).sum::<f64>();
    let (own_before, before) = (cpu_seconds(hemostat.pid()), used());
    let sweeps = sweeps(engine, size + 2 * SUBJECTS).await;
    let minutes = REST.as_secs_f64() / 60.0;
    #[expect(clippy::cast_precision_loss, reason = "a number of containers")]
    let per = |seconds: f64| seconds * 1000.0 / minutes / (size + 2 * SUBJECTS) as f64;
    let own = per(cpu_seconds(hemostat.pid()) - own_before);
    results.percentiles(&format!("{size}_sweep"), sweeps, "ms");
    results.add(format!("{size}_cpu_per_container"), own, "ms/min", None);
    results.add(format!("{size}_cpu_with_redis_per_container"), per(used() - before), "ms/min", None);
    results.add(format!("{size}_memory"), rss(hemostat.pid()), "MB", Some(250.0));
    results.add(format!("{size}_memory_with_redis"), family.values().map(|pid| rss(*pid)).sum(), "MB", None);
    for (what, delays) in [
        ("death", delays(&hemostat, engine, "dies", FailureKind::Exits { code: 3 }, "observation.exited").await),
        ("health_flip", delays(&hemostat, engine, "ails", FailureKind::Unhealthy, "observation.health_changed").await),
    ] {
        results.percentiles(&format!("{size}_{what}_to_log"), delays, "ms");
    }
    assert!(hemostat.stop().await.success(), "HemoStat ends in order");
    own
}

/// The containers, including those that will fail.
fn state(size: usize) -> EngineState {
    let (mut state, now) = (EngineState::new(1), UnixNanos::from(SystemTime::now()));
    Fleet::of("fleet", size).start(&mut state, now).expect("names of its own");
    for n in 0..SUBJECTS {
        for (name, spec) in [
            (format!("dies-{n:02}"), ContainerSpec::default()),
            (format!("ails-{n:02}"), ContainerSpec::default().checked_every(Duration::from_millis(500))),
        ] {
            state.create(&name, spec, now).expect("a name of its own");
            state.start(&name, now).expect("it is there");
        }
    }
    state
}

/// The time of each sweep, in ms, at the engine: from its first request to its last.
async fn sweeps(engine: &FakeDocker, size: usize) -> Vec<f64> {
    let end = Instant::now() + REST;
    let (mut last, mut sweep, mut sweeps) = (engine.requests("stats"), None::<(Instant, Instant, u64)>, vec![]);
    while Instant::now() < end {
        sleep(Duration::from_millis(2)).await;
        let (now, count) = (Instant::now(), engine.requests("stats"));
        if count > last {
            let (began, _, of) = sweep.unwrap_or((now, now, 0));
            sweep = Some((began, now, of + count - last));
            last = count;
        } else if let Some((began, wait_for_exit, of)) =
            sweep.take_if(|(_, wait_for_exit, _)| now - *wait_for_exit >= PAUSE)
        {
            // The first and the last may be incomplete.
            if of as usize * 10 >= size * 9 {
                sweeps.push((wait_for_exit - began).as_secs_f64() * 1000.0);
            }
        }
    }
    assert!(sweeps.len() >= 3, "sweeps run into each other: there are {} in {REST:?}", sweeps.len());
    sweeps
}

/// Makes each of them fail and returns the times from the engine's event to the log, in ms.
async fn delays(hemostat: &Hemostat, engine: &FakeDocker, who: &str, illness: FailureKind, kind: &str) -> Vec<f64> {
    let mut delays = vec![];
    for n in 0..SUBJECTS {
        let name = format!("{who}-{n:02}");
        engine.change(|state, now| state.inject(&name, Failure::of(illness), now)).expect("it runs");
        let path = format!("/events?container={name}&order=newest&limit=20");
        let delay = wait_until(STEP_TIMEOUT, "it is on the log", async || {
            let answer = hemostat.get(&path).await?;
            let events = answer["events"].as_array().context("no events")?;
            let ill = events.iter().find(|event| event["kind"] == kind && is_ill(&event["data"]));
            let ill = ill.with_context(|| format!("no {kind} of {name} yet"))?;
            Ok(appended_at(ill)? - instant(&ill["at"])?)
        })
        .await;
        delays.push(delay);
    }
    delays
}

/// An exit, or a change to unhealthy.
fn is_ill(data: &Value) -> bool {
    data["to"].is_null() || data["to"] == "unhealthy"
}
