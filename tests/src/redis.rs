//! A real redis-server of a test's own, on a unix socket in a directory of its own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use hemostat_log::torn;
use tempfile::TempDir;

use crate::{signal, until};

/// A running (or killed) redis-server; ended when dropped.
#[derive(Debug)]
pub struct RedisServer {
    directory: TempDir,
    password: Option<String>,
    keeps: Keeps,
    child: Option<Child>,
}

/// When a server makes what it was told safe against its own death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// Never.
    Nothing,
    /// Every second.
    EverySecond,
    /// Before it answers.
    Always,
}

impl RedisServer {
    /// Starts one that keeps an append-only file, and waits until it answers.
    pub async fn start() -> Self {
        Self::with_password(None).await
    }

    /// The same, where everybody must say `password`.
    pub async fn with_password(password: Option<&str>) -> Self {
        Self::begin(password, Keeps::Always).await
    }

    /// Starts one that keeps as much as it is told to, and waits until it answers.
    pub async fn keeping(keeps: Keeps) -> Self {
        Self::begin(None, keeps).await
    }

    async fn begin(password: Option<&str>, keeps: Keeps) -> Self {
        let directory = tempfile::Builder::new().prefix("hemostat-redis-").tempdir().unwrap();
        let mut server = Self { directory, password: password.map(str::to_owned), keeps, child: None };
        server.restart().await;
        server
    }

    /// Starts it again on the data that it has kept, without a commit that was torn.
    pub async fn restart(&mut self) {
        let directory = self.directory.path();
        torn::cut_off(directory).unwrap();
        let log = File::options().create(true).append(true).open(directory.join("log")).unwrap();
        let [append_only, sync] = match self.keeps {
            Keeps::Nothing => ["no", "no"],
            Keeps::EverySecond => ["yes", "everysec"],
            Keeps::Always => ["yes", "always"],
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
        let said = || std::fs::read_to_string(directory.join("log")).unwrap_or_default();
        until(Duration::from_secs(20), "redis-server answers", async || {
            ensure!(self.cli(&["PING"])?.trim() == "PONG", "it said:\n{}", said());
            Ok(())
        })
        .await;
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Freezes it: the connection stands, but nobody answers.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Ends the frost.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        signal::send(signal, self.child.as_ref().expect("redis-server runs").id());
    }

    /// Its address, without the password.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// What `redis-cli` prints.
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

/// What `redis-cli` prints for a command on `socket`.
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
