//! `make bench-monitor`: what it costs to watch containers, and how soon what happens to them is on the log.
//!
//! | figure | what it is | its ceiling |
//! |---|---|---|
//! | `<engine>_<n>_cgroup_sweep` | one sweep of HemoStat through the kernel's files of n idle containers | `fs::read` of the same files |
//! | `<engine>_<n>_api_sweep` | one sweep by the stats API | the same requests over bare sockets, 128 at once, answers not read |
//! | `…_cpu`, `…_rss` | HemoStat as a whole (`hemostat up`, every role, counters every 5 s) at rest | – |
//! | `…_per_container`, `…_dockerd_per_container` | CPU time of HemoStat, and of dockerd and containerd, for each container and minute | – |
//! | `docker_stats_*`, `one_by_one_*` | the same from `docker stats --no-stream`, and from the stats API one container after the other with `stream=false`, as a poller in Python does | – |
//! | `death_to_log`, `flip_to_log` | from Docker's own time of a death or of a change of health to its observation on the log | – |
//! | `deaths_at_once_to_log` | the same of half of the containers, as fast as they can be killed: Docker cleans up after them meanwhile | – |
//!
//! A sweep is told by HemoStat's own metrics, of all sweeps of a minute; CPU time by the kernel. The figures of dockerd
//! are without what it used before HemoStat began.
//!
//! `HEMOSTAT_BENCH_CONTAINERS=20` watches so many.

use std::{
    fs, future,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bollard::query_parameters::StatsOptionsBuilder;
use futures::{StreamExt, TryStreamExt, stream};
use hemostat_patient::{
    Illness,
    illness::{Crash, Unhealthy},
    stage::{Patient, PatientSpec, docker_host},
};
use hemostat_tests::{
    Bed, Figures, Hemostat,
    instants::{instant, on_log},
    process::{called, cpu_seconds, family_of, rss},
    until,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::Command,
    time::sleep,
};

const CONTAINERS: usize = 100;
/// How long is measured.
const REST: Duration = Duration::from_secs(60);
/// How long everything is left alone before that.
const SETTLE: Duration = Duration::from_secs(10);
const INTERVAL: &str = "5s";
const SWEEPS_PER_MINUTE: f64 = 12.0;
const PATIENCE: Duration = Duration::from_secs(120);
/// So many patients start at once.
const STARTS: usize = 8;
/// As HemoStat asks.
const CALLS: usize = 128;
/// So many containers are asked one by one; each takes a second or two.
const ONE_BY_ONE: usize = 5;
/// Patients whose health changes, and how often.
const CHECKED: usize = 10;
const FLIPS: usize = 10;
/// Between two deaths, so that Docker has cleaned up after the one before the next.
const BETWEEN: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let size = match std::env::var("HEMOSTAT_BENCH_CONTAINERS") {
        Ok(text) => text.parse().context("HEMOSTAT_BENCH_CONTAINERS")?,
        Err(_) => CONTAINERS,
    };
    let mut figures = Figures::of("monitor");
    real(&mut figures, size).await?;
    figures.publish();
    Ok(())
}

/// On the real engine.
async fn real(figures: &mut Figures, size: usize) -> anyhow::Result<()> {
    let mut bed = Bed::new("monitor").await;
    bed.set("monitor.interval", INTERVAL);
    bed.set("responder.mode", "observe");
    let idle: Vec<Patient> =
        stream::iter(0..size).map(|n| start(&bed, format!("p{n:05}"), None)).buffer_unordered(STARTS).collect().await;
    sleep(SETTLE).await;
    let engine = called(&["dockerd", "containerd"]);
    let before = total_cpu(&engine);
    sleep(REST / 2).await;
    let at_rest = (total_cpu(&engine) - before) / (REST / 2).as_secs_f64();

    let ids: Vec<&str> = idle.iter().map(|patient| patient.id.as_str()).collect();
    let files = read_bare(&ids);
    let requests = ask_bare(&ids).await?;
    peers(figures, &bed, &ids, &engine, at_rest).await?;
    for (source, ceiling) in [("cgroup", files), ("api", requests)] {
        bed.set("monitor.source", source);
        let hemostat = bed.up().await;
        let watched =
            Watched { name: format!("real_{size}_{source}"), source, size, engine: &engine, at_rest, ceiling };
        rest(figures, &hemostat, &watched).await?;
        drop(hemostat);
    }
    bed.set("monitor.source", "auto");
    let checked: Vec<Patient> = stream::iter(0..CHECKED)
        .map(|n| start(&bed, format!("checked{n}"), Some(Duration::from_millis(500))))
        .buffer_unordered(STARTS)
        .collect()
        .await;
    let hemostat = bed.up().await;
    all_sampled(&hemostat, "cgroup", size + CHECKED).await;
    flip(&checked).await?;
    let flips = delays(&hemostat, "observation.health_changed", CHECKED * FLIPS).await;
    figures.percentiles(&format!("real_{size}_flip_to_log"), flips, "ms");
    let (one_by_one, at_once) = idle.split_at(size / 2);
    for (dying, pause, name) in [(one_by_one, BETWEEN, "death"), (at_once, Duration::ZERO, "deaths_at_once")] {
        for patient in dying {
            patient.fall_ill(Illness::Crash(Crash { code: 3 })).await?;
            sleep(pause).await;
        }
        let deaths = delays(&hemostat, "observation.exited", dying.len()).await;
        figures.percentiles(&format!("real_{size}_{name}_to_log"), deaths, "ms");
    }
    Ok(())
}

async fn start(bed: &Bed, name: String, health_interval: Option<Duration>) -> Patient {
    bed.patient(PatientSpec { health_interval, ..PatientSpec::named(name) }).await
}

/// What is watched, and how.
struct Watched<'a> {
    /// What the names of the figures begin with.
    name: String,
    source: &'static str,
    size: usize,
    /// The processes of its engine.
    engine: &'a [u32],
    /// CPU time that these use in a second with nobody watching.
    at_rest: f64,
    /// The least that a sweep can take.
    ceiling: Option<Duration>,
}

/// What HemoStat costs while nothing happens.
async fn rest(figures: &mut Figures, hemostat: &Hemostat, watched: &Watched<'_>) -> anyhow::Result<()> {
    let Watched { name, source, size, engine, at_rest, ceiling } = watched;
    all_sampled(hemostat, source, *size).await;
    sleep(SETTLE).await;
    let family = family_of(hemostat.pid());
    let with_redis = |of: fn(u32) -> f64| family.values().map(|pid| of(*pid)).sum::<f64>();
    let used = || [cpu_seconds(hemostat.pid()), with_redis(cpu_seconds), total_cpu(engine)];
    let (before, metrics, began) = (used(), scrape(hemostat).await?, Instant::now());
    sleep(REST).await;
    let (after, later, seconds) = (used(), scrape(hemostat).await?, began.elapsed().as_secs_f64());
    let [own, family_cpu, engine_cpu] = [0, 1, 2].map(|n| after[n] - before[n]);
    let mean = |what: &str| {
        let grown = |part: &str| {
            let series = format!("hemostat_{what}_{part}{{host=\"bed\",source=\"{source}\"}}");
            Ok::<_, anyhow::Error>(figure(&later, &series)? - figure(&metrics, &series)?)
        };
        Ok::<_, anyhow::Error>(grown("sum")? / grown("count")? * 1000.0)
    };
    let containers = count(*size);
    let per_container = |cpu: f64| cpu * 1000.0 * 60.0 / seconds / containers;
    let ceiling = ceiling.map(|ceiling| ceiling.as_secs_f64() * 1000.0);
    figures.add(format!("{name}_sweep"), mean("sweep_duration_seconds")?, "ms", ceiling);
    figures.add(format!("{name}_sweep_cpu"), mean("sweep_cpu_seconds")?, "ms", None);
    figures.add(format!("{name}_cpu"), own / seconds * 100.0, "% of core", None);
    figures.add(format!("{name}_cpu_with_redis"), family_cpu / seconds * 100.0, "% of core", None);
    figures.add(format!("{name}_per_container"), per_container(own), "ms/min", None);
    let engine_cpu = (engine_cpu - at_rest * seconds).max(0.0);
    figures.add(format!("{name}_dockerd_per_container"), per_container(engine_cpu), "ms/min", None);
    figures.add(format!("{name}_rss"), rss(hemostat.pid()), "MB", None);
    figures.add(format!("{name}_rss_with_redis"), with_redis(rss), "MB", None);
    Ok(())
}

/// What others do for the same figures.
async fn peers(figures: &mut Figures, bed: &Bed, ids: &[&str], engine: &[u32], at_rest: f64) -> anyhow::Result<()> {
    let (containers, size) = (count(ids.len()), ids.len());
    let engine_cost = |cpu: f64, took: Duration| (cpu - at_rest * took.as_secs_f64()).max(0.0) * 1000.0;
    let (began, before) = (Instant::now(), total_cpu(engine));
    let status = Command::new("docker").args(["stats", "--no-stream"]).args(ids).stdout(Stdio::null()).status().await;
    match status {
        Ok(status) if status.success() => {
            let (took, cpu) = (began.elapsed(), total_cpu(engine) - before);
            figures.add(format!("docker_stats_{size}_sweep"), took.as_secs_f64() * 1000.0, "ms", None);
            let per_minute = engine_cost(cpu, took) * SWEEPS_PER_MINUTE / containers;
            figures.add(format!("docker_stats_{size}_dockerd_per_container"), per_minute, "ms/min", None);
        }
        #[expect(clippy::print_stderr, reason = "a bench says what it leaves out")]
        other => eprintln!("without the figures of docker stats, as it did not run: {other:?}"),
    }
    let (began, before, asked) = (Instant::now(), total_cpu(engine), ids.len().min(ONE_BY_ONE));
    let plain = StatsOptionsBuilder::new().stream(false).build();
    for id in &ids[..asked] {
        bed.stage.docker().stats(id, Some(plain.clone())).try_for_each(|_| future::ready(Ok(()))).await?;
    }
    let (took, cpu, asked) = (began.elapsed(), total_cpu(engine) - before, count(asked));
    figures.add(format!("one_by_one_{size}_sweep"), took.as_secs_f64() * 1000.0 / asked * containers, "ms", None);
    let per_minute = engine_cost(cpu, took) * SWEEPS_PER_MINUTE / asked;
    figures.add(format!("one_by_one_{size}_dockerd_per_container"), per_minute, "ms/min", None);
    Ok(())
}

/// Makes each of them sick and well by turns.
async fn flip(patients: &[Patient]) -> anyhow::Result<()> {
    for turn in 0..FLIPS {
        for patient in patients {
            match turn % 2 {
                0 => patient.fall_ill(Illness::Unhealthy(Unhealthy::default())).await?,
                _ => patient.recover().await?,
            }
        }
        let wanted = if turn % 2 == 0 { "unhealthy" } else { "healthy" };
        for patient in patients {
            until(PATIENCE, "its health changes", async || {
                let state = patient.inspect().await?.state.context("no state")?;
                let health = state.health.and_then(|health| health.status).map(|status| status.to_string());
                ensure!(health.as_deref() == Some(wanted), "it is {health:?}");
                Ok(())
            })
            .await;
        }
    }
    Ok(())
}

/// From Docker's own time to the log's, in milliseconds, of the last events of this kind.
async fn delays(hemostat: &Hemostat, kind: &str, wanted: usize) -> Vec<f64> {
    until(PATIENCE, kind, async || {
        let answer = hemostat.get(&format!("/events?kind={kind}&order=newest&limit={wanted}")).await?;
        let events = answer["events"].as_array().context("no events")?;
        ensure!(events.len() >= wanted, "there are {} of {wanted}", events.len());
        events.iter().map(|event| Ok(on_log(event)? - instant(&event["at"])?)).collect()
    })
    .await
}

/// Waits until every container is read in one sweep.
async fn all_sampled(hemostat: &Hemostat, source: &str, size: usize) {
    until(PATIENCE, "all containers are sampled", async || {
        let sampled = figure(
            &scrape(hemostat).await?,
            &format!("hemostat_sweep_containers{{host=\"bed\",source=\"{source}\"}}"),
        )?;
        ensure!(sampled >= count(size), "{sampled} are");
        Ok(())
    })
    .await;
}

async fn scrape(hemostat: &Hemostat) -> anyhow::Result<String> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    Ok(client.get(format!("{}/metrics", hemostat.url())).send().await?.error_for_status()?.text().await?)
}

/// One figure of a page as Prometheus reads it.
fn figure(page: &str, series: &str) -> anyhow::Result<f64> {
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.with_context(|| format!("no {series} yet"))?.parse().with_context(|| series.to_owned())
}

/// How long it takes to read the files of these containers, and to do nothing with them; the best of three.
fn read_bare(ids: &[&str]) -> Option<Duration> {
    const V1: [&str; 8] = [
        "cpuacct/cpuacct.usage",
        "cpu/cpu.stat",
        "memory/memory.usage_in_bytes",
        "memory/memory.limit_in_bytes",
        "memory/memory.stat",
        "pids/pids.current",
        "pids/pids.max",
        "blkio/blkio.throttle.io_service_bytes_recursive",
    ];
    const V2: [&str; 10] = [
        "cpu.stat",
        "memory.current",
        "memory.max",
        "memory.stat",
        "pids.current",
        "pids.max",
        "io.stat",
        "cpu.pressure",
        "memory.pressure",
        "io.pressure",
    ];
    let root = Path::new("/sys/fs/cgroup");
    let groups = |id: &str| [format!("docker/{id}"), format!("system.slice/docker-{id}.scope")];
    let mut files = vec![];
    for id in ids {
        for group in groups(id) {
            files.extend(V2.map(|file| root.join(&group).join(file)));
            files.extend(
                ["cpu", "memory", "io"].map(|of| root.join("unified").join(&group).join(format!("{of}.pressure"))),
            );
            files.extend(V1.iter().filter_map(|file| {
                let (controller, file) = file.split_once('/')?;
                Some(root.join(controller).join(&group).join(file))
            }));
        }
    }
    files.retain(|file| file.exists());
    let read = || {
        let began = Instant::now();
        let whole = files.iter().filter(|file| fs::read(file).is_ok()).count();
        (whole > 0).then(|| began.elapsed())
    };
    (0..3).filter_map(|_| read()).min()
}

/// How long it takes to ask the engine for the counters of these containers, so many at once, over bare sockets; the best
/// of three. None where the engine is not behind a socket of this machine.
async fn ask_bare(ids: &[&str]) -> anyhow::Result<Option<Duration>> {
    let host = docker_host();
    let Some(path) = host.strip_prefix("unix://") else { return Ok(None) };
    let ask = async |id: &str| -> anyhow::Result<usize> {
        let mut line = UnixStream::connect(path).await?;
        let request = format!("GET /containers/{id}/stats?stream=false&one-shot=true HTTP/1.0\r\nHost: docker\r\n\r\n");
        line.write_all(request.as_bytes()).await?;
        let mut answer = vec![];
        let length = line.read_to_end(&mut answer).await?;
        ensure!(answer.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&answer));
        Ok(length)
    };
    let mut best: Option<Duration> = None;
    for _ in 0..3 {
        let began = Instant::now();
        let answers: Vec<usize> = stream::iter(ids).map(|id| ask(id)).buffer_unordered(CALLS).try_collect().await?;
        ensure!(answers.len() == ids.len(), "not every container answered");
        best = best.into_iter().chain([began.elapsed()]).min();
    }
    Ok(best)
}

fn total_cpu(pids: &[u32]) -> f64 {
    pids.iter().map(|pid| cpu_seconds(*pid)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
fn count(of: usize) -> f64 {
    of as f64
}
