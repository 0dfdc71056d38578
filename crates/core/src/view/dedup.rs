//! The view `dedup`: which alert stands for an incident, and how often it was not told again.
//!
//! A row lives as long as its alert: from raised to resolved.

use hemostat_schema::{Alert, Event, EventId, Family, Recorded, Subject, Timestamp, observation::Severity};
use serde::{Deserialize, Serialize};

use crate::Projection;

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Dedup;

/// The alert that stands, by incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Who is ill.
    pub subject: Subject,
    /// The event that raised the alert.
    pub alert: EventId,
    /// When.
    pub since: Timestamp,
    /// How bad.
    pub severity: Severity,
    /// Who and what, in one line.
    pub title: String,
    /// When it turned out to need a person.
    pub escalated: Option<Timestamp>,
    /// How often something was worth telling but had been told.
    pub suppressed: u64,
    /// The last event that was taken in.
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
            Some(Event::Observation(_) | Event::Diagnosis(_) | Event::Action(_)) | None => vec![],
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
