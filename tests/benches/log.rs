//! `make bench-log`: the log's throughput beside the best that its Redis could do, on one machine, in one run.
//!
//! | measurement | HemoStat | ceiling |
//! |---|---|---|
//! | `commit` | two producers in flight on one log, batches of 500, encoding included | `redis-benchmark -c 1 -P 64` with an XADD of the same fields and as many bytes |
//! | `projector` | the projection `containers` fills itself from the backlog: read, decode, fold, commit its rows | XREADGROUP of the same streams, decode, XACK |
//! | `replay` | the whole history, in order across families, decoded | XRANGE of each stream, decode |
//!
//! The ceilings use servers with the same settings and the same events, through a blocking client that copies no value
//! and sends the acknowledgement together with the next read ([`RespConnection`]). Pages have as many entries as the
//! log's. Each value is the median of three runs on a new server each, after a warm-up run that does not count; each
//! server first receives some events in another partition, so that its memory and its Lua heap have grown.
//!
//! `append_to_handled` is the time from the start of an append until a reader that blocks in Redis receives the outcome
//! of its effect: two commits, the append signal, and the delivery in between.
//!
//! `HEMOSTAT_BENCH_EVENTS=10000,100000` measures only these sizes.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use hemostat_core::views::Containers;
use hemostat_log::{Commit, History, Lease, Log, Options, Range, RawEntry, RedisLog, migrate};
use hemostat_runtime::{Context, Effect, ExecutionGuard, Fault, LeasedWorker, ProjectWorker, Step, effect};
use hemostat_schema::{
    EventId, Family, NewEvent, Partition, Recorded,
    alert::Tested,
    codec::{self, Encoded},
};
use hemostat_tests::{
    BenchResults, EventGenerator, Fsync, RedisServer,
    resp::{RangeFrame, RespConnection, array},
};

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
const RUNS: usize = 3;
const CONTAINERS: usize = 100;
const BATCH: usize = 500;
/// Entries per XREADGROUP or XRANGE of the ceilings.
const PAGE: &str = "500";
const P: Partition = Partition(0);
/// Partition and number of events of the warm-up of a server.
const ASIDE: Partition = Partition(1);
const WARM: usize = 40 * BATCH;
/// Number of single events, and the pause between them.
const SINGLES: usize = 500;
const QUIET: Duration = Duration::from_millis(10);
const LEASE: Duration = Duration::from_secs(3600);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut results = BenchResults::of("log");
    let sizes = match std::env::var("HEMOSTAT_BENCH_EVENTS") {
        Ok(text) => text.split(',').map(str::parse).collect::<Result<_, _>>().context("HEMOSTAT_BENCH_EVENTS")?,
        Err(_) => SIZES.to_vec(),
    };
    run(sizes[0], Fsync::Never).await?;
    for (keeps, suffix) in [(Fsync::Never, ""), (Fsync::EverySecond, "_everysec")] {
        let mut costs: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for size in &sizes {
            let mut found: BTreeMap<&str, Vec<Beside>> = BTreeMap::new();
            for _ in 0..RUNS {
                for (name, beside) in run(*size, keeps).await? {
                    found.entry(name).or_default().push(beside);
                }
            }
            for (name, runs) in found {
                let beside = median(runs);
                costs.entry(name).or_default().push(1.0 / beside.ours);
                results.add(format!("{name}{suffix}_{size}"), beside.ours, beside.unit, Some(beside.ceiling));
            }
        }
        for (name, costs) in costs.iter().filter(|(name, _)| **name != MEMORY) {
            let growth = costs[costs.len() - 1] / costs[0];
            results.add(format!("{name}{suffix}_cost_growth"), growth, "times", None);
        }
    }
    results.percentiles("append_to_handled", append_to_handled().await?, "ms");
    results.publish();
    Ok(())
}

const MEMORY: &str = "memory";

/// A measurement beside its ceiling.
#[derive(Debug, Clone, Copy)]
struct Beside {
    ours: f64,
    ceiling: f64,
    unit: &'static str,
}

/// The run with the median ratio.
fn median(mut runs: Vec<Beside>) -> Beside {
    runs.sort_by(|a, b| (a.ours / a.ceiling).total_cmp(&(b.ours / b.ceiling)));
    runs[runs.len() / 2]
}

/// One run of all measurements with `size` events.
async fn run(size: usize, keeps: Fsync) -> anyhow::Result<Vec<(&'static str, Beside)>> {
    let load = EventGenerator::new("docker-1", CONTAINERS);
    let per_second = |ours: f64, ceiling: f64| Beside { ours, ceiling, unit: "events/s" };
    let server = RedisServer::with_fsync(keeps).await;
    let log = open(&server).await?;
    commit(&log, ASIDE, &load, WARM).await?;
    let before = used_memory(&server)?;
    let committed = commit(&log, P, &load, size).await?;
    let memory = (used_memory(&server)? - before) / count(size);

    let bare = RedisServer::with_fsync(keeps).await;
    xadd(&bare, ASIDE, &load, WARM)?;
    let before = used_memory(&bare)?;
    let added = xadd(&bare, P, &load, size)?;
    let bare_memory = (used_memory(&bare)? - before) / count(size);
    drop(bare);

    let replayed = replay(&log, size).await?;
    let ranged = blocking(&server, move |resp| xrange(resp, size)).await?;
    let projected = project(&log, size).await?;
    let consumed = blocking(&server, move |resp| xreadgroup(resp, size)).await?;
    Ok(vec![
        ("commit", per_second(committed, added)),
        ("projector", per_second(projected, consumed)),
        ("replay", per_second(replayed, ranged)),
        (MEMORY, Beside { ours: memory, ceiling: bare_memory, unit: "B/event" }),
    ])
}

async fn open(server: &RedisServer) -> anyhow::Result<Arc<RedisLog>> {
    let options = Options::new(&server.url())?;
    migrate(&options.clone().partitions(Some(2))).await?;
    Ok(Arc::new(RedisLog::connect(&options).await?))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
fn count(of: usize) -> f64 {
    of as f64
}

fn rate(events: usize, began: Instant) -> f64 {
    count(events) / began.elapsed().as_secs_f64()
}

fn used_memory(server: &RedisServer) -> anyhow::Result<f64> {
    let info = server.cli(&["INFO", "memory"])?;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("no used_memory")?;
    Ok(line.trim().parse()?)
}

/// Events per second of two alternating producers: one encodes while the other waits for Redis.
async fn commit(log: &Arc<RedisLog>, partition: Partition, load: &EventGenerator, size: usize) -> anyhow::Result<f64> {
    let mut producers = vec![];
    for name in ["left", "right"] {
        let lease = log.acquire(partition, name, "bench", LEASE).await?.context("the lease is taken")?;
        producers.push((lease, vec![]));
    }
    for n in 0..size / BATCH {
        let events = if n == 0 { with_containers(load) } else { load.batch(n, BATCH) };
        let (lease, commits) = &mut producers[n % 2];
        let seq = Some(commits.len() as u64 + 1);
        commits.push(Commit { seq, events, ..Commit::new(lease.clone()) });
    }
    let began = Instant::now();
    let tasks = producers.into_iter().map(|(_, commits)| {
        let log = log.clone();
        tokio::spawn(async move {
            for commit in &commits {
                log.commit(commit).await?;
            }
            anyhow::Ok(commits)
        })
    });
    let mut done = vec![];
    for task in tasks.collect::<Vec<_>>() {
        done.push(task.await?);
    }
    let rate = rate(size, began);
    done.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(rate)
}

/// The first batch, which begins with the first sighting of every container.
fn with_containers(load: &EventGenerator) -> Vec<NewEvent> {
    let seen = load.seen();
    let rest = load.batch(1, BATCH - seen.len());
    // Their causes count from the beginning of the batch.
    seen.into_iter().chain(rest.into_iter().map(|event| NewEvent { cause: None, ..event })).collect()
}

/// Events per second of redis-benchmark, with one entry of the mean size.
fn xadd(server: &RedisServer, partition: Partition, load: &EventGenerator, size: usize) -> anyhow::Result<f64> {
    let batch = load.batch(0, BATCH).into_iter().chain(load.batch(1, BATCH));
    let encoded = batch.map(|event| Ok((event.cause, codec::encode(&event)?))).collect::<anyhow::Result<Vec<_>>>()?;
    let bytes = |(cause, of): &(Option<_>, Encoded)| {
        of.kind.len() + of.subject.len() + of.envelope.len() + cause.map_or(0, |_| "c0.1767225600000-123".len())
    };
    let mean = encoded.iter().map(bytes).sum::<usize>() / encoded.len();
    let (kind, subject) = (&encoded[0].1.kind, &encoded[0].1.subject);
    // redis-benchmark reads it only up to the first zero.
    let envelope = "e".repeat(mean - kind.len() - subject.len());
    let mut child = Command::new("redis-benchmark")
        .arg("-s")
        .arg(server.socket())
        .args(["-c", "1", "-P", "64", "-n", &size.to_string(), "--csv", "-x"])
        .args(["XADD", &format!("hemostat:{{{partition}}}:observations"), "*", "k", kind, "s", subject, "e"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not run redis-benchmark: install redis-tools")?;
    child.stdin.take().context("no stdin")?.write_all(envelope.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "redis-benchmark failed");
    // "test","rps","avg","min","p50","p95","p99","max", where the test is the command and may hold anything.
    let text = String::from_utf8_lossy(&output.stdout);
    let rps = text.trim().rsplit(',').nth(6).context("redis-benchmark printed something else")?;
    Ok(rps.trim_matches('"').parse()?)
}

/// Events per second of a projection that catches up.
async fn project(log: &Arc<RedisLog>, size: usize) -> anyhow::Result<f64> {
    let ctx = Context::new(log.clone());
    let mut stage = LeasedWorker::new(ctx.clone(), ProjectWorker::<Containers>::new(ctx, P));
    let mut handled = 0;
    let began = Instant::now();
    loop {
        match stage.step().await? {
            Step::Worked { handled: more, .. } => handled += more,
            Step::Idle { .. } => break,
            Step::StandingBy => anyhow::bail!("another worker holds the lease"),
        }
    }
    let rate = rate(size, began);
    ensure!(handled == size, "{handled} events were projected, not {size}");
    Ok(rate)
}

/// Events per second of history as `hemostat replay` reads it.
async fn replay(log: &Arc<RedisLog>, size: usize) -> anyhow::Result<f64> {
    let history = History::new(log.clone(), None);
    let began = Instant::now();
    let mut scan = history.scan(P, Family::ALL, Range::ALL);
    let mut read = 0;
    while let Some(page) = scan.next().await? {
        read += page.iter().map(RawEntry::decode).filter(|entry| entry.event.is_ok()).count();
    }
    let rate = rate(size, began);
    ensure!(read == size, "{read} events were read, not {size}");
    Ok(rate)
}

async fn blocking<T: Send + 'static>(
    server: &RedisServer,
    work: impl FnOnce(RespConnection) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let socket = server.socket();
    tokio::task::spawn_blocking(move || work(RespConnection::connect(&socket)?)).await?
}

fn stream(family: Family) -> String {
    format!("hemostat:{{{P}}}:{}", family.stream())
}

/// Events per second of bare XRANGE and decode.
fn xrange(mut resp: RespConnection, size: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut read = 0;
    for stream in Family::ALL.map(stream) {
        let mut from = "-".to_owned();
        loop {
            let page = resp.call(["XRANGE", &stream, &from, "+", "COUNT", PAGE])?;
            let Some(last) = array(&page)?.last() else { break };
            read += decoded(&resp, array(&page)?)?;
            from = format!("({}", resp.text(&array(last)?[0])?);
        }
    }
    let rate = rate(size, began);
    ensure!(read == size, "{read} events were read, not {size}");
    Ok(rate)
}

/// Events per second of bare XREADGROUP, decode and XACK.
fn xreadgroup(mut resp: RespConnection, size: usize) -> anyhow::Result<f64> {
    let streams = Family::ALL.map(stream);
    for stream in &streams {
        resp.call(["XGROUP", "CREATE", stream, "bare", "0", "MKSTREAM"])?;
    }
    let read = ["XREADGROUP", "GROUP", "bare", "one", "COUNT", PAGE, "STREAMS"].into_iter();
    let read: Vec<&str> = read.chain(streams.iter().map(String::as_str)).chain([">"; Family::ALL.len()]).collect();
    let began = Instant::now();
    let (mut consumed, mut acks) = (0, 0);
    loop {
        resp.send(&read);
        for _ in 0..std::mem::take(&mut acks) {
            resp.receive()?;
        }
        let answer = resp.receive()?;
        let found = array(&answer)?;
        if found.is_empty() {
            break;
        }
        for stream in found {
            let [key, entries] = array(stream)? else { anyhow::bail!("a stream without entries") };
            consumed += decoded(&resp, array(entries)?)?;
            let mut ack = vec![b"XACK".to_vec(), resp.bytes(key)?.to_vec(), b"bare".to_vec()];
            for entry in array(entries)? {
                ack.push(resp.bytes(&array(entry)?[0])?.to_vec());
            }
            resp.send(ack);
            acks += 1;
        }
    }
    let rate = rate(size, began);
    ensure!(consumed == size, "{consumed} events were consumed, not {size}");
    Ok(rate)
}

/// Decodes entries and returns their number.
fn decoded(resp: &RespConnection, entries: &[RangeFrame]) -> anyhow::Result<usize> {
    for entry in entries {
        let [id, fields] = array(entry)? else { anyhow::bail!("an entry without fields") };
        let id = EventId::from_entry(P, resp.text(id)?)?;
        let [mut kind, mut subject, mut cause, mut envelope] = [None; 4];
        for field in array(fields)?.chunks_exact(2) {
            match resp.bytes(&field[0])? {
                b"k" => kind = Some(&field[1]),
                b"s" => subject = Some(&field[1]),
                b"c" => cause = Some(&field[1]),
                _ => envelope = Some(&field[1]),
            }
        }
        let text = |field: Option<&RangeFrame>| resp.text(field.context("a field is missing")?);
        let cause = cause.map(|cause| resp.text(cause)).transpose()?;
        let envelope = resp.bytes(envelope.context("no envelope")?)?;
        codec::decode(id, text(kind)?, text(subject)?, cause, envelope)?;
    }
    Ok(entries.len())
}

/// An effect without work, only an outcome.
#[derive(Debug)]
struct Echo;

#[async_trait]
impl Effect for Echo {
    const READS: &'static [Family] = &[Family::Sample];

    fn group(&self) -> &str {
        "echo"
    }

    fn wants(&self, event: &Recorded) -> bool {
        event.subject.container.is_some()
    }

    async fn run(&self, event: &Recorded, guard: &ExecutionGuard) -> Result<Vec<NewEvent>, Fault> {
        guard.check_lease()?;
        Ok(vec![NewEvent::new(event.subject.clone(), guard.began_at(), Tested { by: "bench".into() })])
    }
}

/// The times from the start of an append to the arrival of the outcome of its effect, in milliseconds.
async fn append_to_handled() -> anyhow::Result<Vec<f64>> {
    let server = RedisServer::with_fsync(Fsync::Never).await;
    let log = open(&server).await?;
    let ctx = Context::new(log.clone());
    let shutdown = ctx.shutdown.clone();
    let running = tokio::spawn(async move { hemostat_process::run(&ctx, effect(&ctx, Echo)).await });
    let lease = log.acquire(P, "bench", "bench", LEASE).await?.context("the lease is taken")?;
    let runtime = tokio::runtime::Handle::current();
    let took = blocking(&server, move |resp| one_at_a_time(resp, &runtime, &log, &lease)).await?;
    shutdown.cancel();
    running.await??;
    Ok(took)
}

fn one_at_a_time(
    mut resp: RespConnection,
    runtime: &tokio::runtime::Handle,
    log: &RedisLog,
    lease: &Lease,
) -> anyhow::Result<Vec<f64>> {
    let load = EventGenerator::new("docker-1", CONTAINERS);
    let alerts = stream(Family::Alert);
    let (mut took, mut last) = (vec![], "0-0".to_owned());
    for n in 0..SINGLES + CONTAINERS {
        std::thread::sleep(QUIET);
        let events = load.batch(0, 1);
        ensure!(matches!(&events[0].event, event if event.kind() == "sample.container"), "not a sample");
        let commit = Commit { seq: Some(n as u64 + 1), events, ..Commit::new(lease.clone()) };
        let began = Instant::now();
        runtime.block_on(log.commit(&commit))?;
        let answer = resp.call(["XREAD", "BLOCK", "5000", "STREAMS", &alerts, &last])?;
        let elapsed = began.elapsed();
        let stream = array(&answer)?.first().context("no outcome within 5 s")?;
        let entry = array(stream)?.last().and_then(|entries| array(entries).ok()?.last()).context("no entry")?;
        last = resp.text(&array(entry)?[0])?.to_owned();
        // The first events wait for the workers to start.
        if n >= CONTAINERS {
            took.push(elapsed.as_secs_f64() * 1000.0);
        }
    }
    Ok(took)
}
