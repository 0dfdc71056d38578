//! One simulated container: what it is, and how it is at an instant.

use std::{borrow::Cow, collections::VecDeque, sync::Arc, time::Duration};

use serde::Serialize;

use super::{ContainerId, OperationId};
use crate::{ContainerSpec, Failure, FailureKind, UnixNanos, counter::Counter};

/// Docker keeps the last five check_round.
const CHECKS_KEPT: usize = 5;
/// So many lines of output are kept.
const LINES_KEPT: usize = 64;
/// What the kernel counts as one period of CPU, ten of them a second.
const PERIODS_PER_SECOND: f64 = 10.0;
/// How fast memory is taken by one who takes it until the end.
const OOM_GROWTH: f64 = 256.0 * 1024.0 * 1024.0;

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "Docker's own words")]
pub enum Status {
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
}

/// What a health check has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "Docker's own words")]
pub enum Health {
    Starting,
    Healthy,
    Unhealthy,
}

/// The health check of a container.
#[derive(Debug)]
pub(crate) struct HealthState {
    pub(crate) health: Health,
    pub(crate) streak: u32,
    pub(crate) log: VecDeque<CheckResult>,
}

/// One check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckResult {
    pub(crate) at: UnixNanos,
    pub(crate) passed: bool,
}

impl Default for HealthState {
    fn default() -> Self {
        Self { health: Health::Starting, streak: 0, log: VecDeque::new() }
    }
}

impl HealthState {
    pub(crate) fn keep(&mut self, checked: CheckResult) {
        if self.log.len() == CHECKS_KEPT {
            self.log.pop_front();
        }
        self.log.push_back(checked);
    }
}

/// An illness that a container has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InjectedFailure {
    pub(crate) number: u32,
    pub(crate) failure: Failure,
    /// Since when; none where it has not set in.
    pub(crate) since: Option<UnixNanos>,
}

/// Somebody has asked that it ends.
#[derive(Debug)]
pub(crate) struct StopRequest {
    /// What follows.
    pub(crate) then: AfterStop,
    /// Who waits for it.
    pub(crate) operations: Vec<OperationId>,
}

/// What follows an end that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AfterStop {
    /// Nothing: it was killed.
    Nothing,
    /// It is told that it was stopped.
    Stopped,
    /// It is started again.
    StartedAgain,
    /// It is taken away.
    Removed,
}

/// A line of its output.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    pub(crate) at: UnixNanos,
    pub(crate) on_stderr: bool,
    pub(crate) text: Cow<'static, str>,
}

/// What it uses, since its run began; the writable layer since it was made.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Nanoseconds.
    pub(crate) cpu: Counter,
    pub(crate) throttled_periods: Counter,
    /// Nanoseconds.
    pub(crate) throttled: Counter,
    pub(crate) memory: Counter,
    pub(crate) pids: Counter,
    pub(crate) network: Counter,
    pub(crate) blocks: Counter,
    pub(crate) layer: Counter,
    /// How often the kernel killed a process of it.
    pub(crate) killed: u32,
}

impl Counters {
    pub(crate) fn at_zero(now: UnixNanos) -> Self {
        let zero = Counter::level(0.0, now);
        Self {
            cpu: zero,
            throttled_periods: zero,
            throttled: zero,
            memory: zero,
            pids: zero,
            network: zero,
            blocks: zero,
            layer: zero,
            killed: 0,
        }
    }
}

/// A simulated container.
#[derive(Debug)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// What it is called.
    pub name: Arc<str>,
    /// How it is set up.
    pub spec: Arc<ContainerSpec>,
    /// Where it is in its life.
    pub status: Status,
    /// When it was made.
    pub created: UnixNanos,
    /// When its present or last run began.
    pub started: Option<UnixNanos>,
    /// When its last run ended.
    pub finished: Option<UnixNanos>,
    /// With which code its last run ended.
    pub exit_code: u8,
    /// Whether the kernel killed its last run for want of memory.
    pub out_of_memory: bool,
    /// How often the engine has restarted it since somebody started it.
    pub restarts: u32,
    pub(crate) pid: u32,
    pub(crate) backoff: Duration,
    /// Somebody signalled this run, so that the engine does not restart it.
    pub(crate) stopped_by_user: bool,
    pub(crate) health_state: Option<HealthState>,
    /// The check_round that are due are those of this round; freezing it ends the round.
    pub(crate) check_round: u32,
    pub(crate) failures: Vec<InjectedFailure>,
    pub(crate) counters: Counters,
    pub(crate) stop_request: Option<StopRequest>,
    pub(crate) output: VecDeque<LogLine>,
    /// Timers of another epoch mean nothing any more.
    pub(crate) epoch: u32,
    /// Its own place in every wave.
    pub(crate) phase: f64,
}

impl Container {
    /// What its health check says, where it has one.
    pub fn health(&self) -> Option<Health> {
        self.health_state.as_ref().map(|health_state| health_state.health)
    }

    /// Whether there is a process.
    pub fn is_up(&self) -> bool {
        matches!(self.status, Status::Running | Status::Paused)
    }

    /// The illnesses that it has now.
    pub(crate) fn active_failures(&self) -> impl Iterator<Item = (FailureKind, UnixNanos)> {
        self.failures.iter().filter_map(|failure| Some((failure.failure.kind, failure.since?)))
    }

    /// Whether a check made now passes.
    pub(crate) fn check_passes(&self, now: UnixNanos) -> bool {
        self.active_failures().all(|(kind, since)| match kind {
            FailureKind::Unhealthy => false,
            FailureKind::Flapping { every } => (now.since(since).as_nanos() / every.as_nanos().max(1)) % 2 == 1,
            _ => true,
        })
    }

    /// Whether it hears the signal to end.
    pub(crate) fn handles_stop_signal(&self) -> bool {
        self.active_failures().all(|(kind, _)| kind != FailureKind::IgnoresStop)
    }

    /// The most memory that it can have.
    pub(crate) fn memory_limit(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "bytes of a machine")]
        self.spec.memory.map(|bytes| bytes as f64)
    }

    /// How much CPU it wants, in cores.
    fn cpu_demand(&self) -> f64 {
        let busy: f64 = self
            .active_failures()
            .map(|(kind, _)| if let FailureKind::Busy { cores } = kind { cores } else { 0.0 })
            .sum();
        self.spec.baseline.cores + busy
    }

    /// Sets the slopes of its counters by what it has now.
    #[expect(clippy::cast_precision_loss, reason = "bytes of a machine")]
    pub(crate) fn update_slopes(&mut self, now: UnixNanos) {
        let running = if self.status == Status::Running { 1.0 } else { 0.0 };
        let (rest, cpu_demand) = (self.spec.baseline, self.cpu_demand());
        let gets = cpu_demand.min(self.spec.cpus.unwrap_or(f64::INFINITY));
        let starved = cpu_demand > gets;
        let (mut memory, mut pids, mut layer) = (0.0, 0.0, 0.0);
        for (kind, _) in self.active_failures() {
            match kind {
                FailureKind::LeaksMemory { bytes_per_minute } => memory += bytes_per_minute as f64 / 60.0,
                FailureKind::OutOfMemory => memory += OOM_GROWTH,
                FailureKind::LeaksProcesses { per_minute } => pids += per_minute as f64 / 60.0,
                FailureKind::FillsDisk { bytes_per_minute } => layer += bytes_per_minute as f64 / 60.0,
                _ => {}
            }
        }
        let (counters, phase) = (&mut self.counters, self.phase);
        counters.cpu.set_slope_with_ripple(gets * 1e9 * running, now, phase);
        counters.throttled_periods.set_slope(if starved { PERIODS_PER_SECOND * running } else { 0.0 }, now);
        counters.throttled.set_slope((cpu_demand - gets) * 1e9 * running, now);
        counters.memory.set_slope(memory * running, now);
        counters.pids.set_slope(pids * running, now);
        counters.network.set_slope_with_ripple(rest.network as f64 * running, now, phase);
        counters.blocks.set_slope_with_ripple(rest.blocks as f64 * running, now, phase);
        counters.layer.set_slope(layer * running, now);
    }

    /// How many periods of CPU have passed in its run, where it has a limit.
    pub(crate) fn periods(&self, now: UnixNanos) -> f64 {
        match (self.spec.cpus, self.started) {
            (Some(_), Some(started)) if self.is_up() => now.since(started).as_secs_f64() * PERIODS_PER_SECOND,
            _ => 0.0,
        }
    }

    /// It says a line.
    pub(crate) fn log(&mut self, text: impl Into<Cow<'static, str>>, on_stderr: bool, at: UnixNanos) {
        if self.output.len() == LINES_KEPT {
            self.output.pop_front();
        }
        self.output.push_back(LogLine { at, on_stderr, text: text.into() });
    }
}
