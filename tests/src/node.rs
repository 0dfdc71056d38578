//! One redis-server or sentinel of a topology, on a loopback port.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};

use crate::{signal, wait_until};

/// One redis-server or sentinel, killed when dropped.
#[derive(Debug)]
pub struct Node {
    directory: PathBuf,
    port: u16,
    password: Option<&'static str>,
    tls: Option<Tls>,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// How redis-cli connects to a node over TLS.
#[derive(Debug)]
struct Tls {
    user: &'static str,
    ca_file: PathBuf,
}

impl Node {
    /// A node with this directory, not started yet.
    pub(crate) fn new(directory: PathBuf, password: Option<&'static str>) -> Self {
        std::fs::create_dir_all(&directory).unwrap();
        Self { directory, port: free_port(), password, tls: None, arguments: vec![], child: None }
    }

    /// A node that accepts only TLS.
    pub(crate) fn over_tls(
        directory: PathBuf,
        (user, password): (&'static str, &'static str),
        ca_file: PathBuf,
    ) -> Self {
        let mut node = Self::new(directory, Some(password));
        node.tls = Some(Tls { user, ca_file });
        node
    }

    /// Adds arguments of redis-server.
    pub(crate) fn with<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(arguments.into_iter().map(str::to_owned));
        self
    }

    /// Starts it on its existing data and waits until it answers.
    pub async fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.directory.join("log")).unwrap();
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args(&self.arguments)
            .args(["--bind", "127.0.0.1"])
            .args(match self.tls {
                None => ["--port", &port, "--tls-port", "0"],
                Some(_) => ["--port", "0", "--tls-port", &port],
            })
            .arg("--dir")
            .arg(&self.directory)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.child =
            Some(child.expect("redis-server could not be started: install it, or run `make test`, which does"));
        wait_until(Duration::from_secs(20), "redis-server answers", async || {
            let output = || std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            ensure!(self.cli(&["PING"]).with_context(output)?.trim() == "PONG", "output:\n{}", output());
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
        signal::send("STOP", self.child.as_ref().expect("redis-server runs").id());
    }

    /// Whether it was started and not killed.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs a command and returns what `redis-cli` prints; a redirection is an error.
    ///
    /// # Errors
    /// When it fails.
    pub fn cli(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("redis-cli");
        command.args(["-e", "-p", &self.port.to_string()]).stdin(Stdio::null());
        if let Some(password) = self.password {
            command.env("REDISCLI_AUTH", password);
        }
        if let Some(Tls { user, ca_file }) = &self.tls {
            command.args(["--user", user, "--tls", "--cacert"]).arg(ca_file);
        }
        let output = command.args(arguments).output().context("could not run redis-cli: install redis-tools")?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(
            output.status.success(),
            "redis-cli {arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(text)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A free port below the ephemeral range, so that no outgoing connection takes it first.
pub(crate) fn free_port() -> u16 {
    std::iter::repeat_with(|| fastrand::u16(15_000..32_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("some port is free")
}
