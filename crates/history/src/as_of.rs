//! How the rows of a view stood at an instant: history up to it, folded as the view's own worker folds it.
//!
//! The instant is one of the log's clock, or an event: what stood there is what a reader of rows saw who had everything
//! up to and with it. The fold is that of this program; a row of an earlier version of the view may have looked different.

use std::collections::BTreeMap;

use hemostat_core::Projection;
use hemostat_log::{Error, History, RawEntry};
use hemostat_schema::{IncidentId, Partition, Recorded, Subject};

use crate::{
    filter::mentions,
    select::Progress,
    window::{Position, Window},
};

/// Rows of a view, by key, as events make them.
#[derive(Debug, Clone)]
pub struct Fold<P: Projection> {
    rows: BTreeMap<String, P::Row>,
}

impl<P: Projection> Default for Fold<P> {
    fn default() -> Self {
        Self { rows: BTreeMap::new() }
    }
}

impl<P: Projection> Fold<P> {
    /// Takes in the next event of its partition.
    pub fn take(&mut self, event: &Recorded) {
        if event.event().is_none() {
            return;
        }
        for key in P::keys(event) {
            let row = self.rows.remove(&key);
            if let Some(row) = P::evolve(row, &key, event) {
                self.rows.insert(key, row);
            }
        }
    }

    /// The rows, by key.
    pub fn rows(&self) -> &BTreeMap<String, P::Row> {
        &self.rows
    }

    /// The rows, by key.
    pub fn into_rows(self) -> BTreeMap<String, P::Row> {
        self.rows
    }
}

/// All rows of the view `P` as they stood at a place in history. What cannot be read is passed over, as the view's worker
/// passes over it.
///
/// # Errors
/// When the log or the archive cannot be read.
pub async fn rows<P: Projection>(
    history: &History,
    at: Position,
    progress: &Progress,
) -> Result<BTreeMap<String, P::Row>, Error> {
    let mut all = BTreeMap::new();
    for partition in (0..history.log().partitions()).map(Partition) {
        let fold: Fold<P> = fold(history, partition, at, progress, |_| true).await?;
        all.extend(fold.into_rows());
    }
    Ok(all)
}

/// One row of the view `P` as it stood at a place in history. Only what is about it is decoded.
///
/// # Errors
/// When the log or the archive cannot be read.
pub async fn row<P: Projection>(
    history: &History,
    key: &str,
    at: Position,
    progress: &Progress,
) -> Result<Option<P::Row>, Error> {
    let partitions = history.log().partitions();
    // Views are kept by incident or by subject.
    if let Ok(incident) = key.parse::<IncidentId>() {
        for partition in (0..partitions).map(Partition) {
            let about = |entry: &RawEntry| mentions(entry, incident.as_str());
            let fold: Fold<P> = fold(history, partition, at, progress, about).await?;
            if let Some(row) = fold.into_rows().remove(key) {
                return Ok(Some(row));
            }
        }
        return Ok(None);
    }
    let Ok(subject) = key.parse::<Subject>() else { return Ok(None) };
    let partition = Partition::of(&subject.host, partitions);
    let about = |entry: &RawEntry| entry.subject() == Some(key);
    let fold: Fold<P> = fold(history, partition, at, progress, about).await?;
    Ok(fold.into_rows().remove(key))
}

async fn fold<P: Projection>(
    history: &History,
    partition: Partition,
    at: Position,
    progress: &Progress,
    about: impl Fn(&RawEntry) -> bool,
) -> Result<Fold<P>, Error> {
    let mut fold = Fold::default();
    let mut scan = history.scan(partition, P::READS, Window::until(at).range(partition));
    while let Some(page) = scan.next().await? {
        for event in page.iter().filter(|entry| about(entry)).filter_map(|entry| entry.decode().event.ok()) {
            fold.take(&event);
        }
        progress.add(page.len(), page.last().map_or(0, |last| last.id.ms));
    }
    Ok(fold)
}
