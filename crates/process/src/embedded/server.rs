//! One redis-server: started or adopted, watched, started again, stopped.

use std::{fs, io, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    net::UnixStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{Error, directory::Directory, resp};
use hemostat_log::{
    Durability,
    torn::{self, Cut},
};

use hemostat_runtime::retry::Backoff;

const PROGRAM: &str = "redis-server";

/// How long a new server may take to listen; how long it then loads its data is its own affair.
const TO_LISTEN: Duration = Duration::from_secs(10);

/// A server that listens on the socket of a data directory.
#[derive(Debug)]
pub(super) enum Server {
    /// Ours.
    Child(Child),
    /// Of a HemoStat that was killed. The connection ends when the server does.
    Adopted(UnixStream),
}

/// Refuses a program that is missing or has no Redis Functions.
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

/// The version in `Redis server v=7.0.15 sha=00000000:0 malloc=…`, whole and its first number.
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
    /// The server that still runs on this directory, where there is one and it is this directory's.
    pub async fn adopt(directory: &Directory, durability: Durability) -> Option<Self> {
        let socket = directory.socket();
        let dir = resp::call(socket, &["CONFIG", "GET", "dir"]).await.ok()?;
        if dir.get(1).map(Path::new) != Some(directory.path()) {
            return None;
        }
        resp::call(socket, &["CONFIG", "SET", "appendfsync", fsync(durability)]).await.ok()?;
        let connection = UnixStream::connect(socket).await.ok()?;
        info!("the redis-server of the run before still runs in {}; going on with it", directory.path().display());
        Some(Self::Adopted(connection))
    }

    /// Starts one, and waits until it has loaded its data.
    pub async fn start(directory: &Directory, durability: Durability) -> Result<Self, Error> {
        let not_started = |reason: String| Error::NotStarted { reason, log: directory.log() };
        cut_off_torn(directory).await;
        let said_before = fs::metadata(directory.log()).map_or(0, |log| log.len());
        // A socket that a killed server left behind would look like one that listens.
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
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for us: the server ends when everybody has finished with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::Missing,
                _ => not_started(error.to_string()),
            })?;
        let began = Instant::now();
        loop {
            match resp::call(directory.socket(), &["PING"]).await {
                Ok(_) => return Ok(Self::Child(child)),
                Err(error) if error.to_string().starts_with("LOADING") => debug!("redis-server loads its data"),
                Err(error) if began.elapsed() > TO_LISTEN => return Err(not_started(error.to_string())),
                Err(_) => {}
            }
            if let Ok(Some(status)) = child.try_wait() {
                let last = last_words(&directory.log(), said_before).unwrap_or_else(|| status.to_string());
                return Err(not_started(last));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Watches over it until `stopping`, starting it again when it dies; then stops it.
    pub async fn keep(mut self, directory: Directory, durability: Durability, stopping: CancellationToken) {
        let mut backoff = Backoff::connection();
        loop {
            let began = Instant::now();
            tokio::select! {
                () = stopping.cancelled() => return self.stop(directory.socket()).await,
                how = self.ended() => error!("redis-server ended unexpectedly ({how}); starting it again"),
            }
            if began.elapsed() > Duration::from_secs(60) {
                backoff.reset();
            }
            self = loop {
                match Self::start(&directory, durability).await {
                    Ok(server) => break server,
                    Err(error) => error!("{error}; trying again"),
                }
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = sleep(backoff.next()) => {}
                }
            };
            info!("redis-server runs again");
        }
    }

    /// Resolves when it has ended, with how.
    async fn ended(&mut self) -> String {
        match self {
            Self::Child(child) => match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            Self::Adopted(connection) => {
                let mut nothing = [0; 1];
                while matches!(connection.read(&mut nothing).await, Ok(read) if read > 0) {}
                "connection closed".to_owned()
            }
        }
    }

    /// Lets it write everything to disk and end.
    async fn stop(&mut self, socket: &Path) {
        if let Err(error) = resp::call(socket, &["SHUTDOWN"]).await {
            debug!("redis-server was told to stop: {error}");
        }
        if timeout(Duration::from_secs(10), self.ended()).await.is_err() {
            warn!("redis-server does not stop; it is killed");
            if let Self::Child(child) = self {
                let _ = child.kill().await;
            }
        }
    }
}

/// Before a start: what a server that was killed left half written is in nobody's way any more.
async fn cut_off_torn(directory: &Directory) {
    let path = directory.path().to_owned();
    match tokio::task::spawn_blocking(move || torn::cut_off(&path)).await.unwrap_or_else(|error| Err(error.into())) {
        Ok(None) => {}
        Ok(Some(Cut { file, bytes })) => warn!(
            "redis-server was killed while it wrote a commit, which nobody was told of; cut these {bytes} bytes off {}",
            file.display()
        ),
        Err(error) => warn!("could not look for a torn commit in {}: {error}", directory.path().display()),
    }
}

/// The last line that the server wrote since `from`, without its preamble.
fn last_words(log: &Path, from: u64) -> Option<String> {
    let text = fs::read(log).ok()?;
    let new = text.get(usize::try_from(from).ok()?..)?;
    let new = String::from_utf8_lossy(new);
    let line = new.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.split_once(" # ").map_or(line, |(_, said)| said).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_the_server_says() {
        let text = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1\n";
        assert_eq!(version(text), Some(("7.0.15", 7)));
        assert_eq!(version("Redis server v=6.2.7 sha=1"), Some(("6.2.7", 6)));
        assert_eq!(version("bash: no such thing"), None);
    }
}
