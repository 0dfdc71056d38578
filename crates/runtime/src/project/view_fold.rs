//! The fold of one view in one partition: its rows in memory, its offset, and the commit in flight.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use hemostat_core::{
    Projection,
    fold::{self, Rows},
};
use hemostat_log::{Commit, CommitError, Cursor, Lease, NewDeadLetter, RowChange};
use hemostat_schema::{EventId, Span, Timestamp};
use tokio::task::JoinHandle;
use tracing::error;

use super::pages::Pages;
use crate::{
    context::Context,
    read_model::{FOLDED_COUNT, OFFSET, decode_row, encode, is_internal},
    worker::{Handled, WorkerError, commit_handling},
};

/// Rows kept in memory between commits. With more, the cache is emptied and rows are read again.
const CACHED_ROWS: usize = 4096;

/// Maximum rows that one commit deletes.
const EXPIRED_AT_ONCE: usize = 1_000;

/// How often the offset is committed while events change no row. A reader that is behind holds back trimming.
const OFFSET_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct ViewFold<P: Projection> {
    pub view: String,
    /// The last event that was folded into the rows.
    offset: EventId,
    /// Since when the stored offset is behind, because the events since changed no row.
    behind_since: Option<Instant>,
    /// How many events were folded; `None` once the view is served.
    folded: Option<u64>,
    pages: Pages,
    /// As they are on the log, or will be after the commit in flight.
    rows: Rows<P>,
    in_flight: Option<JoinHandle<Result<Vec<EventId>, CommitError>>>,
}

/// A folded page, ready to commit.
pub(super) struct FoldedPage {
    pub change: Commit,
    pub handled: Handled,
    /// Whether the page changes rows or adds dead letters, and not only the offset.
    pub changes_rows: bool,
    /// Whether the page ends at the end of the log.
    pub at_end: bool,
    /// The last event, if there was one.
    pub last: Option<EventId>,
}

impl<P: Projection> ViewFold<P> {
    /// Continues after `offset`. `folded` counts the events of a view that is being built.
    pub fn new(ctx: &Context, view: String, offset: EventId, folded: Option<u64>) -> Self {
        let pages = Pages::after(ctx.history.clone(), P::READS, offset);
        Self { view, offset, behind_since: None, folded, pages, rows: HashMap::new(), in_flight: None }
    }

    /// Reads and folds the next page. An event that cannot be folded becomes a dead letter, unless it is one already.
    pub async fn next_page(
        &mut self,
        ctx: &Context,
        lease: Lease,
        dead_letters: &mut HashSet<EventId>,
    ) -> Result<FoldedPage, WorkerError> {
        let (entries, at_end) = self.pages.next().await?;
        let mut change = Commit::new(lease);
        let last = entries.last().map(|entry| entry.id);
        // The lag of events that are folded again says nothing about the projector.
        let oldest = entries.first().map(|entry| entry.id).filter(|_| self.folded.is_none());
        let handled = Handled { count: entries.len(), oldest };

        let mut unfoldable: HashMap<EventId, String> = HashMap::new();
        let mut events = Vec::with_capacity(entries.len());
        for entry in &entries {
            match entry.event.as_ref().map_err(Clone::clone).and_then(|event| Ok((event, fold::keys::<P>(event)?))) {
                Ok(event) => events.push(event),
                Err(why) => drop(unfoldable.insert(entry.id, why)),
            }
        }
        self.load(ctx, events.iter().flat_map(|(_, keys)| keys).collect()).await?;
        let folded = fold::projection::<P>(&mut self.rows, &events);
        for key in folded.changed {
            let row = self.rows.get(&key).and_then(Option::as_ref).map(encode).transpose()?;
            change.rows.push(RowChange { view: self.view.clone(), key, row });
        }
        unfoldable.extend(folded.panicked);
        for entry in &entries {
            if let Some(why) = unfoldable.remove(&entry.id)
                && dead_letters.insert(entry.id)
            {
                error!("{}: could not fold {}, which becomes a dead letter: {why}", self.view, entry.id);
                change.dead_letters.push(NewDeadLetter { family: entry.family, id: entry.id, error: why });
            }
        }
        self.offset = last.unwrap_or(self.offset);
        self.folded = self.folded.map(|folded| folded + entries.len() as u64);
        let changes_rows = !change.rows.is_empty() || !change.dead_letters.is_empty();
        Ok(FoldedPage { change: self.with_offset(change)?, handled, changes_rows, at_end, last })
    }

    /// Whether the page need not be committed yet, as it would write nothing but the offset: from the stored offset, the
    /// same events are folded into the same rows again.
    pub fn may_wait(&mut self, page: &FoldedPage) -> bool {
        if page.handled.count > 0 && !page.changes_rows {
            self.behind_since.get_or_insert_with(Instant::now);
        }
        !page.changes_rows && self.behind_since.is_none_or(|since| since.elapsed() < OFFSET_INTERVAL)
    }

    /// When the offset is committed at the latest, if the stored one is behind.
    pub fn offset_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.behind_since.map(|_| Span::from(OFFSET_INTERVAL).after(now))
    }

    /// Commits the offset, if the stored one is behind.
    pub async fn commit_offset(&mut self, ctx: &Context, lease: Option<Lease>) -> Result<(), WorkerError> {
        if let (Some(_), Some(lease)) = (self.behind_since.take(), lease) {
            ctx.log.commit(&self.with_offset(Commit::new(lease))?).await?;
        }
        Ok(())
    }

    /// Adds the offset to a commit.
    fn with_offset(&self, mut change: Commit) -> Result<Commit, WorkerError> {
        let mut set = |key: &str, row| {
            change.rows.push(RowChange { view: self.view.clone(), key: key.to_owned(), row: Some(row) });
        };
        set(OFFSET, encode(&self.offset)?);
        if let Some(folded) = self.folded {
            set(FOLDED_COUNT, encode(&folded)?);
        }
        change.cursor = Some(Cursor { at: self.offset, families: P::READS.to_vec() });
        Ok(change)
    }

    /// The view is served from now on: its events are no longer counted.
    pub fn set_served(&mut self) {
        self.folded = None;
    }

    /// Commits the page while the next one is folded. An error is returned by the next call, or by
    /// [`settle`](Self::settle).
    pub async fn commit(&mut self, ctx: &Context, page: FoldedPage) -> Result<(), WorkerError> {
        self.settle().await?;
        self.behind_since = None;
        let ctx = ctx.clone();
        self.in_flight = Some(tokio::spawn(async move { commit_handling(&ctx, &page.change, page.handled).await }));
        Ok(())
    }

    /// Deletes the rows that are expired at the offset.
    pub async fn expire(&mut self, ctx: &Context, lease: &Lease) -> Result<(), WorkerError> {
        if P::IS_EXPIRED.is_none() {
            return Ok(());
        }
        self.settle().await?;
        let mut expired = vec![];
        for (key, bytes) in ctx.log.all_rows(self.offset.partition, &self.view).await? {
            if !is_internal(&key) && fold::is_expired::<P>(&key, &decode_row(&self.view, &key, &bytes)?, self.offset) {
                expired.push(key);
            }
        }
        for keys in expired.chunks(EXPIRED_AT_ONCE) {
            let delete = |key: &String| RowChange { view: self.view.clone(), key: key.clone(), row: None };
            let change = Commit { rows: keys.iter().map(delete).collect(), ..Commit::new(lease.clone()) };
            ctx.log.commit(&self.with_offset(change)?).await?;
            self.behind_since = None;
            keys.iter().for_each(|key| drop(self.rows.remove(key)));
        }
        Ok(())
    }

    /// Waits for the commit in flight.
    pub async fn settle(&mut self) -> Result<(), WorkerError> {
        match self.in_flight.take() {
            Some(commit) => commit.await.map_err(|_| WorkerError::StaleState)?.map(drop).map_err(WorkerError::from),
            None => Ok(()),
        }
    }

    /// Reads the rows that are not in memory.
    async fn load(&mut self, ctx: &Context, keys: BTreeSet<&String>) -> Result<(), WorkerError> {
        if self.rows.len() > CACHED_ROWS {
            self.settle().await?;
            self.rows.clear();
        }
        let missing: Vec<String> = keys.into_iter().filter(|key| !self.rows.contains_key(*key)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let read = ctx.log.rows(self.offset.partition, &self.view, &missing).await?;
        for (key, bytes) in missing.into_iter().zip(read) {
            let row = bytes.map(|bytes| decode_row(&self.view, &key, &bytes)).transpose()?;
            self.rows.insert(key, row);
        }
        Ok(())
    }
}
