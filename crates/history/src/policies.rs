//! The policies that a partition has recorded: by which one was a decision made, and which was in force at a time?

use std::collections::BTreeMap;

use hemostat_core::Policy;
use hemostat_log::{Error, History, Range};
use hemostat_schema::{
    Action, Event, EventId, Family, Partition, PolicyHash, Recorded, Subject, action::PolicyChanged,
};

use crate::window::Position;

/// The policies that a partition has recorded.
#[derive(Debug, Clone, Default)]
pub struct Policies(BTreeMap<EventId, PolicyChanged>);

impl Policies {
    /// Those of `partition`.
    ///
    /// # Errors
    /// When the log or the archive cannot be read.
    pub async fn read(history: &History, partition: Partition) -> Result<Self, Error> {
        let mut policies = Self::default();
        let system = Subject::system().to_string();
        let mut scan = history.scan(partition, [Family::Action], Range::ALL);
        while let Some(page) = scan.next().await? {
            for entry in page.iter().filter(|entry| entry.subject() == Some(&*system)) {
                policies.0.extend(entry.decode().event.ok().as_ref().and_then(changed));
            }
        }
        Ok(policies)
    }

    /// Those among `events`.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Self {
        Self(events.into_iter().filter_map(changed).collect())
    }

    /// The event that recorded this policy first.
    pub fn recorded(&self, hash: PolicyHash) -> Option<(EventId, &PolicyChanged)> {
        self.0.iter().find(|(_, changed)| changed.hash == hash).map(|(id, changed)| (*id, changed))
    }

    /// The policy with this hash; none if it is not recorded or has a value that this program does not know.
    pub fn policy(&self, hash: PolicyHash) -> Option<Policy> {
        Policy::recorded(self.recorded(hash)?.1).ok()
    }

    /// The policy that was last recorded; none if none ever was.
    pub fn last(&self) -> Option<&PolicyChanged> {
        self.0.values().next_back()
    }

    /// The policy that was in force at a position, as far as it was recorded.
    pub fn at(&self, position: Position) -> Option<&PolicyChanged> {
        self.0.iter().rev().find(|(id, _)| Position::after(**id) <= position).map(|(_, changed)| changed)
    }
}

fn changed(event: &Recorded) -> Option<(EventId, PolicyChanged)> {
    match event.event() {
        Some(Event::Action(Action::PolicyChanged(changed))) => Some((event.id, changed.clone())),
        _ => None,
    }
}
