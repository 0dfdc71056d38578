//! The configuration of a container.

use std::{collections::BTreeMap, time::Duration};

use crate::failure::Failure;

/// The configuration of a container. Equal containers can share one.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// The name of its image.
    pub image: String,
    /// Its command.
    pub command: Vec<String>,
    /// Its environment, as `NAME=value`.
    pub env: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its health check.
    pub check: Option<HealthCheck>,
    /// Its restart policy.
    pub restart: RestartPolicy,
    /// Its memory limit in bytes.
    pub memory: Option<u64>,
    /// Its CPU limit in cores.
    pub cpus: Option<f64>,
    /// Its limit of processes and threads.
    pub pids: Option<u64>,
    /// `default`, `host`, `container:<id>`.
    pub network_mode: String,
    /// The signal that stops it; `None`: SIGTERM.
    pub stop_signal: Option<String>,
    /// Its stop timeout in seconds; `None`: 10.
    pub stop_timeout: Option<u32>,
    /// How it reacts to the stop signal.
    pub on_stop: StopBehaviour,
    /// What it uses without a failure.
    pub baseline: BaselineUsage,
    /// Failures that it has from the first run on.
    pub failures: Vec<Failure>,
}

/// A health check, with Docker's own defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The command of the check.
    pub test: Vec<String>,
    /// The time between two checks.
    pub interval: Duration,
    /// The time limit of a check.
    pub timeout: Duration,
    /// How many failures in a row make it unhealthy.
    pub retries: u32,
    /// How long after the start failures do not count.
    pub start_period: Duration,
}

/// When the engine restarts a container that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Never.
    No,
    /// Always.
    Always,
    /// Always, unless a user stopped it.
    UnlessStopped,
    /// After an error, at most this many times; 0: no limit.
    OnFailure(u32),
}

/// How a container reacts to the stop signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopBehaviour {
    /// How long it takes to exit.
    pub after: Duration,
    /// Its exit code.
    pub code: u8,
}

/// What a container uses without a failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BaselineUsage {
    /// CPU, in cores.
    pub cores: f64,
    /// Memory without page cache, in bytes.
    pub memory: u64,
    /// Page cache in bytes.
    pub cache: u64,
    /// Processes.
    pub pids: u64,
    /// Network traffic in bytes per second, each way.
    pub network: u64,
    /// Block I/O in bytes per second, each way.
    pub blocks: u64,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            test: vec!["CMD-SHELL".to_owned(), "exit 0".to_owned()],
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            retries: 3,
            start_period: Duration::ZERO,
        }
    }
}

impl Default for StopBehaviour {
    fn default() -> Self {
        Self { after: Duration::from_millis(50), code: 0 }
    }
}

impl Default for BaselineUsage {
    fn default() -> Self {
        Self { cores: 0.002, memory: 12 << 20, cache: 3 << 20, pids: 4, network: 300, blocks: 40 }
    }
}

impl Default for ContainerSpec {
    fn default() -> Self {
        Self {
            image: "simulated:1".to_owned(),
            command: vec!["/app".to_owned()],
            env: vec![],
            labels: BTreeMap::new(),
            check: None,
            restart: RestartPolicy::No,
            memory: None,
            cpus: None,
            pids: None,
            network_mode: "default".to_owned(),
            stop_signal: None,
            stop_timeout: None,
            on_stop: StopBehaviour::default(),
            baseline: BaselineUsage::default(),
            failures: vec![],
        }
    }
}

impl ContainerSpec {
    /// The same with a health check of this interval, the first failure of which counts.
    #[must_use]
    pub fn checked_every(self, interval: Duration) -> Self {
        Self { check: Some(HealthCheck { interval, retries: 1, ..HealthCheck::default() }), ..self }
    }

    /// The same with one more label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// The same with one more failure from the first run on.
    #[must_use]
    pub fn failing(mut self, failure: Failure) -> Self {
        self.failures.push(failure);
        self
    }

    /// The same with this restart policy.
    #[must_use]
    pub fn restart(self, restart: RestartPolicy) -> Self {
        Self { restart, ..self }
    }

    /// The digest of its image: the same for the same name.
    pub(crate) fn image_id(&self) -> String {
        let mut random = fastrand::Rng::with_seed(fnv(self.image.as_bytes()));
        format!("sha256:{:032x}{:032x}", random.u128(..), random.u128(..))
    }
}

/// The FNV-1a hash, 64 bits. HemoStat's schema has its own: this crate depends on no other crate of HemoStat.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
