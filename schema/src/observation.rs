//! Observations: what the monitor saw.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Percent, Span,
    container::{Exit, Facts, Health, Target, Vitals},
    kinds::family,
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
        Frozen = "paused" @ 1,
        /// An operator thawed the container.
        Thawed = "unpaused" @ 1,
        /// The health check changed its mind.
        HealthChanged = "health_changed" @ 1,
        /// What the container used at one instant.
        Sampled = "sampled" @ 1,
        /// A container fell ill in one way; once, not once a poll.
        SymptomRaised = "symptom_raised" @ 1,
        /// A symptom that stands grew more severe.
        SymptomWorsened = "symptom_worsened" @ 1,
        /// A symptom is over.
        SymptomCleared = "symptom_cleared" @ 1,
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
pub struct Frozen {
    /// The frozen run.
    pub target: Target,
}

/// An operator thawed the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Thawed {
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
}

impl Symptom {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Unhealthy, Self::Exited, Self::OomKilled, Self::RestartLoop, Self::CpuHigh, Self::MemoryHigh];

    /// The wire name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unhealthy => "unhealthy",
            Self::Exited => "exited",
            Self::OomKilled => "oom_killed",
            Self::RestartLoop => "restart_loop",
            Self::CpuHigh => "cpu_high",
            Self::MemoryHigh => "memory_high",
        }
    }
}

impl std::fmt::Display for Symptom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name().replace('_', " "))
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Needs healing.
    High,
    /// Needs healing at once: above 95 % of a limit, or killed for want of memory.
    Critical,
}

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
}

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
    pub memory: crate::ByteCount,
}
