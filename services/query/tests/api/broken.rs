//! A log that cannot be reached, and one that panics.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use hemostat_log::{
    Append, Appended, Backlog, Commit, CommitError, Confirmed, DeadLetter, Delivery, Durability, Entry, Error,
    Heartbeat, Inspection, Lease, Log, Order, Range, RawEntry, Reader, Sessions, StoredTimer, Trimmed,
};
use hemostat_schema::{EventId, Family, Partition};
use tokio::sync::watch;

/// A log that cannot be reached, or that panics when events are read.
#[derive(Debug)]
pub struct Broken {
    pub panics: bool,
}

fn unreachable<T>() -> Result<T, Error> {
    Err(Error::Unreachable { doing: "read the log", server: "127.0.0.1:6379".into(), reason: "refused".into() })
}

#[async_trait]
impl Log for Broken {
    fn partitions(&self) -> u16 {
        1
    }
    fn append_signal(&self, _: Partition) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
    async fn clock(&self, _: Partition) -> Result<EventId, Error> {
        unreachable()
    }
    async fn raw(&self, _: Partition, _: &[Family], _: Range, _: Order, _: usize) -> Result<Vec<RawEntry>, Error> {
        assert!(!self.panics, "injected by the test");
        unreachable()
    }
    async fn get(&self, _: EventId) -> Result<Option<Entry>, Error> {
        unreachable()
    }
    async fn rows(&self, _: Partition, _: &str, _: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        unreachable()
    }
    async fn all_rows(&self, _: Partition, _: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        unreachable()
    }
    async fn snapshot(&self, _: Partition, _: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        unreachable()
    }
    async fn views(&self, _: Partition) -> Result<BTreeMap<String, String>, Error> {
        unreachable()
    }
    async fn request_view(&self, _: Partition, _: &str, _: &str) -> Result<(), Error> {
        unreachable()
    }
    async fn revoke(&self, _: Partition, _: &str) -> Result<(), Error> {
        unreachable()
    }
    async fn heartbeat(&self, _: &Heartbeat<'_>) -> Result<(Vec<bool>, Sessions), Error> {
        unreachable()
    }
    async fn sessions(&self, _: Partition) -> Result<Sessions, Error> {
        unreachable()
    }
    async fn request_handoff(&self, _: Partition, _: &str, _: Duration) -> Result<(), Error> {
        unreachable()
    }
    async fn withdraw_handoff(&self, _: Partition, _: &str) -> Result<(), Error> {
        unreachable()
    }
    async fn append_once(&self, _: &Append) -> Result<Appended, CommitError> {
        Err(CommitError::Log(unreachable::<()>().unwrap_err()))
    }
    async fn appended(&self, _: Partition, _: &str) -> Result<Option<Vec<EventId>>, Error> {
        unreachable()
    }
    async fn discard(&self, _: Partition, _: EventId) -> Result<Option<DeadLetter>, Error> {
        unreachable()
    }
    async fn trimmed(&self, _: Partition, _: Family) -> Result<Option<EventId>, Error> {
        unreachable()
    }
    async fn trim(&self, _: Partition, _: Family, _: EventId) -> Result<Trimmed, Error> {
        unreachable()
    }
    async fn inspect(&self, _: Partition) -> Result<Inspection, Error> {
        unreachable()
    }
    async fn timers(&self, _: Partition, _: &str) -> Result<Vec<StoredTimer>, Error> {
        unreachable()
    }
    async fn acquire(&self, _: Partition, _: &str, _: &str, _: Duration) -> Result<Option<Lease>, Error> {
        unreachable()
    }
    async fn confirm(
        &self,
        _: &Lease,
        _: Duration,
        _: (Family, EventId),
        _: Durability,
        _: Duration,
    ) -> Result<Confirmed, Error> {
        unreachable()
    }
    async fn release(&self, _: &Lease) -> Result<(), Error> {
        unreachable()
    }
    async fn groups(&self, _: Partition, _: Family) -> Result<Vec<String>, Error> {
        unreachable()
    }
    async fn start_group(&self, _: &Lease, _: &[Family], _: EventId) -> Result<(), Error> {
        unreachable()
    }
    async fn drop_group(&self, _: &Lease, _: &[Family]) -> Result<(), Error> {
        unreachable()
    }
    async fn pending(&self, _: &Lease, _: &[Family]) -> Result<Backlog, Error> {
        unreachable()
    }
    async fn deliver(&self, _: &Lease, _: Reader, _: &[Family], _: usize) -> Result<Vec<Delivery>, Error> {
        unreachable()
    }
    async fn lag(&self, _: Partition, _: &str, _: &[Family]) -> Result<u64, Error> {
        unreachable()
    }
    async fn commit(&self, _: &Commit) -> Result<Vec<EventId>, CommitError> {
        Err(CommitError::Log(unreachable::<()>().unwrap_err()))
    }
    async fn dead_letters(&self, _: Partition, _: usize) -> Result<Vec<DeadLetter>, Error> {
        unreachable()
    }
    async fn ping(&self) -> Result<(), Error> {
        unreachable()
    }
}
