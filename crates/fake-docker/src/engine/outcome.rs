//! What a command on the engine leads to: an outcome or a refusal, and later updates.

use std::sync::Arc;

use super::id::ContainerId;
use crate::event::Event;

/// Why a command failed, in Docker's own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("No such container: {0}")]
    Unknown(String),
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{by}\". You have to remove (or rename) \
         that container to be able to reuse that name."
    )]
    NameTaken { name: String, by: ContainerId },
    #[error("Container {0} is not running")]
    NotRunning(String),
    #[error("Container {0} is already paused")]
    AlreadyPaused(String),
    #[error("Container {0} is not paused")]
    NotPaused(String),
    #[error("You cannot remove a running container {0}. Stop the container before attempting removal or force remove")]
    StillRunning(ContainerId),
    #[error("Container {0} is restarting, wait until the container is running")]
    Restarting(ContainerId),
    #[error("{0}")]
    Invalid(String),
}

/// The outcome of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// The container was already in that state.
    NoChange,
    /// It takes time: its id is in [`Updates::done`] when it is done.
    Pending(OperationId),
}

/// The id of a command that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OperationId(pub(super) u64);

/// Events and completed operations since the last call of `take_updates`.
#[derive(Debug, Default)]
pub struct Updates {
    /// The events, in order.
    pub events: Vec<Arc<Event>>,
    /// The operations that are done now.
    pub done: Vec<OperationId>,
}
