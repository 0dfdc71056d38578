//! One view of one partition, as it grows: its rows in memory, up to where they go, and the commit that is under way.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use hemostat_core::Projection;
use hemostat_log::{Commit, CommitError, Cursor, Entry, Lease, Park, RowChange};
use hemostat_schema::{EventId, Recorded};
use tokio::task::JoinHandle;
use tracing::error;

use super::pages::Pages;
use crate::{
    Context, Halt, rows,
    views::{FOLDED, POSITION},
    worker::{Size, commit_of, said},
};

/// Rows that are kept in memory between commits; beyond that they are read again.
const CACHED_ROWS: usize = 4096;

pub(super) struct Fold<P: Projection> {
    pub view: String,
    /// Up to here everything is in the rows.
    at: EventId,
    /// How many events were folded; none once the view is served.
    folded: Option<u64>,
    pages: Pages,
    /// As they are in the log, or are about to be; none for those that are not there.
    rows: HashMap<String, Option<P::Row>>,
    under_way: Option<JoinHandle<Result<Vec<EventId>, CommitError>>>,
}

/// A page that was folded: what is to be committed.
pub(super) struct Folded {
    pub change: Commit,
    pub size: Size,
    /// Whether that was all that is on the log.
    pub all: bool,
    /// The last event, where there was one.
    pub last: Option<EventId>,
}

impl<P: Projection> Fold<P> {
    /// Goes on after `at`; `folded` counts the events of a view that is being filled.
    pub fn new(ctx: &Context, view: String, at: EventId, folded: Option<u64>) -> Self {
        let pages = Pages::after(ctx.history.clone(), P::READS, at);
        Self { view, at, folded, pages, rows: HashMap::new(), under_way: None }
    }

    /// Reads and folds the next page. What cannot be folded is parked, unless it is in `parked` already.
    pub async fn page(&mut self, ctx: &Context, lease: Lease, parked: &mut HashSet<EventId>) -> Result<Folded, Halt> {
        let (entries, all) = self.pages.next().await?;
        let mut change = Commit::new(lease);
        let last = entries.last().map(|entry| entry.id);
        // How long ago the past was put on the log says nothing about how it goes.
        let oldest = entries.first().map(|entry| entry.id).filter(|_| self.folded.is_none());
        let size = Size { handled: entries.len(), oldest };
        let mut poison: HashMap<EventId, String> = HashMap::new();
        let keys: Vec<Vec<String>> = entries.iter().map(|entry| keys::<P>(entry, &mut poison)).collect();
        self.load(ctx, keys.iter().flatten().collect()).await?;

        for key in self.fold(&entries, &keys, &mut poison) {
            let row = self.rows.get(&key).and_then(Option::as_ref).map(rows::encode).transpose()?;
            change.rows.push(RowChange { view: self.view.clone(), key, row });
        }
        for entry in &entries {
            if let Some(why) = poison.remove(&entry.id)
                && parked.insert(entry.id)
            {
                error!("{}: could not fold {}, which is put aside: {why}", self.view, entry.id);
                change.parked.push(Park { family: entry.family, id: entry.id, error: why });
            }
        }
        self.at = last.unwrap_or(self.at);
        self.folded = self.folded.map(|folded| folded + entries.len() as u64);
        Ok(Folded { change: self.mark(change)?, size, all, last })
    }

    /// Adds to a commit up to where the rows go.
    fn mark(&self, mut change: Commit) -> Result<Commit, Halt> {
        let mut set = |key: &str, row| {
            change.rows.push(RowChange { view: self.view.clone(), key: key.to_owned(), row: Some(row) });
        };
        set(POSITION, rows::encode(&self.at)?);
        if let Some(folded) = self.folded {
            set(FOLDED, rows::encode(&folded)?);
        }
        change.cursor = Some(Cursor { at: self.at, families: P::READS.to_vec() });
        Ok(change)
    }

    /// From now on the view is served: nobody counts any more.
    pub fn is_served(&mut self) {
        self.folded = None;
    }

    /// Commits while the next page is folded. What goes wrong is said by the next call, or by [`settle`](Self::settle).
    pub async fn send(&mut self, ctx: &Context, page: Folded) -> Result<(), Halt> {
        self.settle().await?;
        let ctx = ctx.clone();
        self.under_way = Some(tokio::spawn(async move { commit_of(&ctx, &page.change, page.size).await }));
        Ok(())
    }

    /// Waits until the commit that is under way is done.
    pub async fn settle(&mut self) -> Result<(), Halt> {
        match self.under_way.take() {
            Some(commit) => commit.await.map_err(|_| Halt::Astray)?.map(drop).map_err(Halt::from),
            None => Ok(()),
        }
    }

    /// Reads those rows that are not in memory.
    async fn load(&mut self, ctx: &Context, keys: BTreeSet<&String>) -> Result<(), Halt> {
        if self.rows.len() > CACHED_ROWS {
            self.settle().await?;
            self.rows.clear();
        }
        let missing: Vec<String> = keys.into_iter().filter(|key| !self.rows.contains_key(*key)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let read = ctx.log.rows(self.at.partition, &self.view, &missing).await?;
        for (key, bytes) in missing.into_iter().zip(read) {
            let row = bytes.map(|bytes| rows::decode_row(&self.view, &key, &bytes)).transpose()?;
            self.rows.insert(key, row);
        }
        Ok(())
    }

    /// Folds the page into the rows in memory; gives the keys of those that changed. After a panic the whole page is
    /// folded again without the event that caused it, which is noted in `poison`.
    fn fold(&mut self, entries: &[Entry], keys: &[Vec<String>], poison: &mut HashMap<EventId, String>) -> Vec<String> {
        loop {
            let mut before: HashMap<String, Option<P::Row>> = HashMap::new();
            let panicked = entries.iter().zip(keys).find_map(|(entry, keys)| {
                let event = entry.event.as_ref().ok().filter(|event| !poison.contains_key(&event.id))?;
                let said = self.fold_one(event, keys, &mut before).err()?;
                Some((event.id, said))
            });
            match panicked {
                Some((id, why)) => {
                    poison.insert(id, why);
                    self.rows.extend(before);
                }
                None => {
                    let changed = before.into_iter().filter(|(key, row)| self.rows.get(key) != Some(row));
                    return changed.map(|(key, _)| key).collect();
                }
            }
        }
    }

    fn fold_one(
        &mut self,
        event: &Recorded,
        keys: &[String],
        before: &mut HashMap<String, Option<P::Row>>,
    ) -> Result<(), String> {
        for key in keys {
            let row = self.rows.get_mut(key).and_then(Option::take);
            if !before.contains_key(key) {
                before.insert(key.clone(), row.clone());
            }
            let folded = catch_unwind(AssertUnwindSafe(|| P::evolve(row, key, event)))
                .map_err(|panic| format!("the projection panicked: {}", said(&*panic)))?;
            self.rows.insert(key.clone(), folded);
        }
        Ok(())
    }
}

/// The rows that an entry touches; none where a later program wrote it. Why they cannot be told goes into `poison`.
fn keys<P: Projection>(entry: &Entry, poison: &mut HashMap<EventId, String>) -> Vec<String> {
    let told = match &entry.event {
        Ok(event) if event.event().is_some() => catch_unwind(AssertUnwindSafe(|| P::keys(event)))
            .map_err(|panic| format!("the projection panicked: {}", said(&*panic))),
        Ok(_) => Ok(vec![]),
        Err(why) => Err(why.clone()),
    };
    told.unwrap_or_else(|why| {
        poison.insert(entry.id, why);
        vec![]
    })
}
