//! The dead-letter queue of a consumer group: list, redrive, discard.
//!
//! How a dead letter is redriven depends on its group. An effect gets the delivery again. A decider first folds its state
//! again, as that was folded without the event. A projection has no deliveries: its view is rebuilt, and an event that it
//! still cannot fold becomes a dead letter again.
//!
//! Both are commands ([`commands`]): the dead letter is settled in the same append as the event that says who did it. So a
//! resent request does nothing twice, and one that was interrupted was either executed with its event or not at all.

use std::{cmp::Reverse, ops::Bound};

use hemostat_log::{Append, DeadLetter, Error, History, Log, Order, Range, RawEntry, Settle, Settlement};
use hemostat_schema::{
    Action, Cause, Event, EventId, Family, NewEvent, Operator, Partition, Subject, Timestamp,
    action::{self, DeadLetterDiscarded, DeadLetterRedriven, Redelivery},
};

use crate::{
    commands::{self, CommandError, Executed},
    project,
    read_model::{self, OFFSET},
    rebuild::{self, ViewRebuild},
};

/// Maximum dead letters of a partition that are searched.
const MAX_SEARCHED: usize = 10_000;

/// Maximum characters of an error in an event.
const MAX_ERROR: usize = 1_000;

/// What an operator orders about a dead letter.
#[derive(Debug, Clone)]
pub struct Command {
    /// The dead letter.
    pub letter: EventId,
    /// What happens to it.
    pub what: What,
    /// Who orders it.
    pub by: Operator,
    /// Why, if the operator says so.
    pub reason: Option<String>,
}

/// What can happen to a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Its group handles the event again.
    Redrive,
    /// It is deleted; its event stays on the log.
    Discard,
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

/// Executes `command`, at most once for each `key`.
///
/// # Errors
/// [`CommandError::Unknown`] when there is no such dead letter; [`CommandError::Impossible`] when its event, or history that
/// its group must fold again, is gone: then it can only be discarded.
pub async fn execute(
    history: &History,
    command: &Command,
    key: &str,
    now: Timestamp,
) -> Result<Executed, CommandError> {
    let (log, partition) = (history.log(), command.letter.partition);
    if partition.0 >= log.partitions() {
        return Err(CommandError::Unknown);
    }
    // The dead letter of a request that is sent again is gone.
    if let Some(executed) = commands::executed(log, partition, key, |event| command.is_of(event)).await? {
        return Ok(executed);
    }
    let dead_letters = log.dead_letters(partition, MAX_SEARCHED).await?;
    let Some(letter) = dead_letters.into_iter().find(|letter| letter.key == command.letter) else {
        // A request with the same key may have settled it since the look above.
        let executed = commands::executed(log, partition, key, |event| command.is_of(event)).await?;
        return executed.ok_or(CommandError::Unknown);
    };
    let described = action::DeadLetter {
        id: letter.key,
        group: letter.group.clone(),
        event: letter.id,
        error: letter.error.chars().take(MAX_ERROR).collect(),
    };
    let (by, reason) = (command.by.clone(), command.reason.clone());
    let (settle, event): (_, Event) = match command.what {
        What::Discard => (Some(Settle::Discard), DeadLetterDiscarded { letter: described, by, reason }.into()),
        What::Redrive => {
            let (settle, how, view) = redelivery(history, &letter).await?;
            (settle, DeadLetterRedriven { letter: described, how, view, by, reason }.into())
        }
    };
    let event = NewEvent::new(Subject::system(), now, event).caused_by(Cause::Event(letter.id));
    let append = Append {
        settlement: settle.map(|how| Settlement { letter: letter.key, how }),
        ..Append::new(partition, key, vec![event])
    };
    commands::execute(log, &append, |event| command.is_of(event)).await
}

/// How the group of `letter` can handle its event again.
async fn redelivery(
    history: &History,
    letter: &DeadLetter,
) -> Result<(Option<Settle>, Redelivery, Option<String>), CommandError> {
    let (log, partition, group) = (history.log(), letter.key.partition, &letter.group);
    if read_model::of_group(group).is_some() {
        // One that is being built anyway needs nothing.
        let ViewRebuild { view, is_under_way } = rebuild::plan(&**log, partition, group).await?;
        let settle = (!is_under_way).then(|| Settle::Rebuild { view: view.clone() });
        return Ok((settle, Redelivery::Rebuilt, Some(view)));
    }
    let states = log.inspect(partition).await?.views;
    let states = states.into_iter().filter(|view| read_model::of_group(view).is_some_and(|(name, _)| name == group));
    let forget: Vec<(String, String)> = states.map(|view| (view, OFFSET.to_owned())).collect();
    let how = if forget.is_empty() { Redelivery::Delivered } else { Redelivery::Refolded };
    if how == Redelivery::Refolded
        && let Some((family, last)) = project::trimmed_without_archive(history, partition, &Family::ALL).await?
    {
        return Err(CommandError::Impossible(format!(
            "{group} would have to fold its state again, but {} up to {last} were trimmed and there is no archive; discard \
             the dead letter instead",
            family.stream()
        )));
    }
    Ok((Some(Settle::Redeliver { forget }), how, None))
}

impl Command {
    /// Whether `event` is the event of this command.
    fn is_of(&self, event: &Event) -> bool {
        let (what, letter, by, reason) = match event {
            Event::Action(Action::DeadLetterRedriven(done)) => (What::Redrive, done.letter.id, &done.by, &done.reason),
            Event::Action(Action::DeadLetterDiscarded(done)) => (What::Discard, done.letter.id, &done.by, &done.reason),
            _ => return false,
        };
        (what, letter, by, reason) == (self.what, self.letter, &self.by, &self.reason)
    }
}
