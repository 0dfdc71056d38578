//! Deciders: pure functions from a state and a trigger to new events and timers.
//!
//! ```text
//!            log ──► evolve ──► State (one per subject), Shared (one per host)
//!                                  │
//!   trigger: an event or a timer ──┴──► decide(state, shared, trigger, policy, now) ──► events, timers
//! ```
//!
//! The runtime folds everything on the log *before* it asks for a decision, and commits the decision only if the
//! subject's version has not advanced meanwhile (optimistic concurrency). So a decision may use everything on the log,
//! including events younger than its trigger.

use hemostat_schema::{DecidedOn, Event, Family, NewEvent, PolicyHash, Recorded, Subject, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

/// State that a fold keeps in a row.
pub trait Fold:
    Default + Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<T: Default + Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static> Fold
    for T
{
}

/// A pure decider; the runtime runs one worker per consumer group and partition.
pub trait Decider: Send + Sync + 'static {
    /// The consumer group; also the name of its rows.
    const GROUP: &'static str;
    /// The version of the rows, incremented when `State`, `Shared` or `evolve` change their meaning.
    const VERSION: u16;
    /// The families of events that `evolve` and `decide` read.
    const READS: &'static [Family];
    /// The state of one subject.
    type State: Fold;
    /// State that all subjects of a host share, such as which of its containers are sick.
    type Shared: Fold;
    /// The settings that it decides by.
    type Policy: Send + Sync + 'static;

    /// The hash by which decisions name the policy; none for a policy that is not on the log.
    fn policy_hash(_policy: &Self::Policy) -> Option<PolicyHash> {
        None
    }

    /// Applies an event. It sees only the event and the event's own time, never the present, and cannot fail.
    fn evolve(state: &mut Self::State, shared: &mut Self::Shared, event: &Recorded);

    /// Decides what follows from `trigger`. The events are about the trigger's subject or its host.
    ///
    /// A timer may fire before it is due: when the policy changes, also by a restart, every timer of the group fires once, as its due time
    /// followed from the policy before. Where nothing is due yet, the decision sets it again.
    fn decide(
        state: &Self::State,
        shared: &Self::Shared,
        trigger: &Trigger<'_>,
        policy: &Self::Policy,
        now: Timestamp,
    ) -> Decision;
}

/// What makes a decider decide.
#[derive(Debug, Clone, Copy)]
pub enum Trigger<'a> {
    /// An event, read by this consumer group for the first time.
    Event(&'a Recorded),
    /// A due timer of this consumer group.
    Timer(&'a Timer),
}

impl Trigger<'_> {
    /// The subject that it is about.
    pub fn subject(&self) -> &Subject {
        match self {
            Self::Event(event) => &event.subject,
            Self::Timer(timer) => &timer.subject,
        }
    }

    /// As decisions record it.
    pub fn recorded(&self) -> DecidedOn {
        match self {
            Self::Event(event) => DecidedOn::Event(event.id),
            Self::Timer(Timer { name, due, .. }) => DecidedOn::Timer { name: name.clone(), due: *due },
        }
    }

    /// The event, if its kind is known to this program.
    pub fn event(&self) -> Option<&Event> {
        match self {
            Self::Event(event) => event.event(),
            Self::Timer(_) => None,
        }
    }
}

/// A durable timer of a consumer group; a subject has at most one of each name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// The subject that it belongs to.
    pub subject: Subject,
    /// Its name, such as `retry`; without `|`.
    pub name: String,
    /// When it is due, to the millisecond.
    pub due: Timestamp,
}

/// A change of the timers of a decision's subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimerChange {
    /// Sets a timer; replaces the one of the same name.
    Set {
        /// Its name.
        name: &'static str,
        /// When it is due.
        due: Timestamp,
    },
    /// Cancels a timer, if it is set.
    Cancel {
        /// Its name.
        name: &'static str,
    },
}

/// What follows from a trigger, possibly nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// The events to append to the log. An event without a cause gets the trigger as its cause. The runtime adds the
    /// policy and the trigger to the events that record them ([`Event::decided`]).
    pub events: Vec<NewEvent>,
    /// Changes of the timers of the trigger's subject.
    pub timers: Vec<TimerChange>,
}

impl Decision {
    /// Nothing follows.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// One event follows.
    pub fn event(event: NewEvent) -> Self {
        Self { events: vec![event], timers: vec![] }
    }

    /// Adds: set a timer of the subject.
    #[must_use]
    pub fn set_timer(mut self, name: &'static str, due: impl Into<Option<Timestamp>>) -> Self {
        self.timers.extend(due.into().map(|due| TimerChange::Set { name, due }));
        self
    }

    /// Adds: cancel a timer of the subject.
    #[must_use]
    pub fn cancel_timer(mut self, name: &'static str) -> Self {
        self.timers.push(TimerChange::Cancel { name });
        self
    }
}
