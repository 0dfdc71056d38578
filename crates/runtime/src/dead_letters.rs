//! The dead-letter queue of a consumer group: list, redrive, discard.
//!
//! How a dead letter is redriven depends on its group. An effect gets the delivery again. A decider first folds its state
//! again, as that was folded without the event. A projection has no deliveries: its view is rebuilt, and an event that it
//! still cannot fold becomes a dead letter again.

use std::{cmp::Reverse, ops::Bound};

use hemostat_log::{DeadLetter, Error, History, Log, Order, Range, RawEntry};
use hemostat_schema::{EventId, Family, Partition};

use crate::{
    project,
    read_model::{self, OFFSET},
    rebuild,
};

/// Maximum dead letters of a partition that are searched.
const MAX_SEARCHED: usize = 10_000;

/// How a dead letter was redriven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// Its group gets the delivery again.
    Delivered,
    /// The same, after the group has folded its state again.
    Refolded,
    /// This view is rebuilt.
    Refilled(String),
}

/// The dead letters of all partitions, newest first; at most `limit`.
///
/// # Errors
/// When the log cannot be read.
pub async fn list(log: &dyn Log, limit: usize) -> Result<Vec<DeadLetter>, Error> {
    let mut dead_letters = vec![];
    for partition in (0..log.partitions()).map(Partition) {
        dead_letters.extend(log.dead_letters(partition, limit).await?);
    }
    dead_letters.sort_by_key(|letter| Reverse((letter.at, letter.key)));
    dead_letters.truncate(limit);
    Ok(dead_letters)
}

/// The event of a dead letter, from the log or the archive; `None` when it is gone.
///
/// # Errors
/// When neither can be read.
pub async fn event(history: &History, letter: &DeadLetter) -> Result<Option<RawEntry>, Error> {
    let only = Range { from: Bound::Included(letter.id), to: Bound::Included(letter.id) };
    let found = history.raw(letter.id.partition, &[letter.family], only, Order::OldestFirst, 1).await?;
    Ok(found.into_iter().next())
}

/// Redrives a dead letter; `None` when there is no such.
///
/// # Errors
/// When the log cannot be read or written; [`Error::Invalid`] when its event, or history that its group must fold again, is
/// gone: then it can only be discarded.
pub async fn redrive(history: &History, key: EventId) -> Result<Option<(DeadLetter, Redriven)>, Error> {
    let (log, partition) = (history.log(), key.partition);
    let dead_letters = log.dead_letters(partition, MAX_SEARCHED).await?;
    let Some(letter) = dead_letters.into_iter().find(|letter| letter.key == key) else { return Ok(None) };
    let group = &letter.group;
    if read_model::of_group(group).is_some() {
        let view = rebuild::request(&**log, partition, group).await?;
        return Ok(Some((letter, Redriven::Refilled(view))));
    }
    let states = log.inspect(partition).await?.views;
    let states = states.into_iter().filter(|view| read_model::of_group(view).is_some_and(|(name, _)| name == group));
    let forget: Vec<(String, String)> = states.map(|view| (view, OFFSET.to_owned())).collect();
    if forget.is_empty() {
        return Ok(log.redrive(partition, key, &[]).await?.map(|letter| (letter, Redriven::Delivered)));
    }
    if let Some((family, last)) = project::trimmed_without_archive(history, partition, &Family::ALL).await? {
        let reason = format!(
            "{group} would have to fold its state again, but {} up to {last} were trimmed and there is no archive; discard \
             the dead letter instead",
            family.stream()
        );
        return Err(Error::Invalid { doing: "redrive a dead letter", reason });
    }
    Ok(log.redrive(partition, key, &forget).await?.map(|letter| (letter, Redriven::Refolded)))
}

/// Deletes a dead letter; its event stays. `None` when there is no such.
///
/// # Errors
/// When the log cannot be written.
pub async fn discard(log: &dyn Log, key: EventId) -> Result<Option<DeadLetter>, Error> {
    log.discard(key.partition, key).await
}
