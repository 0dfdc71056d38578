//! Actions: the decisions about remedies, their execution and their outcome.

use jiff::Timestamp;
#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Confidence, DecidedOn, EventId, Operator, PolicyHash, Span, container::Run, kinds::family, words::words};

pub use crate::remedy::{Arguments, Need, OnRun, Remedy, RemedyInfo, RemedyKind, Removable, Scope, Service, Target};

family! {
    /// The decisions about remedies, their execution and their outcome.
    Action {
        /// A person is asked to approve a remedy (mode `approve`).
        Proposed = "proposed" @ 2,
        /// A person approved it.
        Approved = "approved" @ 1,
        /// A person denied it.
        Denied = "denied" @ 1,
        /// No person answered in time.
        Expired = "expired" @ 1,
        /// The intent: from here on the remedy may be executed, once.
        Authorised = "authorised" @ 3,
        /// The remedy is refused, and why.
        Refused = "refused" @ 3,
        /// The remedy was executed; whether it helped is not known yet.
        Succeeded = "succeeded" @ 1,
        /// The execution of the remedy failed.
        Failed = "failed" @ 1,
        /// The outcome of the remedy, after the stabilisation window.
        Verified = "verified" @ 1,
        /// The circuit breaker tripped after repeated attempts that did not help.
        GaveUp = "gave_up" @ 1,
        /// An operator closed a tripped circuit breaker.
        BreakerReset = "breaker_reset" @ 1,
        /// An operator stopped all healing (kill switch).
        Paused = "paused" @ 1,
        /// An operator resumed healing.
        Resumed = "resumed" @ 1,
        /// An operator redrove a dead letter: its consumer group handles the event again.
        DeadLetterRedriven = "dead_letter_redriven" @ 1,
        /// An operator discarded a dead letter: its consumer group does not handle the event.
        DeadLetterDiscarded = "dead_letter_discarded" @ 1,
        /// HemoStat decides by another policy from here on. Its subject is HemoStat itself, and each partition has its
        /// own copy, so that the history of a partition explains itself.
        PolicyChanged = "policy_changed" @ 1,
        /// A configuration file was refused; HemoStat keeps the policy that it has.
        PolicyRefused = "policy_refused" @ 1,
        /// The policies of the processes at work differ, or agree again.
        PoliciesCompared = "policies_compared" @ 1,
    }
}

/// A person is asked to approve a remedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Proposed {
    /// The remedy.
    pub remedy: Remedy,
    /// What it acts on.
    pub target: Target,
    /// What is decided about the remedy; none if it has nothing to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Arguments>,
    /// The diagnosis that requests it.
    pub diagnosis: EventId,
    /// When the proposal expires.
    pub expires: Timestamp,
    /// The policy that it was decided by; none in old events, which did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyHash>,
    /// What it was decided on; none in old events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<DecidedOn>,
}

/// A person approved the remedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Approved {
    /// The proposal.
    pub proposal: EventId,
    /// The person.
    pub by: String,
}

/// A person denied the remedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Denied {
    /// The proposal.
    pub proposal: EventId,
    /// The person.
    pub by: String,
}

/// No person answered in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Expired {
    /// The proposal.
    pub proposal: EventId,
    /// The policy that it was decided by; none in old events, which did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyHash>,
    /// What it was decided on; none in old events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<DecidedOn>,
}

/// The intent: from here on the remedy may be executed, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Authorised {
    /// The remedy.
    pub remedy: Remedy,
    /// What it acts on.
    pub target: Target,
    /// What is decided about the remedy; none if it has nothing to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Arguments>,
    /// The diagnosis that requests it.
    pub diagnosis: EventId,
    /// The state of each limit.
    pub limits: Limits,
    /// The stop timeout of the container, if policy or container set one.
    pub stop_timeout: Option<Span>,
    /// Dry run: the remedy is not executed.
    pub dry_run: bool,
    /// The policy that it was decided by; none in old events, which did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyHash>,
    /// What it was decided on; none in old events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<DecidedOn>,
}

/// The state of each limit when a remedy was authorised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Limits {
    /// The number of the attempt within the rolling window, from 1.
    pub attempt: u32,
    /// The maximum attempts within the rolling window.
    pub of: u32,
    /// The other limits; none in events of version 1, which did not record them.
    #[serde(rename = "leeway")]
    pub snapshot: Option<LimitsSnapshot>,
}

impl Limits {
    /// Without a snapshot of the other limits.
    pub fn of_attempt(attempt: u32, of: u32) -> Self {
        Self { attempt, of, snapshot: None }
    }
}

/// A snapshot of the other limits when a remedy was authorised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct LimitsSnapshot {
    /// The mode of the container; in mode `approve` a person approved the remedy.
    pub mode: Mode,
    /// The confidence of the diagnosis.
    pub confidence: Confidence,
    /// The required confidence.
    pub threshold: Confidence,
    /// The age of the diagnosis, or the time since the container was last observed, whichever is longer.
    pub age: Span,
    /// The maximum of that age.
    pub stale_after: Span,
    /// The number of sick containers of the host.
    pub sick: u32,
    /// More sick containers than this are a storm.
    pub storm: u32,
    /// The length of the rolling window.
    pub window: Span,
    /// When the backoff after the previous attempt ended; none for the first attempt of an incident.
    pub backoff: Option<Timestamp>,
    /// The end of the cooldown after the last incident; none if there was no recent one.
    pub cooldown: Option<Timestamp>,
    /// The state of the circuit breaker.
    pub breaker: Passage,
}

words! {
    /// What HemoStat may do with a container.
    pub enum Mode {
        /// Observe and alert only.
        Observe = "observe",
        /// Ask a person before each remedy.
        Approve = "approve",
        /// Execute remedies without asking.
        Auto = "auto",
    }
}

words! {
    /// The state of a circuit breaker that lets an attempt pass.
    pub enum Passage {
        /// Closed: attempts pass.
        Passing = "passing",
        /// Half open: the one attempt after the hold.
        Probing = "probing",
    }
}

/// The remedy is refused, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Refused {
    /// The requested remedy.
    pub remedy: Remedy,
    /// The diagnosis that requested it.
    pub diagnosis: EventId,
    /// The first reason that applies.
    pub refusal: Refusal,
    /// The policy that it was decided by; none in old events, which did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyHash>,
    /// What it was decided on; none in old events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<DecidedOn>,
}

/// Why a remedy is refused, in the order in which the reasons are checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case", tag = "reason")]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    /// An operator stopped all healing.
    Paused,
    /// The diagnosis is too old to act on.
    Stale {
        /// Its age.
        age: Span,
        /// The maximum age.
        limit: Span,
    },
    /// The container is HemoStat's own, excluded by name, or a task of a scheduler.
    Protected {
        /// Which of these.
        why: String,
    },
    /// The container is in mode `observe`.
    Observing,
    /// An operator stopped or paused it.
    OperatorStopped,
    /// A maintenance window is open.
    Maintenance {
        /// Its end, if known.
        until: Option<Timestamp>,
    },
    /// The confidence of the diagnosis is too low.
    Unsure {
        /// Its confidence.
        confidence: Confidence,
        /// The required confidence.
        threshold: Confidence,
    },
    /// This remedy is not allowed for this container.
    NotPermitted,
    /// Too many containers of the host are sick at once: a common cause outside of them is more likely.
    Storm {
        /// How many are sick.
        sick: u32,
        /// The maximum.
        limit: u32,
    },
    /// An earlier remedy is in progress: its outcome is not known yet.
    InHand,
    /// The symptoms cleared before the remedy was due.
    Moot,
    /// The backoff before the next attempt has not elapsed.
    BackingOff {
        /// When it ends.
        until: Timestamp,
    },
    /// The cooldown after the last incident has not elapsed.
    CoolingDown {
        /// When it ends.
        until: Timestamp,
    },
    /// The circuit breaker is open: HemoStat has given up for now.
    Tripped {
        /// When it ends.
        until: Timestamp,
    },
    /// This engine or container does not support the remedy.
    Unsupported {
        /// What is missing.
        why: String,
    },
    /// It was authorised, but the log could not make the intent durable enough in time. Nothing was executed; it does not
    /// count as an attempt.
    #[serde(rename = "undurable")]
    #[strum(serialize = "undurable")]
    NotDurable {
        /// The intent that this ends.
        action: EventId,
        /// The required durability, as in `redis.durability`: `always`, `replicas:2`.
        wanted: String,
        /// How many replicas had it in time.
        replicas: u32,
    },
}

impl Refusal {
    /// The wire name of every reason, in the order in which they are checked.
    pub const NAMES: &[&str] = <Self as strum::VariantNames>::VARIANTS;

    /// The wire name of the reason, such as `cooling_down`.
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// The authorised intent that this refusal ends before execution; none if nothing was authorised.
    pub fn unexecuted_intent(&self) -> Option<EventId> {
        match self {
            Self::NotDurable { action, .. } => Some(*action),
            Self::Paused
            | Self::Stale { .. }
            | Self::Protected { .. }
            | Self::Observing
            | Self::OperatorStopped
            | Self::Maintenance { .. }
            | Self::Unsure { .. }
            | Self::NotPermitted
            | Self::Storm { .. }
            | Self::InHand
            | Self::Moot
            | Self::BackingOff { .. }
            | Self::CoolingDown { .. }
            | Self::Tripped { .. }
            | Self::Unsupported { .. } => None,
        }
    }

    /// When the reason ends by itself, if known: the time to decide again.
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
                write!(f, "the confidence of the diagnosis is too low ({confidence}, {threshold} needed)")
            }
            Self::NotPermitted => f.write_str("this remedy is not allowed for it"),
            Self::Storm { sick, limit } => {
                write!(f, "{sick} containers of the host are sick at once, more than {limit}: look at the host")
            }
            Self::InHand => f.write_str("an earlier remedy is still in progress"),
            Self::Moot => f.write_str("the symptoms have cleared"),
            Self::BackingOff { until } => write!(f, "the next attempt is due at {until:.0}"),
            Self::CoolingDown { until } => {
                write!(f, "it is in cooldown after its last incident until {until:.0}")
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

/// The remedy was executed; whether it helped is not known yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Succeeded {
    /// The intent.
    pub action: EventId,
    /// The remedy.
    pub remedy: Remedy,
    /// The resulting run, if there is one.
    pub target: Option<Run>,
    /// When the engine was called, by our clock; none if an earlier process had called it.
    pub called_at: Option<Timestamp>,
    /// How long the engine took.
    pub took: Span,
    /// How the execution is known.
    pub proof: Proof,
}

words! {
    /// How it is known that a remedy was executed.
    pub enum Proof {
        /// The engine answered our call.
        Answered = "answered" => "the engine answered",
        /// An earlier process had called; the engine's own record proves the execution.
        Found = "found" => "found in the engine's own record after an interruption",
        /// Dry run: nothing was executed.
        DryRun = "dry_run" => "dry run, nothing was done",
    }

    /// What it says, as a clause.
    pub const fn phrase(self);
}

/// The execution of the remedy failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Failed {
    /// The intent.
    pub action: EventId,
    /// The remedy.
    pub remedy: Remedy,
    /// The error.
    pub error: String,
    /// How long it took.
    pub took: Span,
}

/// The outcome of the remedy, after the stabilisation window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Verified {
    /// The intent.
    pub action: EventId,
    /// The remedy.
    pub remedy: Remedy,
    /// The outcome.
    pub outcome: Outcome,
    /// The reason, in a sentence.
    pub why: String,
    /// From the intent to this verdict.
    pub took: Span,
    /// The policy that it was decided by; none in old events, which did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyHash>,
    /// What it was decided on; none in old events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<DecidedOn>,
}

words! {
    /// The outcome of a remedy.
    pub enum Outcome {
        /// The symptoms have cleared and the container is healthy.
        Recovered = "recovered",
        /// A symptom is still active or came back.
        Relapsed = "relapsed",
        /// There is too little evidence to judge.
        Inconclusive = "inconclusive",
    }
}

/// The circuit breaker tripped after repeated attempts that did not help.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct GaveUp {
    /// The number of attempts that did not help.
    pub attempts: u32,
    /// Until when the breaker stays open.
    pub until: Timestamp,
    /// The policy that it was decided by; none in old events, which did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyHash>,
    /// What it was decided on; none in old events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<DecidedOn>,
}

/// An operator closed a tripped circuit breaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct BreakerReset {
    /// The person.
    pub by: String,
}

/// An operator stopped all healing on the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Paused {
    /// The person.
    pub by: String,
    /// The reason.
    pub reason: String,
}

/// An operator resumed healing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Resumed {
    /// The person.
    pub by: String,
}

/// HemoStat decides by another policy from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct PolicyChanged {
    /// The hash of the policy, by which decisions name it.
    pub hash: PolicyHash,
    /// The whole policy.
    pub policy: serde_json::Value,
    /// The hash of the policy that this history recorded before; none for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<PolicyHash>,
    /// Where it came from: `hemostat.toml, environment`.
    pub origin: String,
    /// The process that took it over.
    pub by: String,
}

/// A configuration file was refused; HemoStat keeps the policy that it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct PolicyRefused {
    /// What is wrong with it.
    pub reasons: Vec<String>,
    /// The file.
    pub origin: String,
    /// The policy that stays in force.
    pub policy: PolicyHash,
    /// The process that refused it.
    pub by: String,
}

/// The policies of the processes at work differ, or agree again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct PoliciesCompared {
    /// The policy of each process, by the process. All are the same when they agree again.
    pub policies: std::collections::BTreeMap<String, PolicyHash>,
}

impl PoliciesCompared {
    /// Whether two processes have different policies.
    pub fn differ(&self) -> bool {
        let mut policies = self.policies.values();
        let first = policies.next();
        policies.any(|policy| Some(policy) != first)
    }
}

/// An operator redrove a dead letter: its consumer group handles the event again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct DeadLetterRedriven {
    /// The dead letter; it is none any more.
    pub letter: DeadLetter,
    /// How the group handles the event again.
    pub how: Redelivery,
    /// The view that replaces the one that lacks the event, if the group maintains one.
    pub view: Option<String>,
    /// Who ordered it.
    pub by: Operator,
    /// Why, if the operator said so.
    pub reason: Option<String>,
}

/// An operator discarded a dead letter: its consumer group does not handle the event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct DeadLetterDiscarded {
    /// The dead letter; it is none any more.
    pub letter: DeadLetter,
    /// Who ordered it.
    pub by: Operator,
    /// Why, if the operator said so.
    pub reason: Option<String>,
}

/// A dead letter: an event that a consumer group could not handle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct DeadLetter {
    /// Its id in the list of dead letters.
    pub id: EventId,
    /// The consumer group.
    pub group: String,
    /// The event.
    pub event: EventId,
    /// Why the group gave up; its first 1000 characters.
    pub error: String,
}

words! {
    /// How a consumer group handles an event again.
    pub enum Redelivery {
        /// It gets the delivery again.
        Delivered = "delivered" => "gets",
        /// It folds its state again, and then gets the delivery again.
        Refolded = "refolded" => "rebuilds its state and gets",
        /// It has no deliveries: its view is rebuilt from the start.
        Rebuilt = "rebuilt" => "rebuilds its view, with",
    }

    /// What it does with the event, as a verb.
    pub const fn phrase(self);
}
