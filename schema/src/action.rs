//! Actions: what was allowed, refused, done, and what came of it.

use jiff::Timestamp;
#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Confidence, EventId, Span, container::Target, kinds::family, words::wire_names};

family! {
    /// What was decided about healing, what was done, and what came of it.
    Action {
        /// A person is asked for leave (mode `approve`).
        Proposed = "proposed" @ 1,
        /// A person gave leave.
        Approved = "approved" @ 1,
        /// A person said no.
        Denied = "denied" @ 1,
        /// Nobody answered in time.
        Expired = "expired" @ 1,
        /// The intent: from here on the remedy may be carried out, once.
        Authorised = "authorised" @ 2,
        /// The remedy is not carried out, and why.
        Refused = "refused" @ 2,
        /// The remedy was carried out; whether it helped is not known yet.
        Succeeded = "succeeded" @ 1,
        /// The remedy could not be carried out.
        Failed = "failed" @ 1,
        /// Whether it helped, after the stabilisation window.
        Verified = "verified" @ 1,
        /// The circuit breaker tripped: attempt after attempt did not help.
        GaveUp = "gave_up" @ 1,
        /// An operator closed a tripped breaker.
        BreakerReset = "breaker_reset" @ 1,
        /// An operator stopped all healing (kill switch).
        Paused = "paused" @ 1,
        /// An operator let healing go on.
        Resumed = "resumed" @ 1,
    }
}

/// What can be done for a sick container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Stop it gracefully and start it again.
    Restart,
    /// Start it, as it has ended.
    Start,
    /// Stop it and leave it stopped (quarantine).
    Stop,
    /// One more replica of its service.
    Scale,
    /// Remove what the policy names as rubbish.
    Cleanup,
    /// Run a command of the allow-list in it.
    Exec {
        /// The program and its arguments; there is no shell.
        argv: Vec<String>,
    },
}

impl Remedy {
    /// Which remedy it is, whatever its arguments.
    pub fn kind(&self) -> RemedyKind {
        match self {
            Self::Restart => RemedyKind::Restart,
            Self::Start => RemedyKind::Start,
            Self::Stop => RemedyKind::Stop,
            Self::Scale => RemedyKind::Scale,
            Self::Cleanup => RemedyKind::Cleanup,
            Self::Exec { .. } => RemedyKind::Exec,
        }
    }

    /// The wire name, such as `restart`.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The past tense, for `HemoStat … it`; see [`RemedyKind::past`].
    pub fn past(&self) -> &'static str {
        self.kind().past()
    }
}

/// A remedy without its arguments, for what policy allows and for lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RemedyKind {
    /// [`Remedy::Restart`].
    Restart,
    /// [`Remedy::Start`].
    Start,
    /// [`Remedy::Stop`].
    Stop,
    /// [`Remedy::Scale`].
    Scale,
    /// [`Remedy::Cleanup`].
    Cleanup,
    /// [`Remedy::Exec`].
    Exec,
}

wire_names!(RemedyKind {
    Restart = "restart",
    Start = "start",
    Stop = "stop",
    Scale = "scale",
    Cleanup = "cleanup",
    Exec = "exec",
});

impl RemedyKind {
    /// The past tense, for `HemoStat … it`: `restarted`.
    pub const fn past(self) -> &'static str {
        match self {
            Self::Restart => "restarted",
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Scale => "scaled",
            Self::Cleanup => "cleaned up after",
            Self::Exec => "ran a command in",
        }
    }
}

impl From<&Remedy> for RemedyKind {
    fn from(remedy: &Remedy) -> Self {
        remedy.kind()
    }
}

/// A person is asked for leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Proposed {
    /// To do what.
    pub remedy: Remedy,
    /// To which run.
    pub target: Target,
    /// The diagnosis that asks for it.
    pub diagnosis: EventId,
    /// When the question lapses.
    pub expires: Timestamp,
}

/// A person gave leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Approved {
    /// The question.
    pub proposal: EventId,
    /// Who.
    pub by: String,
}

/// A person said no.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Denied {
    /// The question.
    pub proposal: EventId,
    /// Who.
    pub by: String,
}

/// Nobody answered in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Expired {
    /// The question.
    pub proposal: EventId,
}

/// The intent: from here on the remedy may be carried out, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Authorised {
    /// What is to be done.
    pub remedy: Remedy,
    /// To which run; to no other.
    pub target: Target,
    /// The diagnosis that asks for it.
    pub diagnosis: EventId,
    /// Where each limit stood.
    pub limits: Limits,
    /// How long the container may take to stop, where policy or container say so.
    pub stop_timeout: Option<Span>,
    /// Everything is done but the deed.
    pub dry_run: bool,
}

/// Where each limit stood when a remedy was authorised: why nothing stood against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Limits {
    /// Which attempt within the rolling window, from 1.
    pub attempt: u32,
    /// How many the rolling window allows.
    pub of: u32,
    /// The others; none in events of version 1, which did not say.
    #[serde(rename = "leeway")]
    pub snapshot: Option<LimitsSnapshot>,
}

impl Limits {
    /// Of which no more is known than the attempts.
    pub fn of_attempt(attempt: u32, of: u32) -> Self {
        Self { attempt, of, snapshot: None }
    }
}

/// How far the other limits were from forbidding a remedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct LimitsSnapshot {
    /// How far HemoStat may go with the container; in mode `approve` a person gave leave.
    pub mode: Mode,
    /// How sure the diagnosis is.
    pub confidence: Confidence,
    /// How sure it must be.
    pub threshold: Confidence,
    /// How late it was decided, or for how long the container had not been observed, whichever is longer.
    pub age: Span,
    /// How long that may be.
    pub stale_after: Span,
    /// So many containers of the host were sick.
    pub sick: u32,
    /// More than so many are a storm.
    pub storm: u32,
    /// The rolling window of attempts.
    pub window: Span,
    /// When the wait after the attempt before was over; none for the first attempt of an incident.
    pub backoff: Option<Timestamp>,
    /// Until when an illness other than the last is left to people; none where there was no illness lately.
    pub cooldown: Option<Timestamp>,
    /// How the circuit breaker let it pass.
    pub breaker: Passage,
}

/// How far HemoStat may go with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Watch and tell.
    Observe,
    /// Ask a person before each act.
    Approve,
    /// Act.
    Auto,
}

wire_names!(Mode { Observe = "observe", Approve = "approve", Auto = "auto" });

/// How a circuit breaker lets an attempt pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Passage {
    /// It is closed: attempts pass.
    Passing,
    /// HemoStat had given up, and this is the one attempt after the hold.
    Probing,
}

wire_names!(Passage { Passing = "passing", Probing = "probing" });

/// The remedy is not carried out, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Refused {
    /// What was asked for.
    pub remedy: Remedy,
    /// The diagnosis that asked for it.
    pub diagnosis: EventId,
    /// Why not; the first reason that applies.
    pub refusal: Refusal,
}

/// Why a remedy is not carried out, in the order in which the reasons are looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Refusal {
    /// An operator stopped all healing.
    Paused,
    /// The diagnosis is too old to act on.
    Stale {
        /// How old it is.
        age: Span,
        /// How old it may be.
        limit: Span,
    },
    /// HemoStat's own container, an excluded name, or a task of a scheduler.
    Protected {
        /// Which of them.
        why: String,
    },
    /// The container is only to be watched.
    Observing,
    /// An operator stopped or froze it.
    OperatorStopped,
    /// A maintenance window is open.
    Maintenance {
        /// Until then, where it is known.
        until: Option<Timestamp>,
    },
    /// The diagnosis is not sure enough.
    Unsure {
        /// How sure it is.
        confidence: Confidence,
        /// How sure it must be.
        threshold: Confidence,
    },
    /// This remedy is not allowed for this container.
    NotPermitted,
    /// Too many containers of the host are sick at once: one cause outside of them is likelier.
    Storm {
        /// So many are sick.
        sick: u32,
        /// So many may be.
        limit: u32,
    },
    /// A remedy is already in hand and not judged yet.
    InHand,
    /// The illness was over before the remedy was due.
    Moot,
    /// The next attempt comes later.
    BackingOff {
        /// Then.
        until: Timestamp,
    },
    /// The last incident ended so lately that a new one needs a person.
    CoolingDown {
        /// Until then.
        until: Timestamp,
    },
    /// The breaker is open: HemoStat has given up for the time being.
    Tripped {
        /// Until then.
        until: Timestamp,
    },
    /// This engine or container does not offer it.
    Unsupported {
        /// What is missing.
        why: String,
    },
    /// It was authorised, and the log could not keep the intent as safe as it must be before it is carried out. Nothing
    /// was done; it does not count as an attempt.
    #[serde(rename = "undurable")]
    NotDurable {
        /// The intent, which this ends.
        action: EventId,
        /// How safe it must be, as `redis.durability` says it: `always`, `replicas:2`.
        wanted: String,
        /// So many replicas had it in time.
        replicas: u32,
    },
}

impl Refusal {
    /// The wire name of every reason, in the order in which they are checked.
    pub const NAMES: [&'static str; 16] = [
        "paused",
        "stale",
        "protected",
        "observing",
        "operator_stopped",
        "maintenance",
        "unsure",
        "not_permitted",
        "storm",
        "in_hand",
        "moot",
        "backing_off",
        "cooling_down",
        "tripped",
        "unsupported",
        "undurable",
    ];

    /// The wire name of the reason, such as `cooling_down`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Stale { .. } => "stale",
            Self::Protected { .. } => "protected",
            Self::Observing => "observing",
            Self::OperatorStopped => "operator_stopped",
            Self::Maintenance { .. } => "maintenance",
            Self::Unsure { .. } => "unsure",
            Self::NotPermitted => "not_permitted",
            Self::Storm { .. } => "storm",
            Self::InHand => "in_hand",
            Self::Moot => "moot",
            Self::BackingOff { .. } => "backing_off",
            Self::CoolingDown { .. } => "cooling_down",
            Self::Tripped { .. } => "tripped",
            Self::Unsupported { .. } => "unsupported",
            Self::NotDurable { .. } => "undurable",
        }
    }

    /// The intent that it ends; none where nothing had been authorised.
    pub fn unexecuted_intent(&self) -> Option<EventId> {
        match self {
            Self::NotDurable { action, .. } => Some(*action),
            _ => None,
        }
    }

    /// When the reason ends by itself, where that is known: the instant to think again.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::BackingOff { until } | Self::CoolingDown { until } | Self::Tripped { until } => Some(*until),
            Self::Maintenance { until } => *until,
            Self::Paused
            | Self::Stale { .. }
            | Self::Protected { .. }
            | Self::Observing
            | Self::OperatorStopped
            | Self::Unsure { .. }
            | Self::NotPermitted
            | Self::Storm { .. }
            | Self::InHand
            | Self::Moot
            | Self::Unsupported { .. }
            | Self::NotDurable { .. } => None,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Paused => f.write_str("healing is paused by an operator"),
            Self::Stale { age, limit } => write!(f, "the diagnosis is {age} old, more than {limit}"),
            Self::Protected { why } => write!(f, "it is protected: {why}"),
            Self::Observing => f.write_str("it is only observed (mode observe)"),
            Self::OperatorStopped => f.write_str("an operator stopped it"),
            Self::Maintenance { until: Some(until) } => write!(f, "it is in maintenance until {until:.0}"),
            Self::Maintenance { until: None } => f.write_str("it is in maintenance"),
            Self::Unsure { confidence, threshold } => {
                write!(f, "the diagnosis is not sure enough ({confidence}, {threshold} needed)")
            }
            Self::NotPermitted => f.write_str("this remedy is not allowed for it"),
            Self::Storm { sick, limit } => {
                write!(f, "{sick} containers of the host are sick at once, more than {limit}: look at the host")
            }
            Self::InHand => f.write_str("a remedy is already in hand"),
            Self::Moot => f.write_str("the illness is over"),
            Self::BackingOff { until } => write!(f, "the next attempt is due at {until:.0}"),
            Self::CoolingDown { until } => {
                write!(f, "it was ill only lately, HemoStat does not act on it until {until:.0}")
            }
            Self::Tripped { until } => write!(f, "HemoStat has given up on it until {until:.0}"),
            Self::Unsupported { why } => write!(f, "it is not supported here: {why}"),
            Self::NotDurable { wanted, .. } if wanted == "always" => {
                f.write_str("the intent was not on the disk of Redis in time (redis.durability is always)")
            }
            Self::NotDurable { wanted, replicas, .. } => {
                write!(f, "only {replicas} replicas of Redis had the intent in time (redis.durability is {wanted})")
            }
        }
    }
}

/// The remedy was carried out; whether it helped is not known yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Succeeded {
    /// The intent.
    pub action: EventId,
    /// What was done.
    pub remedy: Remedy,
    /// The run that came of it, where there is one.
    pub target: Option<Target>,
    /// When the engine was asked, by our clock; none where an earlier process had asked it.
    pub called_at: Option<Timestamp>,
    /// How long the engine took.
    pub took: Span,
    /// How it is known.
    pub proof: Proof,
}

/// How it is known that a remedy was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The engine answered our call.
    Answered,
    /// An earlier process had called; the engine's own record shows that it was done.
    Found,
    /// Dry run: nothing was done.
    DryRun,
}

wire_names!(Proof { Answered = "answered", Found = "found", DryRun = "dry_run" });

impl Proof {
    /// What it says, as a clause.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Answered => "the engine answered",
            Self::Found => "found in the engine's own record after an interruption",
            Self::DryRun => "dry run, nothing was done",
        }
    }
}

/// The remedy could not be carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Failed {
    /// The intent.
    pub action: EventId,
    /// What was to be done.
    pub remedy: Remedy,
    /// What happened.
    pub error: String,
    /// How long it took.
    pub took: Span,
}

/// Whether it helped, after the stabilisation window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Verified {
    /// The intent.
    pub action: EventId,
    /// What was done.
    pub remedy: Remedy,
    /// Whether it helped.
    pub outcome: Outcome,
    /// What says so, in a sentence.
    pub why: String,
    /// From the intent to this verdict.
    pub took: Span,
}

/// Whether a remedy helped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The symptoms are gone and health is good.
    Recovered,
    /// A symptom stands or came back.
    Relapsed,
    /// There is nothing to judge by.
    Inconclusive,
}

wire_names!(Outcome { Recovered = "recovered", Relapsed = "relapsed", Inconclusive = "inconclusive" });

/// The circuit breaker tripped: attempt after attempt did not help.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct GaveUp {
    /// So many attempts did not help.
    pub attempts: u32,
    /// Until when nothing more is tried.
    pub until: Timestamp,
}

/// An operator closed a tripped breaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct BreakerReset {
    /// Who.
    pub by: String,
}

/// An operator stopped all healing on the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Paused {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// An operator let healing go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Resumed {
    /// Who.
    pub by: String,
}
