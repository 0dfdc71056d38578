//! What HemoStat costs with a hundred, a thousand and ten thousand containers, on a simulated engine that answers at
//! once, by its stats API: so this is HemoStat's own part. `make bench-monitor` measures the real engine beside it.
//!
//! `HEMOSTAT_BENCH_CONTAINERS=1000` leaves out what is larger.

use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use hemostat_fake_docker::{Illness, Kind, Moment, Simulated, Spec, World, fleet::Fleet};
use hemostat_tests::{
    Figures, Hemostat, Simulation,
    instants::{instant, on_log},
    process::{cpu_seconds, family_of, rss},
    until,
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

const SIZES: [usize; 3] = [100, 1_000, 10_000];
const INTERVAL: Duration = Duration::from_secs(5);
/// How long it is looked on.
const REST: Duration = Duration::from_secs(60);
/// So many containers die, and as many turn unhealthy.
const SUBJECTS: usize = 50;
/// Until a fleet is known, sampled and quiet.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two sweeps nobody asks for so long.
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() {
    let most = std::env::var("HEMOSTAT_BENCH_CONTAINERS").ok().and_then(|most| most.parse().ok()).unwrap_or(usize::MAX);
    let mut figures = Figures::of("monitor_scale");
    let mut each = vec![];
    for size in SIZES.into_iter().filter(|size| *size <= most) {
        each.push(measure(size, &mut figures).await);
    }
    if let (Some(few), Some(many)) = (each.first(), each.last()) {
        // Flat: one container among many costs no more than one among few.
        figures.add("cpu_per_container_many_to_few", many / few, "ratio", Some(1.0));
    }
    figures.publish();
}

/// Measures a fleet of this size; gives the CPU time per container and minute, in ms.
async fn measure(size: usize, figures: &mut Figures) -> f64 {
    let mut simulation = Simulation::of(world(size)).await;
    simulation.set("monitor.interval", "5s");
    simulation.set_raw("responder.dry_run", "true");
    let began = Instant::now();
    let hemostat = simulation.up().await;
    let engine = &simulation.engine;
    until(PATIENCE, "the whole fleet is sampled twice", async || {
        let asked = engine.requests("stats");
        ensure!(asked >= 2 * (size + 2 * SUBJECTS) as u64, "{asked} so far");
        Ok(())
    })
    .await;
    figures.add(format!("{size}_sampled_twice_after"), began.elapsed().as_secs_f64(), "s", None);
    sleep(2 * INTERVAL).await;

    let family = family_of(hemostat.pid());
    let used = || family.values().map(|pid| cpu_seconds(*pid)).sum::<f64>();
    let (own_before, before) = (cpu_seconds(hemostat.pid()), used());
    let sweeps = sweeps(engine, size + 2 * SUBJECTS).await;
    let minutes = REST.as_secs_f64() / 60.0;
    #[expect(clippy::cast_precision_loss, reason = "a number of containers")]
    let per = |seconds: f64| seconds * 1000.0 / minutes / (size + 2 * SUBJECTS) as f64;
    let own = per(cpu_seconds(hemostat.pid()) - own_before);
    figures.percentiles(&format!("{size}_sweep"), sweeps, "ms");
    figures.add(format!("{size}_cpu_per_container"), own, "ms/min", None);
    figures.add(format!("{size}_cpu_with_redis_per_container"), per(used() - before), "ms/min", None);
    figures.add(format!("{size}_memory"), rss(hemostat.pid()), "MB", Some(250.0));
    figures.add(format!("{size}_memory_with_redis"), family.values().map(|pid| rss(*pid)).sum(), "MB", None);
    for (what, delays) in [
        ("death", delays(&hemostat, engine, "dies", Kind::Exits { code: 3 }, "observation.exited").await),
        ("health_flip", delays(&hemostat, engine, "ails", Kind::Unhealthy, "observation.health_changed").await),
    ] {
        figures.percentiles(&format!("{size}_{what}_to_log"), delays, "ms");
    }
    assert!(hemostat.stop().await.success(), "HemoStat ends in order");
    own
}

/// A fleet, and those to whom something will happen.
fn world(size: usize) -> World {
    let (mut world, now) = (World::new(1), Moment::from(SystemTime::now()));
    Fleet::of("fleet", size).start(&mut world, now).expect("names of its own");
    for n in 0..SUBJECTS {
        for (name, spec) in [
            (format!("dies-{n:02}"), Spec::default()),
            (format!("ails-{n:02}"), Spec::default().checked_every(Duration::from_millis(500))),
        ] {
            world.create(&name, spec, now).expect("a name of its own");
            world.start(&name, now).expect("it is there");
        }
    }
    world
}

/// How long each sweep takes, in ms, as the engine sees it: from its first request to its last.
async fn sweeps(engine: &Simulated, size: usize) -> Vec<f64> {
    let end = Instant::now() + REST;
    let (mut last, mut sweep, mut sweeps) = (engine.requests("stats"), None::<(Instant, Instant, u64)>, vec![]);
    while Instant::now() < end {
        sleep(Duration::from_millis(2)).await;
        let (now, count) = (Instant::now(), engine.requests("stats"));
        if count > last {
            let (began, _, of) = sweep.unwrap_or((now, now, 0));
            sweep = Some((began, now, of + count - last));
            last = count;
        } else if let Some((began, ended, of)) = sweep.take_if(|(_, ended, _)| now - *ended >= PAUSE) {
            // The first and the last may have been seen in part only.
            if of as usize * 10 >= size * 9 {
                sweeps.push((ended - began).as_secs_f64() * 1000.0);
            }
        }
    }
    assert!(sweeps.len() >= 3, "sweeps run into each other: there are {} in {REST:?}", sweeps.len());
    sweeps
}

/// Makes each of them ill, and gives how long it took from the engine's event to the log, in ms.
async fn delays(hemostat: &Hemostat, engine: &Simulated, who: &str, illness: Kind, kind: &str) -> Vec<f64> {
    let mut delays = vec![];
    for n in 0..SUBJECTS {
        let name = format!("{who}-{n:02}");
        engine.change(|world, now| world.fall_ill(&name, Illness::of(illness), now)).expect("it runs");
        let path = format!("/events?container={name}&order=newest&limit=20");
        let delay = until(PATIENCE, "it is on the log", async || {
            let answer = hemostat.get(&path).await?;
            let told = answer["events"].as_array().context("no events")?;
            let ill = told.iter().find(|event| event["kind"] == kind && is_ill(&event["data"]));
            let ill = ill.with_context(|| format!("no {kind} of {name} yet"))?;
            Ok(on_log(ill)? - instant(&ill["at"])?)
        })
        .await;
        delays.push(delay);
    }
    delays
}

/// A death, or a flip to unhealthy.
fn is_ill(data: &Value) -> bool {
    data["to"].is_null() || data["to"] == "unhealthy"
}
