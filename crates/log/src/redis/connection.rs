//! One connection to one server.
//!
//! The client could reconnect by itself, but then it also resends commands that the server may have executed, keeps using a
//! half-open socket, and cannot always tell that the peer is gone. So a connection is used until its first failure and then
//! dropped. A command is sent at most once; the caller decides whether to retry, as it knows which commands are idempotent.

use std::time::Duration;

use fred::{
    clients::Client,
    error::{Error as ClientError, ErrorKind},
    interfaces::ClientLike,
    types::{
        ClusterHash, ConnectHandle, CustomCommand,
        config::{Config, ConnectionConfig, Options as CallOptions},
    },
};
use tokio::time::timeout;

use super::reply::Reply;
use crate::{Error, Options, options::Place};

/// An argument of a command.
pub(super) type Arg = bytes::Bytes;

/// What [`Error::NotMigrated`] names as missing when a server has no functions.
pub(super) const NO_FUNCTIONS: &str = "its functions are not loaded";

/// Marks a certificate error in the client's message.
const BAD_CERTIFICATE: &str = "InvalidCertificate";

/// A connected client. Its task would outlive the client's handles, so dropping this aborts it.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    task: ConnectHandle,
    place: Place,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Connects to the server at `place` and authenticates, within the options' time limit.
    pub async fn open(options: &Options, place: &Place) -> Result<Self, Error> {
        Self::open_as(options.config(place)?, place, options.limit()).await
    }

    /// The same for a sentinel.
    pub async fn open_sentinel(options: &Options, place: &Place) -> Result<Self, Error> {
        Self::open_as(options.sentinel_config(place)?, place, options.limit()).await
    }

    async fn open_as(config: Config, place: &Place, limit: Duration) -> Result<Self, Error> {
        const DOING: &str = "connect";
        let connection = ConnectionConfig {
            connection_timeout: limit,
            internal_command_timeout: limit,
            max_command_attempts: 1,
            // Unbounded: a full buffer stops this client for good, and callers are bounded as they wait for their replies.
            max_command_buffer_len: 0,
            ..ConnectionConfig::default()
        };
        let client = Client::new(config, None, Some(connection), None);
        match timeout(limit, client.init()).await {
            Ok(Ok(task)) => Ok(Self { client, task, place: place.clone() }),
            Ok(Err(error)) => Err(fault(&error, DOING, place, limit)),
            Err(_) => {
                // Its task continues; if it still connects, this makes it quit.
                tokio::spawn(async move { timeout(limit, client.quit()).await });
                Err(Error::TimedOut { doing: DOING, server: place.to_string(), limit })
            }
        }
    }

    /// Sends one command, once, and waits for its reply.
    pub async fn call(
        &self,
        doing: &'static str,
        command: &'static str,
        args: Vec<Arg>,
        limit: Duration,
    ) -> Result<Reply, Error> {
        let options = CallOptions { max_attempts: Some(1), timeout: Some(limit), ..CallOptions::default() };
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
        let answer = self.client.with_options(&options).custom_raw(command, args).await;
        let frame = answer.map_err(|error| fault(&error, doing, &self.place, limit))?;
        match Reply::from(frame) {
            Reply::Error(reply) => Err(refusal(doing, &self.place, reply)),
            reply => Ok(reply),
        }
    }

    /// The server.
    pub fn place(&self) -> &Place {
        &self.place
    }

    pub fn is_connected(&self) -> bool {
        self.client.is_connected() && !self.task.is_finished()
    }
}

/// The [`Error`] for an error of the client.
fn fault(error: &ClientError, doing: &'static str, place: &Place, limit: Duration) -> Error {
    let (server, details) = (place.to_string(), error.details().to_owned());
    match error.kind() {
        ErrorKind::Timeout => Error::TimedOut { doing, server, limit },
        ErrorKind::Auth => Error::Auth { server, reply: details },
        _ if details.contains(BAD_CERTIFICATE) => {
            let reason = details.find(BAD_CERTIFICATE).map_or("", |at| &details[at..]);
            Error::Untrusted { server, reason: reason.trim_end_matches([' ', '}']).to_owned() }
        }
        _ if is_reply(&details) => refusal(doing, place, details),
        _ => Error::Unreachable { doing, server, reason: details },
    }
}

/// An error reply of Redis begins with a code in capitals; the client's own messages do not.
fn is_reply(details: &str) -> bool {
    let code = details.split(' ').next().unwrap_or_default();
    code.len() > 1 && code.bytes().all(|b| b.is_ascii_uppercase())
}

/// The [`Error`] for an error reply.
fn refusal(doing: &'static str, place: &Place, reply: String) -> Error {
    let server = place.to_string();
    match reply.split(' ').next().unwrap_or_default() {
        "LOADING" | "BUSY" | "MASTERDOWN" | "READONLY" | "CLUSTERDOWN" | "TRYAGAIN" | "MISCONF" | "NOREPLICAS"
        | "OOM" | "UNBLOCKED" | "MOVED" | "ASK" => Error::NotReady { doing, server, reply },
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Error::Auth { server, reply },
        "UNSET" => Error::NotMigrated { server, missing: reply },
        _ if reply.starts_with("ERR AUTH") => Error::Auth { server, reply },
        _ if reply.starts_with("ERR Function not found") => {
            Error::NotMigrated { server, missing: NO_FUNCTIONS.to_owned() }
        }
        _ => Error::Refused { doing, server, reply },
    }
}
