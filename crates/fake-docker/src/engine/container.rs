//! One container: its configuration, its state, and its usage at an instant.

use std::{borrow::Cow, collections::VecDeque, sync::Arc, time::Duration};

use serde::Serialize;

use super::{id::ContainerId, outcome::OperationId};
use crate::{
    counter::Counter,
    failure::{Failure, FailureKind},
    spec::ContainerSpec,
    time::UnixNanos,
};

/// How many check results Docker keeps.
const CHECKS_KEPT: usize = 5;
/// How many log lines are kept.
const LINES_KEPT: usize = 64;
/// CPU periods (of the CFS quota) per second.
const PERIODS_PER_SECOND: f64 = 10.0;
/// How fast a container with the failure `OutOfMemory` allocates, in bytes per second.
const OOM_GROWTH: f64 = 256.0 * 1024.0 * 1024.0;

/// The status of a container, as in Docker's `State.Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[expect(missing_docs, reason = "Docker's own words")]
pub enum Status {
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
}

/// The health status of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[expect(missing_docs, reason = "Docker's own words")]
pub enum Health {
    Starting,
    Healthy,
    Unhealthy,
}

/// The state of a container's health check.
#[derive(Debug)]
pub(crate) struct HealthState {
    pub(crate) health: Health,
    pub(crate) streak: u32,
    pub(crate) log: VecDeque<CheckResult>,
}

/// The result of one check.
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

/// A failure that was injected into a container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InjectedFailure {
    pub(crate) number: u32,
    pub(crate) failure: Failure,
    /// When it began; `None`: not yet.
    pub(crate) since: Option<UnixNanos>,
}

/// A request to stop a container.
#[derive(Debug)]
pub(crate) struct StopRequest {
    /// What follows the stop.
    pub(crate) then: AfterStop,
    /// The operations that wait for it.
    pub(crate) operations: Vec<OperationId>,
}

/// What follows a requested stop; later variants take precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AfterStop {
    /// Nothing: it was killed.
    Nothing,
    /// A stop event.
    Stopped,
    /// A restart.
    StartedAgain,
    /// The removal.
    Removed,
}

/// A line of a container's log.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    pub(crate) at: UnixNanos,
    pub(crate) on_stderr: bool,
    pub(crate) text: Cow<'static, str>,
}

/// Usage since the start of the run; of the writable layer since the creation.
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
    /// How many of its child processes the OOM killer killed.
    pub(crate) killed: u32,
}

impl Counters {
    pub(crate) fn at_zero(now: UnixNanos) -> Self {
        let zero = Counter::constant(0.0, now);
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

/// A fake container.
#[derive(Debug)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: Arc<str>,
    /// Its configuration.
    pub spec: Arc<ContainerSpec>,
    /// Its status.
    pub status: Status,
    /// When it was created.
    pub created: UnixNanos,
    /// When its current or last run began.
    pub started: Option<UnixNanos>,
    /// When its last run ended.
    pub finished: Option<UnixNanos>,
    /// The exit code of its last run.
    pub exit_code: u8,
    /// Whether the OOM killer ended its last run.
    pub out_of_memory: bool,
    /// How often the restart policy restarted it since a user started it.
    pub restarts: u32,
    pub(crate) pid: u32,
    pub(crate) backoff: Duration,
    /// A user stopped or killed this run, so the restart policy does not apply.
    pub(crate) stopped_by_user: bool,
    pub(crate) health_state: Option<HealthState>,
    /// The current round of checks; a pause ends the round, so that older timers are ignored.
    pub(crate) check_round: u32,
    pub(crate) failures: Vec<InjectedFailure>,
    pub(crate) counters: Counters,
    pub(crate) stop_request: Option<StopRequest>,
    pub(crate) output: VecDeque<LogLine>,
    /// Timers of another epoch are ignored.
    pub(crate) epoch: u32,
    /// The phase of its usage ripple, 0 to 1.
    pub(crate) phase: f64,
}

impl Container {
    /// Its health, if it has a health check.
    pub fn health(&self) -> Option<Health> {
        self.health_state.as_ref().map(|health_state| health_state.health)
    }

    /// Whether it has a process.
    pub fn is_up(&self) -> bool {
        matches!(self.status, Status::Running | Status::Paused)
    }

    /// The failures that are active now, with their start.
    pub(crate) fn active_failures(&self) -> impl Iterator<Item = (FailureKind, UnixNanos)> {
        self.failures.iter().filter_map(|failure| Some((failure.failure.kind, failure.since?)))
    }

    /// Whether a health check now passes.
    pub(crate) fn check_passes(&self, now: UnixNanos) -> bool {
        self.active_failures().all(|(kind, since)| match kind {
            FailureKind::Unhealthy => false,
            FailureKind::Flapping { every } => (now.since(since).as_nanos() / every.as_nanos().max(1)) % 2 == 1,
            _ => true,
        })
    }

    /// Whether it reacts to the stop signal.
    pub(crate) fn handles_stop_signal(&self) -> bool {
        self.active_failures().all(|(kind, _)| kind != FailureKind::IgnoresStop)
    }

    /// Its memory limit in bytes.
    pub(crate) fn memory_limit(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "bytes of a machine")]
        self.spec.memory.map(|bytes| bytes as f64)
    }

    /// Its CPU demand, in cores.
    pub(crate) fn cpu_demand(&self) -> f64 {
        let busy: f64 = self
            .active_failures()
            .map(|(kind, _)| if let FailureKind::Busy { cores } = kind { cores } else { 0.0 })
            .sum();
        self.spec.baseline.cores + busy
    }

    /// Updates the slopes of its counters after its status or its failures changed.
    #[expect(clippy::cast_precision_loss, reason = "bytes of a machine")]
    pub(crate) fn update_slopes(&mut self, now: UnixNanos) {
        let running = if self.status == Status::Running { 1.0 } else { 0.0 };
        let (rest, demand) = (self.spec.baseline, self.cpu_demand());
        let gets = demand.min(self.spec.cpus.unwrap_or(f64::INFINITY));
        let throttled = demand > gets;
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
        counters.throttled_periods.set_slope(if throttled { PERIODS_PER_SECOND * running } else { 0.0 }, now);
        counters.throttled.set_slope((demand - gets) * 1e9 * running, now);
        counters.memory.set_slope(memory * running, now);
        counters.pids.set_slope(pids * running, now);
        counters.network.set_slope_with_ripple(rest.network as f64 * running, now, phase);
        counters.blocks.set_slope_with_ripple(rest.blocks as f64 * running, now, phase);
        counters.layer.set_slope(layer * running, now);
    }

    /// How many CPU periods have passed in this run, if it has a CPU limit.
    pub(crate) fn periods(&self, now: UnixNanos) -> f64 {
        match (self.spec.cpus, self.started) {
            (Some(_), Some(started)) if self.is_up() => now.since(started).as_secs_f64() * PERIODS_PER_SECOND,
            _ => 0.0,
        }
    }

    /// Appends a line to its log.
    pub(crate) fn log(&mut self, text: impl Into<Cow<'static, str>>, on_stderr: bool, at: UnixNanos) {
        if self.output.len() == LINES_KEPT {
            self.output.pop_front();
        }
        self.output.push_back(LogLine { at, on_stderr, text: text.into() });
    }
}
