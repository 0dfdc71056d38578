//! The one error type of calls to a Docker engine.

use std::time::Duration;

use bollard::errors::Error as ClientError;
use hemostat_schema::ContainerId;

use crate::{connect_error::ConnectError, link::Link};

/// A call to a Docker engine failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The container does not exist (any more).
    #[error("container {0} is gone")]
    Gone(String),
    /// The engine answered with an error.
    #[error("the Docker engine at {host} refused to {operation}: {reason} (status {status})")]
    Refused {
        /// The engine's address.
        host: String,
        /// The call, as a phrase after "to".
        operation: &'static str,
        /// The HTTP status.
        status: u16,
        /// The engine's message.
        reason: String,
    },
    /// The engine answered with something that does not parse.
    #[error("the Docker engine at {host} did not {operation}: its answer could not be read: {reason}")]
    InvalidAnswer {
        /// The engine's address.
        host: String,
        /// The call, as a phrase after "to".
        operation: &'static str,
        /// Why it does not parse.
        reason: String,
    },
    /// The connection failed, or broke before the answer was complete.
    #[error("no Docker engine answers at {host}: {reason}; {remedy}")]
    Unreachable {
        /// The engine's address.
        host: String,
        /// What happened.
        reason: String,
        /// What an operator should check.
        remedy: &'static str,
    },
    /// The engine did not answer in time.
    #[error("the Docker engine at {host} did not {operation} within {timeout:?}; is dockerd stuck or overloaded?")]
    Timeout {
        /// The engine's address.
        host: String,
        /// The call, as a phrase after "to".
        operation: &'static str,
        /// How long the call waited.
        timeout: Duration,
    },
}

impl Error {
    /// Whether it is unknown if the engine carried the call out: it gave no (readable) answer.
    pub fn outcome_is_unknown(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::InvalidAnswer { .. } => true,
            Self::Gone(_) | Self::Refused { .. } => false,
        }
    }

    /// Converts an error of Docker's client.
    pub(crate) fn of_client(link: &Link, operation: &'static str, error: ClientError) -> Self {
        let host = link.name().to_owned();
        match error {
            ClientError::DockerResponseServerError { status_code: status, message: reason } => {
                Self::Refused { host, operation, status, reason }
            }
            ClientError::RequestTimeoutError => Self::Timeout { host, operation, timeout: link.timeout() },
            ClientError::JsonDataError { message: reason, .. } => Self::InvalidAnswer { host, operation, reason },
            error => {
                let ConnectError { reason, remedy } = link.explain(&error);
                Self::Unreachable { host, reason, remedy }
            }
        }
    }

    /// The same error of a call about this container.
    pub(crate) fn about(self, id: &ContainerId) -> Self {
        match self {
            // Not every 404 means the container: a start also gets one if a network of the container is gone.
            Self::Refused { status: 404, reason, .. } if reason.to_lowercase().contains("no such container") => {
                Self::Gone(id.short().to_owned())
            }
            Self::Refused { host, operation, status, reason } => {
                Self::Refused { host, operation, status, reason: format!("{}: {reason}", id.short()) }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_container_is_gone() {
        let id: ContainerId = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f".parse().unwrap();
        let refused = |status, reason: &str| Error::Refused {
            host: "here".into(),
            operation: "start the container",
            status,
            reason: reason.into(),
        };
        for (status, reason, expected) in [
            (404, "No such container: api", "container ef1ff59165b9 is gone"),
            (404, "no container with name or ID \"api\" found: no such container", "container ef1ff59165b9 is gone"),
            (
                404,
                "network shop not found",
                "the Docker engine at here refused to start the container: ef1ff59165b9: network shop not found (status 404)",
            ),
            (
                500,
                "the port is taken",
                "the Docker engine at here refused to start the container: ef1ff59165b9: the port is taken (status 500)",
            ),
        ] {
            assert_eq!(refused(status, reason).about(&id).to_string(), expected);
        }
    }
}
