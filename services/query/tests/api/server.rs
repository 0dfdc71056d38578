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
    views::{Breaker, Calibration, Containers, Cooldown, Dedup, Incidents, Timeline},
};
use hemostat_log::{Commit, History, Log, MemoryLog};
use hemostat_runtime::{Context, LeasedWorker, ProjectWorker, Step};
use hemostat_schema::{EventId, NewEvent, Partition};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// A running API.
pub struct Server {
    address: SocketAddr,
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
        let router = hemostat_query::guarded(hemostat_query::router(History::new(log, None), Policy::default()));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, serving }
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

    /// Sends exactly these bytes.
    pub async fn send(&self, request: &str) -> Answer {
        let exchange = async {
            let mut connection = TcpStream::connect(self.address).await.unwrap();
            connection.write_all(request.as_bytes()).await.unwrap();
            let mut answer = vec![];
            connection.read_to_end(&mut answer).await.unwrap();
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

/// A log with this history, and the ids of its events; each event has its own millisecond.
pub async fn logged(partitions: u16, history: impl IntoIterator<Item = NewEvent>) -> (Arc<MemoryLog>, Vec<EventId>) {
    let clock = Arc::new(AtomicI64::new(testing::at(0).as_millisecond()));
    let ticking = Arc::clone(&clock);
    let now = move || hemostat_schema::Timestamp::from_millisecond(ticking.load(Ordering::Relaxed)).unwrap();
    let log = Arc::new(MemoryLog::with_clock(partitions, now));
    let mut ids = vec![];
    for event in history {
        clock.fetch_add(1, Ordering::Relaxed);
        let partition = Partition::of(&event.subject.host, partitions);
        let lease = log.acquire(partition, "test", "test", Duration::from_secs(60)).await.unwrap().unwrap();
        let commit = Commit { events: vec![event], ..Commit::new(lease) };
        let id = log.commit(&commit).await.unwrap()[0];
        ids.push(id);
    }
    fold_all(&log).await;
    (log, ids)
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
    }
}

/// Folds the view `P` as the projector does.
async fn fold<P: Projection>(ctx: &Context, partition: Partition) {
    let mut stage = LeasedWorker::new(ctx.clone(), ProjectWorker::<P>::new(ctx.clone(), partition));
    while stage.step().await.unwrap() != (Step::Idle { until: None }) {}
}
