//! The view `cooldown`: the rest of each container after its last illness, by the rule of [`crate::cooldown`].
//!
//! How long it lasts is policy, not history: the row says when it began and why, and a reader who knows the container's
//! cooldown asks [`Row::until`].

use hemostat_schema::{Action, Event, EventId, Family, Recorded, Span, Timestamp, action::Outcome};
use serde::{Deserialize, Serialize};

use crate::{Projection, cooldown};

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Cooldown;

/// The rest of one container, by its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The illness that ended, and when.
    pub rest: cooldown::Cooldown,
    /// How it ended.
    pub why: Why,
    /// The last event that was taken in.
    pub last: EventId,
}

/// How an illness ended, so that a rest follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A remedy helped.
    Healed,
    /// HemoStat gave up.
    GivenUp,
}

impl Row {
    /// When the rest ends, if it lasts this long.
    pub fn until(&self, length: Span) -> Timestamp {
        length.after(self.rest.since)
    }
}

impl Projection for Cooldown {
    const NAME: &'static str = "cooldown";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Action];
    type Row = Row;

    fn keys(event: &Recorded) -> Vec<String> {
        match event.event() {
            Some(Event::Action(Action::Verified(_) | Action::GaveUp(_) | Action::BreakerReset(_))) => {
                vec![event.subject.to_string()]
            }
            _ => vec![],
        }
    }

    fn evolve(row: Option<Row>, _: &str, event: &Recorded) -> Option<Row> {
        if row.as_ref().is_some_and(|row| event.id <= row.last) {
            return row;
        }
        let begun = |why| {
            let rest = cooldown::Cooldown { incident: event.incident.clone(), since: event.at };
            Some(Row { rest, why, last: event.id })
        };
        match event.event() {
            Some(Event::Action(Action::Verified(verified))) if verified.outcome == Outcome::Recovered => {
                begun(Why::Healed)
            }
            Some(Event::Action(Action::GaveUp(_))) => begun(Why::GivenUp),
            Some(Event::Action(Action::BreakerReset(_))) => None,
            _ => row,
        }
    }
}
