//! How are the counters of many containers read from the kernel's own files?
//!
//! Docker's stats API reads the same files and answers with JSON, for one container at a time; read here, they cost a
//! small part of that, and nothing in dockerd. [`place`] tells where the files of a container are, [`parse`] what they
//! say, and [`Reader`] goes through all of them, one after the other, in the thread that calls it.
//!
//! What the API does not pass on is read, too: how much a container has to wait (PSI).

mod files;
pub mod parse;
pub mod place;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hemostat_core::vitals::{Pressure, RawSample};
use hemostat_runtime::Clock;
use hemostat_schema::{ByteCount, ContainerId};
use tracing::debug;

pub use self::place::Roots;
use self::{
    files::{Files, Unread},
    parse::HostCpu,
    place::Place,
};
use crate::facts::MainProcess;

/// The host's time is read again when it is older than this, which is how exactly the kernel counts it.
const HOST_CPU_HOLDS: Duration = Duration::from_millis(10);

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Which.
    pub id: ContainerId,
    /// Its main process; none before it was inspected.
    pub process: Option<MainProcess>,
}

/// What one sweep through the files found.
#[derive(Debug, Default)]
pub struct Swept {
    /// Of each container whose files are here.
    pub samples: Vec<(ContainerId, RawSample)>,
    /// The others.
    pub elsewhere: Vec<Running>,
}

/// Reads counters from the kernel's files.
#[derive(Debug)]
pub struct Reader {
    roots: Roots,
    clock: Arc<dyn Clock>,
    places: HashMap<ContainerId, (MainProcess, Place)>,
    files: Files,
    host: Option<(Instant, HostCpu)>,
}

impl Reader {
    /// Reads below `roots`.
    pub fn new(roots: Roots, clock: Arc<dyn Clock>) -> Self {
        Self { roots, clock, places: HashMap::new(), files: Files::default(), host: None }
    }

    /// Reads the counters of all these containers, on a host with so much memory. It blocks for as long as that takes.
    pub fn sweep(&mut self, running: Vec<Running>, host_memory: ByteCount) -> Swept {
        if self.places.len() > running.len() {
            let processes: HashMap<_, _> = running.iter().map(|it| (&it.id, it.process)).collect();
            self.places.retain(|id, (process, _)| processes.get(id) == Some(&Some(*process)));
        }
        let mut swept = Swept::default();
        for one in running {
            match self.sample(&one, host_memory) {
                Ok(sample) => swept.samples.push((one.id, sample)),
                Err(unread) => {
                    debug!(container = one.id.short(), "no counters of {} in files: {unread}", one.id.short());
                    self.places.remove(&one.id);
                    swept.elsewhere.push(one);
                }
            }
        }
        swept
    }

    fn sample(&mut self, Running { id, process }: &Running, host_memory: ByteCount) -> Result<RawSample, Unread> {
        let process = process.ok_or(Unread::NotInspected)?;
        let host = self.host_cpu()?;
        let Self { roots, clock, places, files, .. } = self;
        if places.get(id).is_none_or(|(of, _)| *of != process) {
            let place = Place::find(roots, id, process.pid)?;
            places.insert(id.clone(), (process, place));
        }
        let (_, place) = places.get(id).ok_or(Unread::NotInspected)?;
        // What the whole host sends is not the container's; Docker does not count it either.
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
        let sample = match place {
            Place::V1(hierarchies) => files.v1(hierarchies, base),
            Place::V2(group) => files.v2(group, base),
        }?;
        // As Docker has it: more than there is is no limit.
        let reachable = |limit: u64| host_memory.0 == 0 || limit <= host_memory.0;
        let memory_limit = if reachable(sample.memory_limit) { sample.memory_limit } else { host_memory.0 };
        Ok(RawSample { memory_limit, ..sample })
    }

    /// The host's time, as it was a moment ago or is now.
    fn host_cpu(&mut self) -> Result<HostCpu, Unread> {
        match self.host {
            Some((read, host)) if read.elapsed() < HOST_CPU_HOLDS => Ok(host),
            _ => {
                let host = self.files.must(&self.roots.proc, "stat", parse::host_cpu)?;
                self.host = Some((Instant::now(), host));
                Ok(host)
            }
        }
    }
}

#[cfg(test)]
mod tests;
