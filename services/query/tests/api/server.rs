//! A server on its own port, with a log in memory and the views folded from it, and a client that sends exact bytes.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use hemostat_core::{
    Policy, Projection, testing,
    views::{Breaker, Calibration, Containers, Cooldown, Dedup, IncidentSamples, Incidents, Metrics, Timeline},
};
use hemostat_log::{Commit, Log, MemoryLog};
use hemostat_runtime::{Context, LeasedWorker, ProjectWorker, Step};
use hemostat_schema::{EventId, NewEvent, Partition};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// A running API.
pub struct Server {
    address: SocketAddr,
    /// Cancelled when the process shuts down.
    pub shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Server {
    /// Serves this log.
    pub async fn on(log: Arc<dyn Log>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ctx = Context::new(log);
        let router =
            hemostat_query::guarded(hemostat_query::router(&ctx, hemostat_runtime::unchanging(Policy::default())));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, serving, shutdown: ctx.shutdown }
    }

    /// Serves a log with this history.
    pub async fn after(history: impl IntoIterator<Item = NewEvent>) -> Self {
        let (log, _) = logged(1, history).await;
        Self::on(log).await
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)).await
    }

    /// The JSON of `GET path`, which must succeed.
    pub async fn read(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Opens a stream. It speaks HTTP 1.0, so that the events are not in chunks.
    pub async fn stream(&self, path: &str, headers: &str) -> SseReader {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut stream = SseReader { connection: BufReader::new(connection), begin: String::new() };
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.connection.read_line(&mut head).await.unwrap(), 0, "{path}: {head}");
        }
        assert!(head.starts_with("HTTP/1.0 200") && head.contains("text/event-stream"), "{path}: {head}");
        let first = stream.block().await.unwrap();
        stream.begin = first.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
        stream
    }

    /// The status of a request for a stream, which is closed at once.
    pub async fn status_of_stream(&self) -> u16 {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(b"GET /events/stream HTTP/1.0\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut line = String::new();
        BufReader::new(connection).read_line(&mut line).await.unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Sends exactly these bytes.
    pub async fn send(&self, request: &str) -> Answer {
        let exchange = async {
            let mut connection = TcpStream::connect(self.address).await.unwrap();
            let mut answer = vec![];
            // A server that refuses a request closes the connection before it has read the body.
            let _ = connection.write_all(request.as_bytes()).await;
            let _ = connection.read_to_end(&mut answer).await;
            String::from_utf8(answer).unwrap()
        };
        let answer = timeout(Duration::from_secs(20), exchange).await.expect("the server answers within 20 s");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Answer { status, headers: lines.filter_map(header).collect(), body: body.to_owned() }
    }
}

/// A response that is a stream of Server-Sent Events.
pub struct SseReader {
    connection: BufReader<TcpStream>,
    /// The id that the stream begins with.
    pub begin: String,
}

/// An event of such a stream.
#[derive(Debug)]
pub struct SseEvent {
    pub id: String,
    pub event: String,
    pub data: Value,
}

impl SseReader {
    /// The next event; none at the end. Passes over heartbeats.
    pub async fn next(&mut self) -> Option<SseEvent> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                let value = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                value.unwrap_or_default().to_owned()
            };
            if let Ok(data) = serde_json::from_str(&field("data")) {
                return Some(SseEvent { id: field("id"), event: field("event"), data });
            }
        }
    }

    async fn block(&mut self) -> Option<String> {
        let mut block = String::new();
        while !block.ends_with("\n\n") {
            let read = timeout(Duration::from_secs(20), self.connection.read_line(&mut block)).await;
            if read.expect("a line within 20 s").unwrap() == 0 {
                return None;
            }
        }
        Some(block)
    }
}

/// A log with this history, and the ids of its events; each event has its own millisecond.
pub async fn logged(partitions: u16, history: impl IntoIterator<Item = NewEvent>) -> (Arc<MemoryLog>, Vec<EventId>) {
    let clock = Arc::new(AtomicI64::new(testing::at(0).as_millisecond()));
    let ticking = Arc::clone(&clock);
    let now = move || hemostat_schema::Timestamp::from_millisecond(ticking.load(Ordering::Relaxed)).unwrap();
    let log = Arc::new(MemoryLog::with_clock(partitions, now));
    let mut ids = vec![];
    for event in history {
        clock.fetch_add(1, Ordering::Relaxed);
        ids.push(append(&log, event).await);
    }
    fold_all(&log).await;
    (log, ids)
}

/// Appends one event.
pub async fn append(log: &MemoryLog, event: NewEvent) -> EventId {
    let partition = Partition::of(&event.subject.host, log.partitions());
    let lease = log.acquire(partition, "test", "test", Duration::from_secs(60)).await.unwrap().unwrap();
    let commit = Commit { events: vec![event], ..Commit::new(lease) };
    log.commit(&commit).await.unwrap()[0]
}

/// Folds all views as the projector does.
pub async fn fold_all(log: &Arc<MemoryLog>) {
    // Always the same owner, so that it can renew its leases.
    let ctx = Context { owner: "projector".into(), ..Context::new(log.clone()) };
    for partition in ctx.partitions() {
        fold::<Containers>(&ctx, partition).await;
        fold::<Incidents>(&ctx, partition).await;
        fold::<Timeline>(&ctx, partition).await;
        fold::<Cooldown>(&ctx, partition).await;
        fold::<Breaker>(&ctx, partition).await;
        fold::<Dedup>(&ctx, partition).await;
        fold::<Calibration>(&ctx, partition).await;
        fold::<Metrics>(&ctx, partition).await;
        fold::<IncidentSamples>(&ctx, partition).await;
    }
}

/// Folds the view `P` as the projector does.
async fn fold<P: Projection>(ctx: &Context, partition: Partition) {
    let mut stage = LeasedWorker::new(ctx.clone(), ProjectWorker::<P>::new(ctx.clone(), partition));
    while stage.step().await.unwrap() != (Step::Idle { until: None }) {}
}
