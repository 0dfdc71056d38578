//! What is found out about a sick container before anything is done to it, as a restart would destroy it.
//!
//! Everything here comes from outside and is bounded and redacted before it becomes an event: secrets never reach the log.

use jiff::Timestamp;
#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteCount, ContainerName, Percent, Span,
    container::{Exit, Health, State, Target, Vitals},
    observation::Symptom,
    words::wire_names,
};

/// What was found out about a sick container before anything is done to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Examined {
    /// The run that was looked at.
    pub target: Target,
    /// Why: the symptoms that stood.
    pub symptoms: Vec<Symptom>,
    /// What the health check said lately, oldest first.
    pub checks: Vec<Check>,
    /// The end of its output since the run began, oldest first.
    pub output: Vec<Line>,
    /// Whether there was more output than that.
    pub output_cut: bool,
    /// How its last run ended; none while it runs.
    pub exit: Option<Exit>,
    /// Whether the kernel killed a process of that run for want of memory.
    pub out_of_memory: bool,
    /// Its processes, the busiest first.
    pub processes: Vec<Process>,
    /// What it used lately, oldest first.
    pub samples: Vec<Sample>,
    /// What changed about it lately, oldest first.
    pub changes: Vec<Change>,
    /// The containers that it belongs with, and how they are.
    pub relatives: Vec<Relative>,
    /// What its writable layer holds, where that is known.
    pub writable: Option<ByteCount>,
    /// How full the disk is that it is on, where that is known.
    pub disk: Option<Percent>,
    /// What could not be found out, and why.
    pub missing: Vec<String>,
    /// So many secrets were taken out.
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
    /// What it ended with: 0 is well; -1 is no answer in time.
    pub code: i64,
    /// What it printed.
    pub output: String,
}

/// One line that a container printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Line {
    /// When.
    pub at: Option<Timestamp>,
    /// Where to.
    pub stream: Stream,
    /// What.
    pub text: String,
}

/// Where a container prints to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Its standard output, or its terminal.
    Stdout,
    /// Its standard error.
    Stderr,
}

wire_names!(Stream { Stdout = "stdout", Stderr = "stderr" });

/// One process of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Process {
    /// Its number on the host.
    pub pid: u32,
    /// The CPU time that it has used.
    pub cpu: Span,
    /// What it holds in memory.
    pub memory: ByteCount,
    /// What runs.
    pub command: String,
}

/// What a container used at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// The figures.
    pub vitals: Vitals,
}

/// Something about a container that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Changed,
}

/// What can change about a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Changed {
    /// It was made anew from another image.
    Image {
        /// The image's digest before.
        from: String,
        /// And now.
        to: String,
    },
    /// It was made anew from the same image, with another configuration or none other.
    Recreated,
    /// Its limits are others.
    Limits,
    /// A run began.
    Started,
    /// A run ended.
    Ended {
        /// How.
        exit: Exit,
    },
    /// The health check changed its mind.
    Health {
        /// What it says now.
        to: Health,
    },
}

/// A container that another belongs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
pub struct Relative {
    /// What it is called.
    pub name: ContainerName,
    /// What it is to the sick one.
    pub relation: Relation,
    /// How it lives.
    pub state: State,
    /// What its health check says.
    pub health: Health,
    /// Since when it has been so, where that is known.
    pub since: Option<Timestamp>,
}

/// What one container is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The sick one depends on it (Compose's `depends_on`).
    Dependency,
    /// The sick one lives in its network (`network_mode: container:…`).
    Network,
    /// It depends on the sick one.
    Dependent,
    /// Another container of the same service.
    Replica,
    /// Of the same Compose project, and nothing more.
    Project,
}

wire_names!(Relation {
    Dependency = "dependency",
    Network = "network",
    Dependent = "dependent",
    Replica = "replica",
    Project = "project",
});
