//! Applies samples and disk measurements.

use hemostat_core::observe::{
    ObservationInput, State,
    vitals::{RawSample, vitals},
};
use hemostat_docker::DiskUsage;
use hemostat_schema::{
    ContainerId, ContainerName, NewEvent, Subject, Timestamp,
    container::{Facts, Vitals},
    examination::Sample,
    sample::{Disk, Storage},
};

use super::{HostState, TrackedContainer};
use crate::cgroup::RunningContainer;

/// How many containers' disk usage is applied in one step, so that events are not delayed.
const USAGE_STEP: usize = 256;
/// Samples kept per container.
const MAX_SAMPLES: usize = 12;

/// Unchanged containers whose samples are written at one instant.
const SAMPLES_AT_ONCE: usize = 500;
/// Consecutive sweeps without a measurement after which a container counts as not measured.
const MISSED_SWEEPS: u64 = 5;

impl HostState {
    /// A sweep begins; returns the containers to be sampled. For those that the last sweeps could not measure, the log is
    /// told that their last sample does not hold any longer.
    pub fn begin_sweep(&mut self, now: Timestamp) -> Vec<RunningContainer> {
        self.sweep += 1;
        let missed = self.sweep.saturating_sub(MISSED_SWEEPS);
        self.unmeasured(|tracked| tracked.measured_in < missed, now);
        self.running()
    }

    /// Those containers for which `is_missing` holds cannot be measured.
    pub(super) fn unmeasured(&mut self, is_missing: impl Fn(&TrackedContainer) -> bool, now: Timestamp) {
        let is_missing = |state: &State| {
            let tracked = state.facts().and_then(|facts| self.tracked.get(&facts.id));
            state.is_sampled() && tracked.is_some_and(|tracked| is_missing(tracked))
        };
        let missing = self.states.iter().filter(|(_, state)| is_missing(state)).map(|(name, _)| name.clone());
        for name in missing.collect::<Vec<_>>() {
            self.observe(&name, ObservationInput::Unmeasured, now);
        }
    }

    /// Applies the counters of a container; returns its vitals, which need two samples.
    pub fn apply_sample(&mut self, id: &ContainerId, sample: RawSample) -> Option<(ContainerName, Vitals)> {
        let name = self.tracked.get(id)?.name.clone()?;
        let at = sample.at;
        let limits = self.facts_of(id, &name)?.limits;
        let tracked = self.tracked.get_mut(id)?;
        let vitals = vitals(&sample, tracked.last_sample.as_ref(), &limits);
        tracked.last_sample = Some(sample);
        tracked.measured_in = self.sweep;
        let vitals = vitals?;
        if tracked.samples.len() == MAX_SAMPLES {
            tracked.samples.pop_front();
        }
        // `push_back` would grow the ring to 16.
        tracked.samples.reserve_exact(MAX_SAMPLES - tracked.samples.len());
        tracked.samples.push_back(Sample { at, vitals });
        let groups = u64::try_from(self.states.len() / SAMPLES_AT_ONCE).unwrap_or(0) + 1;
        if let Some(state) = self.states.get_mut(&name) {
            state.spread_samples(groups);
        }
        self.observe(&name, ObservationInput::Sample(vitals), at);
        Some((name, vitals))
    }

    /// Takes a disk measurement. Its usage per container is applied in steps, as it concerns all containers: see
    /// [`apply_pending_disk_usage`](Self::apply_pending_disk_usage).
    pub fn apply_disk_measurement(&mut self, usage: Vec<DiskUsage>, disk: Option<Disk>, now: Timestamp) {
        if let Some(disk) = disk {
            self.events.push(NewEvent::new(Subject::host(self.host.clone()), now, disk.clone()));
            self.disk = Some(disk);
        }
        let largest = usage.iter().map(DiskUsage::total).max();
        let is_largest = |usage: &DiskUsage| Some(usage.total()) == largest;
        self.pending_usage = usage.into_iter().map(|usage| (is_largest(&usage), usage)).collect();
    }

    /// Whether measured disk usage is not applied yet.
    pub fn has_pending_disk_usage(&self) -> bool {
        !self.pending_usage.is_empty()
    }

    /// Applies the measured disk usage of the next containers.
    pub fn apply_pending_disk_usage(&mut self, now: Timestamp) {
        let step: Vec<_> = self.pending_usage.drain(..self.pending_usage.len().min(USAGE_STEP)).collect();
        for (largest, usage) in step {
            let DiskUsage { id, writable, volumes } = usage;
            let Some(name) = self.tracked.get(&id).and_then(|tracked| tracked.name.clone()) else { continue };
            let Some(target) = self.facts_of(&id, &name).map(Facts::target) else { continue };
            let stored = Storage { target, writable, volumes };
            if let Some(tracked) = self.tracked.get_mut(&id) {
                tracked.stored = Some(stored.clone());
            }
            self.observe(&name, ObservationInput::Stored { stored, disk: self.disk.clone(), largest }, now);
        }
    }

    /// The recent samples of a container, oldest first, also those of earlier runs.
    pub fn samples(&self, name: &ContainerName) -> Vec<Sample> {
        self.tracked_by_name(name).map(|tracked| tracked.samples.iter().copied().collect()).unwrap_or_default()
    }

    /// The disk usage of a container, as last measured.
    pub fn stored(&self, name: &ContainerName) -> Option<&Storage> {
        self.tracked_by_name(name)?.stored.as_ref()
    }

    /// How full the disk with Docker's data is, as last measured.
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    fn tracked_by_name(&self, name: &ContainerName) -> Option<&TrackedContainer> {
        self.tracked.get(&self.states.get(name)?.facts()?.id).map(Box::as_ref)
    }
}
