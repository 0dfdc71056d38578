//! How ill: the figures of each illness, their defaults and their bounds. Each is the body of `POST /stress/<name>`.
//!
//! Every figure has an upper bound, so that no request can take the machine down that the patient runs on.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Invalid;

/// So much memory or disk at most, in MiB.
const MOST_MB: u64 = 2000;

/// Uses CPU.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cpu {
    /// For how many seconds, 1 to 300.
    pub duration: u64,
    /// How much of each core that it may use, above 0 up to 1.
    pub intensity: f64,
}

/// Wants more CPU than its limit gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// For how many seconds, 1 to 300.
    pub duration: u64,
    /// How many threads never rest, 1 to 16.
    pub threads: u64,
}

/// Holds memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// For how many seconds, 1 to 300.
    pub duration: u64,
    /// How much, in MiB, 1 to 2000.
    pub size_mb: u64,
}

/// Holds more and more memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Leak {
    /// For how many seconds, 1 to 3600.
    pub duration: u64,
    /// How much more each minute, in MiB, at least 1; at most 2000 in the whole time.
    pub mb_per_minute: u64,
}

/// Has many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pids {
    /// For how many seconds, 1 to 300.
    pub duration: u64,
    /// How many more, 1 to 2000; fewer where its limit does not let it have them.
    pub count: u64,
}

/// Fills its disk: one file in the container's writable layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Disk {
    /// For how many seconds the file is there, 1 to 3600.
    pub duration: u64,
    /// How much, in MiB, 1 to 2000.
    pub size_mb: u64,
    /// How much each minute, in MiB, at least 1; without it, all at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mb_per_minute: Option<u64>,
}

/// Fails its health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unhealthy {
    /// For how many seconds, 1 to 300; without it, until a restart or `/stress/stop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
}

/// Fails its health check and passes it again, in turn; it fails first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flap {
    /// For how many seconds, 1 to 3600; without it, until a restart or `/stress/stop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// After how many seconds it changes its mind, 1 to 300.
    pub every: u64,
}

/// Exits with an error.
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

impl Default for Throttle {
    fn default() -> Self {
        Self { duration: 60, threads: 2 }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { duration: 60, size_mb: 500 }
    }
}

impl Default for Leak {
    fn default() -> Self {
        Self { duration: 600, mb_per_minute: 60 }
    }
}

impl Default for Pids {
    fn default() -> Self {
        Self { duration: 60, count: 100 }
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self { duration: 60, size_mb: 100, mb_per_minute: None }
    }
}

impl Default for Flap {
    fn default() -> Self {
        Self { duration: None, every: 2 }
    }
}

impl Default for Crash {
    fn default() -> Self {
        Self { code: 1 }
    }
}

fn bounded(field: &'static str, value: impl fmt::Display, within: bool, bounds: &'static str) -> Result<(), Invalid> {
    if within { Ok(()) } else { Err(Invalid::OutOfBounds { field, value: value.to_string(), bounds }) }
}

fn duration(seconds: u64) -> Result<(), Invalid> {
    bounded("duration", seconds, (1..=300).contains(&seconds), "1 to 300 seconds")
}

/// For what takes its time.
fn long_duration(seconds: u64) -> Result<(), Invalid> {
    bounded("duration", seconds, (1..=3600).contains(&seconds), "1 to 3600 seconds")
}

fn size_mb(size_mb: u64) -> Result<(), Invalid> {
    bounded("size_mb", size_mb, (1..=MOST_MB).contains(&size_mb), "1 to 2000")
}

impl Cpu {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        duration(self.duration)?;
        let within = self.intensity > 0.0 && self.intensity <= 1.0;
        bounded("intensity", self.intensity, within, "above 0 and at most 1")
    }
}

impl Throttle {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        duration(self.duration)?;
        bounded("threads", self.threads, (1..=16).contains(&self.threads), "1 to 16")
    }
}

impl Memory {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        duration(self.duration)?;
        size_mb(self.size_mb)
    }
}

impl Leak {
    /// How much it holds in the end, in MiB.
    pub fn total_mb(&self) -> u64 {
        (self.mb_per_minute.saturating_mul(self.duration) / 60).max(1)
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        long_duration(self.duration)?;
        let within = self.mb_per_minute >= 1 && self.total_mb() <= MOST_MB;
        bounded("mb_per_minute", self.mb_per_minute, within, "at least 1, and at most 2000 MiB in the whole duration")
    }
}

impl Pids {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        duration(self.duration)?;
        bounded("count", self.count, (1..=2000).contains(&self.count), "1 to 2000")
    }
}

impl Disk {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        long_duration(self.duration)?;
        size_mb(self.size_mb)?;
        let pace = self.mb_per_minute;
        pace.map_or(Ok(()), |pace| bounded("mb_per_minute", pace, pace >= 1, "at least 1"))
    }
}

impl Unhealthy {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        self.duration.map_or(Ok(()), duration)
    }
}

impl Flap {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        self.duration.map_or(Ok(()), long_duration)?;
        bounded("every", self.every, (1..=300).contains(&self.every), "1 to 300 seconds")
    }
}

impl Crash {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        bounded("code", self.code, (1..=255).contains(&self.code), "1 to 255")
    }
}
