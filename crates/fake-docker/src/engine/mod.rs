//! The engine as a state machine: containers, the commands on them, and what happens as time passes.
//!
//! It has no clock, no randomness and no I/O: the caller passes the time, and the same commands at the same times lead to
//! the same state. Scheduled transitions wait in a heap; [`EngineState::advance`] fires those that are due. The caller
//! takes events and completed operations with [`EngineState::take_updates`].

mod commands;
pub(crate) mod container;
mod failures;
pub(crate) mod id;
mod lifecycle;
pub(crate) mod outcome;
pub(crate) mod signal;
mod timer;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    mem,
    sync::Arc,
    time::Duration,
};

use self::{
    container::Container,
    id::ContainerId,
    outcome::{OperationId, Refusal, Updates},
    timer::{Timer, Transition},
};
use crate::{
    event::{Event, EventLog},
    time::UnixNanos,
};

/// The state of a fake Docker engine.
#[derive(Debug)]
pub struct EngineState {
    seed: u64,
    /// In the order of creation; a deleted container leaves a hole.
    containers: Vec<Option<Box<Container>>>,
    by_id: HashMap<ContainerId, u32>,
    by_name: HashMap<Arc<str>, u32>,
    timers: BinaryHeap<Reverse<Timer>>,
    event_log: EventLog,
    updates: Updates,
    /// The last number given out, for timers, operations, pids and epochs.
    count: u64,
}

impl EngineState {
    /// An engine without containers. The seed determines all ids and usage curves.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            containers: vec![],
            by_id: HashMap::new(),
            by_name: HashMap::new(),
            timers: BinaryHeap::new(),
            event_log: EventLog::default(),
            updates: Updates::default(),
            count: 0,
        }
    }

    /// Fires all transitions that are due by `now`.
    pub fn advance(&mut self, now: UnixNanos) {
        while let Some(Reverse(timer)) = self.timers.peek()
            && timer.at <= now
        {
            if let Some(Reverse(timer)) = self.timers.pop() {
                self.fire(timer);
            }
        }
    }

    /// When the next transition is due.
    pub fn next_due(&self) -> Option<UnixNanos> {
        self.timers.peek().map(|Reverse(timer)| timer.at)
    }

    /// The events and completed operations since the last call.
    pub fn take_updates(&mut self) -> Updates {
        mem::take(&mut self.updates)
    }

    /// All containers, the newest first.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().rev().filter_map(Option::as_deref)
    }

    /// The container with this name, id or unambiguous id prefix.
    ///
    /// # Errors
    /// If there is none.
    pub fn container(&self, key: &str) -> Result<&Container, Refusal> {
        let unknown = || Refusal::Unknown(key.to_owned());
        self.get(self.find(key)?).ok_or_else(unknown)
    }

    /// The events between these instants that the engine still has.
    pub(crate) fn recorded_events(
        &self,
        since: Option<UnixNanos>,
        until: Option<UnixNanos>,
    ) -> impl Iterator<Item = &Arc<Event>> {
        self.event_log.between(since, until)
    }

    /// Drops the recorded events, as a restart of the engine does.
    pub fn forget_events(&mut self) {
        self.event_log.clear();
    }

    fn find(&self, key: &str) -> Result<u32, Refusal> {
        let name = key.strip_prefix('/').unwrap_or(key);
        if let Some(index) = self.by_name.get(name) {
            return Ok(*index);
        }
        let unknown = || Refusal::Unknown(key.to_owned());
        if let Some(id) = ContainerId::parse(key) {
            return self.by_id.get(&id).copied().ok_or_else(unknown);
        }
        let mut matches = self.by_id.iter().filter(|(id, _)| !key.is_empty() && id.as_str().starts_with(key));
        match (matches.next(), matches.next()) {
            (Some((_, index)), None) => Ok(*index),
            _ => Err(unknown()),
        }
    }

    fn is_free(&self, name: &str) -> Result<(), Refusal> {
        match self.by_name.get(name).and_then(|index| self.get(*index)) {
            Some(by) => Err(Refusal::NameTaken { name: name.to_owned(), by: by.id }),
            None => Ok(()),
        }
    }

    fn get(&self, index: u32) -> Option<&Container> {
        self.containers.get(index as usize)?.as_deref()
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut Container> {
        self.containers.get_mut(index as usize)?.as_deref_mut()
    }

    #[expect(clippy::cast_possible_truncation, reason = "a simulation does not count that far")]
    fn number(&mut self) -> u32 {
        self.count += 1;
        self.count as u32
    }

    fn operation(&mut self) -> OperationId {
        self.count += 1;
        OperationId(self.count)
    }

    fn schedule(&mut self, index: u32, at: UnixNanos, transition: Transition) {
        self.count += 1;
        let order = self.count;
        if let Some(epoch) = self.get(index).map(|container| container.epoch) {
            self.timers.push(Reverse(Timer { at, order, index, epoch, transition }));
        }
    }

    /// Emits an event; no two events have the same instant.
    fn emit(
        &mut self,
        index: u32,
        action: impl Into<std::borrow::Cow<'static, str>>,
        more: Vec<(&'static str, String)>,
        at: UnixNanos,
    ) {
        let after_last = self.event_log.last().map(|last| last + Duration::from_nanos(1));
        let Some(container) = self.get(index) else { return };
        let event = Arc::new(Event {
            at: after_last.map_or(at, |after| at.max(after)),
            action: action.into(),
            id: container.id,
            name: container.name.clone(),
            more,
            spec: container.spec.clone(),
        });
        self.event_log.keep(event.clone());
        self.updates.events.push(event);
    }

    fn delete(&mut self, index: u32, now: UnixNanos) {
        self.emit(index, "destroy", vec![], now);
        if let Some(container) = self.containers.get_mut(index as usize).and_then(Option::take) {
            self.by_id.remove(&container.id);
            self.by_name.remove(&container.name);
        }
    }
}

#[cfg(test)]
mod tests;
