//! What is known of one container: who it is, how it was set up, how it lives and how it ended.

use std::collections::BTreeMap;

use jiff::Timestamp;
#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteCount, ContainerId, Percent, Span, words::wire_names};

/// Everything about a container that a decision may rest on, as `docker inspect` told it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Facts {
    /// Which container carries the name at present.
    pub id: ContainerId,
    /// The image as it was asked for, such as `nginx:1.27`.
    pub image: String,
    /// The image's content digest.
    pub image_id: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its present (or last) run began; none before its first.
    pub started_at: Option<Timestamp>,
    /// Its life cycle.
    pub state: State,
    /// What its health check says.
    pub health: Health,
    /// How its last run ended; none while it runs.
    pub exit: Option<Exit>,
    /// What Docker itself does when it exits.
    pub restart_policy: RestartPolicy,
    /// How often Docker has restarted it by that policy since it was created.
    pub restarts: u32,
    /// How long it may take to stop, where it says so itself.
    pub stop_timeout: Option<Span>,
    /// What it may use at most.
    pub limits: Limits,
    /// The container whose network it lives in (`network_mode: container:…`).
    pub network_of: Option<String>,
    /// Its place in a Compose project.
    pub compose: Option<Compose>,
    /// The Swarm service that schedules it; such a container is the scheduler's to heal.
    pub swarm: Option<Swarm>,
    /// Only the labels that steer HemoStat: `hemostat.*`, `autoheal*`, `deunhealth.*`.
    pub labels: BTreeMap<String, String>,
}

impl Facts {
    /// The very run that these facts describe.
    pub fn target(&self) -> Target {
        Target { id: self.id.clone(), started_at: self.started_at }
    }
}

/// One run of one container: what an act was decided for, and what it must still find when it acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Target {
    /// Docker's id.
    pub id: ContainerId,
    /// When that run began, to Docker's full precision.
    pub started_at: Option<Timestamp>,
}

/// Docker's life cycle of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Made, never started.
    Created,
    /// Running.
    Running,
    /// Frozen by an operator.
    Paused,
    /// Between two runs, by its restart policy.
    Restarting,
    /// Being removed.
    Removing,
    /// Ended.
    Exited,
    /// Could not be removed.
    Dead,
}

wire_names!(State {
    Created = "created",
    Running = "running",
    Paused = "paused",
    Restarting = "restarting",
    Removing = "removing",
    Exited = "exited",
    Dead = "dead",
});

impl State {
    /// What the container is, after `it is`: `being removed`.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Removing => "being removed",
            Self::Created | Self::Running | Self::Paused | Self::Restarting | Self::Exited | Self::Dead => self.name(),
        }
    }
}

/// What the health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// There is no health check.
    None,
    /// Not known yet: neither well nor sick.
    Starting,
    /// Well.
    Healthy,
    /// Failed as often in a row as the check allows.
    Unhealthy,
}

wire_names!(Health { None = "none", Starting = "starting", Healthy = "healthy", Unhealthy = "unhealthy" });

impl Health {
    /// What it says, as a clause: `its health check passes`.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::None => "it has no health check",
            Self::Starting => "its health check has not finished its first runs",
            Self::Healthy => "its health check passes",
            Self::Unhealthy => "its health check fails",
        }
    }
}

/// Docker's own restart policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum RestartPolicy {
    /// Never.
    No,
    /// Whenever it exits.
    Always,
    /// Whenever it exits, unless an operator stopped it.
    UnlessStopped,
    /// When it exits with another code than 0, at most so often (0: without limit).
    OnFailure {
        /// At most so often.
        max: u32,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Exit {
    /// When.
    pub at: Timestamp,
    /// The exit code; 128 + n for signal n.
    pub code: i64,
    /// Who ended it.
    pub by: ExitBy,
}

impl Exit {
    /// How the run ended, after the name of the container: `crashed with code 1`.
    pub fn phrase(&self) -> String {
        match self.by {
            ExitBy::Itself => "finished by itself".to_owned(),
            ExitBy::Crash => format!("crashed with code {}", self.code),
            ExitBy::Oom => "was killed because it ran out of memory".to_owned(),
            ExitBy::Operator => "was stopped through Docker".to_owned(),
            ExitBy::Unknown => format!("ended with code {} before HemoStat looked", self.code),
        }
    }
}

/// Who ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExitBy {
    /// The program, with code 0: it had finished.
    Itself,
    /// The program, with another code or a signal of its own making.
    Crash,
    /// The kernel, for want of memory.
    Oom,
    /// Somebody through Docker: `docker stop`, `kill`, `restart`, `compose down`.
    Operator,
    /// Not known: it had ended before HemoStat looked.
    Unknown,
}

wire_names!(ExitBy { Itself = "itself", Crash = "crash", Oom = "oom", Operator = "operator", Unknown = "unknown" });

impl ExitBy {
    /// What ended the run, after `ended`: `by a crash`.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Itself => "by itself",
            Self::Crash => "by a crash",
            Self::Oom => "by the kernel, as it ran out of memory",
            Self::Operator => "by an operator, through Docker",
            Self::Unknown => "before HemoStat looked",
        }
    }
}

/// What a container may use at most.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Limits {
    /// CPUs, from `--cpus` or quota and period.
    pub cpus: Option<f64>,
    /// Memory, from `--memory`.
    pub memory: Option<ByteCount>,
}

/// A container's place in a Compose project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Compose {
    /// The project.
    pub project: String,
    /// The service.
    pub service: String,
    /// Which of the service's containers, from 1.
    pub number: Option<u32>,
    /// Services that this one depends on.
    pub depends_on: Vec<String>,
}

/// The Swarm service that a container is a task of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Swarm {
    /// The service's id.
    pub service_id: String,
    /// The service's name.
    pub service: String,
}

/// What a container uses at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Vitals {
    /// CPU as a share of the container's own limit, or of all the host's cores where it has none.
    pub cpu: Percent,
    /// Memory without page cache, as a share of the container's limit, or of the host's memory where it has none.
    pub memory: Percent,
    /// Memory without page cache.
    pub memory_used: ByteCount,
    /// What `memory` is a share of.
    pub memory_limit: ByteCount,
    /// Received since the container started.
    pub network_rx: ByteCount,
    /// Sent since the container started.
    pub network_tx: ByteCount,
    /// Read from block devices since the container started.
    pub block_read: ByteCount,
    /// Written to block devices since the container started.
    pub block_write: ByteCount,
    /// Processes and threads.
    pub pids: u64,
    /// How many of them it may have, where there is a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<u64>,
    /// What it had to wait for.
    #[serde(default, skip_serializing_if = "Strain::is_unknown")]
    pub strain: Strain,
}

/// What a container had to wait for; none where the kernel or the source of the figures does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Strain {
    /// In which share of the scheduler's periods its CPU limit stopped it, since the sample before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<Percent>,
    /// In which share of the last ten seconds some task of it waited for a CPU (PSI, `some avg10`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Percent>,
    /// The same for memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Percent>,
    /// The same for disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Percent>,
}

impl Strain {
    /// Whether nothing is known of it.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}
