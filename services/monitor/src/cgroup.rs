//! Reads resource counters of containers from the kernel's cgroup and proc files.
//!
//! Docker's stats API reads the same files and answers with JSON, for one container at a time. Reading them here costs a
//! small part of that, and nothing in dockerd. [`paths`] finds the files of a container, [`parse`] parses them, and
//! [`Reader`] reads those of all containers, one after the other, in the calling thread.
//!
//! It also reads pressure stall information (PSI), which the API does not report.

mod files;
pub mod parse;
pub mod paths;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hemostat_core::observe::vitals::{Pressure, RawSample};
use hemostat_runtime::Clock;
use hemostat_schema::{ByteCount, ContainerId};
use tracing::debug;

pub use self::paths::Roots;
use self::{
    files::{Files, ReadError},
    parse::HostCpu,
    paths::CgroupPaths,
};
use crate::facts::MainProcess;

/// How long the host's CPU time stays cached: the resolution of the kernel's counter.
const HOST_CPU_CACHED: Duration = Duration::from_millis(10);

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningContainer {
    /// Its id.
    pub id: ContainerId,
    /// Its main process; `None` before the first inspection.
    pub process: Option<MainProcess>,
}

/// The result of one sweep.
#[derive(Debug, Default)]
pub struct SweepResult {
    /// The counters of each container whose files were found.
    pub samples: Vec<(ContainerId, RawSample)>,
    /// Containers without readable files.
    pub not_found: Vec<RunningContainer>,
}

/// Reads counters, and caches where the files of each container are.
#[derive(Debug)]
pub struct Reader {
    roots: Roots,
    clock: Arc<dyn Clock>,
    paths: HashMap<ContainerId, (MainProcess, CgroupPaths)>,
    files: Files,
    host: Option<(Instant, HostCpu)>,
}

impl Reader {
    /// Reads below `roots`.
    pub fn new(roots: Roots, clock: Arc<dyn Clock>) -> Self {
        Self { roots, clock, paths: HashMap::new(), files: Files::default(), host: None }
    }

    /// Reads the counters of these containers, on a host with `host_memory`. Blocks the thread.
    pub fn sweep(&mut self, running: Vec<RunningContainer>, host_memory: ByteCount) -> SweepResult {
        if self.paths.len() > running.len() {
            let processes: HashMap<_, _> = running.iter().map(|it| (&it.id, it.process)).collect();
            self.paths.retain(|id, (process, _)| processes.get(id) == Some(&Some(*process)));
        }
        let mut swept = SweepResult::default();
        for one in running {
            match self.sample(&one, host_memory) {
                Ok(sample) => swept.samples.push((one.id, sample)),
                Err(unread) => {
                    debug!(container = one.id.short(), "no counters of {} in files: {unread}", one.id.short());
                    self.paths.remove(&one.id);
                    swept.not_found.push(one);
                }
            }
        }
        swept
    }

    fn sample(
        &mut self,
        RunningContainer { id, process }: &RunningContainer,
        host_memory: ByteCount,
    ) -> Result<RawSample, ReadError> {
        let process = process.ok_or(ReadError::NotInspected)?;
        let host = self.host_cpu()?;
        let Self { roots, clock, paths, files, .. } = self;
        if paths.get(id).is_none_or(|(of, _)| *of != process) {
            let found = CgroupPaths::find(roots, id, process.pid)?;
            paths.insert(id.clone(), (process, found));
        }
        let (_, paths) = paths.get(id).ok_or(ReadError::NotInspected)?;
        // The traffic of the host's network is not the container's; Docker does not count it either.
        let network = if process.in_host_network { None } else { files.network(&roots.proc, process.pid) };
        let (network_rx, network_tx) = network.unwrap_or_default();
        let base = RawSample {
            at: clock.now(),
            cpu_total_ns: 0,
            system_cpu_ns: Some(host.time_ns),
            online_cpus: host.online,
            memory_usage: 0,
            inactive_file: None,
            total_inactive_file: None,
            memory_limit: host_memory.0,
            host_memory: host_memory.0,
            network_rx,
            network_tx,
            block_read: 0,
            block_write: 0,
            pids: 0,
            pids_limit: None,
            throttling: None,
            pressure: Pressure::default(),
        };
        match paths {
            CgroupPaths::V1(hierarchies) => files.v1(hierarchies, base),
            CgroupPaths::V2(group) => files.v2(group, base),
        }
    }

    /// The host's CPU time, cached for a moment.
    fn host_cpu(&mut self) -> Result<HostCpu, ReadError> {
        match self.host {
            Some((read, host)) if read.elapsed() < HOST_CPU_CACHED => Ok(host),
            _ => {
                let host = self.files.required(&self.roots.proc, "stat", parse::host_cpu)?;
                self.host = Some((Instant::now(), host));
                Ok(host)
            }
        }
    }
}

#[cfg(test)]
mod tests;
