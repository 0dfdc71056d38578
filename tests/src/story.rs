//! What the log says of one container, as the API tells it.

use std::fmt;

use anyhow::Context;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// One event, as the API tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// Its place in the log.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// Such as `action.authorised`.
    pub kind: String,
    /// The illness that it is part of.
    pub incident: Option<String>,
    /// The event that led to it.
    pub cause: Option<String>,
    /// The event in a line.
    pub line: String,
    /// What it says.
    pub data: Value,
}

/// What happened to one container, the oldest first.
#[derive(Debug, Clone)]
pub struct Story(pub Vec<Event>);

impl Story {
    pub(crate) fn parse(mut answer: Value) -> anyhow::Result<Self> {
        serde_json::from_value(answer["events"].take()).map(Self).context("these are not events")
    }

    /// The events of this kind.
    pub fn all(&self, kind: &str) -> Vec<&Event> {
        self.0.iter().filter(|event| event.kind == kind).collect()
    }

    /// How many events of this kind there are.
    pub fn count(&self, kind: &str) -> usize {
        self.all(kind).len()
    }

    /// The only event of this kind.
    ///
    /// # Panics
    /// When there is none, or more than one.
    pub fn only(&self, kind: &str) -> &Event {
        match self.all(kind)[..] {
            [event] => event,
            ref found => panic!("{} events are {kind}, not one, in:\n{self}", found.len()),
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|event| writeln!(f, "{} {:28} {}", event.at, event.kind, event.line))
    }
}
