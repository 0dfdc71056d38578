//! An event of any family, and the list of all kinds.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Action, Alert, Diagnosis, InvalidId, Observation};

/// A fact, of any family.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "events are handled one at a time; a box would cost more than it saves")]
pub enum Event {
    /// What was seen.
    Observation(Observation),
    /// What was concluded.
    Diagnosis(Diagnosis),
    /// What was decided and done.
    Action(Action),
    /// What was told.
    Alert(Alert),
}

/// The four streams of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// What was seen.
    Observation,
    /// What was concluded.
    Diagnosis,
    /// What was decided and done.
    Action,
    /// What was told.
    Alert,
}

/// One kind of event.
#[derive(Debug, Clone, Copy)]
pub struct KindInfo {
    /// Its family.
    pub family: Family,
    /// Its name within the family.
    pub name: &'static str,
    /// The version of its data that this program writes.
    pub version: u16,
    /// The JSON Schema of its data.
    pub schema: fn() -> schemars::Schema,
}

impl KindInfo {
    /// The full name, such as `observation.sampled`.
    pub fn kind(&self) -> String {
        format!("{}.{}", self.family, self.name)
    }
}

impl Family {
    /// All of them, in the order of a story.
    pub const ALL: [Self; 4] = [Self::Observation, Self::Diagnosis, Self::Action, Self::Alert];

    /// The wire name: `observation`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Observation => "observation",
            Self::Diagnosis => "diagnosis",
            Self::Action => "action",
            Self::Alert => "alert",
        }
    }

    /// The name of its stream: `observations`.
    pub fn stream(self) -> &'static str {
        match self {
            Self::Observation => "observations",
            Self::Diagnosis => "diagnoses",
            Self::Action => "actions",
            Self::Alert => "alerts",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Family {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::ALL.into_iter().find(|family| text == family.name()).ok_or_else(|| InvalidId {
            text: text.chars().take(120).collect(),
            expected: "a family: observation, diagnosis, action or alert",
        })
    }
}

impl Event {
    /// Every kind that this program knows.
    pub fn kinds() -> impl Iterator<Item = &'static KindInfo> {
        Observation::KINDS.iter().chain(Diagnosis::KINDS).chain(Action::KINDS).chain(Alert::KINDS)
    }

    /// Its family.
    pub fn family(&self) -> Family {
        match self {
            Self::Observation(_) => Family::Observation,
            Self::Diagnosis(_) => Family::Diagnosis,
            Self::Action(_) => Family::Action,
            Self::Alert(_) => Family::Alert,
        }
    }

    /// Its name within the family, such as `sampled`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Observation(event) => event.name(),
            Self::Diagnosis(event) => event.name(),
            Self::Action(event) => event.name(),
            Self::Alert(event) => event.name(),
        }
    }

    /// The version of its data that this program writes.
    pub fn version(&self) -> u16 {
        match self {
            Self::Observation(event) => event.version(),
            Self::Diagnosis(event) => event.version(),
            Self::Action(event) => event.version(),
            Self::Alert(event) => event.version(),
        }
    }

    /// Its full name, such as `observation.sampled`.
    pub fn kind(&self) -> String {
        format!("{}.{}", self.family(), self.name())
    }

    /// Whether decisions can rest on it, so that it moves its subject's head.
    ///
    /// A sample alone decides nothing (the symptom that is raised from it does); were it to move the head, every
    /// sweep would make every decision under way be made again.
    pub fn moves_head(&self) -> bool {
        use Observation::{DiskMeasured, Sampled, Stored};
        !matches!(self, Self::Observation(Sampled(_) | Stored(_) | DiskMeasured(_)))
    }
}
