//! What does everything that is heard of a host's containers add up to?
//!
//! The one place where Docker's events, the answers to `inspect`, samples and the passing of time meet, and become
//! sights for `core::observe`. It does no I/O: what it wants to know comes out as [`Ask`]s, and the answers come in.
//!
//! ```text
//! events ─┐                      ┌─► events for the log, rows
//! answers ┼─► Watch ─► observe ──┤
//! samples ┘                      └─► asks: inspect this one (now, or in a second)
//! ```
//!
//! Docker's events are exact about what happened and when, but do not say which run began; an inspection says all, but
//! only of the instant at which it was made. So an event that begins or ends a run waits for its inspection, and later
//! events of the same container wait behind it; all others (a health flip above all) go through at once. So does the
//! news that a run has ended, where what was heard says by whom: Docker inspects a container only when it has cleaned up
//! after it, which takes seconds where many end at once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use hemostat_core::{
    Policy,
    observe::{self, Sight, State},
    schedule::Schedule,
    vitals::RawSample,
};
use hemostat_schema::{
    ContainerId, ContainerName, HostName, NewEvent, Subject, Timestamp,
    container::{ExitBy, Facts, State as Life},
    examination::Sample,
    observation::{DiskMeasured, EngineFound, EngineLost, Stored},
};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::{
    cgroup::Running,
    disk::Usage,
    ending::Run,
    engine::About,
    event::{Happening, What},
    examine::changes::Changes,
    facts::MainProcess,
};

mod figures;
mod inspections;
mod known;
mod progress;

pub use progress::Progress;

/// Something that the watch wants to know: inspect this container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Which container.
    pub id: ContainerId,
    /// To be given back with the answer.
    pub token: u64,
    /// Not before so long.
    pub after: Duration,
    /// Whether an event waits for the answer.
    pub awaited: bool,
}

/// What came out since it was last taken.
#[derive(Debug, Default)]
pub struct Outcome {
    /// For the log, in this order.
    pub events: Vec<NewEvent>,
    /// Containers whose rows have changed, with what is to be kept; none: nothing.
    pub rows: Vec<(Subject, Option<State>)>,
    /// What is to be asked.
    pub asks: Vec<Ask>,
}

/// One container of the engine.
#[derive(Debug, Default)]
struct Tracked {
    /// What it is called; none before it was inspected.
    name: Option<ContainerName>,
    /// What happened in its present run.
    run: Run,
    /// By which signal it is asked to end.
    stop_signal: Option<i32>,
    /// The inspection for which its events wait.
    waiting: Option<Waiting>,
    /// The number of the last event about it.
    heard: u64,
    /// An inspection did not go with what is known, and is being looked at again.
    doubted: bool,
    /// The first process of its present run.
    process: Option<MainProcess>,
    /// The last sample of its present run.
    sample: Option<RawSample>,
    /// What it used lately, also before it was started anew.
    window: VecDeque<Sample>,
    /// What it kept on disk when that was last measured.
    stored: Option<Stored>,
}

#[derive(Debug)]
struct Waiting {
    token: u64,
    trigger: Happening,
    behind: VecDeque<Happening>,
}

/// Whether the engine answers, as far as it was told on the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reach {
    /// It answers.
    Found(EngineFound),
    /// It does not.
    Lost,
}

/// All that is known of a host's containers.
#[derive(Debug)]
pub struct Watch {
    host: HostName,
    policy: Arc<Policy>,
    reach: Option<Reach>,
    states: BTreeMap<ContainerName, Box<State>>,
    wakes: Schedule<ContainerName>,
    tracked: HashMap<ContainerId, Box<Tracked>>,
    /// What whoever watched before was done with.
    before: Progress,
    /// What is done with by now.
    progress: Progress,
    /// What changed lately.
    past: Changes,
    /// Counts events and asks, so that it can be told which came first.
    count: u64,
    changed: BTreeSet<ContainerName>,
    /// How full the disk was that holds Docker's data.
    disk: Option<DiskMeasured>,
    /// What was measured and not taken in yet, and whether nobody keeps more.
    usage: VecDeque<(bool, Usage)>,
    events: Vec<NewEvent>,
    asks: Vec<Ask>,
}

impl Watch {
    /// Goes on from what was kept. After this, the engine's containers have to be [`listed`](Self::listed).
    pub fn new(
        host: HostName,
        policy: Arc<Policy>,
        reach: Option<Reach>,
        progress: Progress,
        states: BTreeMap<ContainerName, Box<State>>,
    ) -> Self {
        let tracked = states
            .iter()
            .filter_map(|(name, state)| {
                let id = state.facts()?.id.clone();
                Some((id, Box::new(Tracked { name: Some(name.clone()), ..Tracked::default() })))
            })
            .collect();
        let (mut wakes, mut past) = (Schedule::default(), Changes::default());
        for (name, state) in &states {
            let subject = Subject::container(host.clone(), name.clone());
            wakes.set(name, observe::next_wake(state, &subject, &policy));
            if let Some(facts) = state.facts() {
                past.met(name, facts);
            }
        }
        Self {
            host,
            policy,
            reach,
            states,
            wakes,
            tracked,
            before: progress.clone(),
            progress,
            past,
            count: 0,
            changed: BTreeSet::new(),
            disk: None,
            usage: VecDeque::new(),
            events: vec![],
            asks: vec![],
        }
    }

    /// These are to be kept anew, though nothing has happened to them.
    pub fn keep(&mut self, names: BTreeSet<ContainerName>) {
        self.changed.extend(names);
    }

    /// What came out since it was last called.
    pub fn take(&mut self) -> Outcome {
        let rows = std::mem::take(&mut self.changed).into_iter().map(|name| {
            let kept =
                self.states.get(&name).filter(|state| ***state != State::default()).map(|state| (**state).clone());
            if kept.is_none() {
                self.states.remove(&name);
            }
            (Subject::container(self.host.clone(), name), kept)
        });
        let rows = rows.collect();
        Outcome { events: std::mem::take(&mut self.events), rows, asks: std::mem::take(&mut self.asks) }
    }

    /// Whether the engine answers, as it was told last.
    pub fn reach(&self) -> Option<&Reach> {
        self.reach.as_ref()
    }

    /// How far the engine's events are done with, for whoever goes on from here.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The running containers, to be sampled.
    pub fn running(&self) -> Vec<Running> {
        let facts = self.states.values().filter_map(|state| state.facts()).filter(|facts| facts.state == Life::Running);
        let process = |id: &ContainerId| self.tracked.get(id).and_then(|tracked| tracked.process);
        facts.map(|facts| Running { id: facts.id.clone(), process: process(&facts.id) }).collect()
    }

    /// When something will be due if nothing else happens.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.in_order().find(|(_, name)| !self.is_looked_into(name)).map(|(at, _)| at)
    }

    /// Whether a run of it has begun or ended, and nobody knows yet which: until then nothing falls due.
    fn is_looked_into(&self, name: &ContainerName) -> bool {
        let facts = self.states.get(name).and_then(|state| state.facts());
        facts.and_then(|facts| self.tracked.get(&facts.id)).is_some_and(|tracked| tracked.waiting.is_some())
    }

    /// Marks an instant, to be given back with the answer to a question asked now.
    pub fn mark(&self) -> u64 {
        self.count
    }

    /// The engine answers.
    pub fn engine_found(&mut self, about: &About, now: Timestamp) {
        self.before.is_now(about.now);
        let found = Some(Reach::Found(about.engine.clone()));
        if self.reach != found {
            info!(host = %self.host, version = about.engine.version, "the Docker engine answers");
            self.events.push(NewEvent::new(Subject::host(self.host.clone()), now, about.engine.clone()));
            self.reach = found;
        }
    }

    /// The engine cannot be reached, or hangs; `error` is for everybody to read.
    pub fn engine_lost(&mut self, error: &str, now: Timestamp) {
        if self.reach != Some(Reach::Lost) {
            warn!(host = %self.host, "{error}; trying on");
            let lost = EngineLost { error: error.to_owned() };
            self.events.push(NewEvent::new(Subject::host(self.host.clone()), now, lost));
            self.reach = Some(Reach::Lost);
        }
    }

    /// Something else was found out, and belongs on the log.
    pub fn found_out(&mut self, event: NewEvent) {
        self.events.push(event);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) {
        let due = self.wakes.due_by(now).map(|(_, name)| name);
        let due: Vec<_> = due.filter(|name| !self.is_looked_into(name)).cloned().collect();
        for name in due {
            self.see(&name, Sight::Tick, now);
        }
    }

    /// All containers that the engine had when it was asked, at `mark`.
    pub fn listed(&mut self, ids: &[ContainerId], mark: u64, now: Timestamp) {
        let there: HashSet<_> = ids.iter().collect();
        let gone: Vec<_> = self
            .tracked
            .iter()
            .filter(|(id, tracked)| !there.contains(id) && tracked.heard <= mark && tracked.waiting.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.removed(&id, now);
        }
        self.past.forget(now);
        for id in ids {
            self.ask(id.clone(), Duration::ZERO);
        }
    }

    /// An event of the engine.
    pub fn happened(&mut self, happening: Happening) {
        if self.before.is_done_with(&happening) {
            return;
        }
        self.count += 1;
        self.progress.heard(&happening);
        let tracked = self.tracked.entry(happening.id.clone()).or_default();
        tracked.heard = self.count;
        match &mut tracked.waiting {
            Some(waiting) => waiting.behind.push_back(happening),
            None => self.take_in(happening),
        }
    }

    fn take_in(&mut self, happening: Happening) {
        let Happening { at, id, what, .. } = &happening;
        let Some(tracked) = self.tracked.get_mut(id) else { return };
        let Some(name) = tracked.name.clone().filter(|_| !matches!(what, What::Created | What::Changed)) else {
            if *what == What::Destroyed {
                self.tracked.remove(id);
                return;
            }
            return self.wait_for_inspection(happening);
        };
        match what {
            What::Created | What::Changed | What::Started => self.wait_for_inspection(happening),
            What::Died { code } => {
                let limited = self.facts_of(id, &name).is_some_and(|facts| facts.limits.memory.is_some());
                if self.tracked.get(id).is_some_and(|tracked| tracked.run.says_who_ended_it(*code, *at, limited)) {
                    self.ended(id, *code, *at);
                }
                self.wait_for_inspection(happening);
            }
            What::Signalled { signal } => tracked.run.signalled(*signal, *at),
            What::OutOfMemory => {
                tracked.run.ran_out_of_memory(*at);
                self.see_of(id, &name, Sight::OutOfMemory, *at);
            }
            What::Stopped => {
                tracked.run.stopped();
                let exit = self.states.get(&name).and_then(|state| state.facts()?.exit);
                if exit.is_none_or(|exit| exit.by != ExitBy::Operator) {
                    // It was stopped between two runs, or by a signal that we did not know for one that ends it.
                    self.wait_for_inspection(happening);
                }
            }
            What::Paused => self.see_of(id, &name, Sight::Frozen, *at),
            What::Unpaused => self.see_of(id, &name, Sight::Thawed, *at),
            What::Health(health) => self.see_of(id, &name, Sight::Health(*health), *at),
            What::Destroyed => self.removed(id, *at),
        }
    }

    fn removed(&mut self, id: &ContainerId, at: Timestamp) {
        if let Some(name) = self.tracked.remove(id).and_then(|tracked| tracked.name) {
            self.see_of(id, &name, Sight::Removed, at);
        }
    }

    /// What is known of a container, as long as the name is still its own.
    fn facts_of(&self, id: &ContainerId, name: &ContainerName) -> Option<&Facts> {
        self.states.get(name)?.facts().filter(|facts| facts.id == *id)
    }

    /// Shows `sight` to core, unless the name belongs to another container by now.
    fn see_of(&mut self, id: &ContainerId, name: &ContainerName, sight: Sight, at: Timestamp) {
        if self.facts_of(id, name).is_some() {
            self.see(name, sight, at);
        }
    }

    fn see(&mut self, name: &ContainerName, sight: Sight, at: Timestamp) {
        let subject = Subject::container(self.host.clone(), name.clone());
        let state = self.states.entry(name.clone()).or_default();
        let events = observe::observe(state, &subject, sight, &self.policy, at);
        self.wakes.set(name, observe::next_wake(state, &subject, &self.policy));
        if !events.is_empty() {
            self.changed.insert(name.clone());
            self.past.take(name, &events);
            // Causes within a call are counted from its own first event.
            let first = self.events.len();
            self.events.extend(events.into_iter().map(|event| shifted(event, first)));
        }
    }
}

/// The same event among `by` earlier ones of its commit.
fn shifted(event: NewEvent, by: usize) -> NewEvent {
    use hemostat_schema::Cause::{Event, Sibling};
    let cause = event.cause.map(|cause| match cause {
        Event(id) => Event(id),
        Sibling(index) => Sibling(index + by),
    });
    NewEvent { cause, ..event }
}

#[cfg(test)]
mod tests;
