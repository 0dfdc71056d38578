//! One round of a decider: read and fold new events, decide upon triggers, apply the commit.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use hemostat_core::{Decider, Decision, Timer, TimerChange, Trigger, fold::caught, schedule::whole_millisecond};
use hemostat_log::{Commit, Delivery, Inbox, Lease, NewDeadLetter, TimerKey, TimerUpdate};
use hemostat_schema::{Action, Cause, Event, EventId, NewEvent, PolicyHash, Recorded, Subject, Timestamp, TraceParent};
use tokio::time::Instant;
use tracing::{debug_span, error};

use super::{state_cache::StateCache, timers::Timers};
use crate::{
    context::Context,
    trace,
    worker::{Step, WorkerError},
};

/// Maximum deliveries in one round.
const BATCH: usize = 500;

/// Conflicts about a subject, with nothing new to read, after which its deliveries become dead letters.
const MAX_UNEXPLAINED_CONFLICTS: u32 = 10;

/// What a decider's worker holds in memory while it holds the lease.
pub(super) struct Loaded<D: Decider> {
    inbox: Inbox,
    states: StateCache<D>,
    timers: Timers,
    /// Deliveries that were folded and not decided upon yet.
    undecided: BTreeMap<EventId, Delivery>,
    /// Subjects about which this group emitted events that it has not read back, and the last of these events.
    in_flight: HashMap<Subject, EventId>,
    /// Subjects whose version on the log is not the folded one, although everything was read.
    blocked: HashMap<Subject, Blocked>,
    /// The policy that decisions are made by.
    policy: Option<PolicyHash>,
}

/// The policy in force, with the hash by which decisions name it.
pub(super) struct InForce<P> {
    pub policy: Arc<P>,
    pub hash: Option<PolicyHash>,
}

struct Blocked {
    conflicts: u32,
    until: Instant,
}

/// What one round decided.
pub(super) struct Round {
    pub change: Commit,
    /// Subjects about which, or upon whose triggers, it emits events: further decisions about them wait for these events.
    emitted: HashSet<Subject>,
    /// Subjects on whose state the emitted events rest.
    rests_on: HashSet<Subject>,
    /// Timers became due after the states had been read: their subjects must be read first.
    pub has_unread_timers: bool,
}

impl<D: Decider> Loaded<D> {
    /// Loads state, timers and pending deliveries of the group.
    pub async fn load(ctx: &Context, lease: Lease, policy: Option<PolicyHash>) -> Result<Self, WorkerError> {
        Ok(Self {
            states: StateCache::load(ctx, lease.partition).await?,
            timers: Timers::load(ctx.log.timers(lease.partition, &lease.group).await?),
            inbox: Inbox::new(ctx.log.clone(), lease, D::READS),
            undecided: BTreeMap::new(),
            in_flight: HashMap::new(),
            blocked: HashMap::new(),
            policy,
        })
    }

    /// Decides by this policy from here on. If it is another one, every timer fires once, as its due time followed from
    /// the policy before.
    pub fn decide_by(&mut self, policy: Option<PolicyHash>) {
        if self.policy != policy {
            self.policy = policy;
            self.timers.fire_early();
        }
    }

    /// Whether `event` records that the policy of this process is a new one: after a restart with another configuration
    /// the timers are those of the policy before.
    fn is_policy_change(&self, event: &Recorded) -> bool {
        matches!(event.event(), Some(Event::Action(Action::PolicyChanged(changed))) if Some(changed.hash) == self.policy)
    }

    /// Reads and folds new events. Returns how many there were, and whether that was the end of the log.
    pub async fn read_and_fold(&mut self, ctx: &Context) -> Result<(usize, bool), WorkerError> {
        // There must always be room for the emitted events for which deliveries wait.
        let room = BATCH.saturating_sub(self.undecided.len()).max(BATCH / 10);
        let new = self.inbox.next(room).await?;
        let events = || new.iter().filter_map(|delivery| delivery.event.as_ref().ok());
        self.states.read(&*ctx.log, events().map(|event| event.subject.clone())).await?;
        if events().any(|event| self.is_policy_change(event)) {
            self.timers.fire_early();
        }
        for event in events() {
            self.blocked.remove(&event.subject);
            self.states.fold(event);
        }
        let offset = self.states.offset();
        self.in_flight.retain(|_, id| *id > offset);
        let count = new.len();
        self.undecided.extend(new.into_iter().map(|delivery| (delivery.id, delivery)));

        // The cache may have dropped the states of undecided deliveries, and timers come without events.
        let now = ctx.clock.now();
        let subjects =
            self.undecided.values().filter_map(|delivery| Some(delivery.event.as_ref().ok()?.subject.clone()));
        let subjects: HashSet<Subject> = subjects.chain(self.timers.due(now).map(|timer| timer.subject)).collect();
        self.states.read(&*ctx.log, subjects).await?;
        Ok((count, count < room))
    }

    /// Decides upon all triggers that need not wait. Changes nothing in memory: [`apply`](Self::apply) does, after the commit.
    pub fn decide(&self, policy: &InForce<D::Policy>, now: Timestamp, at_end: bool) -> Result<Round, WorkerError> {
        let change = Commit::new(self.inbox.lease().clone());
        let mut round = Round { change, emitted: HashSet::new(), rests_on: HashSet::new(), has_unread_timers: false };
        for delivery in self.undecided.values() {
            self.decide_delivery(delivery, policy, now, &mut round);
        }
        // A timer fires only at the end of the log: an unread event might cancel it.
        let mut retimed: HashSet<Subject> =
            round.change.timers.iter().map(|update| subject_of(update).clone()).collect();
        for timer in self.timers.due(now).filter(|_| at_end) {
            if self.states.get(&timer.subject).is_none() {
                round.has_unread_timers = true;
                continue;
            }
            if !self.must_wait(&timer.subject, &round) && !retimed.contains(&timer.subject) {
                self.decide_timer(&timer, policy, now, &mut round);
                retimed.insert(timer.subject);
            }
        }
        round.change.guards = round.rests_on.iter().flat_map(|subject| self.states.guards(subject)).collect();
        round.change.rows = self.states.changes()?;
        Ok(round)
    }

    fn decide_delivery(&self, delivery: &Delivery, policy: &InForce<D::Policy>, now: Timestamp, round: &mut Round) {
        let (family, id) = (delivery.family, delivery.id);
        let decided = match &delivery.event {
            Err(why) => Err(why.clone()),
            Ok(event) if event.event().is_none() => Ok(()),
            Ok(event) => match self.states.panic_of(id) {
                Some(why) => Err(why.clone()),
                None if self.is_stuck(&event.subject) => Err(stuck(&event.subject)),
                None if self.must_wait(&event.subject, round) => return,
                None => self.decision(&Trigger::Event(event), policy, now, event.trace).map(|decision| {
                    self.add(decision, &event.subject, Some(id), event.trace, round);
                }),
            },
        };
        if let Err(why) = decided {
            error!("{}: could not decide upon {id}, which becomes a dead letter: {why}", D::GROUP);
            round.change.dead_letters.push(NewDeadLetter { family, id, error: why });
        }
        round.change.acks.push((family, id));
    }

    fn decide_timer(&self, timer: &Timer, policy: &InForce<D::Policy>, now: Timestamp, round: &mut Round) {
        let parent = self.states.get(&timer.subject).and_then(|(state, _)| state.trace);
        match self.decision(&Trigger::Timer(timer), policy, now, parent) {
            Ok(decision) => self.add(decision, &timer.subject, None, parent, round),
            Err(why) => error!("{}: dropped the timer {} of {}: {why}", D::GROUP, timer.name, timer.subject),
        }
        let Timer { subject, name, due } = timer.clone();
        // A commit removes fired timers first, so one that the same decision sets again remains.
        round.change.fired.push(TimerKey { subject, name, due });
    }

    fn decision(
        &self,
        trigger: &Trigger<'_>,
        policy: &InForce<D::Policy>,
        now: Timestamp,
        parent: Option<TraceParent>,
    ) -> Result<Decision, String> {
        let subject = trigger.subject();
        let _span =
            debug_span!("decide", group = D::GROUP, %subject, trace = parent.map(tracing::field::display)).entered();
        let (state, shared) = self.states.get(subject).ok_or("its state was not read")?;
        caught("the decision", || {
            let mut decision = D::decide(&state.state, shared, trigger, &policy.policy, now);
            let decided = |event: Event| event.decided(policy.hash, &trigger.recorded());
            decision.events =
                decision.events.into_iter().map(|new| NewEvent { event: decided(new.event), ..new }).collect();
            decision
        })
    }

    /// Adds a decision to the round.
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
            round.emitted.insert(subject.clone());
            round.rests_on.extend([subject.clone(), Subject::host(subject.host.clone())]);
        }
        for mut event in decision.events {
            round.emitted.insert(event.subject.clone());
            event.cause = match event.cause {
                // Siblings are numbered within the decision; in the commit, within the whole round.
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

    /// The round was committed; its events have these `ids`.
    pub fn apply(&mut self, change: &Commit, ids: &[EventId]) -> Step {
        for (_, id) in &change.acks {
            self.undecided.remove(id);
            self.states.forget_panic_of(*id);
        }
        for (event, id) in change.events.iter().zip(ids) {
            if D::READS.contains(&event.event.family()) {
                self.in_flight.insert(event.subject.clone(), *id);
            }
        }
        for TimerKey { subject, name, .. } in &change.fired {
            self.timers.remove(subject, name);
        }
        for update in &change.timers {
            self.timers.apply(update);
        }
        self.states.saved();
        Step::Worked { handled: change.acks.len() + change.fired.len(), appended: ids.len() }
    }

    /// Whether a decision about `subject` must wait: for emitted events about it or its host that were not read back, or
    /// because of a conflict.
    fn must_wait(&self, subject: &Subject, round: &Round) -> bool {
        let waits = |subject: &Subject| {
            round.emitted.contains(subject)
                || self.in_flight.contains_key(subject)
                || self.blocked.get(subject).is_some_and(|blocked| Instant::now() < blocked.until)
        };
        waits(subject) || waits(&Subject::host(subject.host.clone()))
    }

    /// There was a conflict about `subject` although everything was read: the event that advanced its version cannot be
    /// decoded, or is gone. Decisions about the subject back off, as its state is incomplete.
    pub fn block(&mut self, subject: Subject) {
        let conflicts = self.blocked.get(&subject).map_or(1, |blocked| blocked.conflicts.saturating_add(1));
        let pause =
            Duration::from_millis(10).saturating_mul(2_u32.saturating_pow(conflicts)).min(Duration::from_secs(30));
        self.blocked.insert(subject, Blocked { conflicts, until: Instant::now() + pause });
    }

    fn is_stuck(&self, subject: &Subject) -> bool {
        self.blocked.get(subject).is_some_and(|blocked| blocked.conflicts >= MAX_UNEXPLAINED_CONFLICTS)
    }

    /// When the next timer is due or a blocked subject is tried again.
    pub fn next_due(&self, ctx: &Context, now: Timestamp) -> Option<Timestamp> {
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
        "the history of {subject} is incomplete, so nothing is decided about it until the next event that can be read"
    )
}

fn subject_of(update: &TimerUpdate) -> &Subject {
    match update {
        TimerUpdate::Set { subject, .. } | TimerUpdate::Cancel { subject, .. } => subject,
    }
}
