//! A wire that breaks: stands between workers and Redis, and cuts connections in the middle of an answer when told to.

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

/// How much of an answer is passed on at once.
const PIECE: usize = 16 * 1024;

/// Listens on this machine and passes everything on to a socket; ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    faults: Arc<Faults>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Faults {
    /// So many of the next answers are cut in the middle, each with its connection.
    torn: AtomicU32,
    /// Each change cuts every connection.
    cuts: watch::Sender<u64>,
    /// How long each piece of an answer is held back.
    delay: watch::Sender<Duration>,
}

impl Proxy {
    /// Passes on to the server at `socket`, whether it runs or not.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let faults = Arc::new(Faults {
            torn: AtomicU32::new(0),
            cuts: watch::Sender::new(0),
            delay: watch::Sender::new(Duration::ZERO),
        });
        let mut tasks = JoinSet::new();
        let shared = faults.clone();
        tasks.spawn(async move {
            let mut wires = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while wires.try_join_next().is_some() {}
                let (faults, socket) = (shared.clone(), socket.clone());
                wires.spawn(async move {
                    // Where nobody listens, the client's connection ends as well.
                    let Ok(server) = UnixStream::connect(&socket).await else { return };
                    let mut cuts = faults.cuts.subscribe();
                    let (mut asks, answers) = client.into_split();
                    let (server_reads, mut server_writes) = server.into_split();
                    tokio::select! {
                        _ = cuts.changed() => {}
                        _ = tokio::io::copy(&mut asks, &mut server_writes) => {}
                        _ = answer(server_reads, answers, &faults) => {}
                    }
                });
            }
        });
        Self { address, faults, _tasks: tasks }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Of the next `count` pieces of answers, whoever gets them, only one half arrives, and then the connection ends.
    pub fn tear(&self, count: u32) {
        self.faults.torn.fetch_add(count, Ordering::Relaxed);
    }

    /// Ends every connection.
    pub fn cut(&self) {
        self.faults.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Holds every piece of an answer back for so long, until it is told otherwise.
    pub fn delay(&self, delay: Duration) {
        self.faults.delay.send_replace(delay);
    }

    /// Is a good wire again.
    pub fn mend(&self) {
        self.faults.torn.store(0, Ordering::Relaxed);
        self.delay(Duration::ZERO);
    }
}

/// Passes answers on until one is torn or either side ends.
async fn answer(
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
        let one_less = |torn: u32| torn.checked_sub(1);
        if length > 1 && faults.torn.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            return to.write_all(&piece[..length / 2]).await;
        }
        to.write_all(&piece[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keeps, RedisServer};

    #[tokio::test]
    async fn an_answer_is_torn_once_and_the_wire_is_whole_again() {
        let server = RedisServer::keeping(Keeps::Nothing).await;
        let proxy = Proxy::start(server.socket()).await;
        let ask = async || {
            let mut wire = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
            wire.write_all(b"PING\r\n").await.unwrap();
            let mut heard = vec![];
            let whole = async {
                while heard.len() < 7 {
                    match wire.read_buf(&mut heard).await {
                        Ok(0) | Err(_) => break,
                        Ok(_) => {}
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(10), whole).await.unwrap();
            String::from_utf8(heard).unwrap()
        };
        assert_eq!(ask().await, "+PONG\r\n");
        proxy.tear(1);
        assert_eq!(ask().await, "+PO");
        assert_eq!(ask().await, "+PONG\r\n");
    }
}
