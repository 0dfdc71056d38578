//! The view `dedup`: the open alert of an incident, and how often a duplicate of it was suppressed.
//!
//! A row exists while its alert is open: from raised to resolved.

use hemostat_schema::{Alert, Event, EventId, Family, Recorded, Subject, Timestamp, observation::Severity};
use serde::{Deserialize, Serialize};

use crate::projection::Projection;

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Dedup;

/// The open alert of an incident, by the id of the incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The container.
    pub subject: Subject,
    /// The event that raised the alert.
    pub alert: EventId,
    /// When it was raised.
    pub since: Timestamp,
    /// Its severity.
    pub severity: Severity,
    /// Its title.
    pub title: String,
    /// When it was escalated, because a person is needed.
    pub escalated: Option<Timestamp>,
    /// How many alerts were suppressed.
    pub suppressed: u64,
    /// The last event applied.
    pub last: EventId,
}

impl Projection for Dedup {
    const NAME: &'static str = "dedup";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Alert];
    type Row = Row;

    fn keys(event: &Recorded) -> Vec<String> {
        match event.event() {
            Some(Event::Alert(_)) => event.incident.iter().map(ToString::to_string).collect(),
            Some(Event::Observation(_) | Event::Diagnosis(_) | Event::Action(_) | Event::Sample(_)) | None => vec![],
        }
    }

    fn evolve(row: Option<Row>, _: &str, event: &Recorded) -> Option<Row> {
        let Some(Event::Alert(alert)) = event.event() else { return row };
        if row.as_ref().is_some_and(|row| event.id <= row.last) {
            return row;
        }
        let mut row = match alert {
            Alert::Raised(raised) => Row {
                subject: event.subject.clone(),
                alert: event.id,
                since: event.at,
                severity: raised.severity,
                title: raised.title.clone(),
                escalated: None,
                suppressed: 0,
                last: event.id,
            },
            Alert::Escalated(_) => Row { escalated: Some(event.at), ..row? },
            Alert::Suppressed(_) => {
                let row = row?;
                Row { suppressed: row.suppressed + 1, ..row }
            }
            Alert::Resolved(_) => return None,
            Alert::Tested(_) | Alert::Delivered(_) | Alert::Undelivered(_) => row?,
        };
        row.last = event.id;
        Some(row)
    }
}
