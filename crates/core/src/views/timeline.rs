//! The view `timeline`: the latest events of a container or a host, one line each.
//!
//! The timeline of a name goes on when its container is recreated, so a removed container keeps its timeline.

use std::collections::VecDeque;

use hemostat_schema::{EventId, Family, IncidentId, Recorded, Timestamp};
use serde::{Deserialize, Serialize};

use super::story;
use crate::projection::Projection;

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Timeline;

/// Maximum lines; the latest are kept.
const MAX_LINES: usize = 100;

/// The latest events of one subject, oldest first, by the subject's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The lines.
    pub lines: VecDeque<Line>,
    /// The last event applied.
    pub last: EventId,
}

/// One event as a line of text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The event.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// The incident that it belongs to.
    pub incident: Option<IncidentId>,
    /// What happened.
    pub text: String,
}

impl Projection for Timeline {
    const NAME: &'static str = "timeline";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &Family::WITHOUT_SAMPLES;
    type Row = Row;

    fn keys(event: &Recorded) -> Vec<String> {
        if story::is_notable(event) { vec![event.subject.to_string()] } else { vec![] }
    }

    fn evolve(row: Option<Row>, _: &str, event: &Recorded) -> Option<Row> {
        if !story::is_notable(event) {
            return row;
        }
        let mut row = row.unwrap_or(Row { lines: VecDeque::new(), last: EventId::start(event.id.partition) });
        if event.id <= row.last {
            return Some(row);
        }
        if row.lines.len() == MAX_LINES {
            row.lines.pop_front();
        }
        row.lines.push_back(Line {
            id: event.id,
            at: event.at,
            incident: event.incident.clone(),
            text: story::line(event),
        });
        row.last = event.id;
        Some(row)
    }
}
