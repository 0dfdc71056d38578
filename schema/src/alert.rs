//! Alerts: what people are told, and whether it reached them.

#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EventId, Span, kinds::family, observation::Severity, words::wire_names};

family! {
    /// What people are told.
    Alert {
        /// An incident is worth telling; once an incident.
        Raised = "raised" @ 1,
        /// A raised alert turned out to need a person; once an incident.
        Escalated = "escalated" @ 1,
        /// The incident of a raised alert is over.
        Resolved = "resolved" @ 1,
        /// Something was worth telling but is not told.
        Suppressed = "suppressed" @ 1,
        /// An operator wants to see whether alerts arrive.
        Tested = "tested" @ 1,
        /// A channel took the message.
        Delivered = "delivered" @ 1,
        /// A channel did not take the message, and no more attempts are made.
        Undelivered = "undelivered" @ 1,
    }
}

/// An incident is worth telling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Raised {
    /// How bad it is.
    pub severity: Severity,
    /// One line: who and what.
    pub title: String,
    /// A few lines: what was seen, what was concluded, what is being done.
    pub text: String,
}

/// A raised alert turned out to need a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Escalated {
    /// The alert.
    pub alert: EventId,
    /// One line: who and what.
    pub title: String,
    /// Why a person is needed, and what to do.
    pub text: String,
}

/// The incident of a raised alert is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Resolved {
    /// The alert.
    pub alert: EventId,
    /// How it ended.
    pub how: Resolution,
    /// One line: who and how.
    pub title: String,
    /// A few lines: what was done and how long it took.
    pub text: String,
    /// From the alert to its end.
    pub took: Span,
}

/// How an incident ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// A remedy of HemoStat's helped.
    Healed,
    /// It went by itself, or somebody else mended it.
    Passed,
    /// An operator stopped or froze the container.
    Stopped,
    /// The container is gone.
    Removed,
}

wire_names!(Resolution { Healed = "healed", Passed = "passed", Stopped = "stopped", Removed = "removed" });

impl Resolution {
    /// How it ended, after the name of the container: `was healed`.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Healed => "was healed",
            Self::Passed => "is well again",
            Self::Stopped => "was stopped by an operator",
            Self::Removed => "was removed",
        }
    }
}

/// Something was worth telling but is not told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Suppressed {
    /// Why.
    pub why: Suppression,
    /// What would have been told, in one line.
    pub title: String,
}

/// Why something is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Suppression {
    /// It has been told: the incident's alert stands.
    Duplicate,
    /// Alerts are switched off.
    Disabled,
}

wire_names!(Suppression { Duplicate = "duplicate", Disabled = "disabled" });

impl Suppression {
    /// Why, as a clause.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Duplicate => "an alert of the incident is already out",
            Self::Disabled => "alerts are switched off",
        }
    }
}

/// An operator wants to see whether alerts arrive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Tested {
    /// Who.
    pub by: String,
}

/// A channel took the message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Delivered {
    /// The raised, escalated, resolved or tested event that it tells.
    pub alert: EventId,
    /// The channel's name, never its address.
    pub channel: String,
    /// How many attempts it took.
    pub attempts: u32,
    /// From the first attempt to the answer.
    pub took: Span,
}

/// A channel did not take the message, and no more attempts are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Undelivered {
    /// The raised, escalated, resolved or tested event that it tells.
    pub alert: EventId,
    /// The channel's name, never its address.
    pub channel: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// What happened at the last.
    pub error: String,
}
