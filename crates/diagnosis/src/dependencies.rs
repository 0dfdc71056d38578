//! The container's dependencies, and whether they are healthy.

use hemostat_schema::{
    container::{Health, State},
    examination::{Relation, Relative},
    observation::Symptom,
};

use crate::{case::Case, host_health};

/// A dependency that is unhealthy or down.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnhealthyDependency<'a> {
    pub(super) relative: &'a Relative,
    pub(super) problem: &'static str,
}

impl<'a> Case<'a> {
    /// The dependencies that are unhealthy or down.
    pub(super) fn unhealthy_dependencies(&self) -> impl Iterator<Item = UnhealthyDependency<'a>> {
        let relatives = self.examined.map_or(&[][..], |examined| &examined.relatives);
        // An examination of an earlier run says nothing about the dependencies of today; the host's health does.
        let known = self.current_examination().is_some() || self.host.is_some();
        let (host, now) = (self.host, self.now);
        let needed = |relative: &&Relative| matches!(relative.relation, Relation::Dependency | Relation::Network);
        relatives.iter().filter(needed).filter(move |_| known).filter_map(move |relative| {
            let problem = match host {
                Some(host) => host.problem(&relative.name, now)?,
                None => host_health::problem(relative.state, relative.health, None)?,
            };
            Some(UnhealthyDependency { relative, problem })
        })
    }

    /// Whether a dependency was unhealthy or down when the container was examined.
    pub(super) fn had_unhealthy_dependencies(&self) -> bool {
        let relatives = self.examined.map_or(&[][..], |examined| &examined.relatives);
        let needed = |other: &Relative| matches!(other.relation, Relation::Dependency | Relation::Network);
        relatives.iter().any(|other| needed(other) && host_health::problem(other.state, other.health, None).is_some())
    }

    /// Whether it has a symptom of its own resource usage, which no dependency explains.
    pub(super) fn has_resource_symptom(&self) -> bool {
        [Symptom::MemoryHigh, Symptom::CpuHigh, Symptom::MemoryLeak, Symptom::PidsHigh]
            .into_iter()
            .any(|symptom| self.current_symptom(symptom).is_some())
    }

    /// The container whose network it shares, if that has restarted since this run began: that network is gone.
    pub(super) fn restarted_network_owner(&self) -> Option<&'a Relative> {
        let (examined, began) = self.current_examination().zip(self.facts.started_at)?;
        let newer = |relative: &&Relative| {
            relative.relation == Relation::Network
                && relative.state == State::Running
                && relative.since.is_some_and(|since| since > began)
        };
        examined.relatives.iter().find(newer)
    }

    /// A dependency that restarted since this run began, or recovered since the examination: connections and addresses
    /// from before are stale.
    pub(super) fn recovered_dependency(&self) -> Option<&'a Relative> {
        let (examined, began) = self.current_examination().zip(self.facts.started_at)?;
        let was_unhealthy = |other: &Relative| host_health::problem(other.state, other.health, None).is_some();
        examined.relatives.iter().find(|other| {
            let is_healthy = other.state == State::Running && matches!(other.health, Health::Healthy | Health::None);
            let restarted = is_healthy && other.since.is_some_and(|since| since > began);
            // It was unhealthy at the examination. Whether it still is, `unhealthy_dependencies` says from the host's health.
            let recovered = was_unhealthy(other) && self.host.is_some();
            other.relation == Relation::Dependency && (restarted || recovered)
        })
    }
}
