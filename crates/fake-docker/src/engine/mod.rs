//! A world of containers that nobody runs: what is asked of it, and what happens in it by itself as time goes by.
//!
//! It has no clock: whoever asks says when, and the same questions at the same instants give the same world. What is to
//! happen by itself waits in a heap; [`EngineState::advance`] lets it happen. What others are to be told of it (events, and the
//! end of what was asked for and takes time) is taken out as [`Updates`].

mod commands;
mod container;
mod failures;
mod id;
mod lifecycle;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    mem,
    sync::Arc,
    time::Duration,
};

pub(crate) use self::{container::LogLine, lifecycle::signal_number};
pub use self::{
    container::{Container, Health, Status},
    id::ContainerId,
};
use crate::{Event, UnixNanos, event::EventLog};

/// Why something cannot be had, in Docker's own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("No such container: {0}")]
    Unknown(String),
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{by}\". You have to remove (or rename) \
         that container to be able to reuse that name."
    )]
    NameTaken { name: String, by: ContainerId },
    #[error("Container {0} is not running")]
    NotRunning(String),
    #[error("Container {0} is already paused")]
    AlreadyPaused(String),
    #[error("Container {0} is not paused")]
    NotPaused(String),
    #[error("You cannot remove a running container {0}. Stop the container before attempting removal or force remove")]
    StillRunning(ContainerId),
    #[error("Container {0} is restarting, wait until the container is running")]
    Restarting(ContainerId),
    #[error("{0}")]
    Invalid(String),
}

/// What becomes of what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It was so already.
    NoChange,
    /// It takes time: the ticket will be in the [`Updates`] when it is done.
    Pending(OperationId),
}

/// Something that was asked for and takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OperationId(u64);

/// What happened since it was last asked.
#[derive(Debug, Default)]
pub struct Updates {
    /// What the engine tells, in this order.
    pub events: Vec<Arc<Event>>,
    /// What was asked for and is done now.
    pub done: Vec<OperationId>,
}

/// What may happen by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Transition {
    HealthCheck { round: u32 },
    Exit { code: u8 },
    Kill,
    Restart,
    FailureBegins { number: u32 },
    FailureEnds { number: u32 },
    MemoryFull,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    at: UnixNanos,
    order: u64,
    index: u32,
    epoch: u32,
    transition: Transition,
}

/// A world of containers.
#[derive(Debug)]
pub struct EngineState {
    seed: u64,
    /// In the order in which they were made; what was taken away leaves a hole.
    containers: Vec<Option<Box<Container>>>,
    by_id: HashMap<ContainerId, u32>,
    by_name: HashMap<Arc<str>, u32>,
    timers: BinaryHeap<Reverse<Timer>>,
    event_log: EventLog,
    updates: Updates,
    /// Counts everything that needs a number of its own.
    count: u64,
}

impl EngineState {
    /// An empty world; ids and waves follow from the seed.
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

    /// Lets happen what is due by `now`.
    pub fn advance(&mut self, now: UnixNanos) {
        while let Some(Reverse(timer)) = self.timers.peek()
            && timer.at <= now
        {
            if let Some(Reverse(timer)) = self.timers.pop() {
                self.fire(timer);
            }
        }
    }

    /// When something happens by itself, if nobody asks for anything before.
    pub fn next_due(&self) -> Option<UnixNanos> {
        self.timers.peek().map(|Reverse(timer)| timer.at)
    }

    /// What happened since this was last called.
    pub fn take_updates(&mut self) -> Updates {
        mem::take(&mut self.updates)
    }

    /// All containers, the youngest first.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().rev().filter_map(Option::as_deref)
    }

    /// The container of this name, id, or unambiguous beginning of an id.
    ///
    /// # Errors
    /// When there is none.
    pub fn container(&self, key: &str) -> Result<&Container, Refusal> {
        let unknown = || Refusal::Unknown(key.to_owned());
        self.get(self.find(key)?).ok_or_else(unknown)
    }

    /// What the engine still remembers, between these instants.
    pub(crate) fn recorded_events(
        &self,
        since: Option<UnixNanos>,
        until: Option<UnixNanos>,
    ) -> impl Iterator<Item = &Arc<Event>> {
        self.event_log.between(since, until)
    }

    /// The engine forgets what happened, as when it is restarted.
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
        let mut begin_so = self.by_id.iter().filter(|(id, _)| !key.is_empty() && id.as_str().starts_with(key));
        match (begin_so.next(), begin_so.next()) {
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

    #[expect(clippy::cast_possible_truncation, reason = "not so many in the life of a simulation")]
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

    /// The engine tells something; no two events have the same instant.
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
