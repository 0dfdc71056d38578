//! A real redis-server per test, on a unix socket in a temporary directory.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use hemostat_log::aof_repair;
use tempfile::TempDir;

use crate::{signal, wait_until};

/// A redis-server, killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    directory: TempDir,
    password: Option<String>,
    fsync: Fsync,
    child: Option<Child>,
}

/// When a server writes its append-only file to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// It has no append-only file.
    Never,
    /// Every second.
    EverySecond,
    /// Before it responds.
    Always,
}

impl RedisServer {
    /// Starts one that syncs before each response, and waits until it answers.
    pub async fn start() -> Self {
        Self::with_password(None).await
    }

    /// The same with a password.
    pub async fn with_password(password: Option<&str>) -> Self {
        Self::begin(password, Fsync::Always).await
    }

    /// Starts one with this durability, and waits until it answers.
    pub async fn with_fsync(fsync: Fsync) -> Self {
        Self::begin(None, fsync).await
    }

    /// Starts one with the data of this RDB file and without an append-only file.
    pub async fn with_dump(rdb: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("hemostat-redis-").tempdir().unwrap();
        std::fs::copy(rdb, directory.path().join("dump.rdb")).unwrap();
        let mut server = Self { directory, password: None, fsync: Fsync::Never, child: None };
        server.restart().await;
        server
    }

    async fn begin(password: Option<&str>, fsync: Fsync) -> Self {
        let directory = tempfile::Builder::new().prefix("hemostat-redis-").tempdir().unwrap();
        let mut server = Self { directory, password: password.map(str::to_owned), fsync, child: None };
        server.restart().await;
        server
    }

    /// Starts it on its existing data, after truncating a commit that a crash cut off.
    pub async fn restart(&mut self) {
        let directory = self.directory.path();
        aof_repair::truncate_torn_commit(directory).unwrap();
        let log = File::options().create(true).append(true).open(directory.join("log")).unwrap();
        let [append_only, sync] = match self.fsync {
            Fsync::Never => ["no", "no"],
            Fsync::EverySecond => ["yes", "everysec"],
            Fsync::Always => ["yes", "always"],
        };
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", append_only, "--appendfsync", sync, "--unixsocket"])
            .arg(self.socket())
            .arg("--dir")
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        let child = command.spawn();
        self.child =
            Some(child.expect("redis-server could not be started: install it, or run `make test`, which does"));
        let output = || std::fs::read_to_string(directory.join("log")).unwrap_or_default();
        wait_until(Duration::from_secs(20), "redis-server answers", async || {
            ensure!(self.cli(&["PING"])?.trim() == "PONG", "output:\n{}", output());
            Ok(())
        })
        .await;
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// `SIGSTOP`: connections stay open, but get no response.
    pub fn suspend(&self) {
        self.signal("STOP");
    }

    /// `SIGCONT`.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        signal::send(signal, self.child.as_ref().expect("redis-server runs").id());
    }

    /// Its address, without the password.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// Runs a command and returns what `redis-cli` prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn cli(&self, arguments: &[&str]) -> anyhow::Result<String> {
        redis_cli(&self.socket(), self.password.as_deref(), arguments)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command on the server at `socket` and returns what `redis-cli` prints.
pub(crate) fn redis_cli(socket: &Path, password: Option<&str>, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("redis-cli");
    command.arg("-s").arg(socket).arg("-e").args(arguments).stdin(Stdio::null());
    if let Some(password) = password {
        command.env("REDISCLI_AUTH", password);
    }
    let output = command.output().context("could not run redis-cli: install redis-tools")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "redis-cli {arguments:?}: {}", complaint.trim());
    Ok(String::from_utf8(output.stdout)?)
}
