//! Reads the events that match a filter, in one order across all partitions: by time, then sequence number, then partition.
//!
//! [`Selected`] reads all of them, the oldest first. [`page`] reads one page in either order, at a bounded cost. Both merge
//! the partitions in the same way and filter entries before they are decoded.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use futures::future::try_join_all;
use hemostat_log::{Entry, Error, History, Order, Range, RawEntry, Scan};
use hemostat_schema::{EventId, Family, Partition};

use crate::{filter::Filter, window::Position};

/// How far a read has come, for a progress display.
#[derive(Debug, Default)]
pub struct Progress {
    looked_at: AtomicU64,
    ms: AtomicU64,
}

impl Progress {
    /// How many entries were read.
    pub fn looked_at(&self) -> u64 {
        self.looked_at.load(Relaxed)
    }

    /// The time of the latest of them, in milliseconds since the Unix epoch by the log's clock; 0 before the first.
    pub fn ms(&self) -> u64 {
        self.ms.load(Relaxed)
    }

    /// Adds `events` entries, the last of them at `ms`.
    pub fn add(&self, events: usize, ms: u64) {
        self.looked_at.fetch_add(events as u64, Relaxed);
        self.ms.fetch_max(ms, Relaxed);
    }
}

/// All events that match a filter, the oldest first.
#[derive(Debug)]
pub struct Selected<'a> {
    filter: Filter,
    sources: Vec<Source>,
    progress: &'a Progress,
}

/// An event that matches.
#[derive(Debug, Clone)]
pub struct Found {
    /// As stored.
    pub raw: RawEntry,
    /// Decoded.
    pub entry: Entry,
}

impl<'a> Selected<'a> {
    /// Starts to read what matches `filter`, and reports to `progress`.
    pub fn new(history: &History, filter: Filter, progress: &'a Progress) -> Self {
        let families = filter.families();
        let partitions = filter.partitions(history.log().partitions());
        let sources = partitions.into_iter().map(|partition| Source {
            reader: Reader::Scan(history.scan(partition, families.clone(), filter.window.range(partition))),
            entries: VecDeque::new(),
        });
        Self { sources: sources.collect(), filter, progress }
    }

    /// The next event; none at the end.
    ///
    /// # Errors
    /// When the log or the archive cannot be read.
    pub async fn next(&mut self) -> Result<Option<Found>, Error> {
        loop {
            for source in &mut self.sources {
                source.fill(self.progress).await?;
            }
            let Some(raw) = take_first(&mut self.sources, Order::OldestFirst) else { return Ok(None) };
            if let Some(entry) = self.filter.pick(&raw) {
                return Ok(Some(Found { raw, entry }));
            }
        }
    }
}

/// What a page may cost.
#[derive(Debug, Clone, Copy)]
pub struct PageLimits {
    /// Maximum events on the page.
    pub found: usize,
    /// Maximum entries that are examined.
    pub scanned: usize,
    /// Entries per read of a partition.
    pub chunk: usize,
}

/// A page of events.
#[derive(Debug, Default)]
pub struct Page {
    /// The events that match.
    pub entries: Vec<Entry>,
    /// The last entry that was examined, if there may be more after it: the next page continues there.
    pub next: Option<EventId>,
}

/// One page of what matches `filter`.
///
/// A filter may match one event in a million, so the number of examined entries ends a page as well. Reading page after
/// page gives every matching event exactly once, because nothing is ever inserted before an entry of its partition.
///
/// # Errors
/// When the log or the archive cannot be read.
pub async fn page(history: &History, filter: &Filter, order: Order, limits: PageLimits) -> Result<Page, Error> {
    let families = filter.families();
    let source = |partition| Source {
        reader: Reader::Chunks(Box::new(Chunks {
            history: history.clone(),
            partition,
            families: families.clone(),
            range: filter.window.range(partition),
            order,
            size: limits.chunk,
            is_exhausted: false,
        })),
        entries: VecDeque::new(),
    };
    let mut sources: Vec<_> = filter.partitions(history.log().partitions()).into_iter().map(source).collect();
    let progress = Progress::default();
    let mut page = Page::default();
    let mut scanned = 0;
    loop {
        try_join_all(sources.iter_mut().map(|source| source.fill(&progress))).await?;
        let Some(raw) = take_first(&mut sources, order) else {
            page.next = None;
            return Ok(page);
        };
        if page.entries.len() == limits.found || scanned == limits.scanned {
            return Ok(page);
        }
        scanned += 1;
        page.next = Some(raw.id);
        page.entries.extend(filter.pick(&raw));
    }
}

/// The first entry of all partitions. Every source must be filled.
fn take_first(sources: &mut [Source], order: Order) -> Option<RawEntry> {
    let heads = sources.iter_mut().filter_map(|source| Some((Position::before(source.entries.front()?.id), source)));
    let first = match order {
        Order::OldestFirst => heads.min_by_key(|(position, _)| *position),
        Order::NewestFirst => heads.max_by_key(|(position, _)| *position),
    };
    first.and_then(|(_, source)| source.entries.pop_front())
}

/// One partition, with the entries that were read ahead.
#[derive(Debug)]
struct Source {
    reader: Reader,
    entries: VecDeque<RawEntry>,
}

#[derive(Debug)]
enum Reader {
    /// Reads a whole range, the oldest first, with prefetch.
    Scan(Scan),
    /// Reads no more than is needed for a page.
    Chunks(Box<Chunks>),
}

#[derive(Debug)]
struct Chunks {
    history: History,
    partition: Partition,
    families: Vec<Family>,
    /// What is left to read.
    range: Range,
    order: Order,
    size: usize,
    is_exhausted: bool,
}

impl Source {
    /// Reads until there is an entry, or the range ends.
    async fn fill(&mut self, progress: &Progress) -> Result<(), Error> {
        while self.entries.is_empty() {
            let entries = match &mut self.reader {
                Reader::Scan(scan) => scan.next().await?,
                Reader::Chunks(chunks) => chunks.next().await?,
            };
            let Some(entries) = entries else { return Ok(()) };
            progress.add(entries.len(), entries.last().map_or(0, |last| last.id.ms));
            self.entries = entries.into();
        }
        Ok(())
    }
}

impl Chunks {
    async fn next(&mut self) -> Result<Option<Vec<RawEntry>>, Error> {
        if self.is_exhausted {
            return Ok(None);
        }
        let entries = self.history.raw(self.partition, &self.families, self.range, self.order, self.size).await?;
        self.is_exhausted = entries.len() < self.size;
        let Some(last) = entries.last() else { return Ok(None) };
        match self.order {
            Order::OldestFirst => self.range.from = Range::after(last.id).from,
            Order::NewestFirst => self.range.to = Range::before(last.id).to,
        }
        Ok(Some(entries))
    }
}
