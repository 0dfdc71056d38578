//! The examination of a sick container: evidence that is collected before a remedy, as a restart would destroy it.
//!
//! All of it is untrusted input. It is bounded and redacted before it becomes an event, so secrets never reach the log.

use jiff::Timestamp;
#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteCount, ContainerName, Percent, Span,
    container::{Exit, Health, Run, State, Vitals},
    symptom::Symptom,
    words::words,
};

/// The examination of a sick container before a remedy is executed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Examined {
    /// The examined run.
    pub target: Run,
    /// The symptoms that were active.
    pub symptoms: Vec<Symptom>,
    /// The recent runs of the health check, oldest first.
    pub checks: Vec<Check>,
    /// The last lines of its output since the run began, oldest first.
    pub output: Vec<Line>,
    /// Whether there was more output.
    pub output_cut: bool,
    /// The end of its last run; none while it runs.
    pub exit: Option<Exit>,
    /// Whether the kernel killed a process of that run because it ran out of memory.
    pub out_of_memory: bool,
    /// Its processes, the busiest first.
    pub processes: Vec<Process>,
    /// Its recent resource usage, oldest first.
    pub samples: Vec<Sample>,
    /// Its recent changes, oldest first.
    pub changes: Vec<Change>,
    /// Related containers and their states.
    pub relatives: Vec<Relative>,
    /// The size of its writable layer, if known.
    pub writable: Option<ByteCount>,
    /// The used share of its disk, if known.
    pub disk: Option<Percent>,
    /// What could not be collected, and why.
    pub missing: Vec<String>,
    /// The number of redacted secrets.
    pub redacted: u32,
    /// How long it took.
    pub took: Span,
}

/// One run of the health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Check {
    /// When it began.
    pub at: Timestamp,
    /// The exit code: 0 means healthy; -1 means that it timed out.
    pub code: i64,
    /// Its output.
    pub output: String,
}

/// One line of a container's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Line {
    /// When.
    pub at: Option<Timestamp>,
    /// The stream.
    pub stream: Stream,
    /// The text.
    pub text: String,
}

words! {
    /// An output stream.
    pub enum Stream {
        /// Standard output, or the terminal.
        Stdout = "stdout",
        /// Standard error.
        Stderr = "stderr",
    }
}

/// One process of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Process {
    /// Its process id on the host.
    pub pid: u32,
    /// The CPU time that it has used.
    pub cpu: Span,
    /// The memory in use.
    pub memory: ByteCount,
    /// The command line.
    pub command: String,
}

/// The resource usage of a container at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// The figures.
    pub vitals: Vitals,
}

/// A change of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What changed.
    pub what: Changed,
}

/// What changed about a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Changed {
    /// It was recreated from another image.
    Image {
        /// The digest of the image before.
        from: String,
        /// The digest of the image now.
        to: String,
    },
    /// It was recreated from the same image.
    Recreated,
    /// Its limits changed.
    Limits,
    /// A run began.
    Started,
    /// A run ended.
    Ended {
        /// How it ended.
        exit: Exit,
    },
    /// The status of the health check changed.
    Health {
        /// The status now.
        to: Health,
    },
}

/// A container that is related to the examined one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Relative {
    /// Its name.
    pub name: ContainerName,
    /// Its relation to the sick container.
    pub relation: Relation,
    /// Its state.
    pub state: State,
    /// The status of its health check.
    pub health: Health,
    /// Since when, if known.
    pub since: Option<Timestamp>,
}

words! {
    /// The relation of one container to another.
    pub enum Relation {
        /// The sick container depends on it (Compose's `depends_on`).
        Dependency = "dependency",
        /// The sick container shares its network (`network_mode: container:…`).
        Network = "network",
        /// It depends on the sick container.
        Dependent = "dependent",
        /// Another container of the same service.
        Replica = "replica",
        /// Another container of the same Compose project.
        Project = "project",
    }
}
