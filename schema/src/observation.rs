//! Observations: what the monitor saw.

use jiff::Timestamp;
#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteCount, Percent, Span,
    container::{Exit, Facts, Health, Run, Vitals},
    examination::Examined,
    kinds::family,
    sample,
    words::words,
};

pub use crate::symptom::Symptom;

family! {
    /// What the monitor saw, and the symptoms in it.
    Observation {
        /// The facts of a container: when it was first seen, and after each change.
        Seen = "seen" @ 1,
        /// A container was removed.
        Removed = "removed" @ 1,
        /// A run began.
        Started = "started" @ 1,
        /// A run ended.
        Exited = "exited" @ 1,
        /// An operator paused the container (`docker pause`).
        Paused = "paused" @ 1,
        /// An operator unpaused the container (`docker unpause`).
        Unpaused = "unpaused" @ 1,
        /// The status of the health check changed.
        HealthChanged = "health_changed" @ 1,
        /// Written by earlier versions of HemoStat, which had no samples; see [`Event::measurement`](crate::Event::measurement).
        Sampled = "sampled" @ 1 measurement,
        /// Written by earlier versions of HemoStat, as [`Sampled`](Self::Sampled).
        Stored = "stored" @ 1 measurement,
        /// A symptom began; recorded once, not at each poll.
        SymptomRaised = "symptom_raised" @ 2,
        /// An active symptom became more severe.
        SymptomWorsened = "symptom_worsened" @ 2,
        /// A symptom cleared.
        SymptomCleared = "symptom_cleared" @ 2,
        /// The examination of a sick container before a remedy is executed.
        Examined = "examined" @ 1,
        /// Written by earlier versions of HemoStat, as [`Sampled`](Self::Sampled).
        DiskMeasured = "disk_measured" @ 1 measurement,
        /// The Docker engine of a host is unreachable or hangs.
        EngineLost = "engine_lost" @ 1,
        /// The Docker engine of a host answers (again).
        EngineFound = "engine_found" @ 1,
    }
}

/// The facts of a container: when it was first seen, and after each change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Seen {
    /// Its facts.
    pub facts: Facts,
}

/// A container was removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Removed {
    /// The run that it last had.
    pub target: Run,
}

/// A run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Started {
    /// The new run.
    pub target: Run,
}

/// A run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Exited {
    /// The run that ended.
    pub target: Run,
    /// How.
    pub exit: Exit,
}

/// An operator paused the container (`docker pause`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Paused {
    /// The paused run.
    pub target: Run,
}

/// An operator unpaused the container (`docker unpause`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Unpaused {
    /// The unpaused run.
    pub target: Run,
}

/// The status of the health check changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct HealthChanged {
    /// The run that was checked.
    pub target: Run,
    /// The status before.
    pub from: Health,
    /// The status now.
    pub to: Health,
}

/// The resource usage of a container at one instant; earlier versions of HemoStat wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Sampled {
    /// The figures.
    pub vitals: Vitals,
}

/// The disk usage of a container at one instant; earlier versions of HemoStat wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(transparent)]
pub struct Stored(pub sample::Storage);

/// The usage of a disk of the host at one instant; earlier versions of HemoStat wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(transparent)]
pub struct DiskMeasured(pub sample::Disk);

words! {
    /// The severity of a symptom or alert.
    pub enum Severity {
        /// Recorded only: no alert, no remedy.
        Low = "low",
        /// Needs healing.
        High = "high",
        /// Needs healing at once: above 95 % of a limit, or killed because it ran out of memory.
        Critical = "critical",
    }
}

words! {
    /// The trend of a measured value.
    pub enum Trend {
        /// Too few samples to tell.
        Unknown = "unknown",
        /// It rises.
        Rising = "rising",
        /// It neither rises nor falls.
        Steady = "steady",
        /// It falls.
        Falling = "falling",
    }
}

impl Trend {
    /// What it says, for a list of figures.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Unknown => "too few samples to tell",
            Self::Rising | Self::Steady | Self::Falling => self.name(),
        }
    }
}

/// The evidence of a symptom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Evidence {
    /// A value is above its threshold.
    Level {
        /// The last value.
        value: Percent,
        /// The threshold.
        threshold: Percent,
        /// How long it has been above the threshold.
        held: Span,
        /// Its trend.
        trend: Trend,
    },
    /// A run ended.
    Exit {
        /// How it ended.
        exit: Exit,
    },
    /// Docker restarted it too often.
    Restarts {
        /// How often.
        count: u32,
        /// The period.
        within: Span,
        /// How the last run ended, if that was seen.
        last: Option<Exit>,
    },
    /// The health check fails.
    Health {
        /// How long it has been failing.
        held: Span,
    },
    /// The kernel killed processes of the container, which continued.
    Killed {
        /// How many.
        count: u32,
        /// The period.
        within: Span,
    },
    /// The status of the health check changed too often.
    Flips {
        /// How often.
        count: u32,
        /// The period.
        within: Span,
    },
    /// The container waited for a resource for too large a share of the time.
    Stalled {
        /// The resource.
        resource: Resource,
        /// The share of the time.
        value: Percent,
        /// The threshold.
        threshold: Percent,
        /// How long it has been above the threshold.
        held: Span,
    },
    /// A number has nearly reached its limit.
    Count {
        /// The number.
        value: u64,
        /// The limit.
        limit: u64,
        /// How long it has been so high.
        held: Span,
    },
    /// Memory grows linearly.
    Growth {
        /// The memory in use.
        used: ByteCount,
        /// The memory limit.
        limit: ByteCount,
        /// The growth per hour.
        per_hour: ByteCount,
        /// The coefficient of determination of the linear fit, 0 to 1.
        fit: f64,
        /// The observed period.
        over: Span,
        /// The time until the limit is reached at this rate.
        limit_in: Span,
    },
    /// A disk fills up because of this container.
    Disk {
        /// The disk.
        path: String,
        /// The used share of the disk.
        value: Percent,
        /// The threshold.
        threshold: Percent,
        /// The space that the container uses on it.
        writable: ByteCount,
        /// The growth of that space per hour.
        per_hour: ByteCount,
    },
    /// A value is far from the baseline of this container.
    Unusual {
        /// The last value, in the unit of the signal: per cent, or bytes per second.
        value: f64,
        /// The baseline.
        expected: f64,
        /// The robust standard deviation of the baseline.
        deviation: f64,
        /// How long it has been unusual.
        held: Span,
    },
}

words! {
    /// A resource that a container may wait for.
    pub enum Resource {
        /// CPU time.
        Cpu = "cpu",
        /// Free memory.
        Memory = "memory",
        /// Disk I/O.
        Disk = "disk",
    }
}

/// A symptom began; recorded once, not at each poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct SymptomRaised {
    /// The symptom.
    pub symptom: Symptom,
    /// Its severity.
    pub severity: Severity,
    /// When it began.
    pub since: Timestamp,
    /// The affected run.
    pub target: Run,
    /// Its evidence.
    pub evidence: Evidence,
}

/// An active symptom became more severe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct SymptomWorsened {
    /// The symptom.
    pub symptom: Symptom,
    /// Its severity now.
    pub severity: Severity,
    /// The affected run.
    pub target: Run,
    /// Its evidence.
    pub evidence: Evidence,
}

/// A symptom cleared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct SymptomCleared {
    /// The symptom.
    pub symptom: Symptom,
    /// Why it cleared.
    pub why: Cleared,
    /// How long it was active.
    pub stood: Span,
}

words! {
    /// Why a symptom cleared.
    pub enum Cleared {
        /// The container has been well for long enough.
        Well = "well",
        /// An operator stopped or paused it: there is nothing to heal.
        Stopped = "stopped",
        /// The container was removed.
        Removed = "removed",
    }
}

/// The Docker engine of a host is unreachable or hangs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct EngineLost {
    /// The error of the last call.
    pub error: String,
}

/// The Docker engine of a host answers (again).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct EngineFound {
    /// The engine's version.
    pub version: String,
    /// The API version in use.
    pub api_version: String,
    /// The host's CPUs.
    pub cpus: u32,
    /// The host's memory.
    pub memory: ByteCount,
}
