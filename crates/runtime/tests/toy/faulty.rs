//! A log with injected faults in its commits: a lost reply, a broken connection, a conflicting commit.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use hemostat_log::{
    Append, Appended, Backlog, Commit, CommitError, Confirmed, DeadLetter, Delivery, Durability, Entry, Error,
    Heartbeat, Inspection, Lease, Log, MemoryLog, Order, Range, RawEntry, Reader, Sessions, StoredTimer, Trimmed,
};
use hemostat_schema::{EventId, Family, NewEvent, Partition};
use tokio::sync::watch;

/// A fault of a commit.
#[derive(Debug)]
pub enum LogFault {
    /// It is not done, and the connection breaks.
    NotCommitted,
    /// It is done, and the connection breaks before the reply.
    ReplyLost,
    /// Another process commits this event right before it.
    CommittedBefore(Box<NewEvent>),
}

#[derive(Debug)]
pub struct FaultyLog {
    pub inner: Arc<MemoryLog>,
    faults: Mutex<VecDeque<LogFault>>,
}

impl FaultyLog {
    pub fn new(inner: Arc<MemoryLog>, faults: impl IntoIterator<Item = LogFault>) -> Arc<Self> {
        Arc::new(Self { inner, faults: Mutex::new(faults.into_iter().collect()) })
    }

    /// Adds a fault, for the next commit without one.
    pub fn inject(&self, fault: LogFault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    /// Whether every fault has happened.
    pub fn is_spent(&self) -> bool {
        self.faults.lock().unwrap().is_empty()
    }
}

fn broken() -> Error {
    Error::Unreachable { doing: "commit", server: "nowhere".into(), reason: "on request".into() }
}

#[async_trait]
impl Log for FaultyLog {
    async fn commit(&self, commit: &Commit) -> Result<Vec<EventId>, CommitError> {
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            Some(LogFault::NotCommitted) => return Err(broken().into()),
            Some(LogFault::ReplyLost) => {
                self.inner.commit(commit).await?;
                return Err(broken().into());
            }
            Some(LogFault::CommittedBefore(event)) => {
                super::put(&*self.inner, vec![*event]).await;
            }
            None => {}
        }
        self.inner.commit(commit).await
    }

    async fn append_once(&self, append: &Append) -> Result<Appended, CommitError> {
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            Some(LogFault::NotCommitted) => return Err(broken().into()),
            Some(LogFault::ReplyLost) => {
                self.inner.append_once(append).await?;
                return Err(broken().into());
            }
            Some(LogFault::CommittedBefore(event)) => {
                super::put(&*self.inner, vec![*event]).await;
            }
            None => {}
        }
        self.inner.append_once(append).await
    }

    async fn appended(&self, partition: Partition, key: &str) -> Result<Option<Vec<EventId>>, Error> {
        self.inner.appended(partition, key).await
    }

    fn partitions(&self) -> u16 {
        self.inner.partitions()
    }

    fn append_signal(&self, partition: Partition) -> watch::Receiver<u64> {
        self.inner.append_signal(partition)
    }

    async fn clock(&self, partition: Partition) -> Result<EventId, Error> {
        self.inner.clock(partition).await
    }

    async fn raw(
        &self,
        partition: Partition,
        families: &[Family],
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<RawEntry>, Error> {
        self.inner.raw(partition, families, range, order, limit).await
    }

    async fn get(&self, id: EventId) -> Result<Option<Entry>, Error> {
        self.inner.get(id).await
    }

    async fn rows(&self, partition: Partition, view: &str, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.inner.rows(partition, view, keys).await
    }

    async fn all_rows(&self, partition: Partition, view: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.inner.all_rows(partition, view).await
    }

    async fn snapshot(&self, partition: Partition, view: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.inner.snapshot(partition, view).await
    }

    async fn views(&self, partition: Partition) -> Result<BTreeMap<String, String>, Error> {
        self.inner.views(partition).await
    }

    async fn request_view(&self, partition: Partition, group: &str, view: &str) -> Result<(), Error> {
        self.inner.request_view(partition, group, view).await
    }

    async fn timers(&self, partition: Partition, group: &str) -> Result<Vec<StoredTimer>, Error> {
        self.inner.timers(partition, group).await
    }

    async fn acquire(
        &self,
        partition: Partition,
        group: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, Error> {
        self.inner.acquire(partition, group, owner, ttl).await
    }

    async fn confirm(
        &self,
        lease: &Lease,
        ttl: Duration,
        event: (Family, EventId),
        durability: Durability,
        within: Duration,
    ) -> Result<Confirmed, Error> {
        self.inner.confirm(lease, ttl, event, durability, within).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        self.inner.release(lease).await
    }

    async fn groups(&self, partition: Partition, family: Family) -> Result<Vec<String>, Error> {
        self.inner.groups(partition, family).await
    }

    async fn start_group(&self, lease: &Lease, families: &[Family], after: EventId) -> Result<(), Error> {
        self.inner.start_group(lease, families, after).await
    }

    async fn drop_group(&self, lease: &Lease, families: &[Family]) -> Result<(), Error> {
        self.inner.drop_group(lease, families).await
    }

    async fn pending(&self, lease: &Lease, families: &[Family]) -> Result<Backlog, Error> {
        self.inner.pending(lease, families).await
    }

    async fn deliver(
        &self,
        lease: &Lease,
        reader: Reader,
        families: &[Family],
        count: usize,
    ) -> Result<Vec<Delivery>, Error> {
        self.inner.deliver(lease, reader, families, count).await
    }

    async fn lag(&self, partition: Partition, group: &str, families: &[Family]) -> Result<u64, Error> {
        self.inner.lag(partition, group, families).await
    }

    async fn dead_letters(&self, partition: Partition, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.inner.dead_letters(partition, limit).await
    }

    async fn revoke(&self, partition: Partition, group: &str) -> Result<(), Error> {
        self.inner.revoke(partition, group).await
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat<'_>) -> Result<(Vec<bool>, Sessions), Error> {
        self.inner.heartbeat(heartbeat).await
    }

    async fn sessions(&self, partition: Partition) -> Result<Sessions, Error> {
        self.inner.sessions(partition).await
    }

    async fn request_handoff(&self, partition: Partition, request: &str, ttl: Duration) -> Result<(), Error> {
        self.inner.request_handoff(partition, request, ttl).await
    }

    async fn withdraw_handoff(&self, partition: Partition, request: &str) -> Result<(), Error> {
        self.inner.withdraw_handoff(partition, request).await
    }

    async fn discard(&self, partition: Partition, key: EventId) -> Result<Option<DeadLetter>, Error> {
        self.inner.discard(partition, key).await
    }

    async fn trimmed(&self, partition: Partition, family: Family) -> Result<Option<EventId>, Error> {
        self.inner.trimmed(partition, family).await
    }

    async fn trim(&self, partition: Partition, family: Family, before: EventId) -> Result<Trimmed, Error> {
        self.inner.trim(partition, family, before).await
    }

    async fn inspect(&self, partition: Partition) -> Result<Inspection, Error> {
        self.inner.inspect(partition).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.inner.ping().await
    }
}
