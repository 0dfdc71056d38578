//! What of what the watch knows is told to whoever examines a container?

use hemostat_schema::{ContainerName, Subject, observation::DiskMeasured};

use super::Watch;
use crate::examine::{Known, orders::Asked, relatives::relatives};

impl Watch {
    /// Those that are ill of something.
    pub fn ill(&self) -> impl Iterator<Item = &ContainerName> {
        self.states.iter().filter(|(_, state)| state.is_ill()).map(|(name, _)| name)
    }

    /// To examine one that is ill still.
    pub fn still_ill(&self, name: &ContainerName) -> Option<Asked> {
        let state = self.states.get(name).filter(|state| state.is_ill())?;
        Asked::still_ill(Subject::container(self.host.clone(), name.clone()), name.clone(), state)
    }

    /// All that is known of a container without asking the engine; none where it is not known.
    pub fn known(&self, name: &ContainerName) -> Option<Known> {
        let facts = self.states.get(name)?.facts()?;
        let others = self.states.iter().filter_map(|(name, state)| Some((name, state.facts()?)));
        Some(Known {
            facts: facts.clone(),
            samples: self.samples(name),
            changes: self.past.of(name),
            relatives: relatives(name, facts, others),
            writable: self.stored(name).map(|stored| stored.writable),
            disk: self.disk().map(DiskMeasured::used),
        })
    }
}
