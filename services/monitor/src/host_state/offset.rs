//! The offset in an engine's event stream: which events are processed.
//!
//! A process that takes over a host reads again from the oldest event that still waits for an inspection. Later events of
//! *other* containers were processed already; applied twice, they would be reported twice, or end a newer run.

use std::collections::BTreeMap;

use hemostat_schema::{ContainerId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::DockerEvent;

/// Which of an engine's events are processed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventOffset {
    /// The last event that was received.
    latest: Option<Timestamp>,
    /// Containers with an event that waits for an inspection: from its time on, their events are not processed.
    #[serde(rename = "undone")]
    awaiting_inspection: BTreeMap<ContainerId, Timestamp>,
}

impl EventOffset {
    /// From when on events have to be read; `None`: none was received yet.
    pub fn since(&self) -> Option<Timestamp> {
        let next = self.latest.map(|at| at.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(at));
        next.into_iter().chain(self.awaiting_inspection.values().copied()).min()
    }

    /// Whether this event was processed.
    pub(super) fn includes(&self, event: &DockerEvent) -> bool {
        let waits = || self.awaiting_inspection.get(&event.id).is_some_and(|since| event.at >= *since);
        self.latest.is_some_and(|latest| event.at <= latest) && !waits()
    }

    /// Resets the offset if the engine's clock was set back: new events then have earlier times than processed ones.
    pub(super) fn check_clock(&mut self, now: Timestamp) {
        if self.latest.is_some_and(|latest| now < latest) {
            *self = Self::default();
        }
    }

    pub(super) fn advance(&mut self, event: &DockerEvent) {
        self.latest = self.latest.max(Some(event.at));
    }

    /// `trigger` waits for an inspection.
    pub(super) fn hold(&mut self, trigger: &DockerEvent) {
        self.awaiting_inspection.insert(trigger.id.clone(), trigger.at);
    }

    /// The inspection of this container was answered.
    pub(super) fn release(&mut self, id: &ContainerId) {
        self.awaiting_inspection.remove(id);
    }
}
