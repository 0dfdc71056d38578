//! What a container needs of others, and how those are.

use hemostat_schema::{
    container::{Health, State},
    examination::{Relation, Relative},
    observation::Symptom,
};

use super::{Case, ward};

/// A container without which this one cannot be well, and which is not well itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Root<'a> {
    pub(super) relative: &'a Relative,
    pub(super) how: &'static str,
}

impl<'a> Case<'a> {
    /// The containers that it needs and that are not well.
    pub(super) fn roots(&self) -> impl Iterator<Item = Root<'a>> {
        let relatives = self.examined.map_or(&[][..], |examined| &examined.relatives);
        // What another container was like when an earlier run was looked at is known only where the ward tells it.
        let told = self.examined_now().is_some() || self.ward.is_some();
        let (ward, now) = (self.ward, self.now);
        let needed = |relative: &&Relative| matches!(relative.relation, Relation::Dependency | Relation::Network);
        relatives.iter().filter(needed).filter(move |_| told).filter_map(move |relative| {
            let how = match ward {
                Some(ward) => ward.ails(&relative.name, now)?,
                None => ward::ails(relative.state, relative.health, None)?,
            };
            Some(Root { relative, how })
        })
    }

    /// Whether something that it needs was not well when it was examined.
    pub(super) fn had_roots(&self) -> bool {
        let relatives = self.examined.map_or(&[][..], |examined| &examined.relatives);
        let needed = |other: &Relative| matches!(other.relation, Relation::Dependency | Relation::Network);
        relatives.iter().any(|other| needed(other) && ward::ails(other.state, other.health, None).is_some())
    }

    /// Whether it uses more than it should, whatever others do.
    pub(super) fn is_ill_of_a_level(&self) -> bool {
        [Symptom::MemoryHigh, Symptom::CpuHigh, Symptom::MemoryLeak, Symptom::PidsHigh]
            .into_iter()
            .any(|symptom| self.standing_now(symptom).is_some())
    }

    /// The container whose network it lives in, where that was started anew since: its network is gone.
    pub(super) fn lost_network(&self) -> Option<&'a Relative> {
        let (examined, began) = self.examined_now().zip(self.facts.started_at)?;
        let newer = |relative: &&Relative| {
            relative.relation == Relation::Network
                && relative.state == State::Running
                && relative.since.is_some_and(|since| since > began)
        };
        examined.relatives.iter().find(newer)
    }

    /// A container that it needs and that got well only after this one had fallen ill, or was started anew since: what it
    /// held of it (connections, addresses) is no longer good.
    pub(super) fn left_behind_by(&self) -> Option<&'a Relative> {
        let (examined, began) = self.examined_now().zip(self.facts.started_at)?;
        let ailed = |other: &Relative| ward::ails(other.state, other.health, None).is_some();
        examined.relatives.iter().find(|other| {
            let fit = other.state == State::Running && matches!(other.health, Health::Healthy | Health::None);
            let anew = fit && other.since.is_some_and(|since| since > began);
            // The ward knows better than the examination how it is now; that it ails is another question.
            let healed = ailed(other) && self.ward.is_some();
            other.relation == Relation::Dependency && (anew || healed)
        })
    }
}
