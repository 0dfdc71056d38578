//! Commands: what operators order. Each is an event that says who ordered it, appended at most once per key of the client.
//!
//! There is no lease, so any number of processes can append commands at the same time. What a command changes besides is
//! part of the same append, so the change and its event happen both, once, or not at all.

use std::sync::Arc;

use hemostat_log::{Append, CommitError, Error, Log};
use hemostat_schema::{Event, EventId, Partition, Recorded};

/// A command that was executed.
#[derive(Debug, Clone, PartialEq)]
pub struct Executed {
    /// Its event.
    pub event: Recorded,
    /// Whether this request appended it; else an earlier one with the same key did.
    pub first_time: bool,
}

/// Why a command was not executed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// What it is about does not exist, or was dealt with meanwhile.
    #[error("there is no such thing")]
    Unknown,
    /// The key belongs to another command.
    #[error("another command was executed with this key; use a new key")]
    KeyReused,
    /// It is not possible, and why.
    #[error("{0}")]
    Impossible(String),
    /// The log failed. If that is transient, the command may or may not have been executed: the same key finds out.
    #[error("could not execute the command")]
    Log(#[from] Error),
}

/// The command that was executed with this key, if `is_same` recognises its event.
///
/// # Errors
/// [`CommandError::KeyReused`] when it does not.
pub(crate) async fn executed(
    log: &Arc<dyn Log>,
    partition: Partition,
    key: &str,
    is_same: impl Fn(&Event) -> bool,
) -> Result<Option<Executed>, CommandError> {
    match log.appended(partition, key).await? {
        Some(ids) => again(log, &ids, is_same).await.map(Some),
        None => Ok(None),
    }
}

/// Executes a command: appends its event, and changes what belongs to it.
///
/// # Errors
/// When it cannot be executed, or the key belongs to another command.
pub(crate) async fn execute(
    log: &Arc<dyn Log>,
    append: &Append,
    is_same: impl Fn(&Event) -> bool,
) -> Result<Executed, CommandError> {
    let appended = log.append_once(append).await.map_err(|error| match error {
        CommitError::AlreadyHandled | CommitError::Conflict(_) | CommitError::Fenced => CommandError::Unknown,
        CommitError::Log(Error::Invalid { reason, .. }) => CommandError::Impossible(reason),
        CommitError::Log(error) => error.into(),
    })?;
    let executed = again(log, &appended.ids, is_same).await?;
    Ok(Executed { first_time: appended.first_time, ..executed })
}

async fn again(
    log: &Arc<dyn Log>,
    ids: &[EventId],
    is_same: impl Fn(&Event) -> bool,
) -> Result<Executed, CommandError> {
    let entry = match ids.first() {
        Some(id) => log.get(*id).await?,
        None => None,
    };
    let recorded = entry.and_then(|entry| entry.event.ok());
    match recorded.filter(|recorded| recorded.event().is_some_and(is_same)) {
        Some(event) => Ok(Executed { event, first_time: false }),
        // Keys are forgotten long before their events are trimmed, so an event that is not here belongs to something else.
        None => Err(CommandError::KeyReused),
    }
}
