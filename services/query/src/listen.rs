//! Binds the API's address, serves, and shuts down gracefully.

use std::{
    future::IntoFuture,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::Context as _;
use axum::Router;
use hemostat_process::endpoint;
use tokio::{select, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long a client may leave its data unacknowledged before the connection is cut: it frees the slot of a stream whose client
/// no longer reads.
#[cfg(target_os = "linux")]
const UNREAD: Duration = Duration::from_secs(60);
/// How long requests in flight may take after the shutdown began.
const GRACE_PERIOD: Duration = Duration::from_secs(5);

/// Binds the address at start, so that an invalid one fails at once.
///
/// # Errors
/// When it is not a loopback address, or cannot be bound.
pub(crate) fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    endpoint::ensure_loopback("query.listen", listen)?;
    let listener = TcpListener::bind(listen).with_context(|| {
        format!("could not listen on {listen}; is another HemoStat running? (setting query.listen)")
    })?;
    listener.set_nonblocking(true).context("could not make the listening socket non-blocking")?;
    Ok(listener)
}

/// Serves until the shutdown. Requests in flight may finish within the grace period, which is limited because an idle
/// connection would keep the process alive.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("could not listen")?;
    let address = listener.local_addr().context("could not listen")?;
    info!(%address, "the API is at http://{address}/");
    let stopped = shutdown.clone().cancelled_owned();
    #[cfg(target_os = "linux")]
    let listener = axum::serve::ListenerExt::tap_io(listener, |connection| {
        if let Err(error) = socket2::SockRef::from(&*connection).set_tcp_user_timeout(Some(UNREAD)) {
            warn!("could not limit how long a connection may be stuck: {error}");
        }
    });
    let server = axum::serve(listener, router).with_graceful_shutdown(stopped);
    select! {
        served = server.into_future() => served.context("the API stopped"),
        () = async { shutdown.cancelled().await; sleep(GRACE_PERIOD).await } => {
            warn!("cut connections that were still open {GRACE_PERIOD:?} after the shutdown began");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_bound() {
        for public in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8501"] {
            let error = bind(public.parse().unwrap()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("query.listen is {public}")), "{error}");
        }
        assert!(bind("127.0.0.1:0".parse().unwrap()).is_ok());
    }

    #[test]
    fn an_address_in_use_is_named() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    }

    #[tokio::test]
    async fn the_shutdown_lets_a_request_finish_and_does_not_wait_for_idle_connections() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let ending = shutdown.clone();
        let answer = axum::routing::get(async move || {
            ending.cancel();
            tokio::task::yield_now().await;
            "finished"
        });
        let serving = tokio::spawn(serve(listener, Router::new().route("/", answer), shutdown));
        let _idle = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut asking = tokio::net::TcpStream::connect(address).await.unwrap();
        asking.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("finished"), "{answer}");
        tokio::time::timeout(4 * GRACE_PERIOD, serving).await.expect("it ends").unwrap().unwrap();
    }
}
