//! Connections to one engine: a pool over a Unix socket, a named pipe, TCP, TLS or ssh, and Docker's client on top of it.
//!
//! The pool reuses connections, as a new one over ssh or TLS costs more than most requests. It closes an idle connection
//! sooner than common proxies do, so that a request does not meet a connection that the proxy is closing.

use std::{
    future::Future,
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker, body_full, errors::Error};
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{
        Client, ResponseFuture,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::pki_types::ServerName;
use serde::Deserialize;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tower::Service;

use crate::{address::Address, endpoint::Endpoint, ssh::Ssh, tls::Tls};

/// How long an idle connection stays open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// The same over ssh, where only Docker's own server is at the other end.
const IDLE_TIMEOUT_SSH: Duration = Duration::from_secs(120);
/// Maximum idle connections.
const MAX_IDLE: usize = 16;
/// TCP keepalive: idle time before the first probe, and the interval of probes. The event stream may be silent for days
/// and must still notice that the other machine is gone.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Sends a request over the pool.
type SendRequest = Arc<dyn Fn(BollardRequest) -> ResponseFuture + Send + Sync>;

/// The pool of one engine, and Docker's client over it.
pub(crate) struct Transport {
    send: SendRequest,
    authority: String,
    /// It has not negotiated the API version yet.
    pub(crate) client: Docker,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transport({})", self.authority)
    }
}

/// An error as the engine writes it.
#[derive(Deserialize)]
struct ErrorBody {
    message: String,
}

impl Transport {
    /// Opens no connection yet. `timeout` is the caller's own limit for a request; the client's is a little longer.
    pub(crate) fn new(endpoint: &Endpoint, timeout: Duration) -> Result<Self, Error> {
        let (target, authority) = match (&endpoint.address, &endpoint.tls) {
            (Address::Unix(path), _) => (Target::Unix(path.clone()), "docker".to_owned()),
            (Address::Pipe(pipe), _) if cfg!(windows) => (Target::Pipe(pipe.clone()), "docker".to_owned()),
            (Address::Pipe(pipe), _) => return Err(Error::UnsupportedURISchemeError { uri: pipe.to_owned() }),
            (Address::Tcp { host, port, .. }, tls) => {
                let port = Address::port(*port, tls.is_some());
                let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                (Target::Tcp { host: host.clone(), port, tls: tls.clone() }, authority)
            }
            (address @ Address::Ssh { .. }, _) => {
                (Target::Ssh(Ssh::to(address, endpoint.ssh_config.as_deref(), timeout)), "docker".to_owned())
            }
        };
        let idle_timeout = if matches!(target, Target::Ssh(_)) { IDLE_TIMEOUT_SSH } else { IDLE_TIMEOUT };
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(idle_timeout)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(Dialer(Arc::new(target)));
        let send: SendRequest = Arc::new(move |request| pool.request(request));
        let requests = send.clone();
        let transport = move |request: BollardRequest| {
            let answer = requests(request);
            async move { answer.await.map_err(Error::from) }
        };
        let client = Docker::connect_with_custom_transport(
            transport,
            Some(format!("http://{authority}")),
            timeout.as_secs() + 1,
            API_DEFAULT_VERSION,
        )?;
        Ok(Self { send, authority, client })
    }

    /// The body that the engine answers to `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Vec<u8>, Error> {
        let request = Request::get(format!("http://{}{path}", self.authority)).body(body_full(Bytes::new()))?;
        let answer = (self.send)(request).await?;
        let status = answer.status();
        let (mut answer, mut body) = (answer.into_body(), Vec::new());
        while let Some(frame) = answer.frame().await {
            if let Some(data) = frame?.data_ref() {
                body.extend_from_slice(data);
            }
        }
        if status.is_success() {
            return Ok(body);
        }
        let message = match serde_json::from_slice(&body) {
            Ok(ErrorBody { message }) => message,
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        };
        Err(Error::DockerResponseServerError { status_code: status.as_u16(), message })
    }
}

/// What a connection leads to.
#[derive(Debug)]
enum Target {
    Unix(PathBuf),
    Pipe(String),
    Tcp { host: String, port: u16, tls: Option<Tls> },
    Ssh(Ssh),
}

impl Target {
    async fn dial(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(path) => unix(path).await,
            Self::Pipe(pipe) => named_pipe(pipe).await,
            Self::Tcp { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
                SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                let Some(tls) = tls else { return Ok(Stream::new(stream)) };
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| io::Error::other(format!("no certificate can be for the name {host}")))?;
                Ok(Stream::new(TlsConnector::from(tls.config.clone()).connect(name, stream).await?))
            }
            Self::Ssh(ssh) => Ok(Stream::new(ssh.dial().await?)),
        }
    }
}

#[cfg(unix)]
async fn unix(path: &std::path::Path) -> io::Result<Stream> {
    Ok(Stream::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn unix(path: &std::path::Path) -> io::Result<Stream> {
    Err(io::Error::other(format!("this system has no Unix sockets such as {}", path.display())))
}

#[cfg(windows)]
async fn named_pipe(pipe: &str) -> io::Result<Stream> {
    /// `ERROR_PIPE_BUSY`: every instance of the pipe serves another client.
    const BUSY: i32 = 231;
    const RETRY: Duration = Duration::from_millis(50);
    let path = pipe.trim_start_matches("npipe://").replace('/', r"\");
    loop {
        match tokio::net::windows::named_pipe::ClientOptions::new().open(&path) {
            Ok(client) => return Ok(Stream::new(client)),
            Err(error) if error.raw_os_error() == Some(BUSY) => tokio::time::sleep(RETRY).await,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(not(windows))]
async fn named_pipe(pipe: &str) -> io::Result<Stream> {
    Err(io::Error::other(format!("only Windows has named pipes such as {pipe}")))
}

/// Opens connections, always to the same engine.
#[derive(Debug, Clone)]
struct Dialer(Arc<Target>);

/// The pool asks for an address; there is only one.
impl<To> Service<To> for Dialer {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Stream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: To) -> Self::Future {
        let target = Arc::clone(&self.0);
        Box::pin(async move { target.dial().await.map(TokioIo::new) })
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection of any kind.
struct Stream(Box<dyn Duplex>);

impl Stream {
    fn new(stream: impl Duplex + 'static) -> Self {
        Self(Box::new(stream))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
