//! Alerts: the notifications of people, and their delivery.

#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EventId, Span, kinds::family, observation::Severity, words::words};

family! {
    /// The notifications of people, and their delivery.
    Alert {
        /// An alert for an incident; at most one per incident.
        Raised = "raised" @ 1,
        /// A raised alert turned out to need a person; at most once per incident.
        Escalated = "escalated" @ 1,
        /// The incident of a raised alert is over.
        Resolved = "resolved" @ 1,
        /// An alert that was suppressed.
        Suppressed = "suppressed" @ 1,
        /// An operator tests the delivery of alerts.
        Tested = "tested" @ 1,
        /// A channel accepted the message.
        Delivered = "delivered" @ 1,
        /// A channel did not accept the message, and HemoStat stopped trying.
        Undelivered = "undelivered" @ 1,
    }
}

/// An alert for an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Raised {
    /// Its severity.
    pub severity: Severity,
    /// One line: the container and what is wrong.
    pub title: String,
    /// A few lines: the symptoms, the diagnosis and the next step.
    pub text: String,
}

/// A raised alert turned out to need a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Escalated {
    /// The alert.
    pub alert: EventId,
    /// One line: the container and what is wrong.
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
    /// How the incident ended.
    pub how: Resolution,
    /// One line: the container and how it ended.
    pub title: String,
    /// A few lines: what was done, and how long it took.
    pub text: String,
    /// From the alert to the end of the incident.
    pub took: Span,
}

words! {
    /// How an incident ended.
    pub enum Resolution {
        /// A remedy of HemoStat helped.
        Healed = "healed" => "was healed",
        /// It passed by itself, or an operator fixed it.
        Passed = "passed" => "is well again",
        /// An operator stopped or paused the container.
        Stopped = "stopped" => "is stopped, paused or no longer monitored",
        /// The container was removed.
        Removed = "removed" => "was removed",
    }

    /// How it ended, after the name of the container: `was healed`.
    pub const fn phrase(self);
}

/// An alert that was suppressed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Suppressed {
    /// The reason.
    pub why: Suppression,
    /// The title of the suppressed alert.
    pub title: String,
}

words! {
    /// Why an alert is suppressed.
    pub enum Suppression {
        /// The incident already has an open alert.
        Duplicate = "duplicate" => "an alert of the incident is already out",
        /// Alerts are switched off.
        Disabled = "disabled" => "alerts are switched off",
    }

    /// Why, as a clause.
    pub const fn phrase(self);
}

/// An operator tests the delivery of alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Tested {
    /// The operator.
    pub by: String,
}

/// A channel accepted the message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Delivered {
    /// The raised, escalated, resolved or tested event that it delivers.
    pub alert: EventId,
    /// The channel's name, never its address.
    pub channel: String,
    /// The number of attempts.
    pub attempts: u32,
    /// From the first attempt to the response.
    pub took: Span,
}

/// A channel did not accept the message, and HemoStat stopped trying.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Undelivered {
    /// The raised, escalated, resolved or tested event that it delivers.
    pub alert: EventId,
    /// The channel's name, never its address.
    pub channel: String,
    /// The number of attempts.
    pub attempts: u32,
    /// The error of the last attempt.
    pub error: String,
}
