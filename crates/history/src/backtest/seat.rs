//! One decider, seated in both worlds: what it knows in each, what it still has to decide upon, and when it wakes.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use hemostat_core::{
    Decider, Decision, Policy, Timer, TimerChange, Trigger,
    schedule::{Schedule, whole_millisecond},
};
use hemostat_schema::{Event, HostName, NewEvent, Recorded, Subject, Timestamp};

use super::essence::{self, Essence};

/// So many triggers of a subject wait for their decision on the log; where another policy was in force it never comes.
const WAITING: usize = 16;

/// A decider in both worlds.
pub(super) trait Seat {
    /// Whether it is this one that decides such events.
    fn decides(&self, event: &Event) -> bool;
    /// Folds an event into the recorded world.
    fn record(&mut self, event: &Arc<Recorded>);
    /// Folds an event into the simulated world.
    fn simulate(&mut self, event: &Arc<Recorded>);
    /// Finds out what led to a decision that is on the log, and what the simulated world decides upon the same.
    fn decide_again(&mut self, decision: &Recorded) -> Answer;
    /// Decides what is to be decided now: all in the recorded world that leads to nothing, then what the simulated world
    /// has alone, up to the first event that follows.
    fn settle(&mut self, now: Timestamp) -> Option<NewEvent>;
    /// When the next timer of either world rings.
    fn next_due(&self) -> Option<Timestamp>;
    /// The timers ring that are due.
    fn ring(&mut self, now: Timestamp);
}

/// What both policies say upon the trigger of a decision.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The reference policy gives what is recorded.
    pub explained: bool,
    pub by_reference: Option<NewEvent>,
    pub by_proposal: Option<NewEvent>,
}

/// What makes a decider think.
#[derive(Debug, Clone)]
enum Open {
    Event(Arc<Recorded>),
    Timer(Timer),
}

impl Open {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Event(event), Self::Event(other)) => event.id == other.id,
            (Self::Timer(timer), Self::Timer(other)) => timer == other,
            _ => false,
        }
    }
}

/// One world, as one decider sees it.
struct World<'a, D: Decider> {
    policy: &'a Policy,
    states: HashMap<Subject, D::State>,
    shared: HashMap<HostName, D::Shared>,
    open: HashMap<Subject, Vec<Open>>,
    timers: Schedule<(Subject, String)>,
}

impl<'a, D: Decider<Policy = Policy>> World<'a, D> {
    fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            states: HashMap::new(),
            shared: HashMap::new(),
            open: HashMap::new(),
            timers: Schedule::default(),
        }
    }

    fn fold(&mut self, event: &Arc<Recorded>) {
        let state = self.states.entry(event.subject.clone()).or_default();
        D::evolve(state, self.shared.entry(event.subject.host.clone()).or_default(), event);
        self.push(&event.subject, Open::Event(Arc::clone(event)));
    }

    fn push(&mut self, subject: &Subject, trigger: Open) {
        let open = self.open.entry(subject.clone()).or_default();
        open.push(trigger);
        if open.len() > WAITING {
            open.remove(0);
        }
    }

    fn decide(&mut self, subject: &Subject, trigger: &Open, now: Timestamp) -> Decision {
        let state = self.states.entry(subject.clone()).or_default();
        let shared = self.shared.entry(subject.host.clone()).or_default();
        let trigger = match trigger {
            Open::Event(event) => Trigger::Event(event),
            Open::Timer(timer) => Trigger::Timer(timer),
        };
        D::decide(state, shared, &trigger, self.policy, now)
    }

    /// The trigger is dealt with: it waits no more, and the timers are as the decision says.
    fn close(&mut self, subject: &Subject, trigger: &Open, decision: &Decision) {
        self.retain(subject, |open| !open.is_same(trigger));
        for change in &decision.timers {
            let (name, due) = match change {
                TimerChange::Set { name, due } => (*name, Some(whole_millisecond(*due))),
                TimerChange::Cancel { name } => (*name, None),
            };
            self.retain(subject, |open| !matches!(open, Open::Timer(timer) if timer.name == name));
            self.timers.set(&(subject.clone(), name.to_owned()), due);
        }
    }

    fn retain(&mut self, subject: &Subject, keep: impl Fn(&Open) -> bool) {
        if let Some(open) = self.open.get_mut(subject) {
            open.retain(keep);
            if open.is_empty() {
                self.open.remove(subject);
            }
        }
    }

    fn open(&self, subject: &Subject) -> &[Open] {
        self.open.get(subject).map_or(&[], Vec::as_slice)
    }

    fn has(&self, subject: &Subject, trigger: &Open) -> bool {
        self.open(subject).iter().any(|open| open.is_same(trigger))
    }

    fn ring(&mut self, now: Timestamp, rang: &mut BTreeSet<Subject>) {
        let due: Vec<_> = self.timers.due_by(now).map(|(due, key)| (due, key.clone())).collect();
        for (due, key) in due {
            self.timers.set(&key, None);
            let (subject, name) = key;
            rang.insert(subject.clone());
            self.push(&subject.clone(), Open::Timer(Timer { subject, name, due }));
        }
    }
}

/// A decider in both worlds.
pub(super) struct Pair<'a, D: Decider> {
    recorded: World<'a, D>,
    simulated: World<'a, D>,
    /// Subjects to which something happened that has not been thought of.
    touched: BTreeSet<Subject>,
}

impl<'a, D: Decider<Policy = Policy>> Pair<'a, D> {
    pub fn new(reference: &'a Policy, proposed: &'a Policy) -> Self {
        Self { recorded: World::new(reference), simulated: World::new(proposed), touched: BTreeSet::new() }
    }

    fn reads(event: &Recorded) -> bool {
        D::READS.contains(&event.family())
    }
}

impl<D: Decider<Policy = Policy>> Seat for Pair<'_, D> {
    fn decides(&self, event: &Event) -> bool {
        Essence::of(event).is_some_and(|essence| essence::Decider::of_group(D::GROUP) == Some(essence.decider()))
    }

    fn record(&mut self, event: &Arc<Recorded>) {
        if Self::reads(event) {
            self.recorded.fold(event);
            self.touched.insert(event.subject.clone());
        }
    }

    fn simulate(&mut self, event: &Arc<Recorded>) {
        if Self::reads(event) {
            self.simulated.fold(event);
            self.touched.insert(event.subject.clone());
        }
    }

    fn decide_again(&mut self, decision: &Recorded) -> Answer {
        let (subject, now) = (&decision.subject, decision.at);
        let wanted = decision.event().and_then(Essence::of);
        let caused = |open: &Open| matches!(open, Open::Event(event) if Some(event.id) == decision.cause);
        let mut guess = None;
        for trigger in self.recorded.open(subject).to_vec() {
            let by_reference = self.recorded.decide(subject, &trigger, now);
            let explained = by_reference.events.first().and_then(|new| Essence::of(&new.event)) == wanted;
            if explained || guess.is_none() || caused(&trigger) {
                guess = Some((trigger, by_reference, explained));
            }
            if explained {
                break;
            }
        }
        let Some((trigger, by_reference, explained)) = guess else { return Answer::default() };
        self.recorded.close(subject, &trigger, &by_reference);
        let mut answer = Answer { explained, by_reference: by_reference.events.into_iter().next(), by_proposal: None };
        if self.simulated.has(subject, &trigger) {
            let decided = self.simulated.decide(subject, &trigger, now);
            self.simulated.close(subject, &trigger, &decided);
            answer.by_proposal = decided.events.into_iter().next();
        }
        answer
    }

    fn settle(&mut self, now: Timestamp) -> Option<NewEvent> {
        while let Some(subject) = self.touched.first().cloned() {
            for trigger in self.recorded.open(&subject).to_vec() {
                let decision = self.recorded.decide(&subject, &trigger, now);
                if decision.events.is_empty() {
                    self.recorded.close(&subject, &trigger, &decision);
                }
            }
            for trigger in self.simulated.open(&subject).to_vec() {
                // The recorded world decides something upon it: that is awaited, and decided at the same instant here.
                if self.recorded.has(&subject, &trigger) {
                    continue;
                }
                let decision = self.simulated.decide(&subject, &trigger, now);
                self.simulated.close(&subject, &trigger, &decision);
                if let Some(event) = decision.events.into_iter().next() {
                    return Some(event);
                }
            }
            self.touched.remove(&subject);
        }
        None
    }

    fn next_due(&self) -> Option<Timestamp> {
        let first = |world: &World<'_, D>| world.timers.in_order().next().map(|(due, _)| due);
        first(&self.recorded).into_iter().chain(first(&self.simulated)).min()
    }

    fn ring(&mut self, now: Timestamp) {
        self.recorded.ring(now, &mut self.touched);
        self.simulated.ring(now, &mut self.touched);
    }
}
