//! Samples the resource counters of all running containers every few seconds.
//!
//! ```text
//!           ┌─► files: one thread reads all that are here, in milliseconds ─┐
//!  sweep ───┤                                                               ├─► samples
//!           └─► engine: stats calls for the others, a limited number ───────┘
//! ```
//!
//! The source is chosen per container and sweep: the kernel's files if [`cgroup`](crate::cgroup) finds them, which proves
//! that the engine runs on this machine; else the stats API (a remote engine, Docker Desktop's virtual machine, or files that
//! this user may not read). `monitor.source` fixes the source.
//!
//! A stats call that does not return delays only its own container: the container is not called again before that, and
//! after a second its slot is free for another call.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hemostat_core::observe::vitals::RawSample;
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
    cgroup::{Reader, Roots, RunningContainer, SweepResult},
    engine::Engine,
    samples,
};

/// Maximum concurrent stats calls, not counting those that exceeded [`SLOT_TIME`].
const MAX_CALLS: usize = 128;
/// How long a stats call occupies its slot.
const SLOT_TIME: Duration = Duration::from_secs(1);

/// Samples of one sweep that arrive together.
pub type Samples = Vec<(ContainerId, RawSample)>;

/// How counters are read.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The source.
    pub source: SampleSource,
    /// Where the kernel's files are mounted.
    pub roots: Roots,
}

/// Samples counters. Clones share their state.
#[derive(Debug, Clone)]
pub struct Sweeper {
    host: HostName,
    engine: Arc<dyn Engine>,
    source: SampleSource,
    reader: Arc<tokio::sync::Mutex<Reader>>,
    /// Containers with a stats call under way.
    pending: Arc<Mutex<HashSet<ContainerId>>>,
    slots: Arc<Semaphore>,
    /// Whether the last sweep used files, and whether it used the API.
    sources: Arc<Mutex<Option<[bool; 2]>>>,
}

impl Sweeper {
    /// A sampler without cached paths.
    pub fn new(host: HostName, engine: Arc<dyn Engine>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            host,
            engine,
            source: settings.source,
            reader: Arc::new(tokio::sync::Mutex::new(Reader::new(settings.roots, clock))),
            pending: Arc::default(),
            slots: Arc::new(Semaphore::new(MAX_CALLS)),
            sources: Arc::default(),
        }
    }

    /// Samples all these containers and sends the samples as they arrive.
    pub async fn sweep(self, running: Vec<RunningContainer>, host_memory: ByteCount, to: mpsc::Sender<Samples>) {
        let (mut left, mut by_file) = (running, false);
        if self.source != SampleSource::Api {
            let Some(SweepResult { samples, not_found }) = self.read(left, host_memory).await else { return };
            (left, by_file) = (not_found, !samples.is_empty());
            if by_file && to.send(samples).await.is_err() {
                return;
            }
        }
        // A container that was not inspected yet does not show where its files are.
        self.log_sources([by_file, left.iter().any(|it| it.process.is_some())]);
        if self.source != SampleSource::Cgroup && !left.is_empty() {
            self.call_stats(left, host_memory, to).await;
        }
    }

    /// Reads the kernel's files; `None` while the previous sweep still reads, as a read hangs if a disk does.
    async fn read(&self, running: Vec<RunningContainer>, host_memory: ByteCount) -> Option<SweepResult> {
        let Ok(mut reader) = self.reader.clone().try_lock_owned() else {
            debug!("the previous sweep is still reading files");
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
        read.await.inspect_err(|error| warn!("reading counters from files panicked: {error}")).ok()
    }

    /// Calls the stats API for these containers.
    async fn call_stats(&self, running: Vec<RunningContainer>, host_memory: ByteCount, to: mpsc::Sender<Samples>) {
        let cost = Cost::begin(ClockId::ProcessCPUTime);
        let mut sampled = 0;
        let mut count = |ended: Result<usize, JoinError>| match ended {
            Ok(count) => sampled += count,
            Err(error) => warn!("a stats call panicked: {error}"),
        };
        let mut calls = JoinSet::new();
        for RunningContainer { id, .. } in running {
            // An ended task keeps its memory until it is joined.
            while let Some(ended) = calls.try_join_next() {
                count(ended);
            }
            // Waits here, as thousands of waiting tasks would cost memory.
            let Ok(slot) = self.slots.clone().acquire_owned().await else { break };
            let Some(pending) = PendingCall::begin(&self.pending, id) else { continue };
            let (engine, to) = (self.engine.clone(), to.clone());
            calls.spawn(async move {
                let mut call = engine.stats(&pending.id);
                let stats = match timeout(SLOT_TIME, &mut call).await {
                    Ok(stats) => stats,
                    Err(_) => {
                        drop(slot);
                        call.await
                    }
                };
                let stats = stats.inspect_err(|error| debug!("{error}")).ok();
                let Some(sample) = stats.and_then(|stats| samples::read(&stats, host_memory)) else { return 0 };
                to.send(vec![(pending.id.clone(), sample)]).await.map_or(0, |()| 1)
            });
        }
        while let Some(ended) = calls.join_next().await {
            count(ended);
        }
        if sampled > 0 {
            cost.record(&self.host, "api", sampled);
        }
    }

    /// Logs from where counters are read, whenever that changes.
    fn log_sources(&self, sources: [bool; 2]) {
        if sources == [false, false] || locked(&self.sources).replace(sources) == Some(sources) {
            return;
        }
        match (sources, self.source) {
            ([true, false], _) => info!("counters are read from the kernel's files"),
            ([false, true], SampleSource::Cgroup) => {
                warn!(
                    "no counters can be read: the cgroups of the containers are not below monitor.cgroup_root and \
                     monitor.proc_root; monitor.source = \"auto\" would use Docker's stats API"
                );
            }
            ([true, true], SampleSource::Cgroup) => {
                warn!("the counters of some containers cannot be read, as their cgroups are not found");
            }
            ([false, true], _) => info!("counters are read from Docker's stats API"),
            ([true, true], _) => {
                info!("counters are read from the kernel's files, and the others from Docker's stats API")
            }
            ([false, false], _) => {}
        }
    }
}

/// A stats call under way: until it returns or is dropped, its container is not called again.
struct PendingCall {
    all: Arc<Mutex<HashSet<ContainerId>>>,
    id: ContainerId,
}

impl PendingCall {
    fn begin(all: &Arc<Mutex<HashSet<ContainerId>>>, id: ContainerId) -> Option<Self> {
        locked(all).insert(id.clone()).then(|| Self { all: all.clone(), id })
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        locked(&self.all).remove(&self.id);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Measures the cost of a sweep.
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
    use hemostat_docker::{Error, models::ContainerStatsResponse};
    use hemostat_runtime::SystemClock;
    use serde_json::json;

    use super::*;

    /// An engine that never answers stats calls of some containers.
    #[derive(Debug, Default)]
    struct SlowEngine {
        silent: Vec<ContainerId>,
        calls: AtomicUsize,
    }

    #[async_trait]
    impl Engine for SlowEngine {
        async fn stats(&self, id: &ContainerId) -> Result<ContainerStatsResponse, Error> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if self.silent.contains(id) {
                std::future::pending::<()>().await;
            }
            Ok(serde_json::from_value(json!({
                "read": "2026-11-23T19:43:41Z", "cpu_stats": {"cpu_usage": {"total_usage": 1}},
                "memory_stats": {"usage": 1}
            }))
            .unwrap())
        }
    }

    fn id(n: usize) -> ContainerId {
        format!("{n:064x}").parse().unwrap()
    }

    fn sweeper(engine: &Arc<SlowEngine>, source: SampleSource) -> Sweeper {
        let roots = Roots { cgroup: "/nonexistent".into(), proc: "/nonexistent".into() };
        Sweeper::new("here".parse().unwrap(), engine.clone(), Settings { source, roots }, Arc::new(SystemClock))
    }

    fn running(count: usize) -> Vec<RunningContainer> {
        (0..count).map(|n| RunningContainer { id: id(n), process: None }).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stats_call_that_hangs_delays_only_its_own_container() {
        let engine = Arc::new(SlowEngine { silent: (0..MAX_CALLS * 2).map(id).collect(), ..SlowEngine::default() });
        let sweeper = sweeper(&engine, SampleSource::Auto);
        let (to, mut from) = mpsc::channel(1000);
        let began = tokio::time::Instant::now();
        let first = tokio::spawn(sweeper.clone().sweep(running(MAX_CALLS * 2 + 10), ByteCount(1), to.clone()));
        for _ in 0..10 {
            from.recv().await.unwrap();
        }
        assert!(began.elapsed() < 3 * SLOT_TIME, "{:?}", began.elapsed());
        // No container is called again before its first call returns.
        let calls = engine.calls.load(Ordering::Relaxed);
        sweeper.clone().sweep(running(MAX_CALLS * 2), ByteCount(1), to).await;
        assert_eq!(engine.calls.load(Ordering::Relaxed), calls);
        // An aborted sweep drops its calls.
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        for _ in 0..MAX_CALLS {
            tokio::task::yield_now().await;
        }
        assert!(locked(&sweeper.pending).is_empty());
    }

    #[tokio::test]
    async fn only_the_configured_source_is_used() {
        for (source, calls) in [(SampleSource::Auto, 3), (SampleSource::Api, 3), (SampleSource::Cgroup, 0)] {
            let engine = Arc::new(SlowEngine::default());
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
