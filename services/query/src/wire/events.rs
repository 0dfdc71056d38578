//! A page of events as the API shows it.

use hemostat_history::EventJson;
use serde::Serialize;
use utoipa::ToSchema;

/// A page of events.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Events {
    /// The events, in the requested order.
    pub events: Vec<EventJson>,
    /// The `cursor` of the next page; null at the end. A page with a `next` may hold fewer events than `limit`, or none,
    /// if many events in between did not match.
    #[schema(example = "0.1767225612000-1")]
    pub next: Option<String>,
}
