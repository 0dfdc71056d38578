//! The view `cooldown`: the cooldown of each container after its last incident, by the rule of
//! [`crate::remedy::cooldown`].
//!
//! Its length is policy, not history: the row says when the cooldown began and why, and [`Row::until`] takes the
//! length.

use hemostat_schema::{Action, Event, EventId, Family, Recorded, Span, Timestamp, action::Outcome};
use serde::{Deserialize, Serialize};

use crate::{projection::Projection, remedy::cooldown};

/// The view itself.
#[derive(Debug, Clone, Copy)]
pub struct Cooldown;

/// The cooldown of one container, by the container's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The incident that ended, and when.
    #[serde(rename = "rest")]
    pub cooldown: cooldown::Cooldown,
    /// How the incident ended.
    pub why: Why,
    /// The last event applied.
    pub last: EventId,
}

/// How an incident ended that a cooldown follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Why {
    /// A remedy helped.
    Healed,
    /// HemoStat gave up.
    GivenUp,
}

impl Row {
    /// When a cooldown of this length ends.
    pub fn until(&self, length: Span) -> Timestamp {
        self.cooldown.until(length)
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
            let cooldown = cooldown::Cooldown { incident: event.incident.clone(), since: event.at };
            Some(Row { cooldown, why, last: event.id })
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
