//! One redis-server process: starts or adopts it, restarts it if it dies, stops it.

use std::{fs, io, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    net::UnixStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{directory::Directory, error::Error, resp};
use hemostat_log::{
    Durability,
    aof_repair::{self, TornCommit},
};

use hemostat_runtime::retry::Backoff;

const PROGRAM: &str = "redis-server";

/// Settings of the server's allocator (jemalloc): one arena, as one thread does all the work; no cache of larger pieces; and
/// what is freed goes back to the kernel after a second. With twenty idle containers the server holds 0.4 MB less by it. It
/// costs no time that can be measured, unlike no cache at all.
const MALLOC_CONF: &str = "narenas:1,lg_tcache_max:11,dirty_decay_ms:1000,muzzy_decay_ms:0";

/// How long a new server may take until it listens. Loading its data after that has no limit.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server must run before its next failure counts as the first one again.
const STABLE: Duration = Duration::from_secs(60);

/// A server that listens on the socket of a data directory.
#[derive(Debug)]
pub(super) enum Server {
    /// A child of this process.
    Child(Child),
    /// Started by a HemoStat that was killed. The connection ends when the server does.
    Adopted(UnixStream),
}

/// Refuses a redis-server that is missing, or too old to have Redis Functions.
pub(super) async fn check_version() -> Result<(), Error> {
    let output = Command::new(PROGRAM).arg("--version").stdin(Stdio::null()).output().await;
    let output = output.map_err(|_| Error::Missing)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match version(&text) {
        Some((found, major)) if major < 7 => Err(Error::TooOld { found: found.to_owned() }),
        Some(_) => Ok(()),
        None => Err(Error::TooOld { found: format!("unknown ({})", text.trim()) }),
    }
}

/// The version in `Redis server v=7.0.15 sha=00000000:0 malloc=…`, and its major number.
fn version(text: &str) -> Option<(&str, u32)> {
    let found = text.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    Some((found, found.split('.').next()?.parse().ok()?))
}

fn fsync(durability: Durability) -> &'static str {
    match durability {
        Durability::Always | Durability::Replicas(_) => "always",
        Durability::Everysec => "everysec",
    }
}

impl Server {
    /// The server that still runs on this directory, if there is one and its data are this directory's.
    pub async fn adopt(directory: &Directory, durability: Durability) -> Option<Self> {
        let socket = directory.socket();
        let dir = resp::call(socket, &["CONFIG", "GET", "dir"]).await.ok()?;
        if dir.get(1).map(Path::new) != Some(directory.path()) {
            return None;
        }
        resp::call(socket, &["CONFIG", "SET", "appendfsync", fsync(durability)]).await.ok()?;
        let connection = UnixStream::connect(socket).await.ok()?;
        info!("the redis-server of the previous run still runs in {}; using it", directory.path().display());
        Some(Self::Adopted(connection))
    }

    /// Starts one, and waits until it has loaded its data.
    pub async fn start(directory: &Directory, durability: Durability) -> Result<Self, Error> {
        let not_started = |reason: String| Error::NotStarted { reason, log: directory.log() };
        repair(directory).await;
        let log_before = fs::metadata(directory.log()).map_or(0, |log| log.len());
        // The socket of a killed server would look like one that listens.
        let _ = fs::remove_file(directory.socket());
        let mut child = Command::new(PROGRAM)
            .args(["--port", "0", "--daemonize", "no", "--loglevel", "warning"])
            .arg("--dir")
            .arg(directory.path())
            .arg("--logfile")
            .arg(directory.log())
            .arg("--unixsocket")
            .arg(directory.socket())
            .args(["--unixsocketperm", "700"])
            .args(["--appendonly", "yes", "--appendfsync", fsync(durability), "--save", ""])
            .args(["--maxmemory-policy", "noeviction"])
            .env("MALLOC_CONF", MALLOC_CONF)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C must not reach the server: HemoStat stops it after all roles.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::Missing,
                _ => not_started(error.to_string()),
            })?;
        let started = Instant::now();
        loop {
            match resp::call(directory.socket(), &["PING"]).await {
                Ok(_) => return Ok(Self::Child(child)),
                Err(error) if error.to_string().starts_with("LOADING") => debug!("redis-server is loading its data"),
                Err(error) if started.elapsed() > LISTEN_TIMEOUT => return Err(not_started(error.to_string())),
                Err(_) => {}
            }
            if let Ok(Some(status)) = child.try_wait() {
                let last = last_line(&directory.log(), log_before).unwrap_or_else(|| status.to_string());
                return Err(not_started(last));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Restarts it with backoff if it dies, until `stopping`; then stops it.
    pub async fn supervise(mut self, directory: Directory, durability: Durability, stopping: CancellationToken) {
        let mut backoff = Backoff::connection();
        loop {
            let started = Instant::now();
            tokio::select! {
                () = stopping.cancelled() => return self.stop(directory.socket()).await,
                how = self.ended() => error!("redis-server ended unexpectedly ({how}); HemoStat restarts it"),
            }
            if started.elapsed() > STABLE {
                backoff.reset();
            }
            self = loop {
                match Self::start(&directory, durability).await {
                    Ok(server) => break server,
                    Err(error) => error!("{error}; HemoStat tries again"),
                }
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = sleep(backoff.next_delay()) => {}
                }
            };
            info!("redis-server is running again");
        }
    }

    /// Resolves when it has ended; tells how.
    async fn ended(&mut self) -> String {
        match self {
            Self::Child(child) => match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            Self::Adopted(connection) => {
                let mut ignored = [0; 1];
                while matches!(connection.read(&mut ignored).await, Ok(read) if read > 0) {}
                "connection closed".to_owned()
            }
        }
    }

    /// Lets it write everything to disk and end; kills it if it does not end in time.
    async fn stop(&mut self, socket: &Path) {
        if let Err(error) = resp::call(socket, &["SHUTDOWN"]).await {
            debug!("could not tell redis-server to stop: {error}");
        }
        if timeout(Duration::from_secs(10), self.ended()).await.is_err() {
            warn!("redis-server does not stop; HemoStat kills it");
            if let Self::Child(child) = self {
                let _ = child.kill().await;
            }
        }
    }
}

/// Removes a torn commit that a killed server left at the end of its append-only file. Run this before a start.
async fn repair(directory: &Directory) {
    let path = directory.path().to_owned();
    let repaired = tokio::task::spawn_blocking(move || aof_repair::truncate_torn_commit(&path)).await;
    match repaired.unwrap_or_else(|error| Err(error.into())) {
        Ok(None) => {}
        Ok(Some(TornCommit { file, bytes })) => warn!(
            "redis-server was killed while it wrote a commit, which it had not confirmed; removed these {bytes} bytes from {}",
            file.display()
        ),
        Err(error) => warn!("could not check {} for a torn commit: {error}", directory.path().display()),
    }
}

/// The last line that the server logged after byte `from`, without its prefix.
fn last_line(log: &Path, from: u64) -> Option<String> {
    let text = fs::read(log).ok()?;
    let new = text.get(usize::try_from(from).ok()?..)?;
    let new = String::from_utf8_lossy(new);
    let line = new.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.split_once(" # ").map_or(line, |(_, message)| message).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_parsed_from_the_servers_output() {
        let text = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1\n";
        assert_eq!(version(text), Some(("7.0.15", 7)));
        assert_eq!(version("Redis server v=6.2.7 sha=1"), Some(("6.2.7", 6)));
        assert_eq!(version("bash: no such thing"), None);
    }
}
