//! How is a simulated container set up?

use std::{collections::BTreeMap, time::Duration};

use crate::Failure;

/// How a container is set up. Containers that are alike share one.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// The image's name.
    pub image: String,
    /// What it runs.
    pub command: Vec<String>,
    /// Its environment, as `NAME=value`.
    pub env: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its health check.
    pub check: Option<HealthCheck>,
    /// What the engine does when it on_stop.
    pub restart: RestartPolicy,
    /// Its memory limit in bytes.
    pub memory: Option<u64>,
    /// Its CPU limit in cores.
    pub cpus: Option<f64>,
    /// Its limit of processes.
    pub pids: Option<u64>,
    /// `default`, `host`, `container:<id>`.
    pub network_mode: String,
    /// By which signal it is asked to end; none: SIGTERM.
    pub stop_signal: Option<String>,
    /// How long it may take to end, in seconds; none: 10.
    pub stop_timeout: Option<u32>,
    /// How it on_stop when it is asked to.
    pub on_stop: StopBehaviour,
    /// What it uses when it is well.
    pub baseline: BaselineUsage,
    /// Illnesses that it has from the first run on.
    pub failing: Vec<Failure>,
}

/// A health check, with Docker's own defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is run.
    pub test: Vec<String>,
    /// How often.
    pub interval: Duration,
    /// How long it may take.
    pub timeout: Duration,
    /// So many failures in a row make it unhealthy.
    pub retries: u32,
    /// Failures so soon after the start do not count.
    pub start_period: Duration,
}

/// What the engine does when a container on_stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Nothing.
    No,
    /// Starts it again.
    Always,
    /// Starts it again, unless somebody stopped it.
    UnlessStopped,
    /// Starts it again after an error, at most so often; 0: without end.
    OnFailure(u32),
}

/// How a container on_stop when it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopBehaviour {
    /// How long it takes.
    pub after: Duration,
    /// With which exit code.
    pub code: u8,
}

/// What a container uses when it is well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BaselineUsage {
    /// CPU, in cores.
    pub cores: f64,
    /// Memory in bytes, the page cache aside.
    pub memory: u64,
    /// Page cache in bytes.
    pub cache: u64,
    /// Processes.
    pub pids: u64,
    /// Network, bytes a second, each way.
    pub network: u64,
    /// Blocks, bytes a second, each way.
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
            failing: vec![],
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

    /// The same with one more inborn illness.
    #[must_use]
    pub fn failing(mut self, failure: Failure) -> Self {
        self.failing.push(failure);
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

/// Fowler–Noll–Vo, 1a, 64 bits.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
