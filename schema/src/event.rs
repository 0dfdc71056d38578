//! An event of any family, and the metadata of all kinds.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::{Action, Alert, Diagnosis, InvalidId, Observation, Sample, words::words};

/// An event of any family.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "events are handled one at a time; a box would cost more than it saves")]
pub enum Event {
    /// What the monitor saw.
    Observation(Observation),
    /// What was diagnosed.
    Diagnosis(Diagnosis),
    /// What was decided about healing, and executed.
    Action(Action),
    /// What people were notified of.
    Alert(Alert),
    /// What the monitor measured.
    Sample(Sample),
}

words! {
    /// The families of events; each is a stream of a partition. The first four are in causal order.
    pub enum Family {
        /// What the monitor saw.
        Observation = "observation" => "observations",
        /// What was diagnosed.
        Diagnosis = "diagnosis" => "diagnoses",
        /// What was decided about healing, and executed.
        Action = "action" => "actions",
        /// What people were notified of.
        Alert = "alert" => "alerts",
        /// What the monitor measured.
        Sample = "sample" => "samples",
    }

    /// The name of its stream: `observations`.
    pub const fn stream(self);
}

/// The metadata of one kind of event.
#[derive(Debug, Clone, Copy)]
pub struct KindInfo {
    /// Its family.
    pub family: Family,
    /// Its name within the family.
    pub name: &'static str,
    /// The version of its data that this program writes.
    pub version: u16,
    /// Whether an event of this kind advances the version of its subject.
    ///
    /// The version of a subject is the id of the last such event of each family, and a decision about the subject is
    /// committed only if that is still the version it was based on (optimistic concurrency). Measurements do not
    /// advance it: no decision rests on one alone (it rests on the symptom that is raised from it), and if they did,
    /// every sweep of the monitor would turn down every decision under way.
    pub advances_version: bool,
    /// The JSON Schema of its data.
    #[cfg(feature = "json-schema")]
    pub schema: fn() -> schemars::Schema,
}

impl KindInfo {
    /// The kind with this full name, such as `sample.container`; none when only a later program knows it.
    pub fn find(kind: &str) -> Option<&'static Self> {
        let (family, name) = kind.split_once('.')?;
        Event::kinds().find(|info| info.name == name && info.family.name() == family)
    }

    /// The full name, such as `sample.container`.
    pub fn kind(&self) -> String {
        format!("{}.{}", self.family, self.name)
    }
}

impl Family {
    /// All but samples, which are many: for readers that need no measurements.
    pub const WITHOUT_SAMPLES: [Self; 4] = [Self::Observation, Self::Diagnosis, Self::Action, Self::Alert];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Family {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::from_name(text)
            .ok_or_else(|| InvalidId::new(text, "a family: observation, diagnosis, action, alert or sample"))
    }
}

impl Event {
    /// Every kind that this program knows.
    pub fn kinds() -> impl Iterator<Item = &'static KindInfo> {
        Observation::KINDS.iter().chain(Diagnosis::KINDS).chain(Action::KINDS).chain(Alert::KINDS).chain(Sample::KINDS)
    }

    fn info(&self) -> &'static KindInfo {
        match self {
            Self::Observation(event) => event.info(),
            Self::Diagnosis(event) => event.info(),
            Self::Action(event) => event.info(),
            Self::Alert(event) => event.info(),
            Self::Sample(event) => event.info(),
        }
    }

    /// Its family.
    pub fn family(&self) -> Family {
        self.info().family
    }

    /// Its name within the family, such as `container`.
    pub fn name(&self) -> &'static str {
        self.info().name
    }

    /// The version of its data that this program writes.
    pub fn version(&self) -> u16 {
        self.info().version
    }

    /// Its full name, such as `sample.container`.
    pub fn kind(&self) -> String {
        self.info().kind()
    }

    /// Whether it advances the version of its subject; see [`KindInfo::advances_version`].
    pub fn advances_version(&self) -> bool {
        self.info().advances_version
    }
}

/// Whether an event of the kind with this full name (`sample.container`) advances the version of its subject.
///
/// The answer holds for every version of a kind, as a kind never changes it. A kind that only a later program knows
/// is taken to advance it, like every kind that is not marked as a measurement. That is the safe side: a fold that
/// takes a version for later than it is decides as it would anyway, but one that missed an advance would have
/// each of its commits refused as a conflict.
pub fn advances_version(kind: &str) -> bool {
    KindInfo::find(kind).is_none_or(|info| info.advances_version)
}
