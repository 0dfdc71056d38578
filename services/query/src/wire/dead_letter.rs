//! A dead letter as the API shows it: which event a consumer group could not handle, and why.

use hemostat_history::event_json::Family;
use hemostat_log::{self as log, RawEntry};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Dead letters, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ParkedList)]
pub struct DeadLetters {
    /// The dead letters; at most 1000.
    pub parked: Vec<DeadLetter>,
}

/// An event that a consumer group gave up on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Parked)]
pub struct DeadLetter {
    /// The id for redrive and discard.
    #[schema(example = "0.1767225612345-0", pattern = r"^\d+\.\d+-\d+$")]
    pub id: String,
    /// The consumer group that gave up.
    #[schema(example = "containers.1")]
    pub group: String,
    /// The event.
    #[schema(example = "0.1767225612000-1", pattern = r"^\d+\.\d+-\d+$")]
    pub event: String,
    /// The event's family.
    #[schema(value_type = Family)]
    pub family: &'static str,
    /// The event's kind and version as stored; null if the event is gone or they cannot be read.
    #[schema(example = "action.authorised.1")]
    pub kind: Option<String>,
    /// The event's subject as stored; null if the event is gone or it cannot be read.
    #[schema(example = "docker-1/api-1")]
    pub subject: Option<String>,
    /// When the group gave up.
    pub at: Timestamp,
    /// The error.
    #[schema(example = "the projection panicked: no message")]
    pub error: String,
}

impl DeadLetter {
    /// With its event, if it still exists.
    pub fn new(letter: &log::DeadLetter, event: Option<&RawEntry>) -> Self {
        Self {
            id: letter.key.to_string(),
            group: letter.group.clone(),
            event: letter.id.to_string(),
            family: letter.family.name(),
            kind: event.and_then(RawEntry::kind).map(str::to_owned),
            subject: event.and_then(RawEntry::subject).map(str::to_owned),
            at: letter.at,
            error: letter.error.clone(),
        }
    }
}
