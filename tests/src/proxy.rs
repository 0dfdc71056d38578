//! A fault-injecting TCP proxy between workers and Redis.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

/// Maximum bytes forwarded at once.
const PIECE: usize = 16 * 1024;

/// Listens on loopback and forwards to a unix socket; stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    faults: Arc<Faults>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Faults {
    /// Number of further response chunks to truncate, each with its connection.
    truncations: AtomicU32,
    /// Each change drops every connection.
    drops: watch::Sender<u64>,
    /// Delay of each response chunk.
    delay: watch::Sender<Duration>,
}

impl Proxy {
    /// Forwards to the server at `socket`, which need not be running.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let faults = Arc::new(Faults {
            truncations: AtomicU32::new(0),
            drops: watch::Sender::new(0),
            delay: watch::Sender::new(Duration::ZERO),
        });
        let mut tasks = JoinSet::new();
        let shared = faults.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let (faults, socket) = (shared.clone(), socket.clone());
                connections.spawn(async move {
                    // If the server does not listen, the client's connection closes as well.
                    let Ok(server) = UnixStream::connect(&socket).await else { return };
                    let mut drops = faults.drops.subscribe();
                    let (mut requests, responses) = client.into_split();
                    let (server_reads, mut server_writes) = server.into_split();
                    tokio::select! {
                        _ = drops.changed() => {}
                        _ = tokio::io::copy(&mut requests, &mut server_writes) => {}
                        _ = forward_responses(server_reads, responses, &faults) => {}
                    }
                });
            }
        });
        Self { address, faults, _tasks: tasks }
    }

    /// The address on which it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Forwards only half of each of the next `count` response chunks, and then closes the connection.
    pub fn truncate_responses(&self, count: u32) {
        self.faults.truncations.fetch_add(count, Ordering::Relaxed);
    }

    /// Closes every connection.
    pub fn drop_connections(&self) {
        self.faults.drops.send_modify(|drops| *drops += 1);
    }

    /// Delays every response chunk, until it is called with another delay.
    pub fn delay(&self, delay: Duration) {
        self.faults.delay.send_replace(delay);
    }

    /// Ends truncation and delay.
    pub fn restore(&self) {
        self.faults.truncations.store(0, Ordering::Relaxed);
        self.delay(Duration::ZERO);
    }
}

/// Forwards responses until one is truncated or either side closes.
async fn forward_responses(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    faults: &Faults,
) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        let delay = *faults.delay.borrow();
        if !delay.is_zero() {
            sleep(delay).await;
        }
        let one_less = |truncations: u32| truncations.checked_sub(1);
        if length > 1 && faults.truncations.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            return to.write_all(&piece[..length / 2]).await;
        }
        to.write_all(&piece[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fsync, RedisServer};

    #[tokio::test]
    async fn a_response_is_truncated_once_and_the_next_one_is_complete() {
        let server = RedisServer::with_fsync(Fsync::Never).await;
        let proxy = Proxy::start(server.socket()).await;
        let ping = async || {
            let mut connection = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
            connection.write_all(b"PING\r\n").await.unwrap();
            let mut received = vec![];
            let read = async {
                while received.len() < 7 {
                    match connection.read_buf(&mut received).await {
                        Ok(0) | Err(_) => break,
                        Ok(_) => {}
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(10), read).await.unwrap();
            String::from_utf8(received).unwrap()
        };
        assert_eq!(ping().await, "+PONG\r\n");
        proxy.truncate_responses(1);
        assert_eq!(ping().await, "+PO");
        assert_eq!(ping().await, "+PONG\r\n");
    }
}
