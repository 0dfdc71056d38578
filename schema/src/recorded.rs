//! The envelope of an event: before it is appended to the log, and after.

use jiff::Timestamp;

use crate::{Event, EventId, Family, IncidentId, Measurement, Subject, TraceParent};

/// The cause of an event that is not on the log yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An event on the log.
    Event(EventId),
    /// The event with this index in the same commit.
    Sibling(usize),
}

/// An event to append to the log.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The container or host that it is about.
    pub subject: Subject,
    /// When it happened, which is earlier than when it was appended.
    pub at: Timestamp,
    /// The incident that it belongs to.
    pub incident: Option<IncidentId>,
    /// The event that caused it.
    pub cause: Option<Cause>,
    /// The trace that it belongs to; the runtime sets it.
    pub trace: Option<TraceParent>,
    /// The event itself.
    pub event: Event,
}

impl NewEvent {
    /// An event without incident or cause.
    pub fn new(subject: Subject, at: Timestamp, event: impl Into<Event>) -> Self {
        Self { subject, at, incident: None, cause: None, trace: None, event: event.into() }
    }

    /// The same event as part of `incident`.
    #[must_use]
    pub fn in_incident(self, incident: Option<IncidentId>) -> Self {
        Self { incident, ..self }
    }

    /// The same event with this cause.
    #[must_use]
    pub fn caused_by(self, cause: Cause) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// The event as recorded on the log, once the commit has assigned `id` and the ids of its siblings.
    pub fn recorded(self, id: EventId, siblings: &[EventId]) -> Recorded {
        Recorded {
            id,
            subject: self.subject,
            at: self.at,
            incident: self.incident,
            cause: self.cause.and_then(|cause| match cause {
                Cause::Event(id) => Some(id),
                Cause::Sibling(index) => siblings.get(index).copied(),
            }),
            trace: self.trace,
            body: Body::Known(self.event),
        }
    }
}

/// An event on the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its position in the partition's total order.
    pub id: EventId,
    /// The container or host that it is about.
    pub subject: Subject,
    /// When it happened, which is earlier than when it was appended.
    pub at: Timestamp,
    /// The incident that it belongs to.
    pub incident: Option<IncidentId>,
    /// The event that caused it.
    pub cause: Option<EventId>,
    /// The trace that it belongs to.
    pub trace: Option<TraceParent>,
    /// The event itself.
    pub body: Body,
}

/// The content of an event on the log.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "almost every event is of a known kind")]
pub enum Body {
    /// A kind that this program knows.
    Known(Event),
    /// A kind or version that only a later program knows: folds ignore it, the API shows it raw.
    Unknown {
        /// Its stream.
        family: Family,
        /// The kind as written, such as `observation.smelled`.
        kind: String,
        /// The version as written.
        version: u16,
        /// Its data.
        data: serde_json::Value,
    },
}

impl Recorded {
    /// The event, if this program knows the kind.
    pub fn event(&self) -> Option<&Event> {
        match &self.body {
            Body::Known(event) => Some(event),
            Body::Unknown { .. } => None,
        }
    }

    /// What it measured; none if it is no measurement.
    pub fn measurement(&self) -> Option<Measurement<'_>> {
        self.event().and_then(Event::measurement)
    }

    /// Its family.
    pub fn family(&self) -> Family {
        match &self.body {
            Body::Known(event) => event.family(),
            Body::Unknown { family, .. } => *family,
        }
    }

    /// Its full name, such as `sample.container`.
    pub fn kind(&self) -> String {
        match &self.body {
            Body::Known(event) => event.kind(),
            Body::Unknown { kind, .. } => kind.clone(),
        }
    }

    /// The version of its data.
    pub fn version(&self) -> u16 {
        match &self.body {
            Body::Known(event) => event.version(),
            Body::Unknown { version, .. } => *version,
        }
    }

    /// Whether it advances the version of its subject, also when only a later program knows its kind.
    pub fn advances_version(&self) -> bool {
        match &self.body {
            Body::Known(event) => event.advances_version(),
            Body::Unknown { kind, .. } => crate::advances_version(kind),
        }
    }

    /// Its data as JSON.
    pub fn data(&self) -> serde_json::Value {
        match &self.body {
            Body::Known(event) => serde_json::to_value(event).unwrap_or(serde_json::Value::Null),
            Body::Unknown { data, .. } => data.clone(),
        }
    }
}
