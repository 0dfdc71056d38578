//! The remedies, and one table of what is known of each.
//!
//! Decisions, judgement, words and the responder read the table ([`RemedyKind::info`]); none has a list of its own.
//! CONTRIBUTING.md says what a new remedy touches.

#[cfg(feature = "json-schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    container::{Facts, Run, Swarm},
    symptom::Symptom,
    words::words,
};

/// A remedy for a sick container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Stop it gracefully and start it again.
    Restart,
    /// Start it after it has exited.
    Start,
    /// Stop it and leave it stopped (quarantine).
    Stop,
    /// Add one replica to its service.
    Scale,
    /// Remove what the policy lists as removable.
    Cleanup,
    /// Run a command of the allow list in it.
    Exec {
        /// The program and its arguments; there is no shell.
        argv: Vec<String>,
    },
}

words! {
    /// A remedy without its arguments, for what policy allows and for lists.
    pub enum RemedyKind {
        /// [`Remedy::Restart`].
        Restart = "restart",
        /// [`Remedy::Start`].
        Start = "start",
        /// [`Remedy::Stop`].
        Stop = "stop",
        /// [`Remedy::Scale`].
        Scale = "scale",
        /// [`Remedy::Cleanup`].
        Cleanup = "cleanup",
        /// [`Remedy::Exec`].
        Exec = "exec",
    }
}

/// What a remedy acts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A run of the container; the remedy applies to no other.
    Run(Run),
    /// The service that the container belongs to.
    Service(Service),
    /// The container's host.
    Host,
}

/// A service of several containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Of a Compose project.
    Compose {
        /// The project.
        project: String,
        /// The service.
        service: String,
    },
    /// Of a Swarm.
    Swarm(Swarm),
}

/// What an authorisation decides about a remedy, so that each execution of the intent does the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Arguments {
    /// Of [`Remedy::Scale`]: the number of replicas that the service shall have.
    Replicas(u32),
    /// Of [`Remedy::Cleanup`]: what is removed.
    Remove(Vec<Removable>),
}

words! {
    /// What a cleanup may remove.
    pub enum Removable {
        /// Images without a name that no container uses.
        DanglingImages = "dangling_images",
        /// The cache of image builds.
        BuildCache = "build_cache",
        /// Exited containers that the container has replaced.
        Predecessors = "predecessors",
    }
}

/// A row of the table of remedies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemedyInfo {
    /// The verb, for `HemoStat does not … it`.
    pub verb: &'static str,
    /// The past tense, for `HemoStat … it`.
    pub past: &'static str,
    /// What it does and when it helps, for a model that chooses among remedies.
    pub helps: &'static str,
    /// Whether a model may choose it. It never stops a container for good, and never runs a command.
    pub model_may_choose: bool,
    /// What it acts on.
    pub scope: Scope,
    /// What must be there for it.
    pub needs: &'static [Need],
    /// What it does to the run of the container. It is judged by the run that it leads to.
    pub on_run: OnRun,
    /// The shortages that it relieves. They tell whether it helped, and say nothing about other remedies.
    pub relieves: &'static [Symptom],
    /// Why HemoStat refuses it as unsupported; none if the responder has an executor for it.
    pub unsupported: Option<&'static str>,
}

/// On what a remedy acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// On the present run of the container.
    Run,
    /// On the service of the container, of Compose or Swarm. It needs one.
    Service,
    /// On the host of the container.
    Host,
}

/// What a remedy needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The container runs.
    Running,
    /// The container has ended.
    Ended,
    /// The policy lists what it may do.
    AllowList,
}

/// What a remedy does to the run of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRun {
    /// It ends the run and begins another.
    Replaces,
    /// It begins a run, which may also end well by itself.
    Begins,
    /// It ends the run, and none follows.
    Ends,
    /// The run goes on.
    Keeps,
}

impl RemedyKind {
    /// The row of this remedy in the table.
    pub const fn info(self) -> RemedyInfo {
        match self {
            Self::Restart => RemedyInfo {
                verb: "restart",
                past: "restarted",
                helps: "stop it gracefully and start it again; helps if it runs in a state that it cannot leave by \
                        itself: it hangs, leaks, or has lost a connection that it does not re-establish",
                model_may_choose: true,
                scope: Scope::Run,
                needs: &[Need::Running],
                on_run: OnRun::Replaces,
                relieves: &[],
                unsupported: None,
            },
            Self::Start => RemedyInfo {
                verb: "start",
                past: "started",
                helps: "start it, because it has exited; helps if the reason for the exit was temporary",
                model_may_choose: true,
                scope: Scope::Run,
                needs: &[Need::Ended],
                on_run: OnRun::Begins,
                relieves: &[],
                unsupported: None,
            },
            Self::Stop => RemedyInfo {
                verb: "stop",
                past: "stopped",
                helps: "stop it and leave it stopped; helps if it harms others while it runs",
                model_may_choose: false,
                scope: Scope::Run,
                needs: &[Need::Running],
                on_run: OnRun::Ends,
                relieves: &[],
                unsupported: Some("HemoStat cannot stop containers yet"),
            },
            Self::Scale => RemedyInfo {
                verb: "scale",
                past: "scaled",
                helps: "run one more replica of its service; helps if it works but is overloaded",
                model_may_choose: true,
                scope: Scope::Service,
                needs: &[Need::Running],
                on_run: OnRun::Keeps,
                relieves: &[Symptom::CpuThrottled, Symptom::Pressure],
                unsupported: Some("HemoStat cannot scale services yet"),
            },
            Self::Cleanup => RemedyInfo {
                verb: "clean up after",
                past: "cleaned up after",
                helps: "remove what the policy lists as removable; helps if the disk is full",
                model_may_choose: true,
                scope: Scope::Host,
                needs: &[Need::AllowList],
                on_run: OnRun::Keeps,
                relieves: &[Symptom::DiskFilling],
                unsupported: Some("HemoStat cannot clean up yet"),
            },
            Self::Exec => RemedyInfo {
                verb: "run a command in",
                past: "ran a command in",
                helps: "run the one command in it that the policy allows",
                model_may_choose: false,
                scope: Scope::Run,
                needs: &[Need::Running, Need::AllowList],
                on_run: OnRun::Keeps,
                relieves: &[],
                unsupported: Some("HemoStat cannot run commands yet"),
            },
        }
    }

    /// The remedy, if it has no arguments of its own.
    pub const fn plain(self) -> Option<Remedy> {
        match self {
            Self::Restart => Some(Remedy::Restart),
            Self::Start => Some(Remedy::Start),
            Self::Stop => Some(Remedy::Stop),
            Self::Scale => Some(Remedy::Scale),
            Self::Cleanup => Some(Remedy::Cleanup),
            Self::Exec => None,
        }
    }
}

impl Remedy {
    /// Which remedy it is, whatever its arguments.
    pub const fn kind(&self) -> RemedyKind {
        match self {
            Self::Restart => RemedyKind::Restart,
            Self::Start => RemedyKind::Start,
            Self::Stop => RemedyKind::Stop,
            Self::Scale => RemedyKind::Scale,
            Self::Cleanup => RemedyKind::Cleanup,
            Self::Exec { .. } => RemedyKind::Exec,
        }
    }

    /// The wire name, such as `restart`.
    pub const fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The row of this remedy in the table.
    pub const fn info(&self) -> RemedyInfo {
        self.kind().info()
    }
}

impl Target {
    /// What a remedy of this scope acts on, for the container with these facts; none if it belongs to no service.
    pub fn of(scope: Scope, facts: &Facts) -> Option<Self> {
        let compose = || {
            let compose = facts.compose.as_ref()?;
            Some(Service::Compose { project: compose.project.clone(), service: compose.service.clone() })
        };
        match scope {
            Scope::Run => Some(Self::Run(facts.target())),
            Scope::Service => facts.swarm.clone().map(Service::Swarm).or_else(compose).map(Self::Service),
            Scope::Host => Some(Self::Host),
        }
    }

    /// The run, if it acts on one.
    pub const fn run(&self) -> Option<&Run> {
        match self {
            Self::Run(run) => Some(run),
            Self::Service(_) | Self::Host => None,
        }
    }
}

impl From<Run> for Target {
    fn from(run: Run) -> Self {
        Self::Run(run)
    }
}

impl OnRun {
    /// Whether HemoStat itself ends the run: to Docker that is a stop like an operator's.
    pub const fn ends_it(self) -> bool {
        match self {
            Self::Replaces | Self::Ends => true,
            Self::Begins | Self::Keeps => false,
        }
    }
}
