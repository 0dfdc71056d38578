//! The log in Redis.
use crate::*;
use async_trait::async_trait;
use hemostat_schema::{EventId, Family, Partition};
use std::time::Duration;
use tokio::sync::watch;
/// The log in Redis.
#[derive(Debug)]
pub struct RedisLog;
/// A migration that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /** Its number and name. */
    pub name: String,
}
impl RedisLog {
    /// Connects.
    /// # Errors
    /// Many.
    pub async fn connect(_options: &Options) -> Result<Self, Error> {
        unimplemented!()
    }
}
/// Migrates.
/// # Errors
/// Many.
pub async fn migrate(_options: &Options) -> Result<Vec<Applied>, Error> {
    unimplemented!()
}
#[async_trait]
impl Log for RedisLog {
    fn partitions(&self) -> u16 {
        unimplemented!()
    }
    fn bell(&self, _: Partition) -> watch::Receiver<u64> {
        unimplemented!()
    }
    async fn clock(&self, _: Partition) -> Result<EventId, Error> {
        unimplemented!()
    }
    async fn read(&self, _: Partition, _: &[Family], _: Range, _: Order, _: usize) -> Result<Vec<Entry>, Error> {
        unimplemented!()
    }
    async fn get(&self, _: EventId) -> Result<Option<Entry>, Error> {
        unimplemented!()
    }
    async fn rows(&self, _: Partition, _: &str, _: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        unimplemented!()
    }
    async fn all_rows(&self, _: Partition, _: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        unimplemented!()
    }
    async fn timers(&self, _: Partition, _: &str) -> Result<Vec<StoredTimer>, Error> {
        unimplemented!()
    }
    async fn acquire(&self, _: Partition, _: &str, _: &str, _: Duration) -> Result<Option<Lease>, Error> {
        unimplemented!()
    }
    async fn renew(&self, _: &Lease, _: Duration) -> Result<bool, Error> {
        unimplemented!()
    }
    async fn release(&self, _: &Lease) -> Result<(), Error> {
        unimplemented!()
    }
    async fn pending(&self, _: &Lease, _: &[Family]) -> Result<Backlog, Error> {
        unimplemented!()
    }
    async fn deliver(&self, _: &Lease, _: Reader, _: &[Family], _: usize) -> Result<Vec<Delivery>, Error> {
        unimplemented!()
    }
    async fn lag(&self, _: Partition, _: &str, _: &[Family]) -> Result<u64, Error> {
        unimplemented!()
    }
    async fn commit(&self, _: &Commit) -> Result<Vec<EventId>, CommitError> {
        unimplemented!()
    }
    async fn parked(&self, _: Partition, _: usize) -> Result<Vec<ParkedDelivery>, Error> {
        unimplemented!()
    }
    async fn ping(&self) -> Result<(), Error> {
        unimplemented!()
    }
}
