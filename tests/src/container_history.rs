//! The events about one container, from the API.

use std::fmt;

use anyhow::Context;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// One event, from the API.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// Its id on the log.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// Such as `action.authorised`.
    pub kind: String,
    /// The incident that it belongs to.
    pub incident: Option<String>,
    /// The event that caused it.
    pub cause: Option<String>,
    /// The event as one line of text.
    pub line: String,
    /// Its data.
    pub data: Value,
}

/// The events about one container, oldest first.
#[derive(Debug, Clone)]
pub struct ContainerHistory(pub Vec<Event>);

impl ContainerHistory {
    pub(crate) fn parse(mut answer: Value) -> anyhow::Result<Self> {
        serde_json::from_value(answer["events"].take()).map(Self).context("the response holds no events")
    }

    /// The events of this kind.
    pub fn all(&self, kind: &str) -> Vec<&Event> {
        self.0.iter().filter(|event| event.kind == kind).collect()
    }

    /// The number of events of this kind.
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

impl fmt::Display for ContainerHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|event| writeln!(f, "{} {:28} {}", event.at, event.kind, event.line))
    }
}
