//! The symptoms of containers.

#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::wire_names;

/// A symptom of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Symptom {
    /// The health check fails.
    Unhealthy,
    /// It exited with an error, and Docker will not restart it.
    Exited,
    /// The kernel killed it because it ran out of memory, and Docker will not restart it.
    OomKilled,
    /// Docker restarts it repeatedly.
    RestartLoop,
    /// It has used too much CPU for too long.
    CpuHigh,
    /// It has used too much memory for too long.
    MemoryHigh,
    /// The kernel killed one of its processes because it ran out of memory, and the container still runs or exited without
    /// an error.
    OomChild,
    /// Its health check switches between healthy and unhealthy repeatedly.
    Flapping,
    /// Its CPU limit throttles it for too large a share of the time.
    CpuThrottled,
    /// It waits too much for CPU, memory or disk (PSI).
    Pressure,
    /// It has nearly reached its limit of processes and threads.
    PidsHigh,
    /// Its memory grows steadily and will soon reach the limit.
    MemoryLeak,
    /// It fills the disk.
    DiskFilling,
    /// It uses far more CPU than its baseline.
    CpuUnusual,
    /// It uses far more memory than its baseline.
    MemoryUnusual,
    /// It sends and receives far more than its baseline.
    NetworkUnusual,
    /// It reads and writes far more than its baseline.
    BlockUnusual,
}

wire_names!(Symptom {
    Unhealthy = "unhealthy",
    Exited = "exited",
    OomKilled = "oom_killed",
    RestartLoop = "restart_loop",
    CpuHigh = "cpu_high",
    MemoryHigh = "memory_high",
    OomChild = "oom_child",
    Flapping = "flapping",
    CpuThrottled = "cpu_throttled",
    Pressure = "pressure",
    PidsHigh = "pids_high",
    MemoryLeak = "memory_leak",
    DiskFilling = "disk_filling",
    CpuUnusual = "cpu_unusual",
    MemoryUnusual = "memory_unusual",
    NetworkUnusual = "network_unusual",
    BlockUnusual = "block_unusual",
});

impl Symptom {
    /// What the container does while the symptom is active, after its name: `uses too much CPU`.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Unhealthy => "is unhealthy",
            Self::Exited => "has crashed",
            Self::OomKilled => "was killed because it ran out of memory",
            Self::RestartLoop => "restarts again and again",
            Self::CpuHigh => "uses too much CPU",
            Self::MemoryHigh => "uses too much memory",
            Self::OomChild => "loses processes because it runs out of memory",
            Self::Flapping => "switches between healthy and unhealthy",
            Self::CpuThrottled => "is throttled by its CPU limit",
            Self::Pressure => "waits too long for CPU, memory or disk",
            Self::PidsHigh => "has too many processes",
            Self::MemoryLeak => "leaks memory",
            Self::DiskFilling => "fills the disk",
            Self::CpuUnusual => "uses an unusual amount of CPU",
            Self::MemoryUnusual => "uses an unusual amount of memory",
            Self::NetworkUnusual => "has unusual network traffic",
            Self::BlockUnusual => "has unusual disk traffic",
        }
    }

    /// The same once the symptom has cleared: `no longer uses too much CPU`.
    pub const fn cleared_phrase(self) -> &'static str {
        match self {
            Self::Unhealthy => "is no longer unhealthy",
            Self::Exited | Self::OomKilled => "is no longer down",
            Self::RestartLoop => "no longer restarts again and again",
            Self::CpuHigh => "no longer uses too much CPU",
            Self::MemoryHigh => "no longer uses too much memory",
            Self::OomChild => "no longer loses processes",
            Self::Flapping => "no longer switches between healthy and unhealthy",
            Self::CpuThrottled => "is no longer throttled by its CPU limit",
            Self::Pressure => "no longer waits too long for CPU, memory or disk",
            Self::PidsHigh => "no longer has too many processes",
            Self::MemoryLeak => "no longer leaks memory",
            Self::DiskFilling => "no longer fills the disk",
            Self::CpuUnusual => "uses a usual amount of CPU again",
            Self::MemoryUnusual => "uses a usual amount of memory again",
            Self::NetworkUnusual => "has usual network traffic again",
            Self::BlockUnusual => "has usual disk traffic again",
        }
    }
}

/// The wire name with spaces: `oom killed`.
impl std::fmt::Display for Symptom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name().replace('_', " "))
    }
}
