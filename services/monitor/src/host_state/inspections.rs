//! Applies inspections: the answer to a waiting event, or a comparison with the known state.
//!
//! An event that begins or ends a run waits for its inspection. An inspection without such an event (from the regular
//! listing) finds events that were missed.

use std::{collections::VecDeque, time::Duration};

use hemostat_core::observe::ObservationInput;
use hemostat_schema::{
    ContainerId, ContainerName, Timestamp,
    container::{Exit, ExitBy, Facts, Health, State as Life},
};
use tracing::debug;

use super::{AwaitedInspection, HostState, InspectRequest};
use crate::{
    event::{DockerEvent, DockerEventKind},
    exit_cause::{self, Run},
    facts::Inspected,
};

/// If an inspection shows a new run or an end without an event, the monitor inspects again after this time: the event,
/// which says more, may still arrive.
pub(super) const RECHECK_DELAY: Duration = Duration::from_secs(1);

impl HostState {
    pub(super) fn await_inspection(&mut self, trigger: DockerEvent) {
        let token = self.push_request(trigger.id.clone(), Duration::ZERO, true);
        if let Some(tracked) = self.tracked.get_mut(&trigger.id) {
            self.offset.hold(&trigger);
            tracked.awaited = Some(AwaitedInspection { token, trigger, queued: VecDeque::new() });
        }
    }

    pub(super) fn request_inspection(&mut self, id: ContainerId, delay: Duration) {
        self.push_request(id, delay, false);
    }

    fn push_request(&mut self, id: ContainerId, delay: Duration, awaited: bool) -> u64 {
        self.sequence += 1;
        self.inspections.push(InspectRequest { id, token: self.sequence, delay, awaited });
        self.sequence
    }

    /// Applies the answer to a request; `None` if the container is gone or the engine did not answer.
    pub fn apply_inspection(&mut self, request: &InspectRequest, answer: Option<Inspected>, now: Timestamp) {
        let tracked = self.tracked.entry(request.id.clone()).or_default();
        match tracked.awaited.take_if(|awaited| awaited.token == request.token) {
            Some(AwaitedInspection { trigger, queued, .. }) => {
                self.offset.release(&request.id);
                self.resume(trigger, answer);
                for event in queued {
                    match self.tracked.get_mut(&request.id).and_then(|tracked| tracked.awaited.as_mut()) {
                        Some(awaited) => awaited.queued.push_back(event),
                        None => self.apply(event),
                    }
                }
            }
            None => self.compare(request, answer, now),
        }
    }

    /// Applies the event that waited for this inspection.
    fn resume(&mut self, trigger: DockerEvent, answer: Option<Inspected>) {
        let DockerEvent { at, id, what, name } = trigger;
        let Some(inspected) = answer else {
            // The container is gone already (`docker run --rm`), so only the event reports its end.
            if let DockerEventKind::Died { code } = what {
                self.ended(&id, code, at);
            }
            debug!(container = %name, "no inspection after {what:?}");
            if self.tracked.get(&id).is_some_and(|tracked| tracked.name.is_none()) {
                self.tracked.remove(&id);
            }
            return;
        };
        let known = self.update_tracked(&inspected, at);
        let Inspected { name, facts, stop_signal, out_of_memory, .. } = inspected;
        match what {
            DockerEventKind::Started => {
                if let Some(tracked) = self.tracked.get_mut(&id) {
                    tracked.run = Run::new(stop_signal);
                    tracked.last_sample = None;
                }
                self.began(&name, facts, at);
            }
            DockerEventKind::Died { code } => {
                let same_run = known.as_ref().is_none_or(|known| known.started_at == facts.started_at);
                if same_run
                    && out_of_memory
                    && let Some(tracked) = self.tracked.get_mut(&id)
                {
                    tracked.run.inspected_as_out_of_memory(at);
                }
                if known.is_some() {
                    self.ended(&id, code, at);
                }
                if same_run {
                    self.facts(&name, facts, at);
                }
            }
            DockerEventKind::Created
            | DockerEventKind::Changed
            | DockerEventKind::Destroyed
            | DockerEventKind::Stopped => self.facts(&name, facts, at),
            DockerEventKind::Signalled { .. }
            | DockerEventKind::OutOfMemory
            | DockerEventKind::Paused
            | DockerEventKind::Unpaused
            | DockerEventKind::Health(_) => {
                // The first event of this container.
                self.facts(&name, facts, at);
                self.apply(DockerEvent { at, id, what, name });
            }
        }
    }

    /// A run began at `at`. Later changes that the inspection already shows are left to their own events.
    fn began(&mut self, name: &ContainerName, facts: Facts, at: Timestamp) {
        // If the inspected run began after this event, it is a newer one, and its own event follows.
        let started_at = facts.started_at.filter(|started| *started <= at).or(Some(at));
        let health = if facts.health == Health::None { Health::None } else { Health::Starting };
        let facts = Facts { state: Life::Running, started_at, exit: None, health, ..facts };
        self.observe(name, ObservationInput::Started(facts.target()), at);
        self.facts(name, facts, at);
    }

    /// Reports the end of the known run, unless it began after `at`.
    pub(super) fn ended(&mut self, id: &ContainerId, code: i64, at: Timestamp) {
        let Some(name) = self.tracked.get(id).and_then(|tracked| tracked.name.clone()) else { return };
        let known = self.facts_of(id, &name).filter(|known| known.started_at.is_none_or(|began| began <= at));
        let Some(target) = known.map(Facts::target) else { return };
        let Some(tracked) = self.tracked.get_mut(id) else { return };
        (tracked.last_sample, tracked.process) = (None, None);
        let exit = Exit { at, code, by: tracked.run.ended(code, at) };
        self.observe(&name, ObservationInput::Exited(target, exit), at);
    }

    /// Compares an inspection that no event waited for with the known state.
    fn compare(&mut self, request: &InspectRequest, answer: Option<Inspected>, now: Timestamp) {
        let Some(tracked) = self.tracked.get_mut(&request.id) else { return };
        let Some(inspected) = answer else {
            if tracked.name.is_none() && tracked.awaited.is_none() {
                self.tracked.remove(&request.id);
            }
            return;
        };
        if tracked.awaited.is_some() {
            return;
        }
        if tracked.last_event > request.token {
            // An event came meanwhile, so the answer may be older than the known state.
            self.request_inspection(request.id.clone(), Duration::ZERO);
            return;
        }
        let known = tracked.name.as_ref().and_then(|name| self.states.get(name)?.facts());
        let known = known.filter(|known| known.id == request.id);
        let missed_event = known.is_some_and(|known| {
            known.started_at != inspected.facts.started_at || is_up(known) != is_up(&inspected.facts)
        });
        if missed_event && !tracked.rechecking {
            tracked.rechecking = true;
            self.request_inspection(request.id.clone(), RECHECK_DELAY);
            return;
        }
        tracked.rechecking = false;
        self.update_tracked(&inspected, now);
        self.facts(&inspected.name, inspected.facts, now);
    }

    /// Updates name, process and stop signal of an inspected container; returns the facts known before.
    fn update_tracked(&mut self, inspected: &Inspected, at: Timestamp) -> Option<Facts> {
        let id = &inspected.facts.id;
        let tracked = self.tracked.entry(id.clone()).or_default();
        tracked.process = inspected.process;
        if tracked.stop_signal.replace(inspected.stop_signal) != Some(inspected.stop_signal) {
            tracked.run.set_stop_signal(inspected.stop_signal);
        }
        let renamed = tracked.name.replace(inspected.name.clone()).filter(|before| *before != inspected.name);
        if let Some(before) = renamed {
            self.observe_if_known(id, &before, ObservationInput::Removed, at);
        }
        self.facts_of(id, &inspected.name).cloned()
    }

    /// Observes these facts, with the best knowledge of who ended the last run.
    pub(super) fn facts(&mut self, name: &ContainerName, facts: Facts, at: Timestamp) {
        let known = self.states.get(name).and_then(|state| state.facts());
        let known = known.filter(|known| known.id == facts.id && known.started_at == facts.started_at);
        let asked_to_end = self.tracked.get(&facts.id).is_some_and(|tracked| tracked.run.was_asked_to_end());
        let exit = facts.exit.map(|exit| match known {
            Some(Facts { exit: Some(seen), .. }) if asked_to_end => Exit { by: ExitBy::Operator, ..*seen },
            Some(Facts { exit: Some(seen), .. }) => *seen,
            _ if asked_to_end => Exit { by: ExitBy::Operator, ..exit },
            known => {
                let out_of_memory = exit.by == ExitBy::Oom;
                Exit { by: exit_cause::infer_exit_cause(exit.code, out_of_memory, known.is_some_and(is_up)), ..exit }
            }
        });
        self.observe(name, ObservationInput::Facts(Box::new(Facts { exit, ..facts })), at);
    }
}

fn is_up(facts: &Facts) -> bool {
    matches!(facts.state, Life::Running | Life::Paused)
}
