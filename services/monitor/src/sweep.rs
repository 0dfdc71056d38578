//! How are the counters of all running containers read, every few seconds?
//!
//! ```text
//!           ┌─► files: one thread reads all that are here, in milliseconds ─┐
//!  sweep ───┤                                                               ├─► samples
//!           └─► engine: asked for the others, so many at once ──────────────┘
//! ```
//!
//! Which way a container's counters take is found out for each one, in every sweep: through the kernel's files where
//! [`cgroup`](crate::cgroup) finds them, which proves that the engine is on this machine, and by the stats API else (an
//! engine elsewhere, in Docker Desktop's machine, or files that this user may not read). `monitor.source` takes the
//! choice away.
//!
//! A container that is slow to answer delays nobody but itself: it is not asked again before it has answered, and after
//! a second the next one is asked beside it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hemostat_core::vitals::RawSample;
use hemostat_runtime::{Clock, Metric};
use hemostat_schema::{ByteCount, ContainerId, HostName};
use hemostat_settings::SampleSource;
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinError, JoinSet, spawn_blocking},
    time::timeout,
};
use tracing::{debug, info, warn};

use crate::{
    cgroup::{Reader, Roots, Running, Swept},
    engine::Engine,
    samples,
};

/// So many containers' counters are asked for at once.
const CALLS: usize = 128;
/// How long one of these calls keeps others waiting.
const TURN: Duration = Duration::from_secs(1);

/// Samples that belong together, as they come in.
pub type Samples = Vec<(ContainerId, RawSample)>;

/// How counters are read.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// From where.
    pub source: SampleSource,
    /// Where the kernel's files are.
    pub roots: Roots,
}

/// Reads counters. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Sweeper {
    host: HostName,
    engine: Arc<dyn Engine>,
    source: SampleSource,
    reader: Arc<tokio::sync::Mutex<Reader>>,
    /// Containers that were asked for and have not answered.
    asked: Arc<Mutex<HashSet<ContainerId>>>,
    calls: Arc<Semaphore>,
    /// By which ways the last sweep went, files and API.
    ways: Arc<Mutex<Option<[bool; 2]>>>,
}

impl Sweeper {
    /// Knows nothing of any container yet.
    pub fn new(host: HostName, engine: Arc<dyn Engine>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            host,
            engine,
            source: settings.source,
            reader: Arc::new(tokio::sync::Mutex::new(Reader::new(settings.roots, clock))),
            asked: Arc::default(),
            calls: Arc::new(Semaphore::new(CALLS)),
            ways: Arc::default(),
        }
    }

    /// Reads the counters of all these containers and hands them on as they come in.
    pub async fn sweep(self, running: Vec<Running>, host_memory: ByteCount, to: mpsc::Sender<Samples>) {
        let (mut left, mut by_file) = (running, false);
        if self.source != SampleSource::Api {
            let Some(Swept { samples, elsewhere }) = self.read(left, host_memory).await else { return };
            (left, by_file) = (elsewhere, !samples.is_empty());
            if by_file && to.send(samples).await.is_err() {
                return;
            }
        }
        // One that was not inspected yet says nothing of where its files are.
        self.tell([by_file, left.iter().any(|it| it.process.is_some())]);
        if self.source != SampleSource::Cgroup && !left.is_empty() {
            self.ask(left, host_memory, to).await;
        }
    }

    /// What is in files here; none while the sweep before is still at it, as files hang where a disk does.
    async fn read(&self, running: Vec<Running>, host_memory: ByteCount) -> Option<Swept> {
        let Ok(mut reader) = self.reader.clone().try_lock_owned() else {
            debug!("the sweep before is still reading files");
            return None;
        };
        let host = self.host.clone();
        let read = spawn_blocking(move || {
            let cost = Cost::begin(ClockId::ThreadCPUTime);
            let swept = reader.sweep(running, host_memory);
            if !swept.samples.is_empty() {
                cost.record(&host, "cgroup", swept.samples.len());
            }
            swept
        });
        read.await.inspect_err(|error| warn!("reading counters from files broke off: {error}")).ok()
    }

    /// Asks the engine for the rest.
    async fn ask(&self, running: Vec<Running>, host_memory: ByteCount, to: mpsc::Sender<Samples>) {
        let cost = Cost::begin(ClockId::ProcessCPUTime);
        let mut sampled = 0;
        let mut count = |ended: Result<usize, JoinError>| match ended {
            Ok(count) => sampled += count,
            Err(error) => warn!("asking for counters broke off: {error}"),
        };
        let mut calls = JoinSet::new();
        for Running { id, .. } in running {
            // A call that has ended takes room until it is asked for.
            while let Some(ended) = calls.try_join_next() {
                count(ended);
            }
            // Thousands of calls that wait for their turn would need memory for nothing.
            let Ok(turn) = self.calls.clone().acquire_owned().await else { break };
            let Some(asked) = Asked::once(&self.asked, id) else { continue };
            let (engine, to) = (self.engine.clone(), to.clone());
            calls.spawn(async move {
                let mut call = engine.stats(&asked.id);
                let stats = match timeout(TURN, &mut call).await {
                    Ok(stats) => stats,
                    Err(_) => {
                        drop(turn);
                        call.await
                    }
                };
                let stats = stats.inspect_err(|error| debug!("{error}")).ok();
                let Some(sample) = stats.and_then(|stats| samples::read(&stats, host_memory)) else { return 0 };
                to.send(vec![(asked.id.clone(), sample)]).await.map_or(0, |()| 1)
            });
        }
        while let Some(ended) = calls.join_next().await {
            count(ended);
        }
        if sampled > 0 {
            cost.record(&self.host, "api", sampled);
        }
    }

    /// For people: by which way counters come, whenever that changes.
    fn tell(&self, ways: [bool; 2]) {
        if ways == [false, false] || locked(&self.ways).replace(ways) == Some(ways) {
            return;
        }
        match (ways, self.source) {
            ([true, false], _) => info!("counters are read from the kernel's files"),
            ([false, true], SampleSource::Cgroup) => {
                warn!(
                    "no counters can be read: the control groups of the containers are not below monitor.cgroup_root and \
                     monitor.proc_root; monitor.source = \"auto\" would ask the engine"
                );
            }
            ([true, true], SampleSource::Cgroup) => {
                warn!("the counters of some containers cannot be read, as their control groups are not found");
            }
            ([false, true], _) => info!("the engine is asked for counters"),
            ([true, true], _) => {
                info!("counters are read from the kernel's files, and the engine is asked for the rest")
            }
            ([false, false], _) => {}
        }
    }
}

/// A container that is being asked for, until it has answered or nobody waits for it any more.
struct Asked {
    all: Arc<Mutex<HashSet<ContainerId>>>,
    id: ContainerId,
}

impl Asked {
    fn once(all: &Arc<Mutex<HashSet<ContainerId>>>, id: ContainerId) -> Option<Self> {
        locked(all).insert(id.clone()).then(|| Self { all: all.clone(), id })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        locked(&self.all).remove(&self.id);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a sweep costs.
struct Cost {
    began: Instant,
    clock: ClockId,
    cpu: Duration,
}

impl Cost {
    fn begin(clock: ClockId) -> Self {
        Self { began: Instant::now(), clock, cpu: cpu_time(clock) }
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge of a count")]
    fn record(&self, host: &HostName, source: &'static str, containers: usize) {
        let labels = [("host", host.as_str()), ("source", source)];
        Metric::SweepDuration.histogram(&labels).record(self.began.elapsed().as_secs_f64());
        Metric::SweepCpu.histogram(&labels).record(cpu_time(self.clock).saturating_sub(self.cpu).as_secs_f64());
        Metric::SweepContainers.gauge(&labels).set(containers as f64);
    }
}

fn cpu_time(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use bollard::{
        container::LogOutput,
        models::{ContainerInspectResponse, ContainerStatsResponse, ContainerTopResponse, EventMessage},
    };
    use futures::stream::BoxStream;
    use hemostat_runtime::SystemClock;
    use hemostat_schema::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::{
        disk::Usage,
        engine::{About, Error},
    };

    /// An engine of which some containers never answer.
    #[derive(Debug, Default)]
    struct Slow {
        mute: Vec<ContainerId>,
        calls: AtomicUsize,
    }

    fn refused() -> Error {
        Error::Refused { host: "here".into(), doing: "answer", reason: "it is a test".into() }
    }

    #[async_trait]
    impl Engine for Slow {
        async fn about(&self) -> Result<About, Error> {
            Err(refused())
        }
        async fn ping(&self) -> Result<(), Error> {
            Err(refused())
        }
        async fn list(&self) -> Result<Vec<ContainerId>, Error> {
            Err(refused())
        }
        async fn inspect(&self, _: &ContainerId) -> Result<ContainerInspectResponse, Error> {
            Err(refused())
        }
        async fn stats(&self, id: &ContainerId) -> Result<ContainerStatsResponse, Error> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if self.mute.contains(id) {
                std::future::pending::<()>().await;
            }
            Ok(serde_json::from_value(json!({
                "read": "2026-11-23T19:43:41Z", "cpu_stats": {"cpu_usage": {"total_usage": 1}},
                "memory_stats": {"usage": 1}
            }))
            .unwrap())
        }
        async fn output(&self, _: &ContainerId, _: Option<Timestamp>, _: u32) -> Result<Vec<LogOutput>, Error> {
            Err(refused())
        }
        async fn processes(&self, _: &ContainerId) -> Result<ContainerTopResponse, Error> {
            Err(refused())
        }
        async fn disk_usage(&self, _: Duration) -> Result<Vec<Usage>, Error> {
            Err(refused())
        }
        fn events(&self, _: Timestamp) -> BoxStream<'static, Result<EventMessage, Error>> {
            Box::pin(futures::stream::pending())
        }
    }

    fn id(n: usize) -> ContainerId {
        format!("{n:064x}").parse().unwrap()
    }

    fn sweeper(engine: &Arc<Slow>, source: SampleSource) -> Sweeper {
        let roots = Roots { cgroup: "/nonexistent".into(), proc: "/nonexistent".into() };
        Sweeper::new("here".parse().unwrap(), engine.clone(), Settings { source, roots }, Arc::new(SystemClock))
    }

    fn running(count: usize) -> Vec<Running> {
        (0..count).map(|n| Running { id: id(n), process: None }).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn containers_that_do_not_answer_delay_nobody_but_themselves() {
        let engine = Arc::new(Slow { mute: (0..CALLS * 2).map(id).collect(), ..Slow::default() });
        let sweeper = sweeper(&engine, SampleSource::Auto);
        let (to, mut from) = mpsc::channel(1000);
        let began = tokio::time::Instant::now();
        let first = tokio::spawn(sweeper.clone().sweep(running(CALLS * 2 + 10), ByteCount(1), to.clone()));
        for _ in 0..10 {
            from.recv().await.unwrap();
        }
        assert!(began.elapsed() < 3 * TURN, "{:?}", began.elapsed());
        // Nobody is asked twice before the first answer is there.
        let asked = engine.calls.load(Ordering::Relaxed);
        sweeper.clone().sweep(running(CALLS * 2), ByteCount(1), to).await;
        assert_eq!(engine.calls.load(Ordering::Relaxed), asked);
        // A sweep that nobody waits for any more gives its questions up.
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        for _ in 0..CALLS {
            tokio::task::yield_now().await;
        }
        assert!(locked(&sweeper.asked).is_empty());
    }

    #[tokio::test]
    async fn the_source_that_is_set_is_the_only_one() {
        for (source, calls) in [(SampleSource::Auto, 3), (SampleSource::Api, 3), (SampleSource::Cgroup, 0)] {
            let engine = Arc::new(Slow::default());
            let (to, mut from) = mpsc::channel(10);
            sweeper(&engine, source).sweep(running(3), ByteCount(1), to).await;
            assert_eq!(engine.calls.load(Ordering::Relaxed), calls, "{source:?}");
            let mut sampled = 0;
            while let Some(samples) = from.recv().await {
                sampled += samples.len();
            }
            assert_eq!(sampled, calls, "{source:?}");
        }
    }
}
