//! HemoStat's own Redis: a `redis-server` child process on a unix socket in the data directory.
//!
//! It is started before all roles and stopped after them, restarted if it dies, and adopted if it outlived a HemoStat that
//! was killed. A lock on the data directory excludes a second HemoStat.

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

/// Why the embedded Redis cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be created or used.
    #[error("could not use the data directory {}; make it writable, or set another one (data_dir)", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another HemoStat uses the data directory.
    #[error(
        "another HemoStat{} uses the data directory {}; stop it, or give this one a directory of its own (data_dir)",
        pid.as_ref().map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process id of that HemoStat, if known.
        pid: Option<String>,
    },
    /// `redis-server` is not installed.
    #[error(
        "redis-server is not installed; install Redis 7 or later (on Debian and Ubuntu: apt install redis-server), \
         or set the address of a running Redis (redis.url)"
    )]
    Missing,
    /// `redis-server` is too old.
    #[error(
        "redis-server is version {found}, but version 7.0 or later is needed; update it, or set the address of another Redis (redis.url)"
    )]
    TooOld {
        /// Its version.
        found: String,
    },
    /// `redis-server` did not start.
    #[error("redis-server did not start: {reason} (see {})", log.display())]
    NotStarted {
        /// The last line of its log, or how it ended.
        reason: String,
        /// Its log file.
        log: PathBuf,
    },
}

/// The address of the embedded Redis of `data_dir`, if another process runs it.
pub fn running(data_dir: &Path) -> Option<String> {
    let socket = directory::socket(&data_dir.canonicalize().ok()?).ok()?;
    socket.exists().then(|| address(&socket))
}

fn address(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}

/// A running embedded Redis. If it is dropped without [`stop`](Self::stop), the child is killed; what it has confirmed
/// is on disk.
#[derive(Debug)]
pub struct Embedded {
    socket: PathBuf,
    owner: String,
    stopping: CancellationToken,
    supervisor: JoinHandle<()>,
}

impl Embedded {
    /// Starts it in `data_dir`, which is created if missing, or adopts the one that still runs there.
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
        let supervisor = tokio::spawn(server.supervise(directory, durability, stopping.clone()));
        Ok(Self { socket, owner, stopping, supervisor })
    }

    /// Its address.
    pub fn url(&self) -> String {
        address(&self.socket)
    }

    /// The owner of the leases on it. The lock on the data directory admits only one HemoStat, so all its runs share this
    /// owner: after a crash the next run resumes its leases at once instead of waiting until they expire.
    pub fn owner(&self) -> String {
        self.owner.clone()
    }

    /// Lets it write everything to disk and stops it. Call this last, when no role uses it any more.
    pub async fn stop(self) {
        self.stopping.cancel();
        if tokio::time::timeout(Duration::from_secs(20), self.supervisor).await.is_err() {
            tracing::warn!("redis-server did not stop in time");
        }
    }
}

#[cfg(test)]
mod tests;
