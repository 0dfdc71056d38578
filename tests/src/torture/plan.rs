//! The parameters of a run, and the load that follows from them.

use std::time::Duration;

use hemostat_schema::Partition;

use super::workload::{BATCH, HostLoad};

/// Parameters of a run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Seed of the faults and their times.
    pub seed: u64,
    /// Number of faults.
    pub faults: usize,
    /// Mean time between two faults.
    pub interval: Duration,
    /// Number of observations on all hosts together.
    pub events: usize,
    /// Number of hosts; at least as many as partitions.
    pub hosts: usize,
    /// Containers per host.
    pub containers: usize,
    /// The leases' time to live.
    pub lease_ttl: Duration,
    /// Deadline for processing everything after the last fault.
    pub drain_timeout: Duration,
}

/// Number of partitions of the log.
pub(super) const PARTITIONS: u16 = 4;

impl Plan {
    /// A run of some seconds.
    pub fn short() -> Self {
        Self {
            seed: fastrand::u64(..),
            faults: 30,
            interval: Duration::from_millis(250),
            events: 5_000,
            hosts: 4,
            containers: 10,
            lease_ttl: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(60),
        }
    }

    /// A run of half an hour.
    pub fn long() -> Self {
        Self {
            faults: 1_000,
            interval: Duration::from_secs(1),
            events: 200_000,
            hosts: 8,
            containers: 25,
            drain_timeout: Duration::from_secs(900),
            ..Self::short()
        }
    }

    /// Hosts that are spread evenly over the partitions.
    pub(super) fn loads(&self) -> Vec<HostLoad> {
        let mut numbers = 1..;
        let mut host = |partition: Partition| {
            let named = numbers.by_ref().map(|n| format!("host-{n}").parse().expect("a host name"));
            { named }.find(|host| Partition::of(host, PARTITIONS) == partition).expect("numbers are infinite")
        };
        let events = self.events / self.hosts;
        // Events are produced a little longer than faults are injected.
        let lasts = self.interval * u32::try_from(self.faults).unwrap_or(u32::MAX) * 11 / 10;
        let pause = lasts / u32::try_from(events.div_ceil(BATCH)).unwrap_or(u32::MAX);
        let partitions = (0..PARTITIONS).map(Partition).cycle().take(self.hosts);
        partitions
            .map(|partition| HostLoad { host: host(partition), containers: self.containers, events, pause })
            .collect()
    }
}
