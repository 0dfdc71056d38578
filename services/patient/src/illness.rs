//! The illnesses, their HTTP request bodies, and the bounds of their parameters.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// An illness, with its parameters. Parsed from its name it has the default ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, strum::IntoStaticStr, strum::VariantNames, strum::EnumString)]
#[serde(untagged)]
#[strum(serialize_all = "snake_case", parse_err_ty = Invalid, parse_err_fn = unknown)]
pub enum Illness {
    /// Uses CPU.
    Cpu(Cpu),
    /// Holds memory.
    Memory(Memory),
    /// Fails its health check.
    Unhealthy(Unhealthy),
    /// Exits with an error.
    Crash(Crash),
    /// Allocates memory until the kernel kills it.
    Oom,
    /// Starts a child that allocates memory until the kernel kills it; the patient itself survives.
    OomChild,
    /// Leaks memory.
    Leak(Leak),
    /// Runs many threads.
    Crowd(Crowd),
    /// Alternates between failing and passing its health check.
    Flapping(Flapping),
    /// Fills its disk with a file.
    Disk(Disk),
}

/// Uses CPU; the body of `POST /stress/cpu`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cpu {
    /// Seconds, 1 to 300.
    pub duration: u64,
    /// Share of each available core, above 0 up to 1.
    pub intensity: f64,
}

/// Holds memory; the body of `POST /stress/memory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// Seconds, 1 to 300.
    pub duration: u64,
    /// MiB, 1 to 2000.
    pub size_mb: u64,
}

/// Fails its health check; the body of `POST /stress/unhealthy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unhealthy {
    /// Seconds, 1 to 300; without it, until a restart or `/stress/stop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
}

/// Exits with an error; the body of `POST /stress/crash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Crash {
    /// The exit code, 1 to 255.
    pub code: i32,
}

/// Leaks memory; the body of `POST /stress/leak`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Leak {
    /// Seconds, 1 to 300.
    pub duration: u64,
    /// MiB per second, above 0 up to 100.
    pub mb_per_second: f64,
}

/// Runs many threads; the body of `POST /stress/crowd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Crowd {
    /// Seconds, 1 to 300.
    pub duration: u64,
    /// Additional threads, 1 to 1000.
    pub threads: u64,
}

/// Alternates between failing and passing its health check; the body of `POST /stress/flapping`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flapping {
    /// Seconds, 1 to 300.
    pub duration: u64,
    /// Seconds of each result, 0.1 to 60.
    pub every: f64,
}

/// Writes a file into its writable layer; the body of `POST /stress/disk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Disk {
    /// Seconds, 1 to 300.
    pub duration: u64,
    /// MiB, 1 to 2000.
    pub size_mb: u64,
}

macro_rules! defaults {
    ($($of:ident { $($field:ident: $value:expr),+ })+) => {$(
        impl Default for $of {
            fn default() -> Self {
                Self { $($field: $value),+ }
            }
        }
    )+};
}

defaults! {
    Cpu { duration: 60, intensity: 0.9 }
    Memory { duration: 60, size_mb: 500 }
    Leak { duration: 300, mb_per_second: 1.0 }
    Crowd { duration: 60, threads: 200 }
    Flapping { duration: 60, every: 2.0 }
    Disk { duration: 60, size_mb: 100 }
    Crash { code: 1 }
}

/// An unknown illness, or a parameter out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A parameter is out of bounds.
    #[error("{field} must be {bounds}, not {value}")]
    OutOfBounds {
        /// The field of the body.
        field: &'static str,
        /// Its value.
        value: String,
        /// The allowed values.
        bounds: &'static str,
    },
    /// No illness has this name.
    #[error("{0:?} is not an illness: {names}", names = Illness::NAMES.join(", "))]
    Unknown(String),
}

fn unknown(name: &str) -> Invalid {
    Invalid::Unknown(name.to_owned())
}

fn bounded(field: &'static str, value: impl fmt::Display, within: bool, bounds: &'static str) -> Result<(), Invalid> {
    if within { Ok(()) } else { Err(Invalid::OutOfBounds { field, value: value.to_string(), bounds }) }
}

impl Illness {
    /// All names, as used in paths, metrics and flags.
    pub const NAMES: &[&str] = <Self as strum::VariantNames>::VARIANTS;

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// Checks that all parameters are within their bounds.
    ///
    /// # Errors
    /// The first field out of bounds.
    pub fn checked(self) -> Result<Self, Invalid> {
        if let Some(seconds) = self.seconds() {
            bounded("duration", seconds, (1..=300).contains(&seconds), "1 to 300 seconds")?;
        }
        match self {
            Self::Cpu(Cpu { intensity, .. }) => {
                bounded("intensity", intensity, intensity > 0.0 && intensity <= 1.0, "above 0 and at most 1")
            }
            Self::Memory(Memory { size_mb, .. }) | Self::Disk(Disk { size_mb, .. }) => {
                bounded("size_mb", size_mb, (1..=2000).contains(&size_mb), "1 to 2000")
            }
            Self::Crash(Crash { code }) => bounded("code", code, (1..=255).contains(&code), "1 to 255"),
            Self::Leak(Leak { mb_per_second: rate, .. }) => {
                bounded("mb_per_second", rate, rate > 0.0 && rate <= 100.0, "above 0 and at most 100")
            }
            Self::Crowd(Crowd { threads, .. }) => {
                bounded("threads", threads, (1..=1000).contains(&threads), "1 to 1000")
            }
            Self::Flapping(Flapping { every, .. }) => {
                bounded("every", every, (0.1..=60.0).contains(&every), "0.1 to 60 seconds")
            }
            Self::Unhealthy(_) | Self::Oom | Self::OomChild => Ok(()),
        }?;
        Ok(self)
    }

    /// How long it lasts; `None` if only a restart ends it.
    pub fn duration(&self) -> Option<Duration> {
        self.seconds().map(Duration::from_secs)
    }

    fn seconds(&self) -> Option<u64> {
        match *self {
            Self::Cpu(Cpu { duration, .. })
            | Self::Memory(Memory { duration, .. })
            | Self::Leak(Leak { duration, .. })
            | Self::Crowd(Crowd { duration, .. })
            | Self::Flapping(Flapping { duration, .. })
            | Self::Disk(Disk { duration, .. }) => Some(duration),
            Self::Unhealthy(unhealthy) => unhealthy.duration,
            Self::Crash(_) | Self::Oom | Self::OomChild => None,
        }
    }

    /// The same with another duration, if it has one.
    #[must_use]
    pub fn with_duration(mut self, seconds: u64) -> Self {
        match &mut self {
            Self::Cpu(Cpu { duration, .. })
            | Self::Memory(Memory { duration, .. })
            | Self::Leak(Leak { duration, .. })
            | Self::Crowd(Crowd { duration, .. })
            | Self::Flapping(Flapping { duration, .. })
            | Self::Disk(Disk { duration, .. }) => *duration = seconds,
            Self::Unhealthy(unhealthy) => unhealthy.duration = Some(seconds),
            Self::Crash(_) | Self::Oom | Self::OomChild => {}
        }
        self
    }

    /// The body of the request that starts it.
    pub fn body(&self) -> serde_json::Value {
        match self {
            Self::Oom | Self::OomChild => serde_json::json!({}),
            with_parameters => serde_json::json!(with_parameters),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_out_of_bounds_is_refused_with_the_reason() {
        let cpu = |duration, intensity| Illness::Cpu(Cpu { duration, intensity });
        let memory = |duration, size_mb| Illness::Memory(Memory { duration, size_mb });
        for (illness, reason) in [
            (cpu(0, 0.5), "duration must be 1 to 300 seconds, not 0"),
            (cpu(301, 0.5), "duration must be 1 to 300 seconds, not 301"),
            (cpu(1, 0.0), "intensity must be above 0 and at most 1, not 0"),
            (cpu(1, 1.5), "intensity must be above 0 and at most 1, not 1.5"),
            (cpu(1, f64::NAN), "intensity must be above 0 and at most 1, not NaN"),
            (memory(1, 2001), "size_mb must be 1 to 2000, not 2001"),
            (Illness::Unhealthy(Unhealthy { duration: Some(301) }), "duration must be 1 to 300 seconds, not 301"),
            (
                Illness::Leak(Leak { duration: 1, mb_per_second: 0.0 }),
                "mb_per_second must be above 0 and at most 100, not 0",
            ),
            (Illness::Crowd(Crowd { duration: 1, threads: 0 }), "threads must be 1 to 1000, not 0"),
            (Illness::Flapping(Flapping { duration: 1, every: 0.01 }), "every must be 0.1 to 60 seconds, not 0.01"),
            (Illness::Disk(Disk { duration: 1, size_mb: 0 }), "size_mb must be 1 to 2000, not 0"),
            (Illness::Crash(Crash { code: 0 }), "code must be 1 to 255, not 0"),
        ] {
            assert_eq!(illness.checked().map_err(|error| error.to_string()), Err(reason.to_owned()));
        }
    }

    #[test]
    fn every_illness_has_valid_default_parameters() {
        for name in Illness::NAMES {
            let illness: Illness = name.parse().unwrap();
            assert_eq!(illness.name(), *name);
            assert_eq!(illness.checked(), Ok(illness));
        }
        assert!("flu".parse::<Illness>().is_err());
    }
}
