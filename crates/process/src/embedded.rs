//! HemoStat's own Redis: a `redis-server` child process on a unix socket in the data directory.
//!
//! It is started before all roles and stopped after them, restarted if it dies, and adopted if it outlived a HemoStat that
//! was killed. A lock on the data directory excludes a second HemoStat.

mod directory;
mod error;
mod resp;
mod server;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::error::Error;
use self::{directory::Directory, server::Server};
use hemostat_log::Durability;

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
