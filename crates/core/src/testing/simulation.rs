//! A simulated loop: several deciders on one log, with timers, on a clock that only the test advances.
//!
//! It does what the runtime does: fold everything on the log, decide on the next trigger, append, set timers. The test
//! chooses which worker is next, so that laws can be checked for every order of workers.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
};

use hemostat_schema::{Cause, EventId, HostName, NewEvent, Recorded, Span, Subject, Timestamp};

use super::events::id;
use crate::decider::{Decider, Decision, Timer, TimerChange, Trigger};

/// Several deciders on one log.
#[derive(Debug)]
pub struct Simulation {
    log: Vec<Recorded>,
    workers: Vec<Box<dyn Worker>>,
    now: Timestamp,
}

impl Simulation {
    /// An empty log at this time.
    pub fn new(now: Timestamp) -> Self {
        Self { log: vec![], workers: vec![], now }
    }

    /// Adds a worker for this decider.
    #[must_use]
    pub fn with<D: Decider>(mut self, policy: &Arc<D::Policy>) -> Self {
        self.workers.push(Box::new(Of::<D> {
            policy: Arc::clone(policy),
            states: BTreeMap::new(),
            shared: BTreeMap::new(),
            read: 0,
            unread: VecDeque::new(),
            timers: BTreeMap::new(),
        }));
        self
    }

    /// The log so far.
    pub fn log(&self) -> &[Recorded] {
        &self.log
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Appends an event to the log.
    pub fn append(&mut self, event: NewEvent) -> EventId {
        let id = id(self.log.len() as u64 + 1);
        self.log.push(event.recorded(id, &[]));
        id
    }

    /// One busy worker takes one decision; `choice` selects the worker. False if no worker is busy.
    pub fn step(&mut self, choice: usize) -> bool {
        for worker in &mut self.workers {
            worker.read(&self.log);
        }
        let mut busy: Vec<_> = self.workers.iter_mut().filter(|worker| worker.is_busy(self.now)).collect();
        if busy.is_empty() {
            return false;
        }
        let chosen = choice % busy.len();
        let (cause, decision) = busy[chosen].decide(self.now);
        let first = self.log.len() as u64 + 1;
        let ids: Vec<_> = (first..).take(decision.events.len()).map(id).collect();
        for (mut event, id) in decision.events.into_iter().zip(&ids) {
            event.cause = event.cause.or(cause.map(Cause::Event));
            self.log.push(event.recorded(*id, &ids));
        }
        true
    }

    /// Runs all workers until none is busy.
    pub fn settle(&mut self) {
        let mut steps = 0;
        while self.step(steps) {
            steps += 1;
            assert!(
                steps < 10_000,
                "the deciders keep each other busy for ever: {:#?}",
                &self.log[self.log.len() - 9..]
            );
        }
    }

    /// Advances the clock; runs all workers at every timer that is due on the way.
    pub fn advance(&mut self, span: Span) {
        let until = span.after(self.now);
        self.settle();
        while let Some(due) =
            self.workers.iter().filter_map(|worker| worker.next_due()).min().filter(|due| *due <= until)
        {
            self.now = self.now.max(due);
            self.settle();
        }
        self.now = until;
    }

    /// Advances the clock while no worker runs, as in an outage.
    pub fn skip(&mut self, span: Span) {
        self.now = span.after(self.now);
    }
}

trait Worker: fmt::Debug {
    fn read(&mut self, log: &[Recorded]);
    fn is_busy(&self, now: Timestamp) -> bool;
    fn next_due(&self) -> Option<Timestamp>;
    /// Takes the next decision; returns it with its triggering event, unless a timer triggered it.
    fn decide(&mut self, now: Timestamp) -> (Option<EventId>, Decision);
}

struct Of<D: Decider> {
    policy: Arc<D::Policy>,
    states: BTreeMap<Subject, D::State>,
    shared: BTreeMap<HostName, D::Shared>,
    read: usize,
    unread: VecDeque<Recorded>,
    timers: BTreeMap<(Subject, String), Timestamp>,
}

impl<D: Decider> fmt::Debug for Of<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(D::GROUP).field("unread", &self.unread.len()).field("timers", &self.timers).finish()
    }
}

impl<D: Decider> Worker for Of<D> {
    fn read(&mut self, log: &[Recorded]) {
        for event in log[self.read..].iter().filter(|event| D::READS.contains(&event.family())) {
            let state = self.states.entry(event.subject.clone()).or_default();
            D::evolve(state, self.shared.entry(event.subject.host.clone()).or_default(), event);
            self.unread.push_back(event.clone());
        }
        self.read = log.len();
    }

    fn is_busy(&self, now: Timestamp) -> bool {
        !self.unread.is_empty() || self.next_due().is_some_and(|due| due <= now)
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.timers.values().min().copied()
    }

    fn decide(&mut self, now: Timestamp) -> (Option<EventId>, Decision) {
        let event = self.unread.pop_front();
        let timer = match &event {
            Some(_) => None,
            None => self.timers.iter().min_by_key(|(_, due)| **due).map(|((subject, name), due)| Timer {
                subject: subject.clone(),
                name: name.clone(),
                due: *due,
            }),
        };
        let trigger = match (&event, &timer) {
            (Some(event), _) => Trigger::Event(event),
            (None, Some(timer)) => Trigger::Timer(timer),
            (None, None) => return (None, Decision::nothing()),
        };
        if let Some(timer) = &timer {
            self.timers.remove(&(timer.subject.clone(), timer.name.clone()));
        }
        let subject = trigger.subject().clone();
        let state = self.states.entry(subject.clone()).or_default();
        let shared = self.shared.entry(subject.host.clone()).or_default();
        let decision = D::decide(state, shared, &trigger, &self.policy, now);
        assert_eq!(decision, D::decide(state, shared, &trigger, &self.policy, now), "decide is deterministic");
        for change in &decision.timers {
            match change {
                TimerChange::Set { name, due } => self.timers.insert((subject.clone(), (*name).to_owned()), *due),
                TimerChange::Cancel { name } => self.timers.remove(&(subject.clone(), (*name).to_owned())),
            };
        }
        (event.map(|event| event.id), decision)
    }
}
