//! Where the interface listens, and how it stops.

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

/// How long answers that are under way may take after the shutdown has begun.
const FAREWELL: Duration = Duration::from_secs(5);

/// Takes the address, at start, so that a wrong one is told at once.
///
/// # Errors
/// When it is not loopback, or cannot be had.
pub(crate) fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    endpoint::ensure_loopback("query.listen", listen)?;
    let listener = TcpListener::bind(listen).with_context(|| {
        format!("could not listen on {listen}; is another HemoStat running? query.listen says where")
    })?;
    listener.set_nonblocking(true).context("could not make the listening socket non-blocking")?;
    Ok(listener)
}

/// Answers until the shutdown; then ends what is under way, but not for ever: a connection that was opened and never
/// used would keep the process.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("could not listen")?;
    let address = listener.local_addr().context("could not listen")?;
    info!(%address, "the API is at http://{address}/");
    let stopped = shutdown.clone().cancelled_owned();
    let server = axum::serve(listener, router).with_graceful_shutdown(stopped);
    select! {
        served = server.into_future() => served.context("the API stopped"),
        () = async { shutdown.cancelled().await; sleep(FAREWELL).await } => {
            warn!("cut connections that were still open {FAREWELL:?} after the shutdown began");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_loopback_is_listened_on() {
        for public in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8501"] {
            let error = bind(public.parse().unwrap()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("query.listen is {public}")), "{error}");
        }
        assert!(bind("127.0.0.1:0".parse().unwrap()).is_ok());
    }

    #[test]
    fn an_address_that_is_taken_is_named() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    }

    #[tokio::test]
    async fn the_shutdown_lets_an_answer_finish_and_waits_for_nobody_else() {
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
        tokio::time::timeout(4 * FAREWELL, serving).await.expect("it ends").unwrap().unwrap();
    }
}
