//! A log whose commits go wrong on request: the answer is lost, the connection breaks, somebody else is faster.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use hemostat_log::{
    Backlog, Commit, CommitError, Confirmed, Delivery, Durability, Entry, Error, Inspection, Lease, Log, MemoryLog,
    Order, ParkedDelivery, Range, RawEntry, Reader, StoredTimer, Trimmed,
};
use hemostat_schema::{EventId, Family, NewEvent, Partition};
use tokio::sync::watch;

/// What goes wrong with a commit.
#[derive(Debug)]
pub enum Trouble {
    /// It is not done, and the caller hears of a broken connection.
    NotDone,
    /// It is done, and the caller hears of a broken connection.
    AnswerLost,
    /// Somebody else puts an event on the log right before it.
    Meanwhile(Box<NewEvent>),
}

#[derive(Debug)]
pub struct FaultyLog {
    pub inner: Arc<MemoryLog>,
    trouble: Mutex<VecDeque<Trouble>>,
}

impl FaultyLog {
    pub fn new(inner: Arc<MemoryLog>, trouble: impl IntoIterator<Item = Trouble>) -> Arc<Self> {
        Arc::new(Self { inner, trouble: Mutex::new(trouble.into_iter().collect()) })
    }

    /// The next commit goes wrong.
    pub fn trouble(&self, trouble: Trouble) {
        self.trouble.lock().unwrap().push_back(trouble);
    }

    /// Whether all that was to go wrong went wrong.
    pub fn is_spent(&self) -> bool {
        self.trouble.lock().unwrap().is_empty()
    }
}

fn broken() -> Error {
    Error::Unreachable { doing: "commit", server: "nowhere".into(), reason: "on request".into() }
}

#[async_trait]
impl Log for FaultyLog {
    async fn commit(&self, commit: &Commit) -> Result<Vec<EventId>, CommitError> {
        let trouble = self.trouble.lock().unwrap().pop_front();
        match trouble {
            Some(Trouble::NotDone) => return Err(broken().into()),
            Some(Trouble::AnswerLost) => {
                self.inner.commit(commit).await?;
                return Err(broken().into());
            }
            Some(Trouble::Meanwhile(event)) => {
                super::put(&*self.inner, vec![*event]).await;
            }
            None => {}
        }
        self.inner.commit(commit).await
    }

    fn partitions(&self) -> u16 {
        self.inner.partitions()
    }

    fn bell(&self, partition: Partition) -> watch::Receiver<u64> {
        self.inner.bell(partition)
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

    async fn want_view(&self, partition: Partition, group: &str, view: &str) -> Result<(), Error> {
        self.inner.want_view(partition, group, view).await
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

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, Error> {
        self.inner.renew(lease, ttl).await
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

    async fn parked(&self, partition: Partition, limit: usize) -> Result<Vec<ParkedDelivery>, Error> {
        self.inner.parked(partition, limit).await
    }

    async fn recall(&self, partition: Partition, group: &str) -> Result<(), Error> {
        self.inner.recall(partition, group).await
    }

    async fn attend(&self, group: &str, owner: &str, ttl: Duration) -> Result<Vec<String>, Error> {
        self.inner.attend(group, owner, ttl).await
    }

    async fn leave(&self, group: &str, owner: &str) -> Result<(), Error> {
        self.inner.leave(group, owner).await
    }

    async fn redrive(
        &self,
        partition: Partition,
        parked: EventId,
        forget: &[(String, String)],
    ) -> Result<Option<ParkedDelivery>, Error> {
        self.inner.redrive(partition, parked, forget).await
    }

    async fn discard(&self, partition: Partition, parked: EventId) -> Result<Option<ParkedDelivery>, Error> {
        self.inner.discard(partition, parked).await
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
