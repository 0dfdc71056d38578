//! The events that a filter asks for, in one order across all partitions: by time, then count, then partition.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use hemostat_log::{Entry, Error, History, RawEntry, Scan};

use crate::{Filter, Position};

/// How far a walk has come, for whoever shows it while it goes on.
#[derive(Debug, Default)]
pub struct Progress {
    looked_at: AtomicU64,
    ms: AtomicU64,
}

impl Progress {
    /// So many events were looked at.
    pub fn looked_at(&self) -> u64 {
        self.looked_at.load(Relaxed)
    }

    /// The time of the latest of them, in milliseconds since the Unix epoch by the log's clock; 0 before the first.
    pub fn ms(&self) -> u64 {
        self.ms.load(Relaxed)
    }

    /// So many more were looked at, the last of them at this time.
    pub fn add(&self, events: usize, ms: u64) {
        self.looked_at.fetch_add(events as u64, Relaxed);
        self.ms.fetch_max(ms, Relaxed);
    }
}

/// A walk through the events that a filter asks for.
#[derive(Debug)]
pub struct Selected<'a> {
    filter: Filter,
    sources: Vec<Source>,
    progress: &'a Progress,
}

/// An event that was asked for.
#[derive(Debug, Clone)]
pub struct Found {
    /// As it stands in the store.
    pub raw: RawEntry,
    /// As it is read.
    pub entry: Entry,
}

impl<'a> Selected<'a> {
    /// Begins to read what `filter` asks for; says in `progress` how far it has come.
    pub fn new(history: &History, filter: Filter, progress: &'a Progress) -> Self {
        let families = filter.families();
        let partitions = filter.partitions(history.log().partitions());
        let sources = partitions.into_iter().map(|partition| Source {
            scan: Some(history.scan(partition, families.clone(), filter.range(partition))),
            found: VecDeque::new(),
        });
        Self { sources: sources.collect(), filter, progress }
    }

    /// The next event; none at the end.
    ///
    /// # Errors
    /// When the log or the archive cannot be read.
    pub async fn next(&mut self) -> Result<Option<Found>, Error> {
        for source in &mut self.sources {
            source.fill(&self.filter, self.progress).await?;
        }
        let heads =
            self.sources.iter_mut().filter_map(|source| Some((Position::before(source.found.front()?.raw.id), source)));
        Ok(heads.min_by_key(|(position, _)| *position).and_then(|(_, source)| source.found.pop_front()))
    }
}

/// What is still to come of one partition.
#[derive(Debug)]
struct Source {
    scan: Option<Scan>,
    found: VecDeque<Found>,
}

impl Source {
    /// Reads on until something is found.
    async fn fill(&mut self, filter: &Filter, progress: &Progress) -> Result<(), Error> {
        while self.found.is_empty()
            && let Some(scan) = &mut self.scan
        {
            match scan.next().await? {
                Some(page) => {
                    progress.add(page.len(), page.last().map_or(0, |last| last.id.ms));
                    let found = |raw| filter.pick(&raw).map(|entry| Found { raw, entry });
                    self.found.extend(page.into_iter().filter_map(found));
                }
                None => self.scan = None,
            }
        }
        Ok(())
    }
}
