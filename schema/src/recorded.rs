//! An event with what stands around it: before it is on the log, and after.

use jiff::Timestamp;

use crate::{Event, EventId, Family, IncidentId, Subject, TraceParent};

/// What led to an event that is not on the log yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An event on the log.
    Event(EventId),
    /// The event with this index in the same commit.
    Sibling(usize),
}

/// An event that is to be put on the log.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Whom it is about.
    pub subject: Subject,
    /// When it happened: the world's time, not the log's.
    pub at: Timestamp,
    /// The illness that it is part of.
    pub incident: Option<IncidentId>,
    /// What led to it.
    pub cause: Option<Cause>,
    /// The trace that it belongs to; the runtime fills it in.
    pub trace: Option<TraceParent>,
    /// What happened.
    pub event: Event,
}

impl NewEvent {
    /// An event without incident or cause.
    pub fn new(subject: Subject, at: Timestamp, event: impl Into<Event>) -> Self {
        Self { subject, at, incident: None, cause: None, trace: None, event: event.into() }
    }

    /// As part of `incident`.
    #[must_use]
    pub fn in_incident(self, incident: Option<IncidentId>) -> Self {
        Self { incident, ..self }
    }

    /// As led to by `cause`.
    #[must_use]
    pub fn caused_by(self, cause: Cause) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// As it stands on the log once the commit gave it `id` and its siblings theirs.
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
    /// Its place in the partition's total order.
    pub id: EventId,
    /// Whom it is about.
    pub subject: Subject,
    /// When it happened: the world's time, not the log's.
    pub at: Timestamp,
    /// The illness that it is part of.
    pub incident: Option<IncidentId>,
    /// What led to it.
    pub cause: Option<EventId>,
    /// The trace that it belongs to.
    pub trace: Option<TraceParent>,
    /// What happened.
    pub body: Body,
}

/// What an event on the log says.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "almost every event is of a known kind")]
pub enum Body {
    /// A kind that this program knows.
    Known(Event),
    /// A kind, or a version, that only a later program knows: passed over by folds, shown raw by the API.
    Unknown {
        /// Which stream it stands on.
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
    /// What happened, where this program knows the kind.
    pub fn event(&self) -> Option<&Event> {
        match &self.body {
            Body::Known(event) => Some(event),
            Body::Unknown { .. } => None,
        }
    }

    /// Its family.
    pub fn family(&self) -> Family {
        match &self.body {
            Body::Known(event) => event.family(),
            Body::Unknown { family, .. } => *family,
        }
    }

    /// Its full name, such as `observation.sampled`.
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
