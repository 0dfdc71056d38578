//! In which ways can a simulated container be ill?

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An illness and its course. In JSON: `{"kind": "exits", "code": 3, "after_ms": 200, "chronic": true}`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Illness {
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// How long it takes to set in.
    #[serde(default, rename = "after_ms", with = "millis")]
    pub after: Duration,
    /// How long it lasts; none: until the run ends.
    #[serde(default, rename = "lasts_ms", with = "millis_or_none")]
    pub lasts: Option<Duration>,
    /// Whether it sets in again in every run; a restart cures any other.
    #[serde(default)]
    pub chronic: bool,
}

/// What an illness is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// It fails its health check.
    Unhealthy,
    /// Its health check fails for so long, then passes for so long, and so on.
    Flapping {
        /// For how long.
        #[serde(rename = "every_ms", with = "millis")]
        every: Duration,
    },
    /// It ends with this code.
    Exits {
        /// The exit code; above 128 as if a signal had ended it.
        code: u8,
    },
    /// It takes memory until the kernel kills it.
    OutOfMemory,
    /// The kernel kills a child of it for want of memory; it goes on.
    ChildOutOfMemory,
    /// It takes more and more memory, and is killed at its limit.
    Leak {
        /// How much.
        bytes_per_minute: u64,
    },
    /// It holds so much more memory.
    Holds {
        /// How much.
        bytes: u64,
    },
    /// It wants so much CPU; beyond its limit it is throttled.
    Busy {
        /// In cores.
        cores: f64,
    },
    /// It makes processes that do not end.
    Spawns {
        /// How many.
        per_minute: u64,
    },
    /// It fills its writable layer.
    Writes {
        /// How much.
        bytes_per_minute: u64,
    },
    /// It does not hear the signal to end, and has to be killed.
    Deaf,
}

impl Illness {
    /// This illness at once, until a restart.
    pub const fn of(kind: Kind) -> Self {
        Self { kind, after: Duration::ZERO, lasts: None, chronic: false }
    }

    /// The same, setting in so much later.
    #[must_use]
    pub const fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// The same, in every run.
    #[must_use]
    pub const fn chronic(self) -> Self {
        Self { chronic: true, ..self }
    }

    /// The same, for so long.
    #[must_use]
    pub const fn lasting(self, lasts: Duration) -> Self {
        Self { lasts: Some(lasts), ..self }
    }
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

mod millis_or_none {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_illness_is_written_as_people_would() {
        for (json, illness) in [
            (r#"{"kind":"unhealthy"}"#, Illness::of(Kind::Unhealthy)),
            (
                r#"{"kind":"exits","code":3,"after_ms":200,"chronic":true}"#,
                Illness::of(Kind::Exits { code: 3 }).after(Duration::from_millis(200)).chronic(),
            ),
            (
                r#"{"kind":"flapping","every_ms":1500,"lasts_ms":9000}"#,
                Illness::of(Kind::Flapping { every: Duration::from_millis(1500) }).lasting(Duration::from_secs(9)),
            ),
        ] {
            assert_eq!(serde_json::from_str::<Illness>(json).unwrap(), illness, "{json}");
            let written = serde_json::to_string(&illness).unwrap();
            assert_eq!(serde_json::from_str::<Illness>(&written).unwrap(), illness, "{written}");
        }
        assert!(serde_json::from_str::<Illness>(r#"{"kind":"flu"}"#).is_err());
    }
}
