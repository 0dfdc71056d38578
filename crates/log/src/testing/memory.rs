//! The log in memory, for tests: the same contract as the log in Redis; one suite of tests runs on both.
//!
//! Dropping it deletes everything, and it never fails to answer.

mod partition;
mod upkeep;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hemostat_schema::{EventId, Family, Partition, Timestamp};
use tokio::sync::watch;

use self::partition::History;
use crate::{
    Append, Appended, Backlog, Commit, CommitError, Confirmed, DeadLetter, Delivery, Durability, Entry, Error,
    Heartbeat, Inspection, Lease, Log, Order, Range, RawEntry, Reader, Sessions, StoredTimer, Trimmed,
};

/// The log in memory, for tests.
pub struct MemoryLog {
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    partitions: Vec<(Mutex<History>, watch::Sender<u64>)>,
}

impl MemoryLog {
    /// With `partitions` (at least one) and the system's clock.
    pub fn new(partitions: u16) -> Self {
        Self::with_clock(partitions, Timestamp::now)
    }

    /// With `partitions` (at least one) and the caller's clock, which determines the ids and ends leases.
    pub fn with_clock(partitions: u16, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let history = |p| (Mutex::new(History::new(Partition(p))), watch::Sender::new(0));
        Self { now: Box::new(now), partitions: (0..partitions.max(1)).map(history).collect() }
    }

    /// Appends an entry without any check, as a broken or a later program might.
    ///
    /// # Panics
    /// If there is no such partition.
    pub fn append_raw(
        &self,
        partition: Partition,
        family: Family,
        kind: &str,
        subject: &str,
        envelope: &[u8],
    ) -> EventId {
        let (history, append_signal) = &self.partitions[usize::from(partition.0)];
        let id = lock(history).append_raw(family, kind, subject, envelope, (self.now)());
        append_signal.send_modify(|count| *count += 1);
        id
    }

    fn history(&self, partition: Partition) -> Result<MutexGuard<'_, History>, Error> {
        let found = self.partitions.get(usize::from(partition.0));
        found.map(|(history, _)| lock(history)).ok_or(Error::NoPartition { partition, partitions: self.partitions() })
    }
}

/// A history is changed only after everything was checked, so it is consistent even after a panic.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").field("partitions", &self.partitions.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Log for MemoryLog {
    fn partitions(&self) -> u16 {
        u16::try_from(self.partitions.len()).unwrap_or(u16::MAX)
    }

    fn append_signal(&self, partition: Partition) -> watch::Receiver<u64> {
        match self.partitions.get(usize::from(partition.0)) {
            Some((_, append_signal)) => append_signal.subscribe(),
            None => watch::Sender::new(0).subscribe(),
        }
    }

    async fn clock(&self, partition: Partition) -> Result<EventId, Error> {
        Ok(self.history(partition)?.clock())
    }

    async fn raw(
        &self,
        partition: Partition,
        families: &[Family],
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<RawEntry>, Error> {
        Ok(self.history(partition)?.raw(families, range, order, limit))
    }

    async fn get(&self, id: EventId) -> Result<Option<Entry>, Error> {
        Ok(self.history(id.partition)?.get(id))
    }

    async fn rows(&self, partition: Partition, view: &str, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let history = self.history(partition)?;
        Ok(keys.iter().map(|key| history.row(view, key)).collect())
    }

    async fn all_rows(&self, partition: Partition, view: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        Ok(self.history(partition)?.all_rows(view))
    }

    async fn snapshot(&self, partition: Partition, view: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        Ok(self.history(partition)?.all_rows(view))
    }

    async fn views(&self, partition: Partition) -> Result<BTreeMap<String, String>, Error> {
        Ok(self.history(partition)?.served.clone())
    }

    async fn request_view(&self, partition: Partition, group: &str, view: &str) -> Result<(), Error> {
        let mut history = self.history(partition)?;
        history.served.insert(format!("{group}+"), view.to_owned());
        history.revoke(group);
        Ok(())
    }

    async fn timers(&self, partition: Partition, group: &str) -> Result<Vec<StoredTimer>, Error> {
        Ok(self.history(partition)?.timers(group))
    }

    async fn acquire(
        &self,
        partition: Partition,
        group: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, Error> {
        Ok(self.history(partition)?.acquire(group, owner, ttl, (self.now)()))
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat<'_>) -> Result<(Vec<bool>, Sessions), Error> {
        Ok(self.history(heartbeat.partition)?.heartbeat(heartbeat, (self.now)()))
    }

    async fn sessions(&self, partition: Partition) -> Result<Sessions, Error> {
        Ok(self.history(partition)?.live((self.now)()))
    }

    async fn request_handoff(&self, partition: Partition, request: &str, ttl: Duration) -> Result<(), Error> {
        self.history(partition)?.request_handoff(request, ttl, (self.now)());
        Ok(())
    }

    async fn withdraw_handoff(&self, partition: Partition, request: &str) -> Result<(), Error> {
        self.history(partition)?.withdraw_handoff(request);
        Ok(())
    }

    async fn confirm(
        &self,
        lease: &Lease,
        ttl: Duration,
        (_, id): (Family, EventId),
        _: Durability,
        _: Duration,
    ) -> Result<Confirmed, Error> {
        self.history(lease.partition)?.confirm(lease, ttl, (self.now)())?;
        let known = self.get(id).await?.is_some();
        Ok(if known { Confirmed::Durable } else { Confirmed::EventMissing })
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        self.history(lease.partition)?.release(lease);
        Ok(())
    }

    async fn revoke(&self, partition: Partition, group: &str) -> Result<(), Error> {
        self.history(partition)?.revoke(group);
        Ok(())
    }

    async fn groups(&self, partition: Partition, family: Family) -> Result<Vec<String>, Error> {
        Ok(self.history(partition)?.group_names(family))
    }

    async fn start_group(&self, lease: &Lease, families: &[Family], after: EventId) -> Result<(), Error> {
        self.history(lease.partition)?.start_group(lease, families, after)
    }

    async fn drop_group(&self, lease: &Lease, families: &[Family]) -> Result<(), Error> {
        self.history(lease.partition)?.drop_group(lease, families)
    }

    async fn pending(&self, lease: &Lease, families: &[Family]) -> Result<Backlog, Error> {
        self.history(lease.partition)?.pending(lease, families)
    }

    async fn deliver(
        &self,
        lease: &Lease,
        reader: Reader,
        families: &[Family],
        count: usize,
    ) -> Result<Vec<Delivery>, Error> {
        self.history(lease.partition)?.deliver(lease, reader, families, count)
    }

    async fn lag(&self, partition: Partition, group: &str, families: &[Family]) -> Result<u64, Error> {
        Ok(self.history(partition)?.lag(group, families))
    }

    async fn commit(&self, commit: &Commit) -> Result<Vec<EventId>, CommitError> {
        let partition = commit.lease.partition;
        let ids = self.history(partition)?.commit(commit, (self.now)())?;
        if !ids.is_empty() {
            self.partitions[usize::from(partition.0)].1.send_modify(|count| *count += 1);
        }
        Ok(ids)
    }

    async fn append_once(&self, append: &Append) -> Result<Appended, CommitError> {
        let appended = self.history(append.partition)?.append_once(append, (self.now)())?;
        if appended.first_time {
            self.partitions[usize::from(append.partition.0)].1.send_modify(|count| *count += 1);
        }
        Ok(appended)
    }

    async fn appended(&self, partition: Partition, key: &str) -> Result<Option<Vec<EventId>>, Error> {
        Ok(self.history(partition)?.appended.get(key).cloned())
    }

    async fn dead_letters(&self, partition: Partition, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        Ok(self.history(partition)?.dead_letters(limit))
    }

    async fn discard(&self, partition: Partition, key: EventId) -> Result<Option<DeadLetter>, Error> {
        Ok(self.history(partition)?.discard(key))
    }

    async fn trimmed(&self, partition: Partition, family: Family) -> Result<Option<EventId>, Error> {
        Ok(self.history(partition)?.trimmed(family))
    }

    async fn trim(&self, partition: Partition, family: Family, before: EventId) -> Result<Trimmed, Error> {
        Ok(self.history(partition)?.trim(family, before))
    }

    async fn inspect(&self, partition: Partition) -> Result<Inspection, Error> {
        Ok(self.history(partition)?.inspect())
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
}
