//! HemoStat's own Redis, for who has none: a `redis-server` child on a unix socket in the data directory.
//!
//! It is started before everything and stopped after everything, started again when it dies, and adopted when it has
//! outlived a HemoStat that was killed. A lock on the data directory keeps a second HemoStat away.

mod directory;
mod resp;
mod server;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::{directory::Directory, server::Server};
use hemostat_log::Durability;

/// Why there is no embedded Redis.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be made or used.
    #[error("could not use the data directory {}; make it writable, or name another (data_dir)", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another HemoStat uses the data directory.
    #[error(
        "another HemoStat{} uses the data directory {}; stop it, or give this one a directory of its own (data_dir)",
        pid.as_ref().map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        path.display()
    )]
    InUse {
        /// Which.
        path: PathBuf,
        /// Its process, where it is known.
        pid: Option<String>,
    },
    /// There is no `redis-server`.
    #[error(
        "redis-server is not installed; install Redis 7 or later (on Debian and Ubuntu: apt install redis-server), \
         or name a Redis that runs already (redis.url)"
    )]
    Missing,
    /// `redis-server` is too old.
    #[error(
        "redis-server is version {found}, but version 7.0 or later is needed; update it, or name another Redis (redis.url)"
    )]
    TooOld {
        /// What it says it is.
        found: String,
    },
    /// `redis-server` did not start.
    #[error("redis-server did not start: {reason} (see {})", log.display())]
    NotStarted {
        /// What it said last.
        reason: String,
        /// Where it says more.
        log: PathBuf,
    },
}

/// The address of the embedded Redis of `data_dir`, when another process runs it.
pub fn running(data_dir: &Path) -> Option<String> {
    let socket = directory::socket(&data_dir.canonicalize().ok()?).ok()?;
    socket.exists().then(|| address(&socket))
}

fn address(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}

/// A running Redis of our own. When it is dropped without [`stop`](Self::stop), the child is killed; what it had
/// confirmed is on disk.
#[derive(Debug)]
pub struct Embedded {
    socket: PathBuf,
    owner: String,
    stopping: CancellationToken,
    keeper: JoinHandle<()>,
}

impl Embedded {
    /// Starts it in `data_dir`, which is made where it is missing, or adopts the one that still runs there.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(data_dir: &Path, durability: Durability) -> Result<Self, Error> {
        let directory = Directory::lock(data_dir)?;
        let socket = directory.socket().to_owned();
        let owner = format!("embedded:{}", directory.path().display());
        let server = match Server::adopt(&directory, durability).await {
            Some(server) => server,
            None => {
                server::check_version().await?;
                Server::start(&directory, durability).await?
            }
        };
        let stopping = CancellationToken::new();
        let keeper = tokio::spawn(server.keep(directory, durability, stopping.clone()));
        Ok(Self { socket, owner, stopping, keeper })
    }

    /// Its address.
    pub fn url(&self) -> String {
        address(&self.socket)
    }

    /// As whom leases are held on it. The lock on the data directory sees to it that there is only one, so the next
    /// start after a crash takes its leases up at once instead of waiting until they run out.
    pub fn owner(&self) -> String {
        self.owner.clone()
    }

    /// Stops it, having written everything to disk; last of all, when nobody uses it any more.
    pub async fn stop(self) {
        self.stopping.cancel();
        if tokio::time::timeout(Duration::from_secs(20), self.keeper).await.is_err() {
            tracing::warn!("redis-server did not stop in time");
        }
    }
}

#[cfg(test)]
mod tests;
