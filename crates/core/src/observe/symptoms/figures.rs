//! Symptoms of resource use: what the container uses, waits for and keeps on disk.

use hemostat_schema::{
    Percent,
    observation::{Severity, Symptom},
};

use super::{Assessment, Due, Phase};
use crate::observe::{baseline::Baseline, exceeded::Exceeded, level::Level};

impl Assessment<'_> {
    pub(super) fn figures(&self) -> Vec<Due> {
        let (signals, sensitivity) = (&self.state.signals, &self.policy.sensitivity);
        let (sustained, clear_after) = (self.container.sustained, self.policy.clear_after);
        let mut due = vec![];
        due.extend(self.level(Symptom::CpuHigh, &signals.cpu, self.container.cpu));
        due.extend(self.level(Symptom::MemoryHigh, &signals.memory, self.container.memory));

        // Never critical: a throttled container still works.
        let throttled = signals.throttled.exceeded(sustained, sensitivity.throttled);
        let throttled = throttled.map(|exceeded| Exceeded { severity: Severity::High, ..exceeded });
        let unthrottled = signals.throttled.cleared(clear_after);
        due.extend(self.follow(Symptom::CpuThrottled, self.after_grace(throttled), unthrottled));
        let pressure = signals.pressure.exceeded(sustained, sensitivity.pressure);
        due.extend(self.follow(Symptom::Pressure, self.after_grace(pressure), signals.pressure.cleared(clear_after)));
        let pids = signals.pids.exceeded(sustained);
        due.extend(self.follow(Symptom::PidsHigh, self.after_grace(pids), signals.pids.cleared(clear_after)));

        due.extend(self.leak());
        let storage = &signals.storage;
        let (filling, freed) = (storage.exceeded(sensitivity.disk), storage.cleared(sensitivity.disk));
        due.extend(self.follow(Symptom::DiskFilling, filling, freed));

        let baselines = &signals.baselines;
        let cpu = (Symptom::CpuHigh, self.container.cpu, &signals.cpu);
        let memory = (Symptom::MemoryHigh, self.container.memory, &signals.memory);
        due.extend(self.unusual(Symptom::CpuUnusual, &baselines.cpu, Some(cpu)));
        due.extend(self.unusual(Symptom::MemoryUnusual, &baselines.memory, Some(memory)));
        due.extend(self.unusual(Symptom::NetworkUnusual, &baselines.network, None));
        due.extend(self.unusual(Symptom::BlockUnusual, &baselines.block, None));
        due
    }

    /// A signal that is exceeded within the grace period is looked at again after it.
    fn after_grace(&self, exceeded: Option<Exceeded>) -> Option<Exceeded> {
        exceeded.filter(|exceeded| exceeded.at >= self.grace_until())
    }

    fn level(&self, symptom: Symptom, level: &Level, threshold: Percent) -> Option<Due> {
        let exceeded = self.after_grace(level.exceeded(self.container.sustained, threshold));
        self.follow(symptom, exceeded, level.cleared(self.policy.clear_after))
    }

    /// A new run has new memory. To prove that it does not leak would take a quarter of an hour, so being well clears
    /// the symptom of an earlier run; if the new run leaks too, the symptom is raised again.
    fn leak(&self) -> Option<Due> {
        let symptom = Symptom::MemoryLeak;
        let begun = self.facts.started_at;
        let is_of_earlier_run = |since| begun.is_some_and(|begun| since < begun);
        if self.active(symptom).is_some_and(|active| is_of_earlier_run(active.since)) {
            let due = self.policy.clear_after.after(self.since);
            return (self.phase == Phase::Well).then(|| Due::well(symptom, due));
        }
        let growth = &self.state.signals.growth;
        self.follow(symptom, growth.exceeded(), growth.cleared())
    }

    /// A signal above its fixed threshold is reported as that symptom and not also as unusual.
    fn unusual(&self, symptom: Symptom, baseline: &Baseline, fixed: Option<(Symptom, Percent, &Level)>) -> Option<Due> {
        if !self.policy.sensitivity.adaptive {
            return self.active(symptom).map(|active| Due::well(symptom, active.since));
        }
        let sustained = self.container.sustained;
        let is_reported = fixed.is_some_and(|(symptom, threshold, level)| {
            self.is_active(symptom) || level.exceeded(sustained, threshold).is_some()
        });
        let exceeded = baseline.exceeded(sustained).filter(|_| !is_reported);
        self.follow(symptom, exceeded, baseline.cleared(self.policy.clear_after))
    }
}
