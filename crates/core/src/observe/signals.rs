//! The signals of one container, computed from its samples. None of this is on the log: after a restart of HemoStat the
//! windows start empty.

use hemostat_schema::{Timestamp, container::Vitals};

use super::{
    baseline::Baselines, growth::Growth, kills::Kills, level::Level, pids::Pids, pressure::Pressure,
    sampling::Sampling, storage::Storage,
};
use crate::policy::{ContainerPolicy, Sensitivity};

/// The signals of one container. All but `storage` belong to one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Signals {
    pub(super) cpu: Level,
    pub(super) memory: Level,
    pub(super) throttled: Level,
    pub(super) pressure: Pressure,
    pub(super) pids: Pids,
    pub(super) growth: Growth,
    pub(super) baselines: Baselines,
    pub(super) kills: Kills,
    pub(super) storage: Storage,
    pub(super) sampling: Sampling,
}

impl Signals {
    /// A new run begins: only what the container keeps on disk carries over.
    pub(super) fn begin_run(&mut self) {
        *self = Self { storage: std::mem::take(&mut self.storage), ..Self::default() };
    }

    /// Adds a sample of the run that began at `started`.
    pub(super) fn add(
        &mut self,
        at: Timestamp,
        vitals: &Vitals,
        started: Option<Timestamp>,
        container: &ContainerPolicy,
        sensitivity: &Sensitivity,
    ) {
        let sustained = container.sustained;
        self.cpu.add(at, vitals.cpu, container.cpu, sustained);
        self.memory.add(at, vitals.memory, container.memory, sustained);
        match vitals.strain.throttled {
            Some(throttled) => self.throttled.add(at, throttled, sensitivity.throttled, sustained),
            None => self.throttled.add_missing(at, sustained),
        }
        self.pressure.add(at, &vitals.strain, sensitivity, sustained);
        self.pids.add(at, vitals, sensitivity.pids, sustained);
        self.growth.add(at, (vitals.memory_used, vitals.memory_limit), started, sensitivity);
        if sensitivity.adaptive {
            self.baselines.add(at, vitals, sustained);
        }
    }
}
