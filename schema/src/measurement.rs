//! What an event measured, whichever version of HemoStat recorded it.

use crate::{
    Event, Observation, Sample,
    container::Vitals,
    sample::{Disk, Storage},
};

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
