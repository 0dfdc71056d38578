//! The illnesses, their HTTP request bodies, and the bounds of their parameters.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// An illness, with its parameters.
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

impl Default for Leak {
    fn default() -> Self {
        Self { duration: 300, mb_per_second: 1.0 }
    }
}

impl Default for Crowd {
    fn default() -> Self {
        Self { duration: 60, threads: 200 }
    }
}

impl Default for Flapping {
    fn default() -> Self {
        Self { duration: 60, every: 2.0 }
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self { duration: 60, size_mb: 100 }
    }
}

impl Default for Crash {
    fn default() -> Self {
        Self { code: 1 }
    }
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

fn bounded(field: &'static str, value: impl fmt::Display, within: bool, bounds: &'static str) -> Result<(), Invalid> {
    if within { Ok(()) } else { Err(Invalid::OutOfBounds { field, value: value.to_string(), bounds }) }
}

fn check_duration(seconds: u64) -> Result<(), Invalid> {
    bounded("duration", seconds, (1..=300).contains(&seconds), "1 to 300 seconds")
}

impl Illness {
    /// All names, as used in paths, metrics and flags.
    pub const NAMES: [&'static str; 10] =
        ["cpu", "memory", "unhealthy", "crash", "oom", "oom_child", "leak", "crowd", "flapping", "disk"];

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu(_) => "cpu",
            Self::Memory(_) => "memory",
            Self::Unhealthy(_) => "unhealthy",
            Self::Crash(_) => "crash",
            Self::Oom => "oom",
            Self::OomChild => "oom_child",
            Self::Leak(_) => "leak",
            Self::Crowd(_) => "crowd",
            Self::Flapping(_) => "flapping",
            Self::Disk(_) => "disk",
        }
    }

    /// Checks that all parameters are within their bounds.
    ///
    /// # Errors
    /// The first field out of bounds.
    pub fn checked(self) -> Result<Self, Invalid> {
        match self {
            Self::Cpu(cpu) => {
                check_duration(cpu.duration)?;
                let within = cpu.intensity > 0.0 && cpu.intensity <= 1.0;
                bounded("intensity", cpu.intensity, within, "above 0 and at most 1")?;
            }
            Self::Memory(memory) => {
                check_duration(memory.duration)?;
                bounded("size_mb", memory.size_mb, (1..=2000).contains(&memory.size_mb), "1 to 2000")?;
            }
            Self::Unhealthy(unhealthy) => unhealthy.duration.map_or(Ok(()), check_duration)?,
            Self::Crash(crash) => bounded("code", crash.code, (1..=255).contains(&crash.code), "1 to 255")?,
            Self::Leak(leak) => {
                check_duration(leak.duration)?;
                let within = leak.mb_per_second > 0.0 && leak.mb_per_second <= 100.0;
                bounded("mb_per_second", leak.mb_per_second, within, "above 0 and at most 100")?;
            }
            Self::Crowd(crowd) => {
                check_duration(crowd.duration)?;
                bounded("threads", crowd.threads, (1..=1000).contains(&crowd.threads), "1 to 1000")?;
            }
            Self::Flapping(flapping) => {
                check_duration(flapping.duration)?;
                bounded("every", flapping.every, (0.1..=60.0).contains(&flapping.every), "0.1 to 60 seconds")?;
            }
            Self::Disk(disk) => {
                check_duration(disk.duration)?;
                bounded("size_mb", disk.size_mb, (1..=2000).contains(&disk.size_mb), "1 to 2000")?;
            }
            Self::Oom | Self::OomChild => {}
        }
        Ok(self)
    }

    /// How long it lasts; `None` if only a restart ends it.
    pub fn duration(&self) -> Option<Duration> {
        match self {
            Self::Cpu(cpu) => Some(cpu.duration),
            Self::Memory(memory) => Some(memory.duration),
            Self::Unhealthy(unhealthy) => unhealthy.duration,
            Self::Leak(leak) => Some(leak.duration),
            Self::Crowd(crowd) => Some(crowd.duration),
            Self::Flapping(flapping) => Some(flapping.duration),
            Self::Disk(disk) => Some(disk.duration),
            Self::Crash(_) | Self::Oom | Self::OomChild => None,
        }
        .map(Duration::from_secs)
    }

    /// The same with another duration, if it has one.
    #[must_use]
    pub fn with_duration(self, seconds: u64) -> Self {
        match self {
            Self::Cpu(cpu) => Self::Cpu(Cpu { duration: seconds, ..cpu }),
            Self::Memory(memory) => Self::Memory(Memory { duration: seconds, ..memory }),
            Self::Unhealthy(_) => Self::Unhealthy(Unhealthy { duration: Some(seconds) }),
            Self::Leak(leak) => Self::Leak(Leak { duration: seconds, ..leak }),
            Self::Crowd(crowd) => Self::Crowd(Crowd { duration: seconds, ..crowd }),
            Self::Flapping(flapping) => Self::Flapping(Flapping { duration: seconds, ..flapping }),
            Self::Disk(disk) => Self::Disk(Disk { duration: seconds, ..disk }),
            Self::Crash(_) | Self::Oom | Self::OomChild => self,
        }
    }

    /// The body of the request that starts it.
    pub fn body(&self) -> serde_json::Value {
        match self {
            Self::Cpu(cpu) => serde_json::json!(cpu),
            Self::Memory(memory) => serde_json::json!(memory),
            Self::Unhealthy(unhealthy) => serde_json::json!(unhealthy),
            Self::Crash(crash) => serde_json::json!(crash),
            Self::Leak(leak) => serde_json::json!(leak),
            Self::Crowd(crowd) => serde_json::json!(crowd),
            Self::Flapping(flapping) => serde_json::json!(flapping),
            Self::Disk(disk) => serde_json::json!(disk),
            Self::Oom | Self::OomChild => serde_json::json!({}),
        }
    }
}

impl FromStr for Illness {
    type Err = Invalid;

    /// By name, with default parameters.
    fn from_str(name: &str) -> Result<Self, Invalid> {
        Ok(match name {
            "cpu" => Self::Cpu(Cpu::default()),
            "memory" => Self::Memory(Memory::default()),
            "unhealthy" => Self::Unhealthy(Unhealthy::default()),
            "crash" => Self::Crash(Crash::default()),
            "oom" => Self::Oom,
            "oom_child" => Self::OomChild,
            "leak" => Self::Leak(Leak::default()),
            "crowd" => Self::Crowd(Crowd::default()),
            "flapping" => Self::Flapping(Flapping::default()),
            "disk" => Self::Disk(Disk::default()),
            _ => return Err(Invalid::Unknown(name.to_owned())),
        })
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
            assert_eq!(illness.name(), name);
            assert_eq!(illness.checked(), Ok(illness));
        }
        assert!("flu".parse::<Illness>().is_err());
    }
}
