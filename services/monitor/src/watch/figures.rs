//! What was measured of containers: what they use, what they keep on disk, how full that is.

use hemostat_core::{
    observe::Sight,
    vitals::{RawSample, vitals},
};
use hemostat_schema::{
    ContainerId, ContainerName, NewEvent, Subject, Timestamp,
    container::{Facts, Vitals},
    examination::Sample,
    observation::{DiskMeasured, Stored},
};

use super::{Tracked, Watch};
use crate::disk::Usage;

/// What so many containers keep on disk is taken in at once.
const STEP: usize = 256;
/// So many samples of each container are remembered.
const WINDOW: usize = 12;

impl Watch {
    /// The counters of a container; gives what it uses, where that can be told yet.
    pub fn sampled(&mut self, id: &ContainerId, sample: RawSample) -> Option<(ContainerName, Vitals)> {
        let name = self.tracked.get(id)?.name.clone()?;
        let at = sample.at;
        let limits = self.facts_of(id, &name)?.limits;
        let tracked = self.tracked.get_mut(id)?;
        let vitals = vitals(&sample, tracked.sample.as_ref(), &limits);
        tracked.sample = Some(sample);
        let vitals = vitals?;
        if tracked.window.len() == WINDOW {
            tracked.window.pop_front();
        }
        // A ring that doubles would hold room for a third more.
        tracked.window.reserve_exact(WINDOW - tracked.window.len());
        tracked.window.push_back(Sample { at, vitals });
        self.see(&name, Sight::Sample(vitals), at);
        Some((name, vitals))
    }

    /// How full the disk is, and what each container keeps. That is taken in step by step, as it is about all at once:
    /// see [`take_measured`](Self::take_measured).
    pub fn measured(&mut self, usage: Vec<Usage>, disk: Option<DiskMeasured>, now: Timestamp) {
        if let Some(disk) = disk {
            self.events.push(NewEvent::new(Subject::host(self.host.clone()), now, disk.clone()));
            self.disk = Some(disk);
        }
        let most = usage.iter().map(Usage::total).max();
        let is_most = |usage: &Usage| Some(usage.total()) == most;
        self.usage = usage.into_iter().map(|usage| (is_most(&usage), usage)).collect();
    }

    /// Whether something that was [`measured`](Self::measured) is not taken in yet.
    pub fn has_measured(&self) -> bool {
        !self.usage.is_empty()
    }

    /// Takes in what some more containers keep, where that was [`measured`](Self::measured).
    pub fn take_measured(&mut self, now: Timestamp) {
        let step: Vec<_> = self.usage.drain(..self.usage.len().min(STEP)).collect();
        for (largest, usage) in step {
            let Usage { id, writable, volumes } = usage;
            let Some(name) = self.tracked.get(&id).and_then(|tracked| tracked.name.clone()) else { continue };
            let Some(target) = self.facts_of(&id, &name).map(Facts::target) else { continue };
            let stored = Stored { target, writable, volumes };
            if let Some(tracked) = self.tracked.get_mut(&id) {
                tracked.stored = Some(stored.clone());
            }
            self.see(&name, Sight::Stored { stored, disk: self.disk.clone(), largest }, now);
        }
    }

    /// What a container used lately, oldest first; also what it used before its present run began.
    pub fn samples(&self, name: &ContainerName) -> Vec<Sample> {
        self.tracked_as(name).map(|tracked| tracked.window.iter().copied().collect()).unwrap_or_default()
    }

    /// What a container kept on disk when that was last measured.
    pub fn stored(&self, name: &ContainerName) -> Option<&Stored> {
        self.tracked_as(name)?.stored.as_ref()
    }

    /// How full the disk was that holds Docker's data when that was last measured.
    pub fn disk(&self) -> Option<&DiskMeasured> {
        self.disk.as_ref()
    }

    fn tracked_as(&self, name: &ContainerName) -> Option<&Tracked> {
        self.tracked.get(&self.states.get(name)?.facts()?.id).map(Box::as_ref)
    }
}
