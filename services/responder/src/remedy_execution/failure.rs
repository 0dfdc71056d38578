//! Why an execution did not end with a result.

use hemostat_docker::Error;
use hemostat_runtime::{Fault, NotDurable};

/// Why this process may not call the engine now.
#[derive(Debug)]
pub enum NotAllowed {
    /// The lease may have expired, or durability could not be checked: a later attempt or another process executes the
    /// remedy.
    Fault(Fault),
    /// The intent is not durable enough.
    NotDurable(NotDurable),
}

impl From<Fault> for NotAllowed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Why an attempt did not end with a result.
pub(super) enum Failure {
    /// The precondition does not hold or the engine refused the call, for this reason.
    Rejected(String),
    /// The engine gave no answer. If it was called to change something, it may or may not have done so.
    NoAnswer(Error),
    /// This process may not go on.
    NotAllowed(NotAllowed),
}

impl From<NotAllowed> for Failure {
    fn from(why: NotAllowed) -> Self {
        Self::NotAllowed(why)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Gone(_) => superseded("the container is gone: it was removed or recreated"),
            Error::Refused { .. } => Self::Rejected(error.to_string()),
            Error::Unreachable { .. } | Error::Timeout { .. } | Error::InvalidAnswer { .. } => Self::NoAnswer(error),
        }
    }
}

pub(super) fn superseded(why: &str) -> Failure {
    Failure::Rejected(format!("superseded: {why}"))
}
