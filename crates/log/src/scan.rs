//! Reads a part of history from beginning to end: prefetches pages per family and merges them by id.
//!
//! ```text
//!   observations ─ page ─ page ─ page …  ┐
//!   diagnoses    ─ page …                ├─► up to where all of them are complete, in id order
//!   actions      ─ page …                ┘
//! ```
//!
//! Each family is read separately, so every entry is read once, with the cheapest command for Redis. While the caller
//! handles one page, the next is prefetched. A family whose page was full is complete up to its last entry; one that has no
//! more is complete up to the partition's clock as it was before the last read, as every later event gets a later id.
//! Entries beyond the point up to which all families are complete are held back.

use std::{collections::VecDeque, fmt::Debug, ops::Bound};

use futures::future::try_join_all;
use hemostat_schema::{EventId, Family, Partition};
use tokio::task::JoinHandle;

use crate::{Error, History, Order, Range, RawEntry};

/// Entries of a family per page.
const PAGE: usize = 1_000;
/// Entries of the second read at the end of a family, where few are left.
const REST: usize = 250;

/// A sequential read of history.
pub struct Scan {
    history: History,
    partition: Partition,
    families: Vec<FamilyScan>,
}

/// The state of one family.
struct FamilyScan {
    family: Family,
    /// The range that is not read yet.
    rest: Range,
    /// Everything of the family up to this id is read.
    known: EventId,
    /// Its last page was not full.
    ended: bool,
    /// Entries that were read and are not returned yet.
    read: VecDeque<RawEntry>,
    /// The prefetched page.
    prefetch: Option<JoinHandle<Result<Page, Error>>>,
}

/// A page of one family, complete up to `known`.
struct Page {
    entries: Vec<RawEntry>,
    known: EventId,
    full: bool,
}

impl History {
    /// Reads a part of history from its beginning, page by page.
    pub fn scan(&self, partition: Partition, families: impl Into<Vec<Family>>, range: Range) -> Scan {
        Scan::new(self, partition, &families.into(), range)
    }
}

impl Scan {
    fn new(history: &History, partition: Partition, families: &[Family], range: Range) -> Self {
        let scan = |family: &Family| FamilyScan {
            family: *family,
            rest: range,
            known: EventId::start(partition),
            ended: false,
            read: VecDeque::new(),
            prefetch: Some(fetch(history, partition, *family, range)),
        };
        Self { history: history.clone(), partition, families: families.iter().map(scan).collect() }
    }

    /// The next entries in id order; none at the end of the range. Includes entries of the range that are appended
    /// meanwhile.
    ///
    /// # Errors
    /// When the log or the archive cannot be read; the scan then ends.
    pub async fn next(&mut self) -> Result<Option<Vec<RawEntry>>, Error> {
        loop {
            let Some(known) = self.families.iter().map(|scan| scan.known).min() else { return Ok(None) };
            let mut page: Vec<RawEntry> = self.families.iter_mut().flat_map(|scan| scan.take_up_to(known)).collect();
            if !page.is_empty() {
                // The stable sort is faster here: it detects sorted runs.
                page.sort_by_key(|entry| entry.id);
                return Ok(Some(page));
            }
            if self.families.iter().all(|scan| scan.ended && scan.read.is_empty()) {
                return Ok(None);
            }
            let (history, partition) = (&self.history, self.partition);
            let behind = self.families.iter_mut().filter(|scan| scan.known <= known);
            if let Err(error) = try_join_all(behind.map(|scan| scan.advance(history, partition))).await {
                self.families.clear();
                return Err(error);
            }
        }
    }
}

impl FamilyScan {
    fn take_up_to(&mut self, known: EventId) -> impl Iterator<Item = RawEntry> {
        let count = self.read.partition_point(|entry| entry.id <= known);
        self.read.drain(..count)
    }

    /// Takes the next page.
    async fn advance(&mut self, history: &History, partition: Partition) -> Result<(), Error> {
        let ended = |_| Error::Invalid { doing: "read history", reason: "the reading task was ended".to_owned() };
        let prefetch = self.prefetch.take().unwrap_or_else(|| fetch(history, partition, self.family, self.rest));
        let Page { entries, known, full } = prefetch.await.map_err(ended)??;
        if let Some(last) = entries.last() {
            self.rest = range_after(last, self.rest);
        }
        if full {
            self.prefetch = Some(fetch(history, partition, self.family, self.rest));
        }
        self.ended = !full;
        self.known = self.known.max(known);
        self.read.extend(entries);
        Ok(())
    }
}

/// The part of `range` after `last`.
fn range_after(last: &RawEntry, range: Range) -> Range {
    Range { from: Bound::Excluded(last.id), ..range }
}

/// Starts to read at once, in a task.
fn fetch(history: &History, partition: Partition, family: Family, range: Range) -> JoinHandle<Result<Page, Error>> {
    let history = history.clone();
    tokio::spawn(async move {
        let read = |range, limit| {
            let history = history.clone();
            async move { history.raw(partition, &[family], range, Order::OldestFirst, limit).await }
        };
        let mut entries = read(range, PAGE).await?;
        let (mut clock, mut full) = (EventId::start(partition), entries.len() >= PAGE);
        if !full {
            // Reads the entries between the page and the clock as well, so that everything up to the clock is known. A bulk
            // page may come from a former master; a read of few entries always asks the current one.
            clock = history.log().clock(partition).await?;
            let more = read(entries.last().map_or(range, |last| range_after(last, range)), REST).await?;
            full = more.len() >= REST;
            entries.extend(more);
        }
        let known = match entries.last() {
            Some(last) if full => last.id,
            Some(last) => last.id.max(clock),
            None => clock,
        };
        Ok(Page { entries, known, full })
    })
}

impl Drop for Scan {
    fn drop(&mut self) {
        for prefetch in self.families.iter().filter_map(|scan| scan.prefetch.as_ref()) {
            prefetch.abort();
        }
    }
}

impl Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("partition", &self.partition).finish_non_exhaustive()
    }
}
