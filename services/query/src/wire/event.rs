//! An event as the API shows it.

use hemostat_core::view::story;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::log::Entry;

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0.1767225612000-1",
    "at": "2026-01-01T00:00:12Z",
    "family": "action",
    "kind": "action.authorised",
    "version": 2,
    "subject": "docker-1/api-1",
    "host": "docker-1",
    "container": "api-1",
    "incident": "inc-01jd9k3q2v8m4t7z",
    "cause": "0.1767225612000-0",
    "trace": null,
    "line": "restart of api-1 authorised, attempt 1 of 3",
    "data": { "remedy": "restart", "limits": { "attempt": 1, "of": 3, "leeway": null }, "dry_run": false },
}))]
pub struct Event {
    /// Its place in the log's order: partition, milliseconds and count.
    #[schema(pattern = r"^\d+\.\d+-\d+$")]
    pub id: String,
    /// When it happened. None only where the entry cannot be read.
    pub at: Option<Timestamp>,
    /// What sort of fact it is.
    #[schema(value_type = Family)]
    pub family: &'static str,
    /// The family and what happened, such as `action.authorised`.
    pub kind: Option<String>,
    /// The version of `data`.
    pub version: Option<u16>,
    /// Whom it is about: `host/container`, or `host` for the host itself.
    pub subject: Option<String>,
    /// The Docker host.
    pub host: Option<String>,
    /// The container's name; none for the host itself.
    pub container: Option<String>,
    /// The illness that it is part of.
    pub incident: Option<String>,
    /// The event that led to it.
    pub cause: Option<String>,
    /// The trace that it belongs to (W3C traceparent).
    pub trace: Option<String>,
    /// What happened, in a sentence.
    pub line: String,
    /// The facts; which, depends on kind and version.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}

/// The families of events.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only described, never made: the wire carries its name")]
pub enum Family {
    /// What was seen.
    Observation,
    /// What was concluded.
    Diagnosis,
    /// What was decided and done.
    Action,
    /// What was told.
    Alert,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Events {
    /// The events, in the order asked for.
    pub events: Vec<Event>,
    /// The `cursor` of the next page; null at the end of what was asked for. A page with a `next` may hold fewer events
    /// than `limit`, even none: so many that do not match lay between.
    #[schema(example = "0.1767225612000-1")]
    pub next: Option<String>,
}

impl From<&Entry> for Event {
    fn from(entry: &Entry) -> Self {
        let (id, family) = (entry.id.to_string(), entry.family.name());
        match &entry.event {
            Ok(event) => Self {
                id,
                at: Some(event.at),
                family,
                kind: Some(event.kind()),
                version: Some(event.version()),
                subject: Some(event.subject.to_string()),
                host: Some(event.subject.host.to_string()),
                container: event.subject.container.as_ref().map(ToString::to_string),
                incident: event.incident.as_ref().map(ToString::to_string),
                cause: event.cause.map(|cause| cause.to_string()),
                trace: event.trace.map(|trace| trace.to_string()),
                line: story::line(event),
                data: event.data(),
            },
            Err(why) => Self {
                id,
                at: None,
                family,
                kind: None,
                version: None,
                subject: None,
                host: None,
                container: None,
                incident: None,
                cause: None,
                trace: None,
                line: format!("this entry cannot be read: {why}"),
                data: serde_json::Value::Null,
            },
        }
    }
}
