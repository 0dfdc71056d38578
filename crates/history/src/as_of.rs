//! The rows of a view as they were at an instant: history up to it, folded as the projection's worker folds it.
//!
//! The instant is a time of the log's clock or an event; the rows are those that a reader saw after that event. They are
//! folded by this version of HemoStat: an earlier version of the view may have had other rows.

use std::collections::{BTreeMap, HashMap};

use hemostat_core::{
    Projection,
    fold::{Rows, existing, fold_all},
};
use hemostat_log::{Error, History, RawEntry};
use hemostat_schema::{IncidentId, Partition, Recorded, Subject};

use crate::{
    filter::mentions,
    select::Progress,
    window::{Position, Window},
};

/// All rows of the view `P` at a position in history. Events that cannot be decoded or folded are skipped, as by the
/// projection's worker.
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
        all.extend(existing(fold::<P>(history, partition, at, progress, |_| true).await?));
    }
    Ok(all)
}

/// One row of the view `P` at a position in history. Only the events about it are decoded.
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
    // The key of a row is an incident or a subject.
    if let Ok(incident) = key.parse::<IncidentId>() {
        for partition in (0..partitions).map(Partition) {
            let is_about = |entry: &RawEntry| mentions(entry, incident.as_str());
            let mut rows = fold::<P>(history, partition, at, progress, is_about).await?;
            if let Some(row) = rows.remove(key).flatten() {
                return Ok(Some(row));
            }
        }
        return Ok(None);
    }
    let Ok(subject) = key.parse::<Subject>() else { return Ok(None) };
    let partition = Partition::of(&subject.host, partitions);
    let is_about = |entry: &RawEntry| entry.subject() == Some(key);
    let mut rows = fold::<P>(history, partition, at, progress, is_about).await?;
    Ok(rows.remove(key).flatten())
}

/// The rows of the view `P` that the events about `subject` lead to, at a position in history.
///
/// # Errors
/// When the log or the archive cannot be read.
pub async fn rows_of<P: Projection>(
    history: &History,
    subject: &Subject,
    at: Position,
    progress: &Progress,
) -> Result<BTreeMap<String, P::Row>, Error> {
    let (partition, key) = (Partition::of(&subject.host, history.log().partitions()), subject.to_string());
    let is_about = |entry: &RawEntry| entry.subject() == Some(&key);
    Ok(existing(fold::<P>(history, partition, at, progress, is_about).await?))
}

async fn fold<P: Projection>(
    history: &History,
    partition: Partition,
    at: Position,
    progress: &Progress,
    is_about: impl Fn(&RawEntry) -> bool,
) -> Result<Rows<P>, Error> {
    let mut rows: Rows<P> = HashMap::new();
    let mut scan = history.scan(partition, P::READS, Window::until(at).range(partition));
    while let Some(page) = scan.next().await? {
        let events = page.iter().filter(|entry| is_about(entry)).filter_map(|entry| entry.decode().event.ok());
        let events: Vec<Recorded> = events.collect();
        fold_all::<P>(&mut rows, &events);
        progress.add(page.len(), page.last().map_or(0, |last| last.id.ms));
    }
    Ok(rows)
}
