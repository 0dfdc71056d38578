//! The signal of symptom `pressure`: the share of time in which the container waits for CPU, memory or disk (PSI).

use hemostat_schema::{
    Percent, Span, Timestamp,
    container::Strain,
    observation::{Evidence, Resource, Severity},
};

use super::{
    debounce::{Comparison, Debounce, Sustained},
    exceeded::Exceeded,
};
use crate::policy::Sensitivity;

/// The resource that the container waits for most, and how long that wait has been too high.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Pressure {
    worst: Option<(Resource, Percent)>,
    debounce: Debounce,
}

impl Pressure {
    pub(super) fn add(&mut self, at: Timestamp, strain: &Strain, sensitivity: &Sensitivity, sustained: Span) {
        self.worst = worst_pressure(strain, sensitivity);
        let sample = self.worst.map_or(Comparison::BELOW, |(_, value)| Comparison::of(value, sensitivity.pressure));
        self.debounce.add(at, sample, sustained);
    }

    /// The evidence, if the wait has been too long for `sustained`. Never critical: a container that waits still works.
    pub(super) fn exceeded(&self, sustained: Span, threshold: Percent) -> Option<Exceeded> {
        let (resource, value) = self.worst?;
        let held = self.debounce.exceeded(sustained)?;
        let evidence = Evidence::Stalled { resource, value, threshold, held: held.span() };
        Some(Exceeded::sustained(Sustained { severity: Severity::High, ..held }, evidence))
    }

    pub(super) fn cleared(&self, clear_after: Span) -> Option<Timestamp> {
        self.debounce.cleared(clear_after)
    }
}

/// The resource with the highest pressure.
///
/// A container that its own CPU limit throttles waits for CPU too; symptom `cpu_throttled` reports that, so CPU
/// pressure does not count while throttling is above its threshold.
pub(crate) fn worst_pressure(strain: &Strain, sensitivity: &Sensitivity) -> Option<(Resource, Percent)> {
    let throttled = strain.throttled.is_some_and(|throttled| throttled > sensitivity.throttled);
    [
        (Resource::Cpu, strain.cpu.filter(|_| !throttled)),
        (Resource::Memory, strain.memory),
        (Resource::Disk, strain.disk),
    ]
    .into_iter()
    .filter_map(|(resource, value)| Some((resource, value?)))
    .max_by(|(_, one), (_, other)| one.get().total_cmp(&other.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_pressure_counts_and_cpu_pressure_does_not_count_while_the_cpu_limit_throttles() {
        let share = |value: Option<f64>| value.map(Percent::clamped);
        let check = |throttled, [cpu, memory, disk]: [Option<f64>; 3], expected: Option<(Resource, f64)>| {
            let strain =
                Strain { throttled: share(throttled), cpu: share(cpu), memory: share(memory), disk: share(disk) };
            let found =
                worst_pressure(&strain, &Sensitivity::default()).map(|(resource, value)| (resource, value.get()));
            assert_eq!(found, expected, "{strain:?}");
        };
        check(None, [None, None, None], None);
        check(None, [Some(50.0), Some(10.0), Some(20.0)], Some((Resource::Cpu, 50.0)));
        check(Some(10.0), [Some(50.0), Some(10.0), Some(20.0)], Some((Resource::Cpu, 50.0)));
        check(Some(90.0), [Some(99.0), Some(10.0), Some(20.0)], Some((Resource::Disk, 20.0)));
        check(Some(90.0), [Some(99.0), None, None], None);
        check(None, [Some(0.0), Some(60.0), None], Some((Resource::Memory, 60.0)));
    }
}
