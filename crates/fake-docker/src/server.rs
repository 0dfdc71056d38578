//! The HTTP server, and the clock of the engine.
//!
//! One task is the clock: it sleeps until the next transition is due, fires it and dispatches the updates. Each connection
//! is a task; when the engine goes down, all connections break, as with a killed dockerd, and the containers keep running.

pub(crate) mod shared;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixListener,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use self::shared::Shared;
use crate::{
    api::{
        self, ApiCall,
        query::Query,
        reply::{ApiError, ConnectionCut, Reply},
    },
    engine::EngineState,
    fault::{ApiFault, FaultEffect},
    time::UnixNanos,
};

/// A fake Docker engine at a socket, until it is dropped.
#[derive(Debug)]
pub struct FakeDocker {
    shared: Shared,
    socket: PathBuf,
    time: JoinHandle<()>,
    serving: Mutex<Vec<JoinHandle<()>>>,
}

impl FakeDocker {
    /// Serves `engine` at a unix socket of this path, and replaces what is there.
    ///
    /// # Errors
    /// If the socket cannot be created.
    pub async fn at(socket: impl Into<PathBuf>, engine: EngineState) -> io::Result<Self> {
        let shared = Shared::of(engine, "simulated");
        let time = tokio::spawn(shared.clone().run_clock());
        let simulated = Self { shared, socket: socket.into(), time, serving: Mutex::default() };
        simulated.come_up().await?;
        Ok(simulated)
    }

    /// Its address for Docker clients: `unix:///…`.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The path of its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Runs a command on the engine, now.
    pub fn change<T>(&self, what: impl FnOnce(&mut EngineState, UnixNanos) -> T) -> T {
        self.shared.change(what)
    }

    /// Reads the state of the engine, now.
    pub fn look<T>(&self, what: impl FnOnce(&EngineState, UnixNanos) -> T) -> T {
        self.shared.look(what)
    }

    /// Adds an API fault.
    pub fn add_fault(&self, fault: ApiFault) {
        self.shared.add_fault(fault);
    }

    /// Removes all API faults.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// Cuts all event streams; returns their number.
    pub fn cut_streams(&self) -> usize {
        self.shared.cut_streams()
    }

    /// The number of requests of this kind, named as in [`ApiFault::on`].
    pub fn requests(&self, kind: &str) -> u64 {
        self.shared.requests().get(kind).copied().unwrap_or_default()
    }

    /// Takes the engine down: all connections break, and new ones are refused. The containers keep running.
    pub fn go_down(&self) {
        for task in self.serving.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.shared.drop_subscribers();
        // An error means that the socket is already gone.
        drop(std::fs::remove_file(&self.socket));
    }

    /// Serves again, at its unix socket.
    ///
    /// # Errors
    /// If the socket cannot be created.
    pub async fn come_up(&self) -> io::Result<()> {
        // An error means that there is no old socket.
        drop(std::fs::remove_file(&self.socket));
        let listener = UnixListener::bind(&self.socket)?;
        self.serve(listener);
        Ok(())
    }

    /// Serves the connections that `listener` accepts, until the engine goes down.
    fn serve(&self, listener: UnixListener) {
        let shared = self.shared.clone();
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => _ = connections.spawn(connection(stream, shared.clone())),
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
    let handler = service_fn(move |request| {
        let shared = shared.clone();
        async move { shared.handle(request).await }
    });
    // An error means that the client, or an injected fault, closed the connection.
    drop(http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), handler).await);
}

impl Shared {
    async fn handle(&self, request: Request<Incoming>) -> Result<Reply, ConnectionCut> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| ConnectionCut)?.to_bytes();
        let path = segments(head.uri.path());
        let call = ApiCall { method: head.method, path, query: Query::parse(head.uri.query()), body };
        let (kind, key) = api::kind(&call);
        let effects = self.admit(kind, key);
        for effect in effects {
            match effect {
                FaultEffect::DelayMs(millis) => sleep(Duration::from_millis(millis)).await,
                FaultEffect::Hang => std::future::pending().await,
                FaultEffect::Cut => return Err(ConnectionCut),
                FaultEffect::Status(status) => return Ok(ApiError::faulty(status).into_reply()),
            }
        }
        Ok(api::handle(self, &call).await)
    }
}

/// The decoded segments of a path, without a leading version.
fn segments(path: &str) -> Vec<String> {
    let decode = |part: &str| {
        let pair = format!("x={}", part.replace('+', "%2B"));
        form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let mut segments: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let is_version = |part: &String| {
        part.strip_prefix('v').is_some_and(|rest| {
            rest.starts_with(|first: char| first.is_ascii_digit())
                && rest.chars().all(|c| c.is_ascii_digit() || c == '.')
        })
    };
    if segments.first().is_some_and(is_version) {
        segments.remove(0);
    }
    segments
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
            assert_eq!(segments(path), expected, "{path}");
        }
    }
}
