//! What a decision is: a pure function from what is known to what happens next.
//!
//! ```text
//!            log ──► evolve ──► State (one per subject), Shared (one per host)
//!                                  │
//!   trigger: an event or a timer ──┴──► decide(state, shared, trigger, policy, now) ──► events, timers
//! ```
//!
//! The runtime folds everything that is on the log *before* it asks for a decision, and commits the decision only if
//! nothing about the subject was added meanwhile (the guard on the subject's heads). So a decision may rest on
//! everything in the log, also on what is younger than its trigger.

use hemostat_schema::{Event, Family, NewEvent, Recorded, Subject, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

/// State that a fold may keep in a row.
pub trait Fold:
    Default + Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<T: Default + Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static> Fold
    for T
{
}

/// A pure decider; the runtime runs one worker for each group and partition.
pub trait Decider: Send + Sync + 'static {
    /// The consumer group; also the name of its rows.
    const GROUP: &'static str;
    /// The version of the rows: raised when `State`, `Shared` or `evolve` change their meaning.
    const VERSION: u16;
    /// The families that `evolve` and `decide` look at.
    const READS: &'static [Family];
    /// What is known of one subject.
    type State: Fold;
    /// What is known of a host as a whole, such as how many of its containers are sick.
    type Shared: Fold;
    /// By what it decides.
    type Policy: Send + Sync + 'static;

    /// Takes an event in. Total: it sees the event and its own time, never now, and cannot fail.
    fn evolve(state: &mut Self::State, shared: &mut Self::Shared, event: &Recorded);

    /// Decides what follows from `trigger`; the events are about the trigger's subject or its host.
    fn decide(
        state: &Self::State,
        shared: &Self::Shared,
        trigger: &Trigger<'_>,
        policy: &Self::Policy,
        now: Timestamp,
    ) -> Decision;
}

/// What makes a decider think.
#[derive(Debug, Clone, Copy)]
pub enum Trigger<'a> {
    /// An event was read, for the first time by this group.
    Event(&'a Recorded),
    /// A timer that this group had set is due.
    Timer(&'a Timer),
}

impl Trigger<'_> {
    /// Whom it is about.
    pub fn subject(&self) -> &Subject {
        match self {
            Self::Event(event) => &event.subject,
            Self::Timer(timer) => &timer.subject,
        }
    }

    /// The event, where it is one of a kind that this program knows.
    pub fn event(&self) -> Option<&Event> {
        match self {
            Self::Event(event) => event.event(),
            Self::Timer(_) => None,
        }
    }
}

/// A durable alarm clock of a group; one of a name for each subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// Whose.
    pub subject: Subject,
    /// What for, such as `retry`; without `|`.
    pub name: String,
    /// When it rings, to the millisecond.
    pub due: Timestamp,
}

/// What a decision does to its subject's timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimerChange {
    /// Rings at `due`; replaces the one of the same name.
    Set {
        /// What for.
        name: &'static str,
        /// When.
        due: Timestamp,
    },
    /// Does not ring.
    Cancel {
        /// What for.
        name: &'static str,
    },
}

/// What follows from a trigger. Nothing is a decision, too.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// What is put on the log. An event without a cause gets the trigger as its cause.
    pub events: Vec<NewEvent>,
    /// Timers of the trigger's subject.
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

    /// With a timer of the subject set.
    #[must_use]
    pub fn wake(mut self, name: &'static str, due: Timestamp) -> Self {
        self.timers.push(TimerChange::Set { name, due });
        self
    }

    /// With a timer of the subject cancelled.
    #[must_use]
    pub fn hush(mut self, name: &'static str) -> Self {
        self.timers.push(TimerChange::Cancel { name });
        self
    }
}
