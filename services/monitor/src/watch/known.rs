//! What of what the watch knows is told to whoever examines a container?

use hemostat_schema::{ContainerName, observation::DiskMeasured};

use super::Watch;
use crate::examine::{Known, relatives::relatives};

impl Watch {
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
