//! A parked delivery as the API shows it: what could not be handled, by whom, and why.

use hemostat_runtime::parked;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::event::Family;
use crate::log::{ParkedDelivery, RawEntry};

/// Parked deliveries, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParkedList {
    /// The deliveries; at most 1000.
    pub parked: Vec<Parked>,
}

/// A delivery that a group gave up on (a dead letter).
#[derive(Debug, Serialize, ToSchema)]
pub struct Parked {
    /// By what it is redriven or discarded.
    #[schema(example = "0.1767225612345-0", pattern = r"^\d+\.\d+-\d+$")]
    pub id: String,
    /// Which part of HemoStat gave up.
    #[schema(example = "containers.1")]
    pub group: String,
    /// The event.
    #[schema(example = "0.1767225612000-1", pattern = r"^\d+\.\d+-\d+$")]
    pub event: String,
    /// The event's family.
    #[schema(value_type = Family)]
    pub family: &'static str,
    /// The event's kind and version as they were written; null when the event is gone or they cannot be read.
    #[schema(example = "action.authorised.1")]
    pub kind: Option<String>,
    /// Whom the event is about, as it was written; null likewise.
    #[schema(example = "docker-1/api-1")]
    pub subject: Option<String>,
    /// When it was given up on.
    pub at: Timestamp,
    /// Why.
    #[schema(example = "the projection panicked: no message")]
    pub error: String,
}

/// What was done to have a parked delivery dealt with anew.
#[derive(Debug, Serialize, ToSchema)]
pub struct Redriven {
    /// What it was.
    pub parked: Parked,
    /// `delivered`: its group is handed it again. `refolded`: the same, and the group's state is folded anew first.
    /// `refilled`: the whole view is filled anew; the delivery stays listed until that begins.
    #[schema(value_type = String, example = "delivered", pattern = "^(delivered|refolded|refilled)$")]
    pub outcome: &'static str,
    /// The view that will be served then, where one is filled anew.
    #[schema(example = "containers.1~2")]
    pub view: Option<String>,
}

impl Parked {
    /// With its event, where it is still there.
    pub fn new(delivery: &ParkedDelivery, event: Option<&RawEntry>) -> Self {
        Self {
            id: delivery.key.to_string(),
            group: delivery.group.clone(),
            event: delivery.id.to_string(),
            family: delivery.family.name(),
            kind: event.and_then(RawEntry::kind).map(str::to_owned),
            subject: event.and_then(RawEntry::subject).map(str::to_owned),
            at: delivery.at,
            error: delivery.error.clone(),
        }
    }
}

impl Redriven {
    /// What was done about `parked`.
    pub fn new(parked: Parked, done: parked::Redriven) -> Self {
        let (outcome, view) = match done {
            parked::Redriven::Delivered => ("delivered", None),
            parked::Redriven::Refolded => ("refolded", None),
            parked::Redriven::Refilled(view) => ("refilled", Some(view)),
        };
        Self { parked, outcome, view }
    }
}
