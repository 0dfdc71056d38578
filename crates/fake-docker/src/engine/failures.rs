//! How injected failures begin and end, and the OOM killer.

use std::time::Duration;

use super::{EngineState, container::Status, timer::Transition};
use crate::{counter::Counter, failure::FailureKind, time::UnixNanos};

/// The memory at which a container without a limit is killed if its failure is `OutOfMemory`, in bytes.
const HOST_MEMORY_LEFT: f64 = 512.0 * 1024.0 * 1024.0;

impl EngineState {
    pub(super) fn failure_begins(&mut self, index: u32, number: u32, at: UnixNanos) {
        let Some(container) = self.get_mut(index) else { return };
        if container.status != Status::Running {
            // A paused container does not change; try again later.
            return self.schedule(index, at + Duration::from_secs(1), Transition::FailureBegins { number });
        }
        let Some(failure) =
            container.failures.iter_mut().find(|failure| failure.number == number && failure.since.is_none())
        else {
            return;
        };
        failure.since = Some(at);
        let failure = failure.failure;
        match failure.kind {
            FailureKind::Exits { code } => {
                container.log(format!("fatal: giving up with code {code}"), true, at);
                return self.end_run(index, code, false, at);
            }
            FailureKind::ChildOutOfMemory => {
                container.counters.killed += 1;
                container.log("a worker was killed; starting another", true, at);
                self.emit(index, "oom", vec![], at);
            }
            #[expect(clippy::cast_precision_loss, reason = "bytes of a machine")]
            FailureKind::HoldsMemory { bytes } => container.counters.memory.add(bytes as f64),
            FailureKind::Unhealthy => container.log("health: not serving any more", true, at),
            FailureKind::LeaksMemory { .. } | FailureKind::OutOfMemory => {
                container.log("cache: no eviction policy is set", true, at)
            }
            FailureKind::FillsDisk { .. } => container.log("debug log enabled, writing to /var/log/app.log", true, at),
            FailureKind::LeaksProcesses { .. } => container.log("spawned a worker and does not wait for it", true, at),
            FailureKind::Flapping { .. } | FailureKind::Busy { .. } | FailureKind::IgnoresStop => {}
        }
        if let Some(container) = self.get_mut(index) {
            container.update_slopes(at);
        }
        if let Some(lasts) = failure.lasts {
            self.schedule(index, at + lasts, Transition::FailureEnds { number });
        }
        self.schedule_memory_full(index, at);
    }

    pub(super) fn failure_ends(&mut self, index: u32, number: u32, at: UnixNanos) {
        let Some(container) = self.get_mut(index) else { return };
        let Some(place) =
            container.failures.iter().position(|failure| failure.number == number && failure.since.is_some())
        else {
            return;
        };
        let kind = container.failures[place].failure.kind;
        if container.failures[place].failure.persistent {
            container.failures[place].since = None;
        } else {
            container.failures.remove(place);
        }
        let rest = container.spec.baseline;
        let held = container
            .active_failures()
            .map(|(kind, _)| if let FailureKind::HoldsMemory { bytes } = kind { bytes } else { 0 })
            .sum::<u64>();
        #[expect(clippy::cast_precision_loss, reason = "bytes of a machine")]
        match kind {
            FailureKind::LeaksMemory { .. } | FailureKind::OutOfMemory | FailureKind::HoldsMemory { .. } => {
                container.counters.memory = Counter::constant((rest.memory + rest.cache + held) as f64, at);
            }
            FailureKind::LeaksProcesses { .. } => container.counters.pids = Counter::constant(rest.pids as f64, at),
            _ => {}
        }
        container.update_slopes(at);
    }

    /// Schedules the OOM killer for when the memory will be full.
    pub(super) fn schedule_memory_full(&mut self, index: u32, at: UnixNanos) {
        let Some(container) = self.get(index).filter(|container| container.status == Status::Running) else { return };
        let grows_to_oom = container.active_failures().any(|(kind, _)| kind == FailureKind::OutOfMemory);
        let limit = container.memory_limit().or(grows_to_oom.then_some(HOST_MEMORY_LEFT));
        if let Some(full) = limit.and_then(|limit| container.counters.memory.time_to(limit, at)) {
            self.schedule(index, at + full, Transition::MemoryFull);
        }
    }

    pub(super) fn memory_full(&mut self, index: u32, at: UnixNanos) {
        let Some(container) = self.get_mut(index).filter(|container| container.status == Status::Running) else {
            return;
        };
        let limit = container.memory_limit().unwrap_or(HOST_MEMORY_LEFT);
        // One byte allows for rounding; more means that the limit was raised meanwhile.
        if container.counters.memory.at(at) + 1.0 < limit {
            return self.schedule_memory_full(index, at);
        }
        self.emit(index, "oom", vec![], at);
        self.end_run(index, 137, true, at);
    }
}
