//! The bytes between us and an engine, whichever way they take, and Docker's client on top of them.
//!
//! Connections are used again: over ssh and TLS a new one costs more than most questions. For how long one is kept idle is
//! less than what lies between (a proxy of the socket, say) is known to wait before it hangs up, or a question could meet
//! the end of its connection.

use std::{
    future::Future,
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker, errors::Error};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tower::Service;

use crate::{Address, Endpoint, ssh::Ssh, tls::Tls};

/// An idle connection is kept so long.
const KEPT: Duration = Duration::from_secs(4);
/// And one over ssh, behind which there is only Docker's own server.
const KEPT_SSH: Duration = Duration::from_secs(120);
/// So many are kept idle at most.
const IDLE: usize = 16;
/// After so long a silence, and then as often, the other machine is asked whether it is still there: the stream of events
/// may be silent for days, and must not wait for one that is gone.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Docker's client for this engine; nothing is connected yet.
pub(crate) fn client(endpoint: &Endpoint, limit: Duration) -> Result<Docker, Error> {
    let (way, authority) = match (&endpoint.address, &endpoint.tls) {
        (Address::Unix(path), _) => (Way::Unix(path.clone()), "docker".to_owned()),
        (Address::Pipe(pipe), _) => return named_pipe(pipe, limit),
        (Address::Tcp { host, port, .. }, tls) => {
            let port = Address::port(*port, tls.is_some());
            let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
            (Way::Tcp { host: host.clone(), port, tls: tls.clone() }, authority)
        }
        (address @ Address::Ssh { .. }, _) => {
            (Way::Ssh(Ssh::to(address, endpoint.ssh_config.as_deref(), limit)), "docker".to_owned())
        }
    };
    let kept = if matches!(way, Way::Ssh(_)) { KEPT_SSH } else { KEPT };
    let pool = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(kept)
        .pool_max_idle_per_host(IDLE)
        .build(Dialer(Arc::new(way)));
    let transport = move |request: BollardRequest| {
        let answer = pool.request(request);
        async move { answer.await.map_err(Error::from) }
    };
    // Seconds are all that it counts in, and the caller's own limit comes first.
    let seconds = limit.as_secs() + 1;
    Docker::connect_with_custom_transport(transport, Some(format!("http://{authority}")), seconds, API_DEFAULT_VERSION)
}

#[cfg(windows)]
fn named_pipe(pipe: &str, limit: Duration) -> Result<Docker, Error> {
    Docker::connect_with_named_pipe(pipe, limit.as_secs() + 1, API_DEFAULT_VERSION)
}

#[cfg(not(windows))]
fn named_pipe(pipe: &str, _limit: Duration) -> Result<Docker, Error> {
    Err(Error::UnsupportedURISchemeError { uri: pipe.to_owned() })
}

/// Which way the bytes take.
#[derive(Debug)]
enum Way {
    Unix(PathBuf),
    Tcp { host: String, port: u16, tls: Option<Tls> },
    Ssh(Ssh),
}

impl Way {
    async fn dial(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(path) => unix(path).await,
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
    Err(io::Error::other(format!("{} is a socket of a kind that this system has not", path.display())))
}

/// Opens connections, always to the same engine.
#[derive(Debug, Clone)]
struct Dialer(Arc<Way>);

/// To whichever address: there is only one.
impl<To> Service<To> for Dialer {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Stream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: To) -> Self::Future {
        let way = Arc::clone(&self.0);
        Box::pin(async move { way.dial().await.map(TokioIo::new) })
    }
}

/// What bytes can be read from and written to.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, whichever way it takes.
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
