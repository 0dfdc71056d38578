//! Which illnesses there are, how each is asked for over HTTP, and within which bounds.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// One way of being ill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Illness {
    /// Uses CPU.
    Cpu(Cpu),
    /// Holds memory.
    Memory(Memory),
    /// Fails its health check.
    Unhealthy(Unhealthy),
    /// Exits with an error.
    Crash(Crash),
    /// Takes memory until the kernel kills it.
    Oom,
}

/// Uses CPU; the body of `POST /stress/cpu`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cpu {
    /// For how many seconds, 1 to 300.
    pub duration: u64,
    /// How much of each core that it may use, above 0 up to 1.
    pub intensity: f64,
}

/// Holds memory; the body of `POST /stress/memory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// For how many seconds, 1 to 300.
    pub duration: u64,
    /// How much, in MiB, 1 to 2000.
    pub size_mb: u64,
}

/// Fails its health check; the body of `POST /stress/unhealthy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unhealthy {
    /// For how many seconds, 1 to 300; without it, until a restart or `/stress/stop`.
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

impl Default for Cpu {
    fn default() -> Self {
        Self { duration: 60, intensity: 0.9 }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { duration: 60, size_mb: 500 }
    }
}

impl Default for Crash {
    fn default() -> Self {
        Self { code: 1 }
    }
}

/// An illness outside its bounds, or one that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A value is not within its bounds.
    #[error("{field} must be {bounds}, not {value}")]
    OutOfBounds {
        /// Of the body.
        field: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        bounds: &'static str,
    },
    /// There is no such illness.
    #[error("{0:?} is not an illness: cpu, memory, unhealthy, crash or oom")]
    Unknown(String),
}

fn bounded(field: &'static str, value: impl fmt::Display, within: bool, bounds: &'static str) -> Result<(), Invalid> {
    if within { Ok(()) } else { Err(Invalid::OutOfBounds { field, value: value.to_string(), bounds }) }
}

fn duration(seconds: u64) -> Result<(), Invalid> {
    bounded("duration", seconds, (1..=300).contains(&seconds), "1 to 300 seconds")
}

impl Illness {
    /// The names of all of them, as they stand in paths, metrics and flags.
    pub const NAMES: [&'static str; 5] = ["cpu", "memory", "unhealthy", "crash", "oom"];

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu(_) => "cpu",
            Self::Memory(_) => "memory",
            Self::Unhealthy(_) => "unhealthy",
            Self::Crash(_) => "crash",
            Self::Oom => "oom",
        }
    }

    /// Itself, where it is within its bounds.
    ///
    /// # Errors
    /// Names the field, its value and its bounds.
    pub fn checked(self) -> Result<Self, Invalid> {
        match self {
            Self::Cpu(cpu) => {
                duration(cpu.duration)?;
                let within = cpu.intensity > 0.0 && cpu.intensity <= 1.0;
                bounded("intensity", cpu.intensity, within, "above 0 and at most 1")?;
            }
            Self::Memory(memory) => {
                duration(memory.duration)?;
                bounded("size_mb", memory.size_mb, (1..=2000).contains(&memory.size_mb), "1 to 2000")?;
            }
            Self::Unhealthy(unhealthy) => unhealthy.duration.map_or(Ok(()), duration)?,
            Self::Crash(crash) => bounded("code", crash.code, (1..=255).contains(&crash.code), "1 to 255")?,
            Self::Oom => {}
        }
        Ok(self)
    }

    /// How long it lasts; none where only a restart ends it.
    pub fn lasts(&self) -> Option<Duration> {
        match self {
            Self::Cpu(cpu) => Some(cpu.duration),
            Self::Memory(memory) => Some(memory.duration),
            Self::Unhealthy(unhealthy) => unhealthy.duration,
            Self::Crash(_) | Self::Oom => None,
        }
        .map(Duration::from_secs)
    }

    /// The same, lasting so many seconds where it can be said how long it lasts.
    #[must_use]
    pub fn lasting(self, seconds: u64) -> Self {
        match self {
            Self::Cpu(cpu) => Self::Cpu(Cpu { duration: seconds, ..cpu }),
            Self::Memory(memory) => Self::Memory(Memory { duration: seconds, ..memory }),
            Self::Unhealthy(_) => Self::Unhealthy(Unhealthy { duration: Some(seconds) }),
            Self::Crash(_) | Self::Oom => self,
        }
    }

    /// The body of the request that asks for it.
    pub fn body(&self) -> serde_json::Value {
        match self {
            Self::Cpu(cpu) => serde_json::json!(cpu),
            Self::Memory(memory) => serde_json::json!(memory),
            Self::Unhealthy(unhealthy) => serde_json::json!(unhealthy),
            Self::Crash(crash) => serde_json::json!(crash),
            Self::Oom => serde_json::json!({}),
        }
    }
}

impl FromStr for Illness {
    type Err = Invalid;

    /// By name, with its default figures.
    fn from_str(name: &str) -> Result<Self, Invalid> {
        Ok(match name {
            "cpu" => Self::Cpu(Cpu::default()),
            "memory" => Self::Memory(Memory::default()),
            "unhealthy" => Self::Unhealthy(Unhealthy::default()),
            "crash" => Self::Crash(Crash::default()),
            "oom" => Self::Oom,
            _ => return Err(Invalid::Unknown(name.to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_illness_outside_its_bounds_is_refused_with_the_reason() {
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
            (Illness::Crash(Crash { code: 0 }), "code must be 1 to 255, not 0"),
        ] {
            assert_eq!(illness.checked().map_err(|error| error.to_string()), Err(reason.to_owned()));
        }
    }

    #[test]
    fn every_illness_is_well_formed_by_its_name_alone() {
        for name in Illness::NAMES {
            let illness: Illness = name.parse().unwrap();
            assert_eq!(illness.name(), name);
            assert_eq!(illness.checked(), Ok(illness));
        }
        assert!("flu".parse::<Illness>().is_err());
    }
}
