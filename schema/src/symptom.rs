//! The symptoms of containers.

use crate::words::words;

words! {
    /// A symptom of a container.
    pub enum Symptom {
        /// The health check fails.
        Unhealthy = "unhealthy" => "is unhealthy",
        /// It exited with an error, and Docker will not restart it.
        Exited = "exited" => "has crashed",
        /// The kernel killed it because it ran out of memory, and Docker will not restart it.
        OomKilled = "oom_killed" => "was killed because it ran out of memory",
        /// Docker restarts it repeatedly.
        RestartLoop = "restart_loop" => "restarts again and again",
        /// It has used too much CPU for too long.
        CpuHigh = "cpu_high" => "uses too much CPU",
        /// It has used too much memory for too long.
        MemoryHigh = "memory_high" => "uses too much memory",
        /// The kernel killed one of its processes because it ran out of memory, and the container still runs or exited without
        /// an error.
        OomChild = "oom_child" => "loses processes because it runs out of memory",
        /// Its health check switches between healthy and unhealthy repeatedly.
        Flapping = "flapping" => "switches between healthy and unhealthy",
        /// Its CPU limit throttles it for too large a share of the time.
        CpuThrottled = "cpu_throttled" => "is throttled by its CPU limit",
        /// It waits too much for CPU, memory or disk (PSI).
        Pressure = "pressure" => "waits too long for CPU, memory or disk",
        /// It has nearly reached its limit of processes and threads.
        PidsHigh = "pids_high" => "has too many processes",
        /// Its memory grows steadily and will soon reach the limit.
        MemoryLeak = "memory_leak" => "leaks memory",
        /// It fills the disk.
        DiskFilling = "disk_filling" => "fills the disk",
        /// It uses far more CPU than its baseline.
        CpuUnusual = "cpu_unusual" => "uses an unusual amount of CPU",
        /// It uses far more memory than its baseline.
        MemoryUnusual = "memory_unusual" => "uses an unusual amount of memory",
        /// It sends and receives far more than its baseline.
        NetworkUnusual = "network_unusual" => "has unusual network traffic",
        /// It reads and writes far more than its baseline.
        BlockUnusual = "block_unusual" => "has unusual disk traffic",
    }

    /// What the container does while the symptom is active, after its name: `uses too much CPU`.
    pub const fn phrase(self);
}

impl Symptom {
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
