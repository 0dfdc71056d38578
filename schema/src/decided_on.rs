//! What a decision was decided on.

use jiff::Timestamp;
#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::EventId;

/// What a decision was decided on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DecidedOn {
    /// An event.
    Event(EventId),
    /// A timer of the subject.
    Timer {
        /// Its name, such as `retry`.
        name: String,
        /// When it was due.
        due: Timestamp,
    },
}
