//! Failure modes that can be injected into a container, and when each begins and ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A failure and its schedule. In JSON: `{"kind": "exits", "code": 3, "after_ms": 200, "chronic": true}`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// How the container fails.
    #[serde(flatten)]
    pub kind: FailureKind,
    /// How long after the injection, or after the start of a run, it begins.
    #[serde(default, rename = "after_ms", with = "millis")]
    pub after: Duration,
    /// How long it lasts; `None`: until the run ends.
    #[serde(default, rename = "lasts_ms", with = "millis_or_none")]
    pub lasts: Option<Duration>,
    /// Whether it begins again in every run. A restart ends any other failure.
    #[serde(default, rename = "chronic")]
    pub persistent: bool,
}

/// How a container fails.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FailureKind {
    /// It fails its health check.
    Unhealthy,
    /// Its health check alternately fails and passes.
    Flapping {
        /// How long each phase lasts.
        #[serde(rename = "every_ms", with = "millis")]
        every: Duration,
    },
    /// It exits.
    Exits {
        /// The exit code; above 128: as if a signal had killed it.
        code: u8,
    },
    /// It allocates memory until the OOM killer kills it.
    OutOfMemory,
    /// The OOM killer kills one of its child processes; the container keeps running.
    ChildOutOfMemory,
    /// It leaks memory; the OOM killer kills it at its limit.
    #[serde(rename = "leak")]
    LeaksMemory {
        /// The rate.
        bytes_per_minute: u64,
    },
    /// It allocates a block of memory and keeps it.
    #[serde(rename = "holds")]
    HoldsMemory {
        /// The size of the block.
        bytes: u64,
    },
    /// It needs more CPU; above its limit Docker throttles it.
    Busy {
        /// The additional demand, in cores.
        cores: f64,
    },
    /// It starts processes that never exit.
    #[serde(rename = "spawns")]
    LeaksProcesses {
        /// The rate.
        per_minute: u64,
    },
    /// It fills its writable layer.
    #[serde(rename = "writes")]
    FillsDisk {
        /// The rate.
        bytes_per_minute: u64,
    },
    /// It ignores the stop signal, so it has to be killed.
    #[serde(rename = "deaf")]
    IgnoresStop,
}

impl Failure {
    /// A failure that begins at once and ends with the run.
    pub const fn of(kind: FailureKind) -> Self {
        Self { kind, after: Duration::ZERO, lasts: None, persistent: false }
    }

    /// The same, beginning later.
    #[must_use]
    pub const fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// The same, in every run.
    #[must_use]
    pub const fn persistent(self) -> Self {
        Self { persistent: true, ..self }
    }

    /// The same, for a limited time.
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
    fn a_failure_has_a_short_json_form() {
        for (json, failure) in [
            (r#"{"kind":"unhealthy"}"#, Failure::of(FailureKind::Unhealthy)),
            (
                r#"{"kind":"exits","code":3,"after_ms":200,"chronic":true}"#,
                Failure::of(FailureKind::Exits { code: 3 }).after(Duration::from_millis(200)).persistent(),
            ),
            (
                r#"{"kind":"flapping","every_ms":1500,"lasts_ms":9000}"#,
                Failure::of(FailureKind::Flapping { every: Duration::from_millis(1500) })
                    .lasting(Duration::from_secs(9)),
            ),
        ] {
            assert_eq!(serde_json::from_str::<Failure>(json).unwrap(), failure, "{json}");
            let written = serde_json::to_string(&failure).unwrap();
            assert_eq!(serde_json::from_str::<Failure>(&written).unwrap(), failure, "{written}");
        }
        assert!(serde_json::from_str::<Failure>(r#"{"kind":"flu"}"#).is_err());
    }
}
