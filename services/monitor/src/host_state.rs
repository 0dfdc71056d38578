//! The state of one host: combines Docker events, inspections, samples and time into observations.
//!
//! It does no I/O. Each input goes to `core::observe`, which returns events for the log. Inspections that it needs come
//! out as [`InspectRequest`]s, and their answers come in again.
//!
//! ```text
//! events      ─┐                        ┌─► events for the log, changed rows
//! inspections ─┼─► HostState ─► observe ┤
//! samples     ─┘                        └─► requests: inspect this container (now, or in a second)
//! ```
//!
//! A Docker event says exactly what happened and when, but not which run began; an inspection says everything, but only
//! for its own instant. So an event that begins or ends a run waits for an inspection, and later events of the same
//! container queue behind it. All other events (health changes above all) are applied at once. The end of a run is also
//! applied at once if the earlier events say who ended it: Docker answers an inspection only after it has cleaned up the
//! container, which takes seconds if many end at the same time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use hemostat_core::{
    observe::{self, ObservationInput, State, vitals::RawSample},
    policy::Policy,
    schedule::Schedule,
};
use hemostat_docker::{DiskUsage, EngineInfo};
use hemostat_schema::{
    ContainerId, ContainerName, Event, Family, HostName, NewEvent, Subject, Timestamp,
    container::{ExitBy, Facts, State as Life},
    examination::Sample,
    observation::{EngineFound, EngineLost},
    sample::{Disk, Storage},
};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::{
    cgroup::RunningContainer,
    event::{DockerEvent, DockerEventKind},
    examine::changes::RecentChanges,
    exit_cause::Run,
    facts::MainProcess,
};

mod examination_context;
mod inspections;
mod measurements;
mod offset;

pub use offset::EventOffset;

/// A request to inspect a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectRequest {
    /// The container.
    pub id: ContainerId,
    /// Identifies the request; its answer carries it.
    pub token: u64,
    /// How long to wait before the inspection.
    pub delay: Duration,
    /// Whether an event waits for the answer.
    pub awaited: bool,
}

/// What changed since the last [`HostState::take_changes`].
#[derive(Debug, Default)]
pub struct StateChanges {
    /// Events for the log, in this order.
    pub events: Vec<NewEvent>,
    /// Changed rows: the state of a container, or `None` to delete its row.
    pub rows: Vec<(Subject, Option<State>)>,
    /// Inspections to make.
    pub inspections: Vec<InspectRequest>,
}

/// One container of the engine.
#[derive(Debug, Default)]
struct TrackedContainer {
    /// Its name; `None` before the first inspection.
    name: Option<ContainerName>,
    /// The events of its present run that say who ends it.
    run: Run,
    /// The signal that `docker stop` sends.
    stop_signal: Option<i32>,
    /// The inspection that its events wait for.
    awaited: Option<AwaitedInspection>,
    /// The sequence number of its last event.
    last_event: u64,
    /// An inspection contradicted the known state, and a second one is under way.
    rechecking: bool,
    /// The main process of its present run.
    process: Option<MainProcess>,
    /// The last sample of its present run.
    last_sample: Option<RawSample>,
    /// The sweep in which it was last measured.
    measured_in: u64,
    /// Recent vitals, also of earlier runs.
    samples: VecDeque<Sample>,
    /// Its disk usage, as last measured.
    stored: Option<Storage>,
}

/// An event that waits for an inspection, and later events of the same container.
#[derive(Debug)]
struct AwaitedInspection {
    token: u64,
    trigger: DockerEvent,
    queued: VecDeque<DockerEvent>,
}

/// Whether the engine answers, as last written to the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EngineStatus {
    /// It answers.
    Found(EngineFound),
    /// It does not.
    Lost,
}

/// The state of a host and its containers.
#[derive(Debug)]
pub struct HostState {
    host: HostName,
    policy: Arc<Policy>,
    engine_status: Option<EngineStatus>,
    states: BTreeMap<ContainerName, Box<State>>,
    timers: Schedule<ContainerName>,
    tracked: HashMap<ContainerId, Box<TrackedContainer>>,
    /// The offset of the checkpoint that this state started from.
    initial_offset: EventOffset,
    offset: EventOffset,
    recent_changes: RecentChanges,
    /// Numbers events and inspections, so that their order is known.
    sequence: u64,
    changed_rows: BTreeSet<ContainerName>,
    /// Numbers the sweeps.
    sweep: u64,
    /// How full the disk with Docker's data is.
    disk: Option<Disk>,
    /// Disk usage that was measured and not applied yet; `true` marks the container with the most.
    pending_usage: VecDeque<(bool, DiskUsage)>,
    events: Vec<NewEvent>,
    inspections: Vec<InspectRequest>,
}

impl HostState {
    /// Continues from a checkpoint. The caller has to list the engine's containers next: [`apply_list`](Self::apply_list).
    pub fn new(
        host: HostName,
        policy: Arc<Policy>,
        engine_status: Option<EngineStatus>,
        offset: EventOffset,
        states: BTreeMap<ContainerName, Box<State>>,
    ) -> Self {
        let tracked = states
            .iter()
            .filter_map(|(name, state)| {
                let id = state.facts()?.id.clone();
                Some((id, Box::new(TrackedContainer { name: Some(name.clone()), ..TrackedContainer::default() })))
            })
            .collect();
        let (mut timers, mut recent_changes) = (Schedule::default(), RecentChanges::default());
        for (name, state) in &states {
            let subject = Subject::container(host.clone(), name.clone());
            timers.set(name, observe::next_deadline(state, &subject, &policy));
            if let Some(facts) = state.facts() {
                recent_changes.add_known(name, facts);
            }
        }
        Self {
            host,
            policy,
            engine_status,
            states,
            timers,
            tracked,
            initial_offset: offset.clone(),
            offset,
            recent_changes,
            sequence: 0,
            changed_rows: BTreeSet::new(),
            sweep: 0,
            disk: None,
            pending_usage: VecDeque::new(),
            events: vec![],
            inspections: vec![],
        }
    }

    /// Observes by another policy from here on: computes all deadlines again. What is already due under it follows with
    /// the next timer, and figures are compared with its thresholds from the next sample on.
    pub fn set_policy(&mut self, policy: Arc<Policy>) {
        for (name, state) in &mut self.states {
            state.forget_policy();
            let subject = Subject::container(self.host.clone(), name.clone());
            self.timers.set(name, observe::next_deadline(state, &subject, &policy));
        }
        self.policy = policy;
    }

    /// Writes the rows of these containers again, though nothing happened to them.
    pub fn mark_rows_changed(&mut self, names: BTreeSet<ContainerName>) {
        self.changed_rows.extend(names);
    }

    /// Takes everything that changed since the last call.
    pub fn take_changes(&mut self) -> StateChanges {
        let rows = std::mem::take(&mut self.changed_rows).into_iter().map(|name| {
            let row =
                self.states.get(&name).filter(|state| ***state != State::default()).map(|state| (**state).clone());
            if row.is_none() {
                self.states.remove(&name);
            }
            (Subject::container(self.host.clone(), name), row)
        });
        let rows = rows.collect();
        StateChanges {
            events: std::mem::take(&mut self.events),
            rows,
            inspections: std::mem::take(&mut self.inspections),
        }
    }

    /// Whether the engine answers, as last written to the log.
    pub fn engine_status(&self) -> Option<&EngineStatus> {
        self.engine_status.as_ref()
    }

    /// How far the engine's events are processed: where another process would continue.
    pub fn offset(&self) -> &EventOffset {
        &self.offset
    }

    /// The running containers, to be sampled.
    pub fn running(&self) -> Vec<RunningContainer> {
        let facts = self.states.values().filter_map(|state| state.facts()).filter(|facts| facts.state == Life::Running);
        let process = |id: &ContainerId| self.tracked.get(id).and_then(|tracked| tracked.process);
        facts.map(|facts| RunningContainer { id: facts.id.clone(), process: process(&facts.id) }).collect()
    }

    /// When the next timer is due if nothing else happens.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.in_order().find(|(_, name)| !self.awaits_inspection(name)).map(|(at, _)| at)
    }

    /// Whether a run began or ended and an inspection has to say which: until then its timers do not fire.
    fn awaits_inspection(&self, name: &ContainerName) -> bool {
        let facts = self.states.get(name).and_then(|state| state.facts());
        facts.and_then(|facts| self.tracked.get(&facts.id)).is_some_and(|tracked| tracked.awaited.is_some())
    }

    /// The present sequence number, to be passed to [`apply_list`](Self::apply_list) with a list requested now.
    pub fn list_sequence(&self) -> u64 {
        self.sequence
    }

    /// The engine answers.
    pub fn engine_found(&mut self, info: &EngineInfo, now: Timestamp) {
        self.initial_offset.check_clock(info.now);
        let found = Some(EngineStatus::Found(info.engine.clone()));
        if self.engine_status != found {
            info!(host = %self.host, version = info.engine.version, "the Docker engine answers");
            self.events.push(NewEvent::new(Subject::host(self.host.clone()), now, info.engine.clone()));
            self.engine_status = found;
        }
    }

    /// The engine does not answer; `error` is already redacted.
    pub fn engine_lost(&mut self, error: &str, now: Timestamp) {
        if self.engine_status != Some(EngineStatus::Lost) {
            warn!(host = %self.host, "{error}; retrying");
            let lost = EngineLost { error: error.to_owned() };
            self.events.push(NewEvent::new(Subject::host(self.host.clone()), now, lost));
            self.engine_status = Some(EngineStatus::Lost);
            self.unmeasured(|_| true, now);
        }
    }

    /// Appends the result of an examination.
    pub fn apply_examination(&mut self, event: NewEvent) {
        self.events.push(event);
    }

    /// Fires the timers that are due.
    pub fn fire_due_timers(&mut self, now: Timestamp) {
        let due = self.timers.due_by(now).map(|(_, name)| name);
        let due: Vec<_> = due.filter(|name| !self.awaits_inspection(name)).cloned().collect();
        for name in due {
            self.observe(&name, ObservationInput::Tick, now);
        }
    }

    /// Compares with the engine's full list, which was requested at `sequence`: containers that are no longer listed were
    /// removed, and all listed ones are inspected.
    pub fn apply_list(&mut self, ids: &[ContainerId], sequence: u64, now: Timestamp) {
        let listed: HashSet<_> = ids.iter().collect();
        let removed: Vec<_> = self
            .tracked
            .iter()
            .filter(|(id, tracked)| !listed.contains(id) && tracked.last_event <= sequence && tracked.awaited.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in removed {
            self.removed(&id, now);
        }
        self.recent_changes.forget(now);
        for id in ids {
            self.request_inspection(id.clone(), Duration::ZERO);
        }
    }

    /// An event of the engine.
    pub fn engine_event(&mut self, event: DockerEvent) {
        if self.initial_offset.includes(&event) {
            return;
        }
        self.sequence += 1;
        self.offset.advance(&event);
        let tracked = self.tracked.entry(event.id.clone()).or_default();
        tracked.last_event = self.sequence;
        match &mut tracked.awaited {
            Some(awaited) => awaited.queued.push_back(event),
            None => self.apply(event),
        }
    }

    fn apply(&mut self, event: DockerEvent) {
        let DockerEvent { at, id, what, .. } = &event;
        let Some(tracked) = self.tracked.get_mut(id) else { return };
        let has_new_name = matches!(what, DockerEventKind::Created | DockerEventKind::Changed);
        let Some(name) = tracked.name.clone().filter(|_| !has_new_name) else {
            if *what == DockerEventKind::Destroyed {
                self.tracked.remove(id);
                return;
            }
            return self.await_inspection(event);
        };
        match what {
            DockerEventKind::Created | DockerEventKind::Changed | DockerEventKind::Started => {
                self.await_inspection(event);
            }
            DockerEventKind::Died { code } => {
                let limited = self.facts_of(id, &name).is_some_and(|facts| facts.limits.memory.is_some());
                if self.tracked.get(id).is_some_and(|tracked| tracked.run.cause_is_final(*code, *at, limited)) {
                    self.ended(id, *code, *at);
                }
                self.await_inspection(event);
            }
            DockerEventKind::Signalled { signal } => tracked.run.signalled(*signal, *at),
            DockerEventKind::OutOfMemory => {
                tracked.run.ran_out_of_memory(*at);
                self.observe_if_known(id, &name, ObservationInput::OutOfMemory, *at);
            }
            DockerEventKind::Stopped => {
                tracked.run.stopped();
                let exit = self.states.get(&name).and_then(|state| state.facts()?.exit);
                if exit.is_none_or(|exit| exit.by != ExitBy::Operator) {
                    // It was stopped between two runs, or by a signal that is not known to end it.
                    self.await_inspection(event);
                }
            }
            DockerEventKind::Paused => self.observe_if_known(id, &name, ObservationInput::Paused, *at),
            DockerEventKind::Unpaused => self.observe_if_known(id, &name, ObservationInput::Unpaused, *at),
            DockerEventKind::Health(health) => {
                self.observe_if_known(id, &name, ObservationInput::Health(*health), *at);
            }
            DockerEventKind::Destroyed => self.removed(id, *at),
        }
    }

    fn removed(&mut self, id: &ContainerId, at: Timestamp) {
        if let Some(name) = self.tracked.remove(id).and_then(|tracked| tracked.name) {
            self.observe_if_known(id, &name, ObservationInput::Removed, at);
        }
    }

    /// The known facts of a container, if the name still belongs to it.
    fn facts_of(&self, id: &ContainerId, name: &ContainerName) -> Option<&Facts> {
        self.states.get(name)?.facts().filter(|facts| facts.id == *id)
    }

    /// [`observe`](Self::observe), unless the name belongs to another container by now.
    fn observe_if_known(&mut self, id: &ContainerId, name: &ContainerName, input: ObservationInput, at: Timestamp) {
        if self.facts_of(id, name).is_some() {
            self.observe(name, input, at);
        }
    }

    fn observe(&mut self, name: &ContainerName, input: ObservationInput, at: Timestamp) {
        let subject = Subject::container(self.host.clone(), name.clone());
        let state = self.states.entry(name.clone()).or_default();
        let events = observe::observe(state, &subject, input, &self.policy, at);
        self.timers.set(name, observe::next_deadline(state, &subject, &self.policy));
        if !events.is_empty() {
            // A sample changes nothing that the row keeps.
            let is_sample = |event: &Event| event.family() == Family::Sample || event.measurement().is_some();
            if !events.iter().all(|event| is_sample(&event.event)) {
                self.changed_rows.insert(name.clone());
            }
            self.recent_changes.record(name, &events);
            // `observe` numbers siblings from its own first event; the commit has earlier ones.
            let first = self.events.len();
            self.events.extend(events.into_iter().map(|event| with_sibling_offset(event, first)));
        }
    }
}

/// The same event after `offset` earlier ones in its commit.
fn with_sibling_offset(event: NewEvent, offset: usize) -> NewEvent {
    use hemostat_schema::Cause::{Event, Sibling};
    let cause = event.cause.map(|cause| match cause {
        Event(id) => Event(id),
        Sibling(index) => Sibling(index + offset),
    });
    NewEvent { cause, ..event }
}

#[cfg(test)]
mod tests;
