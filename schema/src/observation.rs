//! Observations: what the monitor saw.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteCount, Percent, Span,
    container::{Exit, Facts, Health, Target, Vitals},
    examination::Examined,
    kinds::family,
    words::wire_names,
};

family! {
    /// What was seen, and what of it is a symptom.
    Observation {
        /// A container's facts, when it was first seen and whenever they changed.
        Seen = "seen" @ 1,
        /// A container is gone.
        Removed = "removed" @ 1,
        /// A run began.
        Started = "started" @ 1,
        /// A run ended.
        Exited = "exited" @ 1,
        /// An operator froze the container.
        Paused = "paused" @ 1,
        /// An operator thawed the container.
        Unpaused = "unpaused" @ 1,
        /// The health check changed its mind.
        HealthChanged = "health_changed" @ 1,
        /// What the container used at one instant.
        Sampled = "sampled" @ 1 measurement,
        /// What a container keeps on disk, at one instant.
        Stored = "stored" @ 1 measurement,
        /// A container fell ill in one way; once, not once a poll.
        SymptomRaised = "symptom_raised" @ 2,
        /// A symptom that stands grew more severe.
        SymptomWorsened = "symptom_worsened" @ 2,
        /// A symptom is over.
        SymptomCleared = "symptom_cleared" @ 2,
        /// What was found out about a sick container before anything is done to it.
        Examined = "examined" @ 1,
        /// How full a disk of the host is, at one instant.
        DiskMeasured = "disk_measured" @ 1 measurement,
        /// The Docker engine of a host cannot be reached, or hangs.
        EngineLost = "engine_lost" @ 1,
        /// The Docker engine of a host answers (again).
        EngineFound = "engine_found" @ 1,
    }
}

/// A container's facts, when it was first seen and whenever they changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// All that is known of it.
    pub facts: Facts,
}

/// A container is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    /// The run that it last had.
    pub target: Target,
}

/// A run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Started {
    /// The new run.
    pub target: Target,
}

/// A run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exited {
    /// The run that ended.
    pub target: Target,
    /// How.
    pub exit: Exit,
}

/// An operator froze the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Paused {
    /// The frozen run.
    pub target: Target,
}

/// An operator thawed the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unpaused {
    /// The thawed run.
    pub target: Target,
}

/// The health check changed its mind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthChanged {
    /// The run that was checked.
    pub target: Target,
    /// What it said before.
    pub from: Health,
    /// What it says now.
    pub to: Health,
}

/// What the container used at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sampled {
    /// The figures.
    pub vitals: Vitals,
}

/// What a container keeps on disk, at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stored {
    /// The run that was measured.
    pub target: Target,
    /// What it has written into its own layer.
    pub writable: ByteCount,
    /// Its volumes, where their sizes are known.
    pub volumes: Vec<VolumeSize>,
}

/// How much a volume holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeSize {
    /// Its name.
    pub name: String,
    /// How much it holds.
    pub size: ByteCount,
}

/// How full a disk of the host is, at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskMeasured {
    /// Where it is mounted or what on it is meant, such as `/var/lib/docker`.
    pub path: String,
    /// What it can hold.
    pub size: ByteCount,
    /// What is left for those who are not root.
    pub available: ByteCount,
}

impl DiskMeasured {
    /// How full it is.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn used(&self) -> Percent {
        let used = self.size.0.saturating_sub(self.available.0) as f64;
        Percent::clamped(if self.size.0 == 0 { 0.0 } else { used / self.size.0 as f64 * 100.0 })
    }
}

/// One way of being ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Symptom {
    /// The health check fails.
    Unhealthy,
    /// It ended with an error, and Docker will not start it again.
    Exited,
    /// It ended for want of memory, and Docker will not start it again.
    OomKilled,
    /// Docker restarts it again and again.
    RestartLoop,
    /// It has used too much CPU for too long.
    CpuHigh,
    /// It has used too much memory for too long.
    MemoryHigh,
    /// The kernel killed a process of it for want of memory, and it runs on or ended as if nothing had been.
    OomChild,
    /// Its health check changes its mind again and again.
    Flapping,
    /// Its CPU limit has made it wait for too large a share of the time.
    CpuThrottled,
    /// It waits too much for CPU, memory or disk, as the kernel's pressure figures say.
    Pressure,
    /// It has nearly as many processes and threads as it may.
    PidsHigh,
    /// Its memory grows so steadily that it will reach the limit before long.
    MemoryLeak,
    /// What it writes fills the disk.
    DiskFilling,
    /// It uses far more CPU than is usual for it.
    CpuUnusual,
    /// It uses far more memory than is usual for it.
    MemoryUnusual,
    /// It sends and receives far more than is usual for it.
    NetworkUnusual,
    /// It reads and writes far more than is usual for it.
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
    /// What the container does while the symptom stands, after its name: `uses too much CPU`.
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

    /// The same once the symptom is over: `no longer uses too much CPU`.
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

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nobody is told, and it does not need healing.
    Low,
    /// Needs healing.
    High,
    /// Needs healing at once: above 95 % of a limit, or killed for want of memory.
    Critical,
}

wire_names!(Severity { Low = "low", High = "high", Critical = "critical" });

/// Where a measured value is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// Too few samples to tell.
    Unknown,
    /// Up.
    Rising,
    /// Neither.
    Steady,
    /// Down.
    Falling,
}

wire_names!(Trend { Unknown = "unknown", Rising = "rising", Steady = "steady", Falling = "falling" });

impl Trend {
    /// What it says, for a list of figures.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Unknown => "too few samples to tell",
            Self::Rising | Self::Steady | Self::Falling => self.name(),
        }
    }
}

/// What a symptom rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Evidence {
    /// A value stood above its threshold.
    Level {
        /// The last value.
        value: Percent,
        /// What it should stay below.
        threshold: Percent,
        /// For how long it has been above.
        held: Span,
        /// Where it is going.
        trend: Trend,
    },
    /// A run ended.
    Exit {
        /// How.
        exit: Exit,
    },
    /// Docker restarted it so often.
    Restarts {
        /// How often.
        count: u32,
        /// In how long a time.
        within: Span,
        /// How the last run ended, where that was seen.
        last: Option<Exit>,
    },
    /// The health check's own word.
    Health {
        /// For how long it has been failing.
        held: Span,
    },
    /// The kernel killed processes of it, and it went on.
    Killed {
        /// How many.
        count: u32,
        /// In how long a time.
        within: Span,
    },
    /// The health check changed its mind so often.
    Flips {
        /// How often.
        count: u32,
        /// In how long a time.
        within: Span,
    },
    /// It stood still for want of something for too large a share of the time.
    Stalled {
        /// For want of what.
        resource: Resource,
        /// Which share of the time.
        value: Percent,
        /// What that should stay below.
        threshold: Percent,
        /// For how long it has been above.
        held: Span,
    },
    /// It has nearly as many of something as it may.
    Count {
        /// How many.
        value: u64,
        /// How many it may have.
        limit: u64,
        /// For how long it has had so many.
        held: Span,
    },
    /// Memory grows along a line.
    Growth {
        /// What it uses now.
        used: ByteCount,
        /// What it may use.
        limit: ByteCount,
        /// How fast it grows.
        per_hour: ByteCount,
        /// How well the line fits, 0 to 1: the coefficient of determination.
        fit: f64,
        /// Over how long a time that was seen.
        over: Span,
        /// When, at this rate, the limit is reached.
        limit_in: Span,
    },
    /// A disk is filling, and it is this container that writes.
    Disk {
        /// Which disk.
        path: String,
        /// How full it is.
        value: Percent,
        /// What that should stay below.
        threshold: Percent,
        /// What the container keeps on it.
        writable: ByteCount,
        /// How fast that grows.
        per_hour: ByteCount,
    },
    /// A value is far from what is usual for this container.
    Unusual {
        /// The last value, in the unit of the signal: per cent, or bytes a second.
        value: f64,
        /// What is usual.
        expected: f64,
        /// How far values usually are from that: a robust standard deviation.
        deviation: f64,
        /// For how long it has been so far away.
        held: Span,
    },
}

/// What a container may have to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// A turn on a CPU.
    Cpu,
    /// Memory that is free.
    Memory,
    /// A disk.
    Disk,
}

wire_names!(Resource { Cpu = "cpu", Memory = "memory", Disk = "disk" });

/// A container fell ill in one way; once, not once a poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SymptomRaised {
    /// In which way.
    pub symptom: Symptom,
    /// How badly.
    pub severity: Severity,
    /// Since when.
    pub since: Timestamp,
    /// Which run.
    pub target: Target,
    /// What says so.
    pub evidence: Evidence,
}

/// A symptom that stands grew more severe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SymptomWorsened {
    /// Which symptom.
    pub symptom: Symptom,
    /// How bad it is now.
    pub severity: Severity,
    /// Which run.
    pub target: Target,
    /// What says so.
    pub evidence: Evidence,
}

/// A symptom is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SymptomCleared {
    /// Which symptom.
    pub symptom: Symptom,
    /// Why it counts as over.
    pub why: Cleared,
    /// How long it stood.
    pub stood: Span,
}

/// Why a symptom counts as over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cleared {
    /// The container has been well for as long as it takes to believe it.
    Well,
    /// An operator stopped or froze it: there is nothing to heal.
    Stopped,
    /// The container is gone.
    Removed,
}

wire_names!(Cleared { Well = "well", Stopped = "stopped", Removed = "removed" });

/// The Docker engine of a host cannot be reached, or hangs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EngineLost {
    /// What happened when it was asked.
    pub error: String,
}

/// The Docker engine of a host answers (again).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EngineFound {
    /// The engine's version.
    pub version: String,
    /// The version of its API that is spoken.
    pub api_version: String,
    /// The host's CPUs.
    pub cpus: u32,
    /// The host's memory.
    pub memory: ByteCount,
}
