//! Symptoms by figures: how much it uses, waits for and keeps.

use hemostat_schema::{
    Percent,
    observation::{Severity, Symptom},
};

use super::{Due, Phase, Watch};
use crate::observe::{baseline::Baseline, level::Level, signals::High};

impl Watch<'_> {
    pub(super) fn figures(&self) -> Vec<Due> {
        let (signals, sensitivity) = (&self.state.signals, &self.policy.sensitivity);
        let (sustained, clear_after) = (self.care.sustained, self.policy.clear_after);
        let mut due = vec![];
        due.extend(self.level(Symptom::CpuHigh, &signals.cpu, self.care.cpu));
        due.extend(self.level(Symptom::MemoryHigh, &signals.memory, self.care.memory));

        // It is never critical: what has to wait still works.
        let throttled = signals.throttled.high(sustained, sensitivity.throttled);
        let throttled = throttled.map(|high| High { severity: Severity::High, ..high });
        due.extend(self.held(Symptom::CpuThrottled, self.calm(throttled), signals.throttled.low(clear_after)));
        let pressure = signals.pressure.high(sustained, sensitivity.pressure);
        due.extend(self.held(Symptom::Pressure, self.calm(pressure), signals.pressure.low(clear_after)));
        let pids = signals.pids.high(sustained);
        due.extend(self.held(Symptom::PidsHigh, self.calm(pids), signals.pids.low(clear_after)));

        due.extend(self.leak());
        let (filling, emptying) = (signals.storage.high(sensitivity.disk), signals.storage.low(sensitivity.disk));
        due.extend(self.held(Symptom::DiskFilling, filling, emptying));

        let usual = &signals.usual;
        let (cpu, memory) = ((Symptom::CpuHigh, self.care.cpu), (Symptom::MemoryHigh, self.care.memory));
        due.extend(self.unusual(Symptom::CpuUnusual, &usual.cpu, Some((cpu, &signals.cpu))));
        due.extend(self.unusual(Symptom::MemoryUnusual, &usual.memory, Some((memory, &signals.memory))));
        due.extend(self.unusual(Symptom::NetworkUnusual, &usual.network, None));
        due.extend(self.unusual(Symptom::BlockUnusual, &usual.block, None));
        due
    }

    /// What is too high while the container is new is looked at again when it is not.
    fn calm(&self, high: Option<High>) -> Option<High> {
        high.filter(|high| high.at >= self.calm_until())
    }

    fn level(&self, symptom: Symptom, level: &Level, threshold: Percent) -> Option<Due> {
        let high = self.calm(level.high(self.care.sustained, threshold));
        self.held(symptom, high, level.low(self.policy.clear_after))
    }

    /// Another run has other memory: that it does not leak would take a quarter of an hour to prove, so being well must
    /// do. If it does leak it will be told again.
    fn leak(&self) -> Option<Due> {
        let symptom = Symptom::MemoryLeak;
        let begun = self.facts.started_at;
        let is_of_another_run = |since| begun.is_some_and(|begun| since < begun);
        if self.standing(symptom).is_some_and(|standing| is_of_another_run(standing.since)) {
            let due = self.policy.clear_after.after(self.since);
            return (self.phase == Phase::Well).then(|| Due::well(symptom, due));
        }
        let growth = &self.state.signals.growth;
        self.held(symptom, growth.high(), growth.low())
    }

    /// What is above its threshold is told as that, and not as unusual, too.
    fn unusual(
        &self,
        symptom: Symptom,
        baseline: &Baseline,
        plain: Option<((Symptom, Percent), &Level)>,
    ) -> Option<Due> {
        if !self.policy.sensitivity.adaptive {
            return self.standing(symptom).map(|standing| Due::well(symptom, standing.since));
        }
        let sustained = self.care.sustained;
        let is_plain = plain.is_some_and(|((symptom, threshold), level)| {
            self.stands(symptom) || level.high(sustained, threshold).is_some()
        });
        let high = baseline.high(sustained).filter(|_| !is_plain);
        self.held(symptom, high, baseline.low(self.policy.clear_after))
    }
}
