//! Samples: what the monitor measured.
//!
//! They have a stream of their own, as they are frequent and kept for a short time only. No sample advances the version
//! of its subject: what follows from samples is a symptom, which is an observation. Earlier versions of HemoStat recorded
//! measurements as observations (`observation.sampled`, `stored`, `disk_measured`); `Event::measurement` covers both.

#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteCount, Percent, Span, Timestamp,
    container::{Run, Vitals},
    kinds::family,
};

family! {
    /// What the monitor measured.
    Sample {
        /// The resource usage of a container at one instant.
        Container = "container" @ 1 measurement,
        /// The disk usage of a container at one instant.
        Storage = "storage" @ 1 measurement,
        /// The usage of a disk of the host at one instant.
        Disk = "disk" @ 1 measurement,
        /// A container could not be measured any longer.
        Unmeasured = "unmeasured" @ 1 measurement,
    }
}

/// The resource usage of a container at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Container {
    /// The figures.
    pub vitals: Vitals,
    /// If nothing changes, the next sample follows within this time.
    pub holds: Span,
}

/// A container could not be measured any longer: its last sample does not hold since then. The next sample ends that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Unmeasured {
    /// When it was last measured.
    pub since: Timestamp,
}

/// The disk usage of a container at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Storage {
    /// The run that was measured.
    pub target: Run,
    /// The size of its writable layer.
    pub writable: ByteCount,
    /// Its volumes whose sizes are known.
    pub volumes: Vec<VolumeSize>,
}

/// The size of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct VolumeSize {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size: ByteCount,
}

/// The usage of a disk of the host at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Disk {
    /// The mount point, or a directory on the disk, such as `/var/lib/docker`.
    pub path: String,
    /// Its capacity.
    pub size: ByteCount,
    /// The space available to users other than root.
    pub available: ByteCount,
}

impl Disk {
    /// The used share of the capacity.
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    pub fn used(&self) -> Percent {
        let used = self.size.0.saturating_sub(self.available.0) as f64;
        Percent::clamped(if self.size.0 == 0 { 0.0 } else { used / self.size.0 as f64 * 100.0 })
    }
}
