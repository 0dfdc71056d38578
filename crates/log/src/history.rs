//! The whole history: archive and log read as one.
//!
//! ```text
//!   archive  ├─ segment ─┼─ segment ─┤
//!   log                        · · · ├──────────────────►      up to `trimmed` from the archive, then from the log
//! ```

use std::{fmt::Debug, ops::Bound, sync::Arc};

use async_trait::async_trait;
use hemostat_schema::{EventId, Family, Partition};

use crate::{Entry, Error, Log, Order, Range, RawEntry};

/// The archive: entries that were trimmed from the streams.
#[async_trait]
pub trait Archive: Send + Sync + Debug + 'static {
    /// As [`Log::raw`], from the archive.
    async fn raw(
        &self,
        partition: Partition,
        families: &[Family],
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<RawEntry>, Error>;

    /// The last event of the family up to which everything is archived.
    async fn sealed(&self, partition: Partition, family: Family) -> Result<Option<EventId>, Error>;
}

/// Archive and log as one. Cheap to clone.
#[derive(Debug, Clone)]
pub struct History {
    log: Arc<dyn Log>,
    archive: Option<Arc<dyn Archive>>,
}

impl History {
    /// Of this log and its archive, if there is one.
    pub fn new(log: Arc<dyn Log>, archive: Option<Arc<dyn Archive>>) -> Self {
        Self { log, archive }
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The archive, if there is one.
    pub fn archive(&self) -> Option<&Arc<dyn Archive>> {
        self.archive.as_ref()
    }

    /// As [`Log::raw`], over archive and log. Entries that were trimmed without an archive are gone.
    ///
    /// # Errors
    /// When the log or the archive cannot be read.
    pub async fn raw(
        &self,
        partition: Partition,
        families: &[Family],
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<RawEntry>, Error> {
        let Some(archive) = &self.archive else {
            return self.log.raw(partition, families, range, order, limit).await;
        };
        loop {
            let trimmed = self.trimmed(partition, families).await?;
            let mut found = self.log.raw(partition, families, range, order, limit).await?;
            for (family, last) in &trimmed {
                let range = range.up_to(*last);
                if !range.is_empty() {
                    found.extend(archive.raw(partition, &[*family], range, order, limit).await?);
                }
            }
            // Entries that were trimmed during the read would be in neither result.
            if self.trimmed(partition, families).await? == trimmed {
                found.sort_unstable_by_key(|entry| entry.id);
                found.dedup_by_key(|entry| entry.id);
                if order == Order::NewestFirst {
                    found.reverse();
                }
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    /// As [`Log::read`], over archive and log.
    ///
    /// # Errors
    /// When the log or the archive cannot be read.
    pub async fn read(
        &self,
        partition: Partition,
        families: &[Family],
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let raw = self.raw(partition, families, range, order, limit).await?;
        Ok(raw.iter().map(RawEntry::decode).collect())
    }

    /// One entry, whatever its family.
    ///
    /// # Errors
    /// When the log or the archive cannot be read.
    pub async fn get(&self, id: EventId) -> Result<Option<Entry>, Error> {
        let only = Range { from: Bound::Included(id), to: Bound::Included(id) };
        Ok(self.read(id.partition, &Family::ALL, only, Order::OldestFirst, 1).await?.pop())
    }

    async fn trimmed(&self, partition: Partition, families: &[Family]) -> Result<Vec<(Family, EventId)>, Error> {
        let mut trimmed = vec![];
        for family in families {
            trimmed.extend(self.log.trimmed(partition, *family).await?.map(|last| (*family, last)));
        }
        Ok(trimmed)
    }
}
