//! How far are an engine's events done with?
//!
//! Whoever takes over a host hears again what came after the oldest event that still waits for an inspection. What came
//! after it to *other* containers was done with, and would be told twice, or end a run that began since.

use std::collections::BTreeMap;

use hemostat_schema::{ContainerId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::Happening;

/// How far an engine's events are done with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The last event that was heard.
    latest: Option<Timestamp>,
    /// Of these containers nothing is done with since the event that waits for an inspection.
    undone: BTreeMap<ContainerId, Timestamp>,
}

impl Progress {
    /// From when on events have to be heard; none: nothing was heard yet.
    pub fn since(&self) -> Option<Timestamp> {
        let next = self.latest.map(|at| at.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(at));
        next.into_iter().chain(self.undone.values().copied()).min()
    }

    /// Whether this one is done with.
    pub(super) fn is_done_with(&self, happening: &Happening) -> bool {
        let waits = || self.undone.get(&happening.id).is_some_and(|since| happening.at >= *since);
        self.latest.is_some_and(|latest| happening.at <= latest) && !waits()
    }

    /// It is so late by the engine's clock. Where that was set back, what comes is not what was heard, though it is no
    /// later than that.
    pub(super) fn is_now(&mut self, now: Timestamp) {
        if self.latest.is_some_and(|latest| now < latest) {
            *self = Self::default();
        }
    }

    pub(super) fn heard(&mut self, happening: &Happening) {
        self.latest = self.latest.max(Some(happening.at));
    }

    /// An inspection has to be awaited before this one is done with.
    pub(super) fn waits(&mut self, trigger: &Happening) {
        self.undone.insert(trigger.id.clone(), trigger.at);
    }

    pub(super) fn waits_no_more(&mut self, id: &ContainerId) {
        self.undone.remove(id);
    }
}
