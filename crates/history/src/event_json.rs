//! The JSON form of an event: what the API, `hemostat export` and `hemostat tail --json` write.

use hemostat_core::views::story;
use hemostat_log::Entry;
use hemostat_schema::{Recorded, Timestamp};
use serde::Serialize;

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Event), schema(example = json!({
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
})))]
pub struct EventJson {
    /// The event's id: partition, milliseconds and sequence number. Ids order the events of a partition.
    #[cfg_attr(feature = "openapi", schema(pattern = r"^\d+\.\d+-\d+$"))]
    pub id: String,
    /// When it happened. Null only if the entry cannot be decoded, as are all fields below that depend on its content.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub at: Option<Timestamp>,
    /// The family: what sort of fact it is.
    #[cfg_attr(feature = "openapi", schema(value_type = Family))]
    pub family: &'static str,
    /// The family and what happened, such as `action.authorised`.
    pub kind: Option<String>,
    /// The version of `data`.
    pub version: Option<u16>,
    /// What it is about: `host/container`, or `host` for the host itself.
    pub subject: Option<String>,
    /// The Docker host.
    pub host: Option<String>,
    /// The container's name; null for the host itself.
    pub container: Option<String>,
    /// The incident that it belongs to.
    pub incident: Option<String>,
    /// The event that caused it.
    pub cause: Option<String>,
    /// The trace that it belongs to (W3C traceparent).
    pub trace: Option<String>,
    /// What happened, in one sentence.
    pub line: String,
    /// The facts. Their fields depend on kind and version.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub data: serde_json::Value,
}

/// Describes the values of [`EventJson::family`] in OpenAPI.
#[cfg(feature = "openapi")]
#[derive(Debug)]
pub struct Family;

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Family {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let names = hemostat_schema::Family::ALL.map(hemostat_schema::Family::name);
        let description =
            "What sort of fact an event is: observed, concluded, decided and done, or reported to people.";
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::Type::String)
            .description(Some(description))
            .enum_values(Some(names))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Family {}

impl From<&Entry> for EventJson {
    fn from(entry: &Entry) -> Self {
        match &entry.event {
            Ok(event) => Self::from(event),
            Err(why) => Self {
                id: entry.id.to_string(),
                family: entry.family.name(),
                line: format!("this entry cannot be read: {why}"),
                ..Self::default()
            },
        }
    }
}

impl From<&Recorded> for EventJson {
    fn from(event: &Recorded) -> Self {
        Self {
            id: event.id.to_string(),
            at: Some(event.at),
            family: event.family().name(),
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
        }
    }
}
