//! For tests here and in other crates: a real redis-server per test, a log in memory, and events to append.

#![allow(clippy::unwrap_used, reason = "a test ends where something it relies on fails")]

pub mod cluster;
pub mod events;
mod memory;

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub use self::memory::MemoryLog;

use crate::{Options, RedisLog, aof_repair, migrate};

/// Deadline of everything that a test waits for.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A redis-server on a unix socket in a temporary directory, stopped when dropped. Its data survive
/// [`kill`](Self::kill) and [`start`](Self::start).
#[derive(Debug)]
pub struct Server {
    dir: TempDir,
    args: Vec<String>,
    child: Child,
}

impl Server {
    /// Starts one and waits until it answers.
    pub fn spawn() -> Self {
        Self::with(&[])
    }

    /// The same with extra arguments, such as `--requirepass`.
    pub fn with(args: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("hemostat-log-").tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let child = spawn(&dir, &args);
        let server = Self { dir, args, child };
        server.wait_until_ready();
        server
    }

    /// The path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// Options to connect to it.
    pub fn options(&self) -> Options {
        Options::new(&format!("unix://{}", self.socket().display())).unwrap()
    }

    /// Migrates it and connects.
    pub async fn log(&self) -> RedisLog {
        migrate(&self.options()).await.unwrap();
        RedisLog::connect(&self.options()).await.unwrap()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it on the same data, after truncating a commit that the crash cut off.
    pub fn start(&mut self) {
        aof_repair::truncate_torn_commit(self.dir.path()).unwrap();
        self.child = spawn(&self.dir, &self.args);
        self.wait_until_ready();
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// What redis-cli prints for one command.
    pub fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + DEADLINE;
        while !answers(&self.socket()) {
            assert!(Instant::now() < deadline, "redis-server did not answer in time");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &TempDir, args: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", "0", "--unixsocket", "redis.sock", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(dir.path())
        .args(args)
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs redis-server 7.0 or later on the PATH: {error}"))
}

/// Whether it accepts commands: a request for a password counts, an error while it loads its data does not.
fn answers(socket: &PathBuf) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    ask().is_ok_and(|answer| answer.starts_with("+PONG") || answer.starts_with("-NOAUTH"))
}
