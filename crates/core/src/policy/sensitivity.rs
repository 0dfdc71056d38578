//! Thresholds of the signals that no label overrides.
//!
//! The thresholds of CPU, memory and health differ between containers, so labels override them (see
//! [`ContainerPolicy`](super::ContainerPolicy)). The signals here are shares, rates and counts that mean the same for a
//! small container and for a large one.

use hemostat_schema::{Percent, Span};
use serde::{Deserialize, Serialize};

/// Thresholds of the signals that no label overrides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sensitivity {
    /// `cpu_throttled`: maximum share of the scheduler's periods in which the CPU limit stops a container.
    pub throttled: Percent,
    /// `pressure`: maximum share of the time in which it waits for CPU, memory or disk.
    pub pressure: Percent,
    /// `pids_high`: maximum share of its process limit.
    pub pids: Percent,
    /// `memory_leak`: how long memory must grow steadily.
    #[serde(with = "super::recorded::written")]
    pub leak_over: Span,
    /// `memory_leak`: raised if memory reaches its limit within this time.
    #[serde(with = "super::recorded::written")]
    pub leak_within: Span,
    /// `flapping`: flips of the health check within `flaps_within`.
    pub flaps: u32,
    /// See `flaps`.
    #[serde(with = "super::recorded::written")]
    pub flaps_within: Span,
    /// `disk_filling`: how full a disk is before the container that fills it is sought.
    pub disk: Percent,
    /// `… unusual`: whether a container is compared with its own baselines.
    pub adaptive: bool,
}

impl Sensitivity {
    /// Maximum of `flaps`: no more flips are remembered.
    pub const MAX_FLAPS: u32 = 64;
}
