//! One round of a decider: what is in memory, what is decided from it, and what a commit makes of it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use hemostat_core::{Decider, Decision, Timer, TimerChange, Trigger, schedule::whole_millisecond};
use hemostat_log::{Commit, Delivery, Inbox, Lease, Park, TimerKey, TimerUpdate};
use hemostat_schema::{Cause, EventId, Subject, Timestamp, TraceParent};
use tokio::time::Instant;
use tracing::{debug_span, error};

use super::{memory::Memory, timers::Timers};
use crate::{Context, Halt, Step, trace, worker::said};

/// Deliveries in one round.
const BATCH: usize = 500;

/// After so many conflicts that nothing on the log explains, the deliveries in question are put aside.
const UNEXPLAINED: u32 = 10;

/// What is in memory while the lease is held.
pub(super) struct Open<D: Decider> {
    inbox: Inbox,
    memory: Memory<D>,
    timers: Timers,
    /// Folded, but not decided yet.
    waiting: BTreeMap<EventId, Delivery>,
    /// Subjects with events of our own that have not come back yet, up to which one.
    ahead: HashMap<Subject, EventId>,
    /// Subjects whose head on the log is not the one that was folded, though all was read.
    blocked: HashMap<Subject, Blocked>,
}

struct Blocked {
    times: u32,
    until: Instant,
}

/// What one round decided.
pub(super) struct Round {
    pub change: Commit,
    /// Subjects on whose behalf or about whom it adds events: further decisions have to wait for these.
    spoke: HashSet<Subject>,
    /// Subjects on whose history the events rest.
    rests_on: HashSet<Subject>,
}

impl<D: Decider> Open<D> {
    /// What the log holds for this group.
    pub async fn load(ctx: &Context, lease: Lease) -> Result<Self, Halt> {
        Ok(Self {
            memory: Memory::load(ctx, lease.partition).await?,
            timers: Timers::load(ctx.log.timers(lease.partition, &lease.group).await?),
            inbox: Inbox::new(ctx.log.clone(), lease, D::READS),
            waiting: BTreeMap::new(),
            ahead: HashMap::new(),
            blocked: HashMap::new(),
        })
    }

    /// Reads and folds what is new; how much, and whether that is all there is.
    pub async fn take_in(&mut self, ctx: &Context) -> Result<(usize, bool), Halt> {
        // However many wait for their own events to come back, these must have room.
        let room = BATCH.saturating_sub(self.waiting.len()).max(BATCH / 10);
        let new = self.inbox.next(room).await?;
        let events = || new.iter().filter_map(|delivery| delivery.event.as_ref().ok());
        self.memory.recall(&*ctx.log, events().map(|event| event.subject.clone())).await?;
        for event in events() {
            self.blocked.remove(&event.subject);
            self.memory.fold(event);
        }
        let through = self.memory.through();
        self.ahead.retain(|_, id| *id > through);
        let count = new.len();
        self.waiting.extend(new.into_iter().map(|delivery| (delivery.id, delivery)));

        // What waits may have been forgotten since it was read, and timers come without events.
        let now = ctx.clock.now();
        let subjects = self.waiting.values().filter_map(|delivery| Some(delivery.event.as_ref().ok()?.subject.clone()));
        let subjects: HashSet<Subject> = subjects.chain(self.timers.ringing(now).map(|timer| timer.subject)).collect();
        self.memory.recall(&*ctx.log, subjects).await?;
        Ok((count, count < room))
    }

    /// Decides what can be decided; changes nothing but by what the commit will do.
    pub fn decide(&self, policy: &D::Policy, now: Timestamp, drained: bool) -> Result<Round, Halt> {
        let change = Commit::new(self.inbox.lease().clone());
        let mut round = Round { change, spoke: HashSet::new(), rests_on: HashSet::new() };
        for delivery in self.waiting.values() {
            self.decide_delivery(delivery, policy, now, &mut round);
        }
        // A timer is decided upon only when all that could have changed its meaning has been read.
        let mut retimed: HashSet<Subject> = round.change.timers.iter().map(|update| whose(update).clone()).collect();
        for timer in self.timers.ringing(now).filter(|_| drained) {
            if !self.must_wait(&timer.subject, &round) && !retimed.contains(&timer.subject) {
                self.decide_timer(&timer, policy, now, &mut round);
                retimed.insert(timer.subject);
            }
        }
        round.change.guards = round.rests_on.iter().flat_map(|subject| self.memory.guards(subject)).collect();
        round.change.rows = self.memory.changes()?;
        Ok(round)
    }

    fn decide_delivery(&self, delivery: &Delivery, policy: &D::Policy, now: Timestamp, round: &mut Round) {
        let (family, id) = (delivery.family, delivery.id);
        let decided = match &delivery.event {
            Err(why) => Err(why.clone()),
            Ok(event) if event.event().is_none() => Ok(()),
            Ok(event) => match self.memory.poisoned(id) {
                Some(why) => Err(why.clone()),
                None if self.is_stuck(&event.subject) => Err(stuck(&event.subject)),
                None if self.must_wait(&event.subject, round) => return,
                None => self.ask(&Trigger::Event(event), policy, now, event.trace).map(|decision| {
                    self.add(decision, &event.subject, Some(id), event.trace, round);
                }),
            },
        };
        if let Err(why) = decided {
            error!("{}: could not decide upon {id}, which is put aside: {why}", D::GROUP);
            round.change.parked.push(Park { family, id, error: why });
        }
        round.change.acks.push((family, id));
    }

    fn decide_timer(&self, timer: &Timer, policy: &D::Policy, now: Timestamp, round: &mut Round) {
        let parent = self.memory.of(&timer.subject).and_then(|(known, _)| known.trace);
        match self.ask(&Trigger::Timer(timer), policy, now, parent) {
            Ok(decision) => self.add(decision, &timer.subject, None, parent, round),
            Err(why) => error!("{}: the timer {} of {} is dropped: {why}", D::GROUP, timer.name, timer.subject),
        }
        let Timer { subject, name, due } = timer.clone();
        // Fired timers go first in a commit, so one that is set again in the same decision stands.
        round.change.fired.push(TimerKey { subject, name, due });
    }

    fn ask(
        &self,
        trigger: &Trigger<'_>,
        policy: &D::Policy,
        now: Timestamp,
        parent: Option<TraceParent>,
    ) -> Result<Decision, String> {
        let subject = trigger.subject();
        let _span =
            debug_span!("decide", group = D::GROUP, %subject, trace = parent.map(tracing::field::display)).entered();
        let (known, shared) = self.memory.of(subject).ok_or("its state was not read")?;
        catch_unwind(AssertUnwindSafe(|| D::decide(&known.state, shared, trigger, policy, now)))
            .map_err(|panic| format!("the decision panicked: {}", said(&*panic)))
    }

    /// Makes a decision a part of the round.
    fn add(
        &self,
        decision: Decision,
        subject: &Subject,
        trigger: Option<EventId>,
        parent: Option<TraceParent>,
        round: &mut Round,
    ) {
        let first = round.change.events.len();
        if !decision.events.is_empty() {
            round.spoke.insert(subject.clone());
            round.rests_on.extend([subject.clone(), Subject::host(subject.host.clone())]);
        }
        for mut event in decision.events {
            round.spoke.insert(event.subject.clone());
            event.cause = match event.cause {
                // The decider counts its own events, the commit those of the whole round.
                Some(Cause::Sibling(index)) => Some(Cause::Sibling(first + index)),
                given => given.or(trigger.map(Cause::Event)),
            };
            trace::stamp(&mut event, parent);
            round.change.events.push(event);
        }
        round.change.timers.extend(decision.timers.into_iter().map(|change| {
            let subject = subject.clone();
            match change {
                TimerChange::Set { name, due } => {
                    TimerUpdate::Set { subject, name: name.to_owned(), due: whole_millisecond(due) }
                }
                TimerChange::Cancel { name } => TimerUpdate::Cancel { subject, name: name.to_owned() },
            }
        }));
    }

    /// The commit was done: its events are on the log under `ids`.
    pub fn settle(&mut self, change: &Commit, ids: &[EventId]) -> Step {
        for (_, id) in &change.acks {
            self.waiting.remove(id);
            self.memory.done(*id);
        }
        for (event, id) in change.events.iter().zip(ids) {
            if D::READS.contains(&event.event.family()) {
                self.ahead.insert(event.subject.clone(), *id);
            }
        }
        for TimerKey { subject, name, .. } in &change.fired {
            self.timers.remove(subject, name);
        }
        for update in &change.timers {
            self.timers.apply(update);
        }
        self.memory.saved();
        Step::Worked { handled: change.acks.len() + change.fired.len(), emitted: ids.len() }
    }

    /// Whether a decision about `subject` has to wait: for events of our own about it or its host that have not come
    /// back yet, or for an explanation of a conflict.
    fn must_wait(&self, subject: &Subject, round: &Round) -> bool {
        let waits = |subject: &Subject| {
            round.spoke.contains(subject)
                || self.ahead.contains_key(subject)
                || self.blocked.get(subject).is_some_and(|blocked| Instant::now() < blocked.until)
        };
        waits(subject) || waits(&Subject::host(subject.host.clone()))
    }

    /// There was a conflict about `subject`, and all that is on the log has been read: either the event that explains
    /// it cannot be read, or it is gone. Nothing is decided on what is not known.
    pub fn block(&mut self, subject: Subject) {
        let times = self.blocked.get(&subject).map_or(1, |blocked| blocked.times.saturating_add(1));
        let pause = Duration::from_millis(10).saturating_mul(2_u32.saturating_pow(times)).min(Duration::from_secs(30));
        self.blocked.insert(subject, Blocked { times, until: Instant::now() + pause });
    }

    fn is_stuck(&self, subject: &Subject) -> bool {
        self.blocked.get(subject).is_some_and(|blocked| blocked.times >= UNEXPLAINED)
    }

    /// When there is something to do although no bell rings.
    pub fn wake(&self, ctx: &Context, now: Timestamp) -> Option<Timestamp> {
        let unblocked =
            self.blocked.values().map(|blocked| blocked.until).filter(|until| *until > Instant::now()).min();
        let unblocked = unblocked.map(|until| {
            let wait = until.saturating_duration_since(Instant::now());
            ctx.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX)
        });
        self.timers.next_after(now).into_iter().chain(unblocked).min()
    }
}

fn stuck(subject: &Subject) -> String {
    format!(
        "the history of {subject} cannot be read to its end, so nothing is decided about it; \
         it goes on with the next event that can be read"
    )
}

fn whose(update: &TimerUpdate) -> &Subject {
    match update {
        TimerUpdate::Set { subject, .. } | TimerUpdate::Cancel { subject, .. } => subject,
    }
}
