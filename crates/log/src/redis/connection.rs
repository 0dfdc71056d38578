//! One connection to Redis, and how a broken one is replaced.
//!
//! The client could reconnect by itself, but then it also sends commands again that may have been done, keeps using a
//! half-open socket, and cannot always tell that the peer is gone. So every connection here is used until its first
//! failure and is then thrown away: the next call makes a new one. A command is sent at most once; whether to send it
//! again is for the caller to say, who knows what is harmless.

use std::{sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::{Error as ClientError, ErrorKind},
    interfaces::ClientLike,
    types::{
        ClusterHash, ConnectHandle, CustomCommand,
        config::{ConnectionConfig, Options as CallOptions},
    },
};
use tokio::{sync::Mutex, time::timeout};

use super::reply::Reply;
use crate::{Error, Options};

/// What a command is given.
pub(super) type Arg = bytes::Bytes;

/// A connected client. Its task outlives the client's handles, so it is ended with this.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    task: ConnectHandle,
    server: Arc<str>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Connects and authenticates, within the options' time limit.
    pub async fn open(options: &Options) -> Result<Self, Error> {
        const DOING: &str = "connect";
        let limit = options.limit();
        let server: Arc<str> = options.server().into();
        let connection = ConnectionConfig {
            connection_timeout: limit,
            internal_command_timeout: limit,
            max_command_attempts: 1,
            // Without bound: a full buffer stops this client for good. Callers wait for their answers, which is bound
            // enough.
            max_command_buffer_len: 0,
            ..ConnectionConfig::default()
        };
        let client = Client::new(options.config(), None, Some(connection), None);
        match timeout(limit, client.init()).await {
            Ok(Ok(task)) => Ok(Self { client, task, server }),
            Ok(Err(error)) => Err(fault(&error, DOING, &server, limit)),
            Err(_) => {
                // Its task goes on by itself; should it still connect, it finds this waiting and ends.
                tokio::spawn(async move { timeout(limit, client.quit()).await });
                Err(Error::TimedOut { doing: DOING, server: server.to_string(), limit })
            }
        }
    }

    /// Sends one command, once, and waits for its answer.
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
        let frame = answer.map_err(|error| fault(&error, doing, &self.server, limit))?;
        match Reply::from(frame) {
            Reply::Error(reply) => Err(refusal(doing, &self.server, reply)),
            reply => Ok(reply),
        }
    }

    fn is_connected(&self) -> bool {
        self.client.is_connected() && !self.task.is_finished()
    }
}

/// A connection for everybody, made again whenever it broke.
#[derive(Debug)]
pub(super) struct Shared {
    options: Options,
    current: Mutex<Option<Arc<Connection>>>,
}

impl Shared {
    /// Begins with `connection`.
    pub fn new(options: Options, connection: Connection) -> Self {
        Self { options, current: Mutex::new(Some(Arc::new(connection))) }
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn server(&self) -> String {
        self.options.server()
    }

    /// Sends one command, at most once. With the wait for a connection it takes no longer than the time limit.
    pub async fn call(&self, doing: &'static str, command: &'static str, args: Vec<Arg>) -> Result<Reply, Error> {
        let limit = self.options.limit();
        let call = async {
            let connection = self.connection().await.map_err(|error| about(error, doing))?;
            let answer = connection.call(doing, command, args, limit).await;
            if matches!(answer, Err(Error::Unreachable { .. } | Error::TimedOut { .. })) {
                self.discard(&connection).await;
            }
            answer
        };
        match timeout(limit + GRACE, call).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::TimedOut { doing, server: self.server(), limit }),
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>, Error> {
        let mut current = self.current.lock().await;
        match current.as_ref().filter(|connection| connection.is_connected()) {
            Some(connection) => Ok(Arc::clone(connection)),
            None => {
                *current = None;
                Ok(Arc::clone(current.insert(Arc::new(Connection::open(&self.options).await?))))
            }
        }
    }

    async fn discard(&self, broken: &Arc<Connection>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|connection| Arc::ptr_eq(connection, broken)) {
            *current = None;
        }
    }
}

/// The client's own limit fires first, so that it forgets the command.
const GRACE: Duration = Duration::from_millis(100);

/// The same failure, told as what the caller was about.
fn about(error: Error, doing: &'static str) -> Error {
    match error {
        Error::Unreachable { server, reason, .. } => Error::Unreachable { doing, server, reason },
        Error::TimedOut { server, limit, .. } => Error::TimedOut { doing, server, limit },
        Error::NotReady { server, reply, .. } => Error::NotReady { doing, server, reply },
        other => other,
    }
}

/// What a failure inside the client means.
fn fault(error: &ClientError, doing: &'static str, server: &str, limit: Duration) -> Error {
    let (server, details) = (server.to_owned(), error.details().to_owned());
    match error.kind() {
        ErrorKind::Timeout => Error::TimedOut { doing, server, limit },
        ErrorKind::Auth => Error::Auth { server, reply: details },
        _ if is_reply(&details) => refusal(doing, &server, details),
        _ => Error::Unreachable { doing, server, reason: details },
    }
}

/// Redis begins its error replies with a code in capitals; the client does not begin its own messages so.
fn is_reply(details: &str) -> bool {
    let code = details.split(' ').next().unwrap_or_default();
    code.len() > 1 && code.bytes().all(|b| b.is_ascii_uppercase())
}

/// What an error reply means.
fn refusal(doing: &'static str, server: &str, reply: String) -> Error {
    let server = server.to_owned();
    match reply.split(' ').next().unwrap_or_default() {
        "LOADING" | "BUSY" | "MASTERDOWN" | "READONLY" | "CLUSTERDOWN" | "TRYAGAIN" | "MISCONF" | "NOREPLICAS"
        | "OOM" => Error::NotReady { doing, server, reply },
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Error::Auth { server, reply },
        "UNSET" => Error::NotMigrated { server, missing: reply },
        _ if reply.starts_with("ERR AUTH") => Error::Auth { server, reply },
        _ if reply.starts_with("ERR Function not found") => {
            Error::NotMigrated { server, missing: "its functions are not loaded".to_owned() }
        }
        _ => Error::Refused { doing, server, reply },
    }
}
