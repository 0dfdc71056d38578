//! The world gets a clock and a socket.
//!
//! One task lets time pass: it sleeps until something is due and passes on what then happens. Every connection is a task
//! of its own; all of them end at once when the engine goes down, as those of a killed dockerd do, while its containers
//! live on.

mod shared;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use http_body_util::BodyExt;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

pub(crate) use self::shared::Shared;
use crate::{
    EngineState, UnixNanos,
    api::{self, ApiCall, ApiError, ConnectionCut, Query, Reply},
    fault::{ApiFault, FaultEffect},
};

/// A simulated Docker engine at a socket; gone when dropped.
#[derive(Debug)]
pub struct FakeDocker {
    shared: Shared,
    socket: PathBuf,
    time: JoinHandle<()>,
    serving: Mutex<Vec<JoinHandle<()>>>,
}

impl FakeDocker {
    /// Plays `engine` at a unix socket of this path, in place of what may lie there.
    ///
    /// # Errors
    /// When no socket can be made there.
    pub async fn at(socket: impl Into<PathBuf>, engine: EngineState) -> io::Result<Self> {
        let shared = Shared::of(engine, "simulated");
        let time = tokio::spawn(shared.clone().run_clock());
        let simulated = Self { shared, socket: socket.into(), time, serving: Mutex::default() };
        simulated.come_up().await?;
        Ok(simulated)
    }

    /// Where it is, as Docker's clients want it: `unix:///…`.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The path of its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Listens at a free port of the loopback interface, too.
    ///
    /// # Errors
    /// When there is none.
    pub async fn listen_tcp(&self) -> io::Result<SocketAddr> {
        let subscriber = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = subscriber.local_addr()?;
        let calls = stream::unfold(subscriber, |subscriber| async { Some((subscriber.accept().await, subscriber)) });
        self.serve(calls.map(|call| call.map(|(stream, _)| stream)));
        Ok(address)
    }

    /// Does something to the world, at this instant.
    pub fn change<T>(&self, what: impl FnOnce(&mut EngineState, UnixNanos) -> T) -> T {
        self.shared.change(what)
    }

    /// Looks at the world as it is at this instant.
    pub fn look<T>(&self, what: impl FnOnce(&EngineState, UnixNanos) -> T) -> T {
        self.shared.look(what)
    }

    /// From now on this is wrong.
    pub fn add_fault(&self, fault: ApiFault) {
        self.shared.add_fault(fault);
    }

    /// From now on nothing is wrong.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// Cuts every event stream in the middle; says how many there were.
    pub fn cut_streams(&self) -> usize {
        self.shared.cut_streams()
    }

    /// How many requests of this kind have come, by the names of [`ApiFault::on`].
    pub fn requests(&self, kind: &str) -> u64 {
        self.shared.requests().get(kind).copied().unwrap_or_default()
    }

    /// The engine dies: every connection breaks, and nobody answers. The containers live on.
    pub fn go_down(&self) {
        for task in self.serving.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.shared.drop_subscribers();
        // An error means that somebody has taken it away.
        drop(std::fs::remove_file(&self.socket));
    }

    /// It answers again, at its unix socket.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub async fn come_up(&self) -> io::Result<()> {
        // An error means that there is none.
        drop(std::fs::remove_file(&self.socket));
        let subscriber = UnixListener::bind(&self.socket)?;
        let calls = stream::unfold(subscriber, |subscriber| async { Some((subscriber.accept().await, subscriber)) });
        self.serve(calls.map(|call| call.map(|(stream, _)| stream)));
        Ok(())
    }

    /// Answers all who call; when the task ends, every connection breaks.
    fn serve<S>(&self, calls: impl Stream<Item = io::Result<S>> + Send + 'static)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = self.shared.clone();
        let serving = tokio::spawn(async move {
            let (mut calls, mut connections) = (Box::pin(calls), JoinSet::new());
            while let Some(call) = calls.next().await {
                match call {
                    Ok(stream) => _ = connections.spawn(connection(stream, shared.clone())),
                    // Too many files are open, perhaps; some will be closed.
                    Err(_) => sleep(Duration::from_millis(10)).await,
                }
                while connections.try_join_next().is_some() {}
            }
        });
        self.serving.lock().unwrap_or_else(PoisonError::into_inner).push(serving);
    }
}

impl Drop for FakeDocker {
    fn drop(&mut self) {
        self.time.abort();
        self.go_down();
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Shared) {
    let answer = service_fn(move |request| {
        let shared = shared.clone();
        async move { shared.answer(request).await }
    });
    // An error means that the other side has hung up, or that a fault made us do so.
    drop(http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer).await);
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Result<Reply, ConnectionCut> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| ConnectionCut)?.to_bytes();
        let path = parts(head.uri.path());
        let call = ApiCall { method: head.method, path, query: Query::parse(head.uri.query()), body };
        let (kind, key) = api::kind(&call);
        let struck = self.admit(kind, key);
        for effect in struck {
            match effect {
                FaultEffect::DelayMs(millis) => sleep(Duration::from_millis(millis)).await,
                FaultEffect::Hang => std::future::pending().await,
                FaultEffect::Cut => return Err(ConnectionCut),
                FaultEffect::Status(status) => return Ok(ApiError::faulty(status).into_reply()),
            }
        }
        Ok(api::answer(self, &call).await)
    }
}

/// The parts of a path, decoded, without the version that may stand first.
fn parts(path: &str) -> Vec<String> {
    let decode = |part: &str| {
        let pair = format!("x={}", part.replace('+', "%2B"));
        form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let mut parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let is_version = |part: &String| {
        part.strip_prefix('v').is_some_and(|rest| {
            rest.starts_with(|first: char| first.is_ascii_digit())
                && rest.chars().all(|c| c.is_ascii_digit() || c == '.')
        })
    };
    if parts.first().is_some_and(is_version) {
        parts.remove(0);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_same_with_and_without_a_version() {
        for (path, expected) in [
            ("/v1.41/containers/json", &["containers", "json"][..]),
            ("/containers/json", &["containers", "json"]),
            ("/version", &["version"]),
            ("/containers/a%2Bb/json", &["containers", "a+b", "json"]),
            ("/", &[]),
        ] {
            assert_eq!(parts(path), expected, "{path}");
        }
    }
}
