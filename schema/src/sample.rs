//! Samples: what the monitor measured.
//!
//! They have a stream of their own, as they are frequent and kept for a short time only. No sample advances the version
//! of its subject: what follows from samples is a symptom, which is an observation. Earlier versions of HemoStat recorded
//! measurements as observations (`observation.sampled`, `stored`, `disk_measured`); [`Event::measurement`] covers both.

#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteCount, Event, Observation, Percent, Span, Timestamp,
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

/// What an event measured, whichever version of HemoStat recorded it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measurement<'a> {
    /// The resource usage of a container.
    Container(&'a Vitals),
    /// The disk usage of a container.
    Storage(&'a Storage),
    /// The usage of a disk of the host.
    Disk(&'a Disk),
}

impl Event {
    /// What it measured; none if it is no measurement.
    pub fn measurement(&self) -> Option<Measurement<'_>> {
        match self {
            Self::Sample(Sample::Container(measured)) => Some(Measurement::Container(&measured.vitals)),
            Self::Sample(Sample::Storage(measured)) => Some(Measurement::Storage(measured)),
            Self::Sample(Sample::Disk(measured)) => Some(Measurement::Disk(measured)),
            Self::Sample(Sample::Unmeasured(_)) => None,
            Self::Observation(Observation::Sampled(old)) => Some(Measurement::Container(&old.vitals)),
            Self::Observation(Observation::Stored(old)) => Some(Measurement::Storage(&old.0)),
            Self::Observation(Observation::DiskMeasured(old)) => Some(Measurement::Disk(&old.0)),
            Self::Observation(_) | Self::Diagnosis(_) | Self::Action(_) | Self::Alert(_) => None,
        }
    }
}
