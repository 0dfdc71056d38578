//! All that ever happened: what the archive holds and what stands on the log, as one.
//!
//! ```text
//!   archive  ├─ segment ─┼─ segment ─┤
//!   log                        · · · ├──────────────────►      up to `trimmed` the archive is asked, the log from there on
//! ```

use std::{fmt::Debug, ops::Bound, sync::Arc};

use async_trait::async_trait;
use futures::{FutureExt as _, future::BoxFuture};
use hemostat_schema::{EventId, Family, Partition};

use crate::{Entry, Error, Log, Order, Range, RawEntry};

/// History that is no longer in the streams.
#[async_trait]
pub trait Archive: Send + Sync + Debug + 'static {
    /// As [`Log::raw`] does, from what is archived.
    async fn raw(
        &self,
        partition: Partition,
        families: &[Family],
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<RawEntry>, Error>;

    /// Up to and with which event of the family everything is archived.
    async fn sealed(&self, partition: Partition, family: Family) -> Result<Option<EventId>, Error>;
}

/// Archive and log as one. Cheap to clone.
#[derive(Debug, Clone)]
pub struct History {
    log: Arc<dyn Log>,
    archive: Option<Arc<dyn Archive>>,
}

impl History {
    /// Of this log and, where there is one, its archive.
    pub fn new(log: Arc<dyn Log>, archive: Option<Arc<dyn Archive>>) -> Self {
        Self { log, archive }
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The archive, where there is one.
    pub fn archive(&self) -> Option<&Arc<dyn Archive>> {
        self.archive.as_ref()
    }

    /// As [`Log::raw`], over all that ever happened. What was trimmed without an archive is not there any more.
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
            // What was trimmed while this was read would be in neither.
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

    /// As [`Log::read`], over all that ever happened.
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

    /// Goes through a part of history from its beginning, page by page.
    pub fn scan(&self, partition: Partition, families: impl Into<Vec<Family>>, range: Range) -> Scan {
        let scan = Scan { history: self.clone(), partition, families: families.into(), next: None };
        Scan { next: Some(scan.fetch(range)), ..scan }
    }

    async fn trimmed(&self, partition: Partition, families: &[Family]) -> Result<Vec<(Family, EventId)>, Error> {
        let mut trimmed = vec![];
        for family in families {
            trimmed.extend(self.log.trimmed(partition, *family).await?.map(|last| (*family, last)));
        }
        Ok(trimmed)
    }
}

/// How many entries are in a page of a scan.
const PAGE: usize = 2_000;

/// A walk through history; the next page is read while its user is busy with the one before.
pub struct Scan {
    history: History,
    partition: Partition,
    families: Vec<Family>,
    next: Option<Ahead>,
}

type Page = Result<(Vec<RawEntry>, Range), Error>;
type Ahead = BoxFuture<'static, Page>;

impl Scan {
    /// The next entries, in the order of their ids; none at the end of the range. What is appended meanwhile is given as
    /// well, as long as it lies in the range.
    ///
    /// # Errors
    /// When the log or the archive cannot be read; the scan then ends.
    pub async fn next(&mut self) -> Result<Option<Vec<RawEntry>>, Error> {
        let Some(ahead) = self.next.take() else { return Ok(None) };
        let (page, range) = ahead.await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.next = Some(self.fetch(Range { from: Bound::Excluded(last.id), ..range }));
        Ok(Some(page))
    }

    /// Begins to read at once, not only when it is waited for.
    fn fetch(&self, range: Range) -> Ahead {
        let (history, partition, families) = (self.history.clone(), self.partition, self.families.clone());
        let read = tokio::spawn(async move {
            let page = history.raw(partition, &families, range, Order::OldestFirst, PAGE).await?;
            Ok((page, range))
        });
        let ended = |_| Error::Invalid { doing: "read history", reason: "the reading task was ended".to_owned() };
        async move { read.await.map_err(ended)? }.boxed()
    }
}

impl Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan")
            .field("partition", &self.partition)
            .field("families", &self.families)
            .finish_non_exhaustive()
    }
}
