//! One decider in both worlds: its state, its pending triggers and its timers in each.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use hemostat_core::{
    Decider, Decision, Policy, Timer, TimerChange, Trigger,
    fold::{self, SubjectState},
    schedule::{Schedule, whole_millisecond},
};
use hemostat_schema::{DecidedOn, Event, HostName, NewEvent, Recorded, Subject, Timestamp};

use super::decision_key::{self, DecisionKey};

/// Maximum pending triggers of a subject. Where another policy was in force, the recorded decision upon a trigger never comes.
const MAX_PENDING: usize = 16;

/// A decider in both worlds.
pub(super) trait InBothWorlds {
    /// Whether this decider makes decisions such as `event`.
    fn decides(&self, event: &Event) -> bool;
    /// Folds an event into the recorded world.
    fn fold_recorded(&mut self, event: &Arc<Recorded>);
    /// Folds an event into the simulated world.
    fn fold_simulated(&mut self, event: &Arc<Recorded>);
    /// The policy of the recorded world from here on.
    fn in_force(&mut self, policy: &Arc<Policy>);
    /// Decides upon the trigger of a recorded decision, in both worlds. A decision that does not record its trigger: upon
    /// the first pending one that leads to it.
    fn decide_again(&mut self, decision: &Recorded) -> Redecision;
    /// Decides upon pending triggers: all in the recorded world that lead to no event, then those that only the simulated
    /// world has, up to the first event that follows.
    fn settle(&mut self, now: Timestamp) -> Option<NewEvent>;
    /// When the next timer of either world is due.
    fn next_due(&self) -> Option<Timestamp>;
    /// Fires the timers due by `now`.
    fn fire_timers(&mut self, now: Timestamp);
}

/// The decisions of both policies upon the trigger of a recorded decision.
#[derive(Debug, Default)]
pub(super) struct Redecision {
    /// Whether the policy of the recorded world makes the recorded decision.
    pub explained: bool,
    pub by_reference: Option<NewEvent>,
    pub by_proposal: Option<NewEvent>,
}

/// A trigger upon which is not decided yet.
#[derive(Debug, Clone)]
enum Pending {
    Event(Arc<Recorded>),
    Timer(Timer),
}

impl Pending {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Event(event), Self::Event(other)) => event.id == other.id,
            (Self::Timer(timer), Self::Timer(other)) => timer == other,
            (Self::Event(_), Self::Timer(_)) | (Self::Timer(_), Self::Event(_)) => false,
        }
    }
}

/// One decider in one world.
struct World<D: Decider> {
    policy: Arc<Policy>,
    states: HashMap<Subject, SubjectState<D::State>>,
    shared: HashMap<HostName, D::Shared>,
    pending: HashMap<Subject, Vec<Pending>>,
    timers: Schedule<(Subject, String)>,
}

impl<D: Decider<Policy = Policy>> World<D> {
    fn new(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            states: HashMap::new(),
            shared: HashMap::new(),
            pending: HashMap::new(),
            timers: Schedule::default(),
        }
    }

    /// Folds the event, and has it decided upon unless the fold panicked.
    fn fold(&mut self, event: &Arc<Recorded>) {
        let state = self.states.entry(event.subject.clone()).or_default();
        let shared = self.shared.entry(event.subject.host.clone()).or_default();
        if fold::decider::<D>(state, shared, event).is_ok() {
            self.push(&event.subject, Pending::Event(Arc::clone(event)));
        }
    }

    fn push(&mut self, subject: &Subject, trigger: Pending) {
        let pending = self.pending.entry(subject.clone()).or_default();
        pending.push(trigger);
        if pending.len() > MAX_PENDING {
            pending.remove(0);
        }
    }

    fn decide(&mut self, subject: &Subject, trigger: &Pending, now: Timestamp) -> Decision {
        let state = self.states.entry(subject.clone()).or_default();
        let shared = self.shared.entry(subject.host.clone()).or_default();
        let trigger = match trigger {
            Pending::Event(event) => Trigger::Event(event),
            Pending::Timer(timer) => Trigger::Timer(timer),
        };
        D::decide(&state.state, shared, &trigger, &self.policy, now)
    }

    /// The trigger that a decision records. A timer may have fired early, when the policy changed.
    fn trigger(&mut self, subject: &Subject, recorded: &DecidedOn) -> Option<Pending> {
        match recorded {
            DecidedOn::Event(id) => {
                let is_it = |pending: &&Pending| matches!(pending, Pending::Event(event) if event.id == *id);
                self.pending(subject).iter().find(is_it).cloned()
            }
            DecidedOn::Timer { name, due } => {
                self.timers.set(&(subject.clone(), name.clone()), None);
                self.retain(subject, |pending| !matches!(pending, Pending::Timer(timer) if timer.name == *name));
                Some(Pending::Timer(Timer { subject: subject.clone(), name: name.clone(), due: *due }))
            }
        }
    }

    /// Applies a decision: the trigger is no longer pending, and the timers change.
    fn apply(&mut self, subject: &Subject, trigger: &Pending, decision: &Decision) {
        self.retain(subject, |pending| !pending.is_same(trigger));
        for change in &decision.timers {
            let (name, due) = match change {
                TimerChange::Set { name, due } => (*name, Some(whole_millisecond(*due))),
                TimerChange::Cancel { name } => (*name, None),
            };
            self.retain(subject, |pending| !matches!(pending, Pending::Timer(timer) if timer.name == name));
            self.timers.set(&(subject.clone(), name.to_owned()), due);
        }
    }

    fn retain(&mut self, subject: &Subject, keep: impl Fn(&Pending) -> bool) {
        if let Some(pending) = self.pending.get_mut(subject) {
            pending.retain(keep);
            if pending.is_empty() {
                self.pending.remove(subject);
            }
        }
    }

    fn pending(&self, subject: &Subject) -> &[Pending] {
        self.pending.get(subject).map_or(&[], Vec::as_slice)
    }

    fn has(&self, subject: &Subject, trigger: &Pending) -> bool {
        self.pending(subject).iter().any(|pending| pending.is_same(trigger))
    }

    fn fire_timers(&mut self, now: Timestamp, unsettled: &mut BTreeSet<Subject>) {
        let due: Vec<_> = self.timers.due_by(now).map(|(due, key)| (due, key.clone())).collect();
        for (due, key) in due {
            self.timers.set(&key, None);
            let (subject, name) = key;
            unsettled.insert(subject.clone());
            self.push(&subject.clone(), Pending::Timer(Timer { subject, name, due }));
        }
    }
}

/// A decider in both worlds.
pub(super) struct Pair<D: Decider> {
    recorded: World<D>,
    simulated: World<D>,
    /// Subjects with triggers that [`settle`](InBothWorlds::settle) has not looked at.
    unsettled: BTreeSet<Subject>,
}

impl<D: Decider<Policy = Policy>> Pair<D> {
    pub fn new(reference: Arc<Policy>, proposed: Arc<Policy>) -> Self {
        Self { recorded: World::new(reference), simulated: World::new(proposed), unsettled: BTreeSet::new() }
    }

    fn reads(event: &Recorded) -> bool {
        D::READS.contains(&event.family())
    }
}

impl<D: Decider<Policy = Policy>> InBothWorlds for Pair<D> {
    fn decides(&self, event: &Event) -> bool {
        DecisionKey::of(event).is_some_and(|key| decision_key::Decider::of_group(D::GROUP) == Some(key.decider()))
    }

    fn fold_recorded(&mut self, event: &Arc<Recorded>) {
        if Self::reads(event) {
            self.recorded.fold(event);
            self.unsettled.insert(event.subject.clone());
        }
    }

    fn fold_simulated(&mut self, event: &Arc<Recorded>) {
        if Self::reads(event) {
            self.simulated.fold(event);
            self.unsettled.insert(event.subject.clone());
        }
    }

    fn in_force(&mut self, policy: &Arc<Policy>) {
        self.recorded.policy = Arc::clone(policy);
    }

    fn decide_again(&mut self, decision: &Recorded) -> Redecision {
        let (subject, now) = (&decision.subject, decision.at);
        let recorded = decision.event().and_then(DecisionKey::of);
        let is_cause = |trigger: &Pending| matches!(trigger, Pending::Event(event) if Some(event.id) == decision.cause);
        let mut guess = None;
        let candidates = match decision.event().and_then(Event::basis).and_then(|basis| basis.trigger) {
            Some(trigger) => self.recorded.trigger(subject, trigger).into_iter().collect(),
            None => self.recorded.pending(subject).to_vec(),
        };
        for trigger in candidates {
            let by_reference = self.recorded.decide(subject, &trigger, now);
            let explained = by_reference.events.first().and_then(|new| DecisionKey::of(&new.event)) == recorded;
            if explained || guess.is_none() || is_cause(&trigger) {
                guess = Some((trigger, by_reference, explained));
            }
            if explained {
                break;
            }
        }
        let Some((trigger, by_reference, explained)) = guess else { return Redecision::default() };
        self.recorded.apply(subject, &trigger, &by_reference);
        let mut redecision =
            Redecision { explained, by_reference: by_reference.events.into_iter().next(), by_proposal: None };
        if self.simulated.has(subject, &trigger) {
            let decided = self.simulated.decide(subject, &trigger, now);
            self.simulated.apply(subject, &trigger, &decided);
            redecision.by_proposal = decided.events.into_iter().next();
        }
        redecision
    }

    fn settle(&mut self, now: Timestamp) -> Option<NewEvent> {
        while let Some(subject) = self.unsettled.first().cloned() {
            for trigger in self.recorded.pending(&subject).to_vec() {
                let decision = self.recorded.decide(&subject, &trigger, now);
                if decision.events.is_empty() {
                    self.recorded.apply(&subject, &trigger, &decision);
                }
            }
            for trigger in self.simulated.pending(&subject).to_vec() {
                // The recorded world decides something upon it: the simulated one decides when that decision comes.
                if self.recorded.has(&subject, &trigger) {
                    continue;
                }
                let decision = self.simulated.decide(&subject, &trigger, now);
                self.simulated.apply(&subject, &trigger, &decision);
                if let Some(event) = decision.events.into_iter().next() {
                    return Some(event);
                }
            }
            self.unsettled.remove(&subject);
        }
        None
    }

    fn next_due(&self) -> Option<Timestamp> {
        let first = |world: &World<D>| world.timers.in_order().next().map(|(due, _)| due);
        first(&self.recorded).into_iter().chain(first(&self.simulated)).min()
    }

    fn fire_timers(&mut self, now: Timestamp) {
        self.recorded.fire_timers(now, &mut self.unsettled);
        self.simulated.fire_timers(now, &mut self.unsettled);
    }
}
