//! Which illnesses there are, and how each is asked for over HTTP.

mod figures;
#[cfg(test)]
mod tests;

use std::{str::FromStr, time::Duration};

use serde::de::DeserializeOwned;

pub use figures::{Cpu, Crash, Disk, Flap, Leak, Memory, Pids, Throttle, Unhealthy};

/// One way of being ill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Illness {
    /// Uses CPU.
    Cpu(Cpu),
    /// Wants more CPU than its limit gives it.
    Throttle(Throttle),
    /// Holds memory.
    Memory(Memory),
    /// Holds more and more memory.
    Leak(Leak),
    /// Has many threads, which count as processes do.
    Pids(Pids),
    /// Fills its disk.
    Disk(Disk),
    /// Fails its health check.
    Unhealthy(Unhealthy),
    /// Fails its health check and passes it again, in turn.
    Flap(Flap),
    /// Exits with an error.
    Crash(Crash),
    /// Dies of a signal: of SIGSEGV as the first process of a container (exit code 139), else of SIGABRT.
    Abort,
    /// Takes memory until the kernel kills it.
    Oom,
    /// Has a child that takes memory until the kernel kills it; the patient itself lives on.
    OomChild,
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
    /// The body is not that of this illness.
    #[error("the body is not right: {0}")]
    Unreadable(String),
    /// There is no such illness.
    #[error("{0:?} is not an illness; these are: {names}", names = Illness::NAMES.join(", "))]
    Unknown(String),
}

impl Illness {
    /// The names of all of them, as they stand in paths, metrics and flags.
    pub const NAMES: [&'static str; 12] = [
        "cpu",
        "throttle",
        "memory",
        "leak",
        "pids",
        "disk",
        "unhealthy",
        "flap",
        "crash",
        "abort",
        "oom",
        "oom_child",
    ];

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu(_) => "cpu",
            Self::Throttle(_) => "throttle",
            Self::Memory(_) => "memory",
            Self::Leak(_) => "leak",
            Self::Pids(_) => "pids",
            Self::Disk(_) => "disk",
            Self::Unhealthy(_) => "unhealthy",
            Self::Flap(_) => "flap",
            Self::Crash(_) => "crash",
            Self::Abort => "abort",
            Self::Oom => "oom",
            Self::OomChild => "oom_child",
        }
    }

    /// What a request asks for: the illness of this name, with the figures of this body. An empty body stands for the
    /// defaults.
    ///
    /// # Errors
    /// When there is no such illness, or the body is not one of it or out of its bounds.
    pub fn requested(name: &str, body: &[u8]) -> Result<Self, Invalid> {
        fn parse<T: DeserializeOwned>(default: T, body: &[u8]) -> Result<T, Invalid> {
            if body.trim_ascii().is_empty() {
                return Ok(default);
            }
            serde_json::from_slice(body).map_err(|error| Invalid::Unreadable(error.to_string()))
        }
        match name.parse()? {
            Self::Cpu(cpu) => Self::Cpu(parse(cpu, body)?),
            Self::Throttle(throttle) => Self::Throttle(parse(throttle, body)?),
            Self::Memory(memory) => Self::Memory(parse(memory, body)?),
            Self::Leak(leak) => Self::Leak(parse(leak, body)?),
            Self::Pids(pids) => Self::Pids(parse(pids, body)?),
            Self::Disk(disk) => Self::Disk(parse(disk, body)?),
            Self::Unhealthy(unhealthy) => Self::Unhealthy(parse(unhealthy, body)?),
            Self::Flap(flap) => Self::Flap(parse(flap, body)?),
            Self::Crash(crash) => Self::Crash(parse(crash, body)?),
            without_figures @ (Self::Abort | Self::Oom | Self::OomChild) => without_figures,
        }
        .checked()
    }

    /// Itself, where it is within its bounds.
    ///
    /// # Errors
    /// Names the field, its value and its bounds.
    pub fn checked(self) -> Result<Self, Invalid> {
        match self {
            Self::Cpu(cpu) => cpu.check(),
            Self::Throttle(throttle) => throttle.check(),
            Self::Memory(memory) => memory.check(),
            Self::Leak(leak) => leak.check(),
            Self::Pids(pids) => pids.check(),
            Self::Disk(disk) => disk.check(),
            Self::Unhealthy(unhealthy) => unhealthy.check(),
            Self::Flap(flap) => flap.check(),
            Self::Crash(crash) => crash.check(),
            Self::Abort | Self::Oom | Self::OomChild => Ok(()),
        }
        .map(|()| self)
    }

    /// How long it lasts; none where only a restart ends it.
    pub fn lasts(&self) -> Option<Duration> {
        match self {
            Self::Cpu(Cpu { duration, .. })
            | Self::Throttle(Throttle { duration, .. })
            | Self::Memory(Memory { duration, .. })
            | Self::Leak(Leak { duration, .. })
            | Self::Pids(Pids { duration, .. })
            | Self::Disk(Disk { duration, .. }) => Some(*duration),
            Self::Unhealthy(Unhealthy { duration }) | Self::Flap(Flap { duration, .. }) => *duration,
            Self::Crash(_) | Self::Abort | Self::Oom | Self::OomChild => None,
        }
        .map(Duration::from_secs)
    }

    /// The same, lasting so many seconds where it can be said how long it lasts.
    #[must_use]
    pub fn lasting(self, seconds: u64) -> Self {
        match self {
            Self::Cpu(cpu) => Self::Cpu(Cpu { duration: seconds, ..cpu }),
            Self::Throttle(throttle) => Self::Throttle(Throttle { duration: seconds, ..throttle }),
            Self::Memory(memory) => Self::Memory(Memory { duration: seconds, ..memory }),
            Self::Leak(leak) => Self::Leak(Leak { duration: seconds, ..leak }),
            Self::Pids(pids) => Self::Pids(Pids { duration: seconds, ..pids }),
            Self::Disk(disk) => Self::Disk(Disk { duration: seconds, ..disk }),
            Self::Unhealthy(_) => Self::Unhealthy(Unhealthy { duration: Some(seconds) }),
            Self::Flap(flap) => Self::Flap(Flap { duration: Some(seconds), ..flap }),
            Self::Crash(_) | Self::Abort | Self::Oom | Self::OomChild => self,
        }
    }

    /// The body of the request that asks for it.
    pub fn body(&self) -> serde_json::Value {
        match self {
            Self::Cpu(cpu) => serde_json::json!(cpu),
            Self::Throttle(throttle) => serde_json::json!(throttle),
            Self::Memory(memory) => serde_json::json!(memory),
            Self::Leak(leak) => serde_json::json!(leak),
            Self::Pids(pids) => serde_json::json!(pids),
            Self::Disk(disk) => serde_json::json!(disk),
            Self::Unhealthy(unhealthy) => serde_json::json!(unhealthy),
            Self::Flap(flap) => serde_json::json!(flap),
            Self::Crash(crash) => serde_json::json!(crash),
            Self::Abort | Self::Oom | Self::OomChild => serde_json::json!({}),
        }
    }
}

impl FromStr for Illness {
    type Err = Invalid;

    /// By name, with its default figures.
    fn from_str(name: &str) -> Result<Self, Invalid> {
        Ok(match name {
            "cpu" => Self::Cpu(Cpu::default()),
            "throttle" => Self::Throttle(Throttle::default()),
            "memory" => Self::Memory(Memory::default()),
            "leak" => Self::Leak(Leak::default()),
            "pids" => Self::Pids(Pids::default()),
            "disk" => Self::Disk(Disk::default()),
            "unhealthy" => Self::Unhealthy(Unhealthy::default()),
            "flap" => Self::Flap(Flap::default()),
            "crash" => Self::Crash(Crash::default()),
            "abort" => Self::Abort,
            "oom" => Self::Oom,
            "oom_child" => Self::OomChild,
            _ => return Err(Invalid::Unknown(name.to_owned())),
        })
    }
}
