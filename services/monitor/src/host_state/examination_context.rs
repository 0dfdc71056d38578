//! The part of the host's state that an examination needs.

use hemostat_schema::{ContainerName, Subject, sample::Disk};

use super::HostState;
use crate::examine::{ContainerContext, relatives::relatives, requests::ExaminationRequest};

impl HostState {
    /// The containers with a symptom that counts as sickness.
    pub fn with_symptoms(&self) -> impl Iterator<Item = &ContainerName> {
        self.states.iter().filter(|(_, state)| state.is_sick()).map(|(name, _)| name)
    }

    /// A request to examine a container again, if it still has symptoms.
    pub fn reexamination(&self, name: &ContainerName) -> Option<ExaminationRequest> {
        let state = self.states.get(name).filter(|state| state.is_sick())?;
        ExaminationRequest::persisting(Subject::container(self.host.clone(), name.clone()), state)
    }

    /// What is known of a container without asking the engine; `None` for an unknown one.
    pub fn examination_context(&self, name: &ContainerName) -> Option<ContainerContext> {
        let facts = self.states.get(name)?.facts()?;
        let others = self.states.iter().filter_map(|(name, state)| Some((name, state.facts()?)));
        Some(ContainerContext {
            facts: facts.clone(),
            samples: self.samples(name),
            changes: self.recent_changes.of(name),
            relatives: relatives(name, facts, others),
            writable: self.stored(name).map(|stored| stored.writable),
            disk: self.disk().map(Disk::used),
        })
    }
}
