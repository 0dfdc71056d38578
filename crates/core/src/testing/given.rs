//! Given this history, when this happens, then this is decided.

use std::collections::BTreeMap;

use hemostat_schema::{Event, HostName, NewEvent, Recorded, Subject, Timestamp};

use super::events::{id, subject};
use crate::decider::{Decider, Decision, Timer, TimerChange, Trigger};

/// A decider that has read a history.
#[derive(Debug)]
pub struct Given<'a, D: Decider> {
    policy: &'a D::Policy,
    log: Vec<Recorded>,
}

/// A decision to check.
#[derive(Debug)]
pub struct Then {
    /// The whole decision.
    pub decision: Decision,
}

/// A decider with this policy that has read these events; they get the ids 1, 2, 3, …
pub fn given<D: Decider>(policy: &D::Policy, events: impl IntoIterator<Item = NewEvent>) -> Given<'_, D> {
    Given { policy, log: vec![] }.and(events)
}

/// The states of all subjects and hosts after this log.
pub fn fold<'a, D: Decider>(
    log: impl IntoIterator<Item = &'a Recorded>,
) -> (BTreeMap<Subject, D::State>, BTreeMap<HostName, D::Shared>) {
    let (mut states, mut shared) = (BTreeMap::<_, D::State>::new(), BTreeMap::<_, D::Shared>::new());
    for event in log.into_iter().filter(|event| D::READS.contains(&event.family())) {
        let state = states.entry(event.subject.clone()).or_default();
        D::evolve(state, shared.entry(event.subject.host.clone()).or_default(), event);
    }
    (states, shared)
}

impl<D: Decider> Given<'_, D> {
    /// Then it reads these events too.
    #[must_use]
    pub fn and(mut self, events: impl IntoIterator<Item = NewEvent>) -> Self {
        for event in events {
            let id = id(self.log.len() as u64 + 1);
            self.log.push(event.recorded(id, &[]));
        }
        self
    }

    /// When it reads this event at `now`.
    pub fn when(self, event: NewEvent, now: Timestamp) -> Then {
        let given = self.and([event]);
        let last = given.log.last().expect("the event was just added");
        given.decide(&Trigger::Event(last), now)
    }

    /// When it reads the timer with this name, due at `due`, at `now`.
    pub fn when_due(self, name: &str, due: Timestamp, now: Timestamp) -> Then {
        self.decide(&Trigger::Timer(&Timer { subject: subject(), name: name.to_owned(), due }), now)
    }

    fn decide(&self, trigger: &Trigger<'_>, now: Timestamp) -> Then {
        let (mut states, mut shared) = fold::<D>(&self.log);
        let state = states.entry(trigger.subject().clone()).or_default();
        let shared = shared.entry(trigger.subject().host.clone()).or_default();
        let decision = D::decide(state, shared, trigger, self.policy, now);
        for event in &decision.events {
            assert_eq!((&event.subject, event.at), (trigger.subject(), now), "{event:?}");
        }
        Then { decision }
    }
}

impl Then {
    /// Then these events and changes of timers follow.
    #[track_caller]
    pub fn then(&self, events: impl IntoIterator<Item = Event>, timers: &[TimerChange]) {
        assert_eq!(self.events(), events.into_iter().collect::<Vec<_>>());
        assert_eq!(self.decision.timers, timers);
    }

    /// Then nothing follows.
    #[track_caller]
    pub fn then_nothing(&self) {
        assert_eq!(self.decision, Decision::nothing());
    }

    /// The events that follow.
    pub fn events(&self) -> Vec<Event> {
        self.decision.events.iter().map(|event| event.event.clone()).collect()
    }
}
