//! Deliveries that a group gave up on: finding them, and having them dealt with anew.
//!
//! What that takes depends on the group. An effect is simply tried again. A decider must first fold its state anew, as that
//! was folded without the event. A view knows no single deliveries: it is filled anew, and parks again what it still
//! cannot fold.

use std::{cmp::Reverse, ops::Bound};

use hemostat_log::{DeadLetter, Error, History, Log, Order, Range, RawEntry};
use hemostat_schema::{EventId, Family, Partition};

use crate::{
    project,
    read_model::{self, OFFSET},
    rebuild,
};

/// So many of a partition are looked through.
const MOST: usize = 10_000;

/// What was done to have a parked delivery dealt with anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// It is in its group's backlog again.
    Delivered,
    /// The same, and the group folds its state anew first.
    Refolded,
    /// This view is filled anew.
    Refilled(String),
}

/// Those of all partitions, the newest first; at most `limit`.
///
/// # Errors
/// When the log cannot be read.
pub async fn list(log: &dyn Log, limit: usize) -> Result<Vec<DeadLetter>, Error> {
    let mut dead_letters = vec![];
    for partition in (0..log.partitions()).map(Partition) {
        dead_letters.extend(log.dead_letters(partition, limit).await?);
    }
    dead_letters.sort_by_key(|delivery| Reverse((delivery.at, delivery.key)));
    dead_letters.truncate(limit);
    Ok(dead_letters)
}

/// The event of one, as it stands on the log or in the archive; none when it is gone.
///
/// # Errors
/// When neither can be read.
pub async fn event(history: &History, delivery: &DeadLetter) -> Result<Option<RawEntry>, Error> {
    let only = Range { from: Bound::Included(delivery.id), to: Bound::Included(delivery.id) };
    let found = history.raw(delivery.id.partition, &[delivery.family], only, Order::OldestFirst, 1).await?;
    Ok(found.into_iter().next())
}

/// Has one dealt with anew; none when there is no such one.
///
/// # Errors
/// When the log cannot be read or written; [`Error::Invalid`] when its event, or the history on which its group's state
/// rests, is gone: then it can only be discarded.
pub async fn redrive(history: &History, key: EventId) -> Result<Option<(DeadLetter, Redriven)>, Error> {
    let (log, partition) = (history.log(), key.partition);
    let dead_letters = log.dead_letters(partition, MOST).await?;
    let Some(delivery) = dead_letters.into_iter().find(|delivery| delivery.key == key) else { return Ok(None) };
    let group = &delivery.group;
    if read_model::of_group(group).is_some() {
        let view = rebuild::request(&**log, partition, group).await?;
        return Ok(Some((delivery, Redriven::Refilled(view))));
    }
    let states = log.inspect(partition).await?.views;
    let states = states.into_iter().filter(|view| read_model::of_group(view).is_some_and(|(name, _)| name == group));
    let forget: Vec<(String, String)> = states.map(|view| (view, OFFSET.to_owned())).collect();
    if forget.is_empty() {
        return Ok(log.redrive(partition, key, &[]).await?.map(|delivery| (delivery, Redriven::Delivered)));
    }
    if let Some((family, last)) = project::trimmed_without_archive(history, partition, &Family::ALL).await? {
        let reason = format!(
            "the state of {group} would have to be folded anew, but {} up to {last} are no longer on the log and there \
             is no archive; discard it instead",
            family.stream()
        );
        return Err(Error::Invalid { doing: "put a parked delivery back", reason });
    }
    Ok(log.redrive(partition, key, &forget).await?.map(|delivery| (delivery, Redriven::Refolded)))
}

/// Deletes one; its event stays. None when there is no such one.
///
/// # Errors
/// When the log cannot be written.
pub async fn discard(log: &dyn Log, key: EventId) -> Result<Option<DeadLetter>, Error> {
    log.discard(key.partition, key).await
}
