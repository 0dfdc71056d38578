//! The laws of the log (a conformance suite), run on both stores.
//!
//! A law is a function of a [`TestLog`]; `laws!` makes one test of it in memory and one on a real redis-server. On a real
//! cluster all of them are one test, as starting a cluster is slow.

#![allow(clippy::unwrap_used, reason = "a test ends where something it relies on fails")]

/// One test of each law in memory, one on Redis.
macro_rules! laws {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $( #[tokio::test] async fn $name() { super::$name($crate::TestLog::memory()).await; } )+
        }
        mod redis {
            $( #[tokio::test] async fn $name() { super::$name($crate::TestLog::redis().await).await; } )+
        }
        /// All of them, each on an empty log.
        pub(crate) async fn on_a_cluster(cluster: &std::sync::Arc<hemostat_log::testing::cluster::Cluster>) {
            $( $name($crate::TestLog::cluster(cluster).await).await; )+
        }
    };
}

mod appends;
mod commits;
mod deliveries;
mod durable;
mod leases;
mod reading;
mod upkeep;

use std::{sync::Arc, time::Duration};

use hemostat_log::testing::{
    DEADLINE, Server,
    cluster::Cluster,
    events::{P, append, delivered, event, lease, marks, measurements, of, subject},
};
use hemostat_log::{
    Append, Appended, Commit, CommitError, Error, Guard, Heartbeat, Inbox, Lease, Log, MemoryLog, NewDeadLetter, Order,
    Range, RowChange, Session, Sessions, Settle, Settlement, StoredTimer, TimerKey, TimerUpdate,
};
use hemostat_schema::{Cause, EventId, Family, NewEvent, Partition, Timestamp};
use tokio::time::timeout;

/// An empty log of two partitions, and a way to bypass its checks.
struct TestLog {
    log: Arc<dyn Log>,
    store: Store,
}

enum Store {
    Memory(Arc<MemoryLog>),
    Redis(Server),
    Cluster(Arc<Cluster>),
}

impl TestLog {
    fn memory() -> Self {
        let memory = Arc::new(MemoryLog::new(2));
        Self { log: Arc::clone(&memory) as Arc<dyn Log>, store: Store::Memory(memory) }
    }

    async fn redis() -> Self {
        let server = Server::spawn();
        let options = server.options().partitions(Some(2));
        hemostat_log::migrate(&options).await.unwrap();
        let log = hemostat_log::RedisLog::connect(&options).await.unwrap();
        Self { log: Arc::new(log), store: Store::Redis(server) }
    }

    async fn cluster(cluster: &Arc<Cluster>) -> Self {
        cluster.clear();
        let options = cluster.options().partitions(Some(2));
        hemostat_log::migrate(&options).await.unwrap();
        let log = hemostat_log::RedisLog::connect(&options).await.unwrap();
        Self { log: Arc::new(log), store: Store::Cluster(Arc::clone(cluster)) }
    }

    /// Appends an action as a broken program might.
    fn append_raw(&self, kind: &str, envelope: &str) {
        match &self.store {
            Store::Memory(log) => {
                log.append_raw(P, Family::Action, kind, "host/a", envelope.as_bytes());
            }
            Store::Cluster(cluster) => {
                let id =
                    cluster.cli(1, &["XADD", "hemostat:{0}:actions", "*", "k", kind, "s", "host/a", "e", envelope]);
                cluster.cli(1, &["SET", "hemostat:{0}:clock", &id]);
            }
            Store::Redis(server) => {
                let id = server.cli(&["XADD", "hemostat:{0}:actions", "*", "k", kind, "s", "host/a", "e", envelope]);
                server.cli(&["SET", "hemostat:{0}:clock", &id]);
            }
        }
    }
}

/// `base` with one change of each kind that a commit can make.
fn change_all(base: Commit, due: Timestamp) -> Commit {
    let timer = |name: &str| TimerUpdate::Set { subject: subject("a"), name: name.to_owned(), due };
    Commit {
        events: vec![event(Family::Action, "a", "changed")],
        rows: vec![RowChange { view: "v.1".into(), key: "k".into(), row: Some(b"changed".to_vec()) }],
        timers: vec![timer("changed")],
        dead_letters: vec![NewDeadLetter { family: Family::Action, id: EventId::start(P), error: "changed".into() }],
        ..base
    }
}

/// Everything that `change_all` changes.
async fn state(log: &Arc<dyn Log>, group: &str) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        log.read(P, &Family::ALL, Range::ALL, Order::OldestFirst, 1_000).await.unwrap(),
        log.all_rows(P, "v.1").await.unwrap(),
        log.timers(P, group).await.unwrap(),
        log.dead_letters(P, 1_000).await.unwrap(),
        log.lag(P, group, &[Family::Observation]).await.unwrap(),
    )
}

/// A heartbeat of the owner of these leases.
async fn heartbeat(log: &dyn Log, owner: &str, says: &str, leases: &[Lease], ttl: Duration) -> (Vec<bool>, Sessions) {
    log.heartbeat(&Heartbeat { partition: P, owner, says, leases, ttl }).await.unwrap()
}

/// Whether a heartbeat of its owner finds the lease held.
async fn is_held(log: &dyn Log, lease: &Lease) -> bool {
    heartbeat(log, &lease.owner, "", std::slice::from_ref(lease), DEADLINE).await.0[0]
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

#[tokio::test]
async fn every_law_holds_on_a_cluster() {
    let cluster = Arc::new(Cluster::spawn());
    appends::on_a_cluster(&cluster).await;
    commits::on_a_cluster(&cluster).await;
    deliveries::on_a_cluster(&cluster).await;
    durable::on_a_cluster(&cluster).await;
    leases::on_a_cluster(&cluster).await;
    reading::on_a_cluster(&cluster).await;
    upkeep::on_a_cluster(&cluster).await;
}
