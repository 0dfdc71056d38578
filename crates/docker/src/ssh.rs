//! Connects to an engine over ssh, as Docker's own client does: ssh runs `docker system dial-stdio` on the other machine,
//! and its stdin and stdout are the connection.
//!
//! Keys, known hosts and jump hosts are ssh's own configuration. ssh runs in batch mode, so it never asks for a password;
//! its stderr becomes the error text.

use std::{
    future::Future,
    io,
    path::Path,
    pin::Pin,
    process::Stdio,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::timeout,
};

use crate::address::Address;

/// Maximum concurrent connections: each is a login, and sshd accepts only a few at a time.
const MAX_CONNECTIONS: usize = 8;

/// Maximum bytes of ssh's stderr that are kept.
const MAX_STDERR: usize = 2048;

/// ssh ended before the engine sent anything; holds its stderr.
#[derive(Debug, thiserror::Error)]
#[error("{}", if .0.is_empty() { "ssh ended without an error message".to_owned() } else { format!("ssh said: {}", .0) })]
pub(crate) struct SshFailed(pub String);

/// Opens ssh connections to one engine.
#[derive(Debug)]
pub(crate) struct Ssh {
    arguments: Vec<String>,
    slots: Arc<Semaphore>,
    limit: Duration,
}

impl Ssh {
    /// To an ssh address. A connection that waits longer than `limit` for a free slot fails.
    pub(crate) fn to(address: &Address, config: Option<&Path>, limit: Duration) -> Self {
        Self { arguments: arguments(address, config), slots: Arc::new(Semaphore::new(MAX_CONNECTIONS)), limit }
    }

    pub(crate) async fn dial(&self) -> io::Result<Stream> {
        let slot = timeout(self.limit, Arc::clone(&self.slots).acquire_owned()).await;
        let slot = slot.map_err(|_| io::Error::other("all connections by ssh are in use"))?;
        let slot = slot.map_err(io::Error::other)?;
        let mut child = Command::new("ssh")
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => io::Error::other("the program ssh is not installed"),
                _ => io::Error::other(format!("could not run ssh: {error}")),
            })?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("ssh has no stdin, stdout or stderr"));
        };
        let stderr = tokio::spawn(collect(stderr));
        Ok(Stream { stdin: Some(stdin), stdout, stderr: Some(stderr), received: false, _child: child, _slot: slot })
    }
}

/// The command line of ssh.
fn arguments(address: &Address, config: Option<&Path>) -> Vec<String> {
    let Address::Ssh { user, host, port, socket } = address else { return vec![] };
    let mut arguments: Vec<String> =
        ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15"].map(Into::into).into();
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            arguments.extend([name.to_owned(), value]);
        }
    };
    option("-F", config.map(|path| path.to_string_lossy().into_owned()));
    option("-l", user.clone());
    option("-p", port.map(|port| port.to_string()));
    arguments.extend(["--", host, "docker"].map(str::to_owned));
    if let Some(socket) = socket {
        // The shell on the other machine parses it.
        arguments.push(format!("--host='unix://{}'", socket.replace('\'', r"'\''")));
    }
    arguments.extend(["system", "dial-stdio"].map(str::to_owned));
    arguments
}

/// The end of ssh's stderr, as one line.
async fn collect(mut stderr: ChildStderr) -> String {
    let (mut said, mut piece) = (Vec::new(), [0; 512]);
    while let Ok(length @ 1..) = stderr.read(&mut piece).await {
        said.extend_from_slice(&piece[..length]);
        said.drain(..said.len().saturating_sub(MAX_STDERR));
    }
    let said = String::from_utf8_lossy(&said);
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// A connection; dropping it ends ssh.
#[derive(Debug)]
pub(crate) struct Stream {
    /// `None` after our side was shut down.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: Option<JoinHandle<String>>,
    /// Whether the engine has sent anything: after that, an end of file is not ssh's failure.
    received: bool,
    _child: Child,
    _slot: OwnedSemaphorePermit,
}

impl Stream {
    /// Why ssh ended; `None` if this was returned before, or if the engine has sent something.
    fn failure(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Error>> {
        let Some(stderr) = self.stderr.as_mut().filter(|_| !self.received) else { return Poll::Ready(None) };
        let said = ready!(Pin::new(stderr).poll(cx)).unwrap_or_default();
        self.stderr = None;
        Poll::Ready(Some(io::Error::other(SshFailed(said))))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        ready!(Pin::new(&mut self.stdout).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.received = true;
        } else if room > 0
            && let Some(error) = ready!(self.failure(cx))
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(stdin) = &mut self.stdin else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match ready!(Pin::new(stdin).poll_write(cx, buf)) {
            // ssh ended: its stderr says more than a broken pipe.
            Err(error) => Poll::Ready(Err(ready!(self.failure(cx)).unwrap_or(error))),
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin.as_mut().map_or(Poll::Ready(Ok(())), |stdin| Pin::new(stdin).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Closing the pipe is its shutdown.
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_follows_the_address_and_no_part_of_it_becomes_an_option() {
        let command_line = |address: &str, config: Option<&str>| {
            let address = address.parse().unwrap();
            arguments(&address, config.map(Path::new))[7..].join(" ")
        };
        assert_eq!(command_line("ssh://db", None), "-- db docker system dial-stdio");
        assert_eq!(
            command_line("ssh://me@db:2222", Some("/etc/hemostat/ssh")),
            "-F /etc/hemostat/ssh -l me -p 2222 -- db docker system dial-stdio"
        );
        assert_eq!(
            command_line("ssh://db/run/user/1000/docker.sock", None),
            "-- db docker --host='unix:///run/user/1000/docker.sock' system dial-stdio"
        );
        assert_eq!(
            command_line("ssh://db/a';reboot'", None),
            r"-- db docker --host='unix:///a'\'';reboot'\''' system dial-stdio"
        );
    }

    #[tokio::test]
    async fn the_error_is_what_ssh_printed() {
        // Nothing listens on port 1.
        let address = "ssh://nobody@127.0.0.1:1".parse().unwrap();
        let mut stream = Ssh::to(&address, None, Duration::from_secs(5)).dial().await.unwrap();
        let error = stream.read(&mut [0; 8]).await.unwrap_err();
        assert!(error.to_string().contains("Connection refused"), "{error}");
    }
}
