//! How is a part of history walked through from its beginning to its end?
//!
//! ```text
//!   observations ─ page ─ page ─ page …  ┐
//!   diagnoses    ─ page …                ├─► what all of them are read up to, in the order of ids
//!   actions      ─ page …                ┘
//! ```
//!
//! Each family is read by itself, so every entry is read once, and by the command that costs Redis least. While the user of
//! the scan is busy with one page, the next is read. A family whose page was full is known up to its last entry; one that
//! came to its end is known up to what the partition's clock said before that was seen, as every later event gets a later id.
//! What lies beyond what all are known up to is held back, so that nothing comes too early.

use std::{collections::VecDeque, fmt::Debug, ops::Bound};

use futures::future::try_join_all;
use hemostat_schema::{EventId, Family, Partition};
use tokio::task::JoinHandle;

use crate::{Error, History, Order, Range, RawEntry};

/// How many entries of a family are read at once.
const PAGE: usize = 1_000;
/// And so many where hardly any are left.
const REST: usize = 250;

/// A walk through history.
pub struct Scan {
    history: History,
    partition: Partition,
    families: Vec<Reading>,
}

/// One family, as far as it is read.
struct Reading {
    family: Family,
    /// What is to be read yet.
    rest: Range,
    /// Everything of the family up to here is read.
    known: EventId,
    /// Its last page was not full: there was nothing more.
    ended: bool,
    /// What was read and is not given yet.
    read: VecDeque<RawEntry>,
    /// The page that is being read.
    ahead: Option<JoinHandle<Result<Page, Error>>>,
}

/// A page of one family, and up to where that is all there is.
struct Page {
    entries: Vec<RawEntry>,
    known: EventId,
    full: bool,
}

impl Scan {
    pub(crate) fn new(history: &History, partition: Partition, families: &[Family], range: Range) -> Self {
        let reading = |family: &Family| Reading {
            family: *family,
            rest: range,
            known: EventId::start(partition),
            ended: false,
            read: VecDeque::new(),
            ahead: Some(fetch(history, partition, *family, range)),
        };
        Self { history: history.clone(), partition, families: families.iter().map(reading).collect() }
    }

    /// The next entries, in the order of their ids; none at the end of the range. What is appended meanwhile is given as
    /// well, as long as it lies in the range.
    ///
    /// # Errors
    /// When the log or the archive cannot be read; the scan then ends.
    pub async fn next(&mut self) -> Result<Option<Vec<RawEntry>>, Error> {
        loop {
            let Some(known) = self.families.iter().map(|reading| reading.known).min() else { return Ok(None) };
            let mut page: Vec<RawEntry> =
                self.families.iter_mut().flat_map(|reading| reading.take_up_to(known)).collect();
            if !page.is_empty() {
                // Not the unstable sort: this one knows what is sorted already.
                page.sort_by_key(|entry| entry.id);
                return Ok(Some(page));
            }
            if self.families.iter().all(|reading| reading.ended && reading.read.is_empty()) {
                return Ok(None);
            }
            let (history, partition) = (&self.history, self.partition);
            let behind = self.families.iter_mut().filter(|reading| reading.known <= known);
            if let Err(error) = try_join_all(behind.map(|reading| reading.go_on(history, partition))).await {
                self.families.clear();
                return Err(error);
            }
        }
    }
}

impl Reading {
    fn take_up_to(&mut self, known: EventId) -> impl Iterator<Item = RawEntry> {
        let count = self.read.partition_point(|entry| entry.id <= known);
        self.read.drain(..count)
    }

    /// Takes in the next page.
    async fn go_on(&mut self, history: &History, partition: Partition) -> Result<(), Error> {
        let ended = |_| Error::Invalid { doing: "read history", reason: "the reading task was ended".to_owned() };
        let ahead = self.ahead.take().unwrap_or_else(|| fetch(history, partition, self.family, self.rest));
        let Page { entries, known, full } = ahead.await.map_err(ended)??;
        if let Some(last) = entries.last() {
            self.rest = beyond(last, self.rest);
        }
        if full {
            self.ahead = Some(fetch(history, partition, self.family, self.rest));
        }
        self.ended = !full;
        self.known = self.known.max(known);
        self.read.extend(entries);
        Ok(())
    }
}

/// What of `range` comes after `last`.
fn beyond(last: &RawEntry, range: Range) -> Range {
    Range { from: Bound::Excluded(last.id), ..range }
}

/// Begins to read at once, not only when it is waited for.
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
            // What came between the page and the clock is read as well, so that everything up to the clock is known. A
            // page may be of a server that is no longer in charge; a few entries are always asked of the one that is.
            clock = history.log().clock(partition).await?;
            let more = read(entries.last().map_or(range, |last| beyond(last, range)), REST).await?;
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
        for ahead in self.families.iter().filter_map(|reading| reading.ahead.as_ref()) {
            ahead.abort();
        }
    }
}

impl Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("partition", &self.partition).finish_non_exhaustive()
    }
}
