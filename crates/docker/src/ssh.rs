//! An engine on another machine by way of ssh, as Docker's own client does it: ssh runs `docker system dial-stdio` there,
//! and what that reads and writes is the connection.
//!
//! Keys, known hosts and jumps are ssh's business. It is never asked for a password, as nobody is there to type it, and
//! what it says when it gives up is what the error says.

use std::{
    fmt,
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

use crate::Address;

/// So many connections at once: each is a login, of which sshd takes only a few at a time.
const AT_ONCE: usize = 8;

/// So much of what ssh says is kept.
const SAID: usize = 2048;

/// ssh gave up before the engine said anything.
#[derive(Debug)]
pub(crate) struct GaveUp(pub String);

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("ssh ended without a word") } else { write!(f, "ssh said: {}", self.0) }
    }
}

impl std::error::Error for GaveUp {}

/// A way to an engine.
#[derive(Debug)]
pub(crate) struct Ssh {
    arguments: Vec<String>,
    turns: Arc<Semaphore>,
    limit: Duration,
}

impl Ssh {
    /// To an address of this kind; for each connection its turn comes within `limit`, or not at all.
    pub(crate) fn to(address: &Address, config: Option<&Path>, limit: Duration) -> Self {
        Self { arguments: arguments(address, config), turns: Arc::new(Semaphore::new(AT_ONCE)), limit }
    }

    pub(crate) async fn dial(&self) -> io::Result<Stream> {
        let turn = timeout(self.limit, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| io::Error::other("all connections by ssh are in use"))?;
        let turn = turn.map_err(io::Error::other)?;
        let mut child = Command::new("ssh")
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => io::Error::other("there is no program ssh to reach it by"),
                _ => io::Error::other(format!("could not run ssh: {error}")),
            })?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("could not speak with ssh"));
        };
        let said = tokio::spawn(listen(stderr));
        Ok(Stream { stdin: Some(stdin), stdout, said: Some(said), heard: false, _child: child, _turn: turn })
    }
}

/// What ssh is to do.
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
        // The other side's shell reads it.
        arguments.push(format!("--host='unix://{}'", socket.replace('\'', r"'\''")));
    }
    arguments.extend(["system", "dial-stdio"].map(str::to_owned));
    arguments
}

/// All that ssh says, as one line; of much, the end.
async fn listen(mut stderr: ChildStderr) -> String {
    let (mut said, mut piece) = (Vec::new(), [0; 512]);
    while let Ok(length @ 1..) = stderr.read(&mut piece).await {
        said.extend_from_slice(&piece[..length]);
        said.drain(..said.len().saturating_sub(SAID));
    }
    let said = String::from_utf8_lossy(&said);
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// A connection; ssh ends with it.
#[derive(Debug)]
pub(crate) struct Stream {
    /// None once we have said all that we have to say.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    said: Option<JoinHandle<String>>,
    /// Whether the engine has said anything: from then on, an end is an end like any other.
    heard: bool,
    _child: Child,
    _turn: OwnedSemaphorePermit,
}

impl Stream {
    /// Why it ended; none where that has been told, or the engine was heard.
    fn why(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Error>> {
        let Some(said) = self.said.as_mut().filter(|_| !self.heard) else { return Poll::Ready(None) };
        let said = ready!(Pin::new(said).poll(cx)).unwrap_or_default();
        self.said = None;
        Poll::Ready(Some(io::Error::other(GaveUp(said))))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        ready!(Pin::new(&mut self.stdout).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.heard = true;
        } else if room > 0
            && let Some(error) = ready!(self.why(cx))
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
            // It is gone: what it said is worth more than that it is.
            Err(error) => Poll::Ready(Err(ready!(self.why(cx)).unwrap_or(error))),
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin.as_mut().map_or(Poll::Ready(Ok(())), |stdin| Pin::new(stdin).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A pipe has no other end of its own.
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_told_what_the_address_says_and_nothing_can_be_taken_for_an_option() {
        let told = |address: &str, config: Option<&str>| {
            let address = address.parse().unwrap();
            arguments(&address, config.map(Path::new))[7..].join(" ")
        };
        assert_eq!(told("ssh://db", None), "-- db docker system dial-stdio");
        assert_eq!(
            told("ssh://me@db:2222", Some("/etc/hemostat/ssh")),
            "-F /etc/hemostat/ssh -l me -p 2222 -- db docker system dial-stdio"
        );
        assert_eq!(
            told("ssh://db/run/user/1000/docker.sock", None),
            "-- db docker --host='unix:///run/user/1000/docker.sock' system dial-stdio"
        );
        assert_eq!(
            told("ssh://db/a';reboot'", None),
            r"-- db docker --host='unix:///a'\'';reboot'\''' system dial-stdio"
        );
    }

    #[tokio::test]
    async fn what_it_says_when_it_gives_up_is_told() {
        // Nobody listens on port 1.
        let address = "ssh://nobody@127.0.0.1:1".parse().unwrap();
        let mut stream = Ssh::to(&address, None, Duration::from_secs(5)).dial().await.unwrap();
        let error = stream.read(&mut [0; 8]).await.unwrap_err();
        assert!(error.to_string().contains("Connection refused"), "{error}");
    }
}
