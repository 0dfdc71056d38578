//! The data of one container: identity, configuration, state, exit and resource usage.

use std::collections::BTreeMap;

use jiff::Timestamp;
#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteCount, ContainerId, Percent, Span, words::words};

/// The facts of a container, as `docker inspect` reports them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Facts {
    /// The id of the container that has the name at present.
    pub id: ContainerId,
    /// The image reference, such as `nginx:1.27`.
    pub image: String,
    /// The image's content digest.
    pub image_id: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its present (or last) run began; none before its first.
    pub started_at: Option<Timestamp>,
    /// Its state.
    pub state: State,
    /// The status of its health check.
    pub health: Health,
    /// The end of its last run; none while it runs.
    pub exit: Option<Exit>,
    /// Its restart policy.
    pub restart_policy: RestartPolicy,
    /// How often Docker has restarted it under that policy since it was created.
    pub restarts: u32,
    /// Its own stop timeout, if it has one.
    pub stop_timeout: Option<Span>,
    /// Its resource limits.
    pub limits: Limits,
    /// The container whose network it shares (`network_mode: container:…`).
    pub network_of: Option<String>,
    /// Its place in a Compose project.
    pub compose: Option<Compose>,
    /// The Swarm service that schedules it; HemoStat leaves such a container to the scheduler.
    pub swarm: Option<Swarm>,
    /// Only the labels that configure HemoStat: `hemostat.*`, `autoheal*`, `deunhealth.*`.
    pub labels: BTreeMap<String, String>,
}

impl Facts {
    /// The run that these facts describe.
    pub fn target(&self) -> Run {
        Run { id: self.id.clone(), started_at: self.started_at }
    }
}

/// One run of one container. A remedy is decided for a run and executed only while that run is the current one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Run {
    /// Docker's id.
    pub id: ContainerId,
    /// When that run began, in Docker's full precision.
    pub started_at: Option<Timestamp>,
}

words! {
    /// The state of a container in Docker.
    pub enum State {
        /// Created, never started.
        Created = "created",
        /// Running.
        Running = "running",
        /// Paused by an operator.
        Paused = "paused",
        /// Waiting to be restarted by its restart policy.
        Restarting = "restarting",
        /// Being removed.
        Removing = "removing",
        /// Exited.
        Exited = "exited",
        /// Docker could not remove it.
        Dead = "dead",
    }
}

impl State {
    /// What the container is, after `it is`: `being removed`.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Removing => "being removed",
            Self::Created | Self::Running | Self::Paused | Self::Restarting | Self::Exited | Self::Dead => self.name(),
        }
    }
}

words! {
    /// The status of a health check.
    pub enum Health {
        /// The container has no health check.
        None = "none" => "it has no health check",
        /// Not known yet: the check has not finished its first runs.
        Starting = "starting" => "its health check has no result yet",
        /// The check passes.
        Healthy = "healthy" => "its health check passes",
        /// The check failed as often in a row as its configuration allows.
        Unhealthy = "unhealthy" => "its health check fails",
    }

    /// What it says, as a clause: `its health check passes`.
    pub const fn phrase(self);
}

/// Docker's own restart policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum RestartPolicy {
    /// Never restart.
    No,
    /// Restart whenever it exits.
    Always,
    /// Restart whenever it exits, unless an operator stopped it.
    UnlessStopped,
    /// Restart when it exits with a code other than 0.
    OnFailure {
        /// Maximum restarts; 0 means unlimited.
        max: u32,
    },
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Exit {
    /// When.
    pub at: Timestamp,
    /// The exit code; 128 + n for signal n.
    pub code: i64,
    /// What ended it.
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

words! {
    /// What ended a run.
    pub enum ExitBy {
        /// The program finished with code 0.
        Itself = "itself" => "by itself",
        /// The program failed: another code, or a signal that it raised itself.
        Crash = "crash" => "by a crash",
        /// The kernel, because it ran out of memory.
        Oom = "oom" => "by the kernel, as it ran out of memory",
        /// An operator, through Docker: `docker stop`, `kill`, `restart`, `compose down`.
        Operator = "operator" => "by a stop or kill through Docker (an operator's or HemoStat's own)",
        /// Unknown: it ended before HemoStat looked.
        Unknown = "unknown" => "before HemoStat looked",
    }

    /// What ended the run, after `ended`: `by a crash`.
    pub const fn phrase(self);
}

/// The resource limits of a container.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Limits {
    /// Number of CPUs, from `--cpus` or quota and period.
    pub cpus: Option<f64>,
    /// Memory limit, from `--memory`.
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
    /// Its number within the service, from 1.
    pub number: Option<u32>,
    /// The services that it depends on.
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

/// The resource usage of a container at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Vitals {
    /// CPU in per cent of the container's limit, or of all cores of the host if it has no limit.
    pub cpu: Percent,
    /// Memory without page cache in per cent of the container's limit, or of the host's memory if it has no limit.
    pub memory: Percent,
    /// Memory without page cache.
    pub memory_used: ByteCount,
    /// The limit that `memory` refers to.
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
    /// Their limit, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<u64>,
    /// What it waited for.
    #[serde(default, skip_serializing_if = "Strain::is_unknown")]
    pub strain: Strain,
}

/// What a container waited for; none if the kernel or the source of the figures does not report it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Strain {
    /// Share of the scheduler periods in which its CPU limit throttled it, since the last sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<Percent>,
    /// Share of the last ten seconds in which a task of it waited for a CPU (PSI, `some avg10`).
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
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}
