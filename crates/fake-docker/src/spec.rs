//! How is a simulated container set up?

use std::{collections::BTreeMap, time::Duration};

use crate::Illness;

/// How a container is set up. Containers that are alike share one.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The image's name.
    pub image: String,
    /// What it runs.
    pub command: Vec<String>,
    /// Its environment, as `NAME=value`.
    pub env: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its health check.
    pub check: Option<Check>,
    /// What the engine does when it ends.
    pub restart: Restart,
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
    /// How it ends when it is asked to.
    pub ends: Ends,
    /// What it uses when it is well.
    pub at_rest: AtRest,
    /// Illnesses that it has from the first run on.
    pub inborn: Vec<Illness>,
}

/// A health check, with Docker's own defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
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

/// What the engine does when a container ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    No,
    /// Starts it again.
    Always,
    /// Starts it again, unless somebody stopped it.
    UnlessStopped,
    /// Starts it again after an error, at most so often; 0: without end.
    OnFailure(u32),
}

/// How a container ends when it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// How long it takes.
    pub after: Duration,
    /// With which exit code.
    pub code: u8,
}

/// What a container uses when it is well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AtRest {
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

impl Default for Check {
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

impl Default for Ends {
    fn default() -> Self {
        Self { after: Duration::from_millis(50), code: 0 }
    }
}

impl Default for AtRest {
    fn default() -> Self {
        Self { cores: 0.002, memory: 12 << 20, cache: 3 << 20, pids: 4, network: 300, blocks: 40 }
    }
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            image: "simulated:1".to_owned(),
            command: vec!["/app".to_owned()],
            env: vec![],
            labels: BTreeMap::new(),
            check: None,
            restart: Restart::No,
            memory: None,
            cpus: None,
            pids: None,
            network_mode: "default".to_owned(),
            stop_signal: None,
            stop_timeout: None,
            ends: Ends::default(),
            at_rest: AtRest::default(),
            inborn: vec![],
        }
    }
}

impl Spec {
    /// The same with a health check of this interval, the first failure of which counts.
    #[must_use]
    pub fn checked_every(self, interval: Duration) -> Self {
        Self { check: Some(Check { interval, retries: 1, ..Check::default() }), ..self }
    }

    /// The same with one more label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// The same with one more inborn illness.
    #[must_use]
    pub fn inborn(mut self, illness: Illness) -> Self {
        self.inborn.push(illness);
        self
    }

    /// The same with this restart policy.
    #[must_use]
    pub fn restart(self, restart: Restart) -> Self {
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
