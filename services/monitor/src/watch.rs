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
//! events of the same container wait behind it; all others (a health flip above all) go through at once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use hemostat_core::{
    Policy,
    observe::{self, Sight, State},
    vitals::{RawSample, vitals},
};
use hemostat_schema::{
    ContainerId, ContainerName, HostName, NewEvent, Subject, Timestamp,
    container::{Exit, ExitBy, Facts, Health, State as Life, Vitals},
    examination::Sample,
    observation::{DiskMeasured, EngineFound, EngineLost, Stored},
};
use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

use crate::{
    cgroup::Running,
    disk::Usage,
    ending::{self, Run},
    engine::About,
    event::{Happening, What},
    examine::changes::Changes,
    facts::{Inspected, MainProcess},
    wakes::Wakes,
};

mod known;

/// An inspection that shows a run to have begun or ended of which no event told is not believed at once: the event,
/// which knows more, may be on its way.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// What so many containers keep on disk is taken in at once.
const STEP: usize = 256;
/// So many samples of each container are remembered.
const WINDOW: usize = 12;

/// Something that the watch wants to know: inspect this container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Which container.
    pub id: ContainerId,
    /// To be given back with the answer.
    pub token: u64,
    /// Not before so long.
    pub after: Duration,
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
    wakes: Wakes,
    tracked: HashMap<ContainerId, Box<Tracked>>,
    /// Events that wait for an inspection, by container: since when nothing after them is done with.
    undone: HashMap<ContainerId, Timestamp>,
    /// What changed lately.
    past: Changes,
    /// Counts events and asks, so that it can be told which came first.
    count: u64,
    latest: Option<Timestamp>,
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
        latest: Option<Timestamp>,
        states: BTreeMap<ContainerName, Box<State>>,
    ) -> Self {
        let tracked = states
            .iter()
            .filter_map(|(name, state)| {
                let id = state.facts()?.id.clone();
                Some((id, Box::new(Tracked { name: Some(name.clone()), ..Tracked::default() })))
            })
            .collect();
        let (mut wakes, mut past) = (Wakes::default(), Changes::default());
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
            undone: HashMap::new(),
            past,
            count: 0,
            latest,
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

    /// From when on events must be heard again by whoever goes on from here: the last one that is done with.
    pub fn cursor(&self) -> Option<Timestamp> {
        let undone = self.undone.values().min().copied();
        let before = |at: Timestamp| at.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap_or(at);
        undone.map(before).into_iter().chain(self.latest).min()
    }

    /// The running containers, to be sampled.
    pub fn running(&self) -> Vec<Running> {
        let facts = self.states.values().filter_map(|state| state.facts()).filter(|facts| facts.state == Life::Running);
        let process = |id: &ContainerId| self.tracked.get(id).and_then(|tracked| tracked.process);
        facts.map(|facts| Running { id: facts.id.clone(), process: process(&facts.id) }).collect()
    }

    /// What a container used lately, oldest first; also what it used before its present run began.
    pub fn samples(&self, name: &ContainerName) -> Vec<Sample> {
        self.tracked_as(name).map(|tracked| tracked.window.iter().copied().collect()).unwrap_or_default()
    }

    /// What a container kept on disk when that was last measured.
    pub fn stored(&self, name: &ContainerName) -> Option<&Stored> {
        self.tracked_as(name)?.stored.as_ref()
    }

    /// How full the disk was that holds Docker's data when that was last measured.
    pub fn disk(&self) -> Option<&DiskMeasured> {
        self.disk.as_ref()
    }

    fn tracked_as(&self, name: &ContainerName) -> Option<&Tracked> {
        self.tracked.get(&self.states.get(name)?.facts()?.id).map(Box::as_ref)
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
        let due = self.wakes.in_order().take_while(|(at, _)| *at <= now).map(|(_, name)| name);
        let due: Vec<_> = due.filter(|name| !self.is_looked_into(name)).cloned().collect();
        for name in due {
            self.see(&name, Sight::Tick, now);
        }
    }

    /// The counters of a container; gives what it uses, where that can be told yet.
    pub fn sampled(&mut self, id: &ContainerId, sample: RawSample) -> Option<(ContainerName, Vitals)> {
        let tracked = self.tracked.get_mut(id)?;
        let name = tracked.name.clone()?;
        let at = sample.at;
        let limits = self.states.get(&name)?.facts().filter(|facts| facts.id == *id)?.limits;
        let vitals = vitals(&sample, tracked.sample.as_ref(), &limits);
        tracked.sample = Some(sample);
        let vitals = vitals?;
        if tracked.window.len() == WINDOW {
            tracked.window.pop_front();
        }
        tracked.window.push_back(Sample { at, vitals });
        self.see(&name, Sight::Sample(vitals), at);
        Some((name, vitals))
    }

    /// How full the disk is, and what each container keeps. That is taken in step by step, as it is about all at once:
    /// see [`take_measured`](Self::take_measured).
    pub fn measured(&mut self, usage: Vec<Usage>, disk: Option<DiskMeasured>, now: Timestamp) {
        if let Some(disk) = disk {
            self.events.push(NewEvent::new(Subject::host(self.host.clone()), now, disk.clone()));
            self.disk = Some(disk);
        }
        let most = usage.iter().map(Usage::total).max();
        let is_most = |usage: &Usage| Some(usage.total()) == most;
        self.usage = usage.into_iter().map(|usage| (is_most(&usage), usage)).collect();
    }

    /// Takes in what some more containers keep, where that was [`measured`](Self::measured); whether there were any.
    pub fn take_measured(&mut self, now: Timestamp) -> bool {
        let step: Vec<_> = self.usage.drain(..self.usage.len().min(STEP)).collect();
        let any = !step.is_empty();
        for (largest, usage) in step {
            let Usage { id, writable, volumes } = usage;
            let Some(tracked) = self.tracked.get_mut(&id) else { continue };
            let Some(name) = tracked.name.clone() else { continue };
            let facts = self.states.get(&name).and_then(|state| state.facts()).filter(|facts| facts.id == id);
            let Some(target) = facts.map(Facts::target) else { continue };
            let stored = Stored { target, writable, volumes };
            tracked.stored = Some(stored.clone());
            self.see(&name, Sight::Stored { stored, disk: self.disk.clone(), largest }, now);
        }
        any
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
        self.count += 1;
        self.latest = self.latest.max(Some(happening.at));
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
            What::Created | What::Changed | What::Started | What::Died { .. } => self.wait_for_inspection(happening),
            What::Signalled { signal } => tracked.run.signalled(*signal, *at),
            What::OutOfMemory => {
                tracked.run.ran_out_of_memory();
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

    fn wait_for_inspection(&mut self, trigger: Happening) {
        let token = self.ask(trigger.id.clone(), Duration::ZERO);
        if let Some(tracked) = self.tracked.get_mut(&trigger.id) {
            self.undone.insert(trigger.id.clone(), trigger.at);
            tracked.waiting = Some(Waiting { token, trigger, behind: VecDeque::new() });
        }
    }

    fn ask(&mut self, id: ContainerId, after: Duration) -> u64 {
        self.count += 1;
        self.asks.push(Ask { id, token: self.count, after });
        self.count
    }

    /// The answer to an [`Ask`]; none where the container is gone or the engine did not say.
    pub fn answered(&mut self, ask: &Ask, answer: Option<Inspected>, now: Timestamp) {
        let tracked = self.tracked.entry(ask.id.clone()).or_default();
        match tracked.waiting.take_if(|waiting| waiting.token == ask.token) {
            Some(Waiting { trigger, behind, .. }) => {
                self.undone.remove(&ask.id);
                self.resume(trigger, answer);
                for happening in behind {
                    match self.tracked.get_mut(&ask.id).and_then(|tracked| tracked.waiting.as_mut()) {
                        Some(waiting) => waiting.behind.push_back(happening),
                        None => self.take_in(happening),
                    }
                }
            }
            None => self.compare(ask, answer, now),
        }
    }

    /// Goes on with the event that waited for an inspection.
    fn resume(&mut self, trigger: Happening, answer: Option<Inspected>) {
        let Happening { at, id, what, name } = trigger;
        let Some(inspected) = answer else {
            // It is gone already (`docker run --rm`), so its end is told by the event alone.
            if let What::Died { code } = what {
                self.ended(&id, code, at);
            }
            debug!(container = %name, "no inspection after {what:?}");
            if self.tracked.get(&id).is_some_and(|tracked| tracked.name.is_none()) {
                self.tracked.remove(&id);
            }
            return;
        };
        let known = self.meet(&inspected, at);
        let Inspected { name, facts, stop_signal, out_of_memory, .. } = inspected;
        match what {
            What::Started => {
                if let Some(tracked) = self.tracked.get_mut(&id) {
                    tracked.run = Run::new(stop_signal);
                    tracked.sample = None;
                }
                self.began(&name, facts, at);
            }
            What::Died { code } => {
                let same_run = known.as_ref().is_none_or(|known| known.started_at == facts.started_at);
                if same_run
                    && out_of_memory
                    && let Some(tracked) = self.tracked.get_mut(&id)
                {
                    tracked.run.ran_out_of_memory();
                }
                if known.is_some() {
                    self.ended(&id, code, at);
                }
                if same_run {
                    self.facts(&name, facts, at);
                }
            }
            What::Created | What::Changed | What::Destroyed | What::Stopped => self.facts(&name, facts, at),
            What::Signalled { .. } | What::OutOfMemory | What::Paused | What::Unpaused | What::Health(_) => {
                // The first that is heard of it.
                self.facts(&name, facts, at);
                self.take_in(Happening { at, id, what, name });
            }
        }
    }

    /// A run began at `at`. What the inspection says of later is left to the events that will tell it.
    fn began(&mut self, name: &ContainerName, facts: Facts, at: Timestamp) {
        // A run that began after this event is not the one that the event is about; its own event follows.
        let started_at = facts.started_at.filter(|started| *started <= at).or(Some(at));
        let health = if facts.health == Health::None { Health::None } else { Health::Starting };
        let facts = Facts { state: Life::Running, started_at, exit: None, health, ..facts };
        self.see(name, Sight::Started(facts.target()), at);
        self.facts(name, facts, at);
    }

    /// The known run of a container ended.
    fn ended(&mut self, id: &ContainerId, code: i64, at: Timestamp) {
        let Some(tracked) = self.tracked.get_mut(id) else { return };
        (tracked.sample, tracked.process) = (None, None);
        let Some(name) = tracked.name.clone() else { return };
        let exit = Exit { at, code, by: tracked.run.ended(code, at) };
        let target =
            self.states.get(&name).and_then(|state| state.facts()).filter(|facts| facts.id == *id).map(Facts::target);
        if let Some(target) = target {
            self.see(&name, Sight::Exited(target, exit), at);
        }
    }

    /// An inspection without an event behind it: is what is known still right?
    fn compare(&mut self, ask: &Ask, answer: Option<Inspected>, now: Timestamp) {
        let Some(tracked) = self.tracked.get_mut(&ask.id) else { return };
        let Some(inspected) = answer else {
            if tracked.name.is_none() && tracked.waiting.is_none() {
                self.tracked.remove(&ask.id);
            }
            return;
        };
        if tracked.waiting.is_some() {
            return;
        }
        if tracked.heard > ask.token {
            // Something happened meanwhile, so the answer may be older than what is known.
            self.ask(ask.id.clone(), Duration::ZERO);
            return;
        }
        let known = tracked.name.as_ref().and_then(|name| self.states.get(name)?.facts());
        let known = known.filter(|known| known.id == ask.id);
        let is_news = known.is_some_and(|known| {
            known.started_at != inspected.facts.started_at || is_up(known) != is_up(&inspected.facts)
        });
        if is_news && !tracked.doubted {
            tracked.doubted = true;
            self.ask(ask.id.clone(), SECOND_LOOK);
            return;
        }
        tracked.doubted = false;
        self.meet(&inspected, now);
        self.facts(&inspected.name, inspected.facts, now);
    }

    /// Learns the name of an inspected container; gives what was known of it.
    fn meet(&mut self, inspected: &Inspected, at: Timestamp) -> Option<Facts> {
        let id = &inspected.facts.id;
        let tracked = self.tracked.entry(id.clone()).or_default();
        tracked.process = inspected.process;
        if tracked.stop_signal.replace(inspected.stop_signal) != Some(inspected.stop_signal) {
            tracked.run.is_asked_to_end_by(inspected.stop_signal);
        }
        let renamed = tracked.name.replace(inspected.name.clone()).filter(|before| *before != inspected.name);
        if let Some(before) = renamed {
            self.see_of(id, &before, Sight::Removed, at);
        }
        self.states.get(&inspected.name).and_then(|state| state.facts()).filter(|facts| facts.id == *id).cloned()
    }

    /// Takes facts in, with the best that is known about who ended the last run.
    fn facts(&mut self, name: &ContainerName, facts: Facts, at: Timestamp) {
        let known = self.states.get(name).and_then(|state| state.facts());
        let known = known.filter(|known| known.id == facts.id && known.started_at == facts.started_at);
        let asked_to_end = self.tracked.get(&facts.id).is_some_and(|tracked| tracked.run.was_to_end());
        let exit = facts.exit.map(|exit| match known {
            Some(Facts { exit: Some(seen), .. }) if asked_to_end => Exit { by: ExitBy::Operator, ..*seen },
            Some(Facts { exit: Some(seen), .. }) => *seen,
            _ if asked_to_end => Exit { by: ExitBy::Operator, ..exit },
            known => {
                let out_of_memory = exit.by == ExitBy::Oom;
                Exit { by: ending::guessed(exit.code, out_of_memory, known.is_some_and(is_up)), ..exit }
            }
        });
        self.see(name, Sight::Facts(Box::new(Facts { exit, ..facts })), at);
    }

    fn removed(&mut self, id: &ContainerId, at: Timestamp) {
        if let Some(name) = self.tracked.remove(id).and_then(|tracked| tracked.name) {
            self.see_of(id, &name, Sight::Removed, at);
        }
    }

    /// Shows `sight` to core, unless the name belongs to another container by now.
    fn see_of(&mut self, id: &ContainerId, name: &ContainerName, sight: Sight, at: Timestamp) {
        if self.states.get(name).and_then(|state| state.facts()).is_some_and(|facts| facts.id == *id) {
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

fn is_up(facts: &Facts) -> bool {
    matches!(facts.state, Life::Running | Life::Paused)
}

#[cfg(test)]
mod tests;
