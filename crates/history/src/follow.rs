//! Follows the log: the events that match a filter, as they are appended.
//!
//! A follower reads pages and waits for the append signal in between. It keeps no events that its caller has not asked
//! for, so a slow caller costs no memory: it falls behind on the log.
//!
//! Events come in the order of each partition, not in one order over all of them, because a commit to one partition may
//! become visible after a later one to another. So a place to continue from is a [`Cursor`]: a position in every partition.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use futures::future::{select_all, try_join_all};
use hemostat_log::{Entry, Error, History, Order, Range};
use hemostat_schema::{EventId, Family, Partition};
use tokio::sync::watch;

use crate::{filter::Filter, window::Position};

/// Entries per read of a partition.
const PAGE: usize = 500;

/// How long to wait after a failed read, which no signal ends.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Reads the events that match a filter, as they are appended.
#[derive(Debug)]
pub struct Follower {
    filter: Filter,
    families: Vec<Family>,
    sources: Vec<Source>,
}

/// One partition.
#[derive(Debug)]
struct Source {
    partition: Partition,
    /// Archive and log until everything was read once; from then on only the log, which is cheaper.
    history: History,
    /// What is left to read.
    range: Range,
    /// Changes when there is more to read.
    append_signal: watch::Receiver<u64>,
    /// Whether everything was read that was there when the signal last changed.
    is_drained: bool,
}

impl Follower {
    /// Follows from `start`.
    pub fn new(history: &History, filter: Filter, start: &Cursor) -> Self {
        let source = |partition| Source {
            partition,
            history: history.clone(),
            range: Range::after(start.of(partition)),
            append_signal: history.log().append_signal(partition),
            is_drained: false,
        };
        let sources = filter.partitions(history.log().partitions()).into_iter().map(source).collect();
        Self { families: filter.families(), filter, sources }
    }

    /// The next events that match, from one partition, in its order; waits until there are some. Dropping the future loses
    /// no event.
    ///
    /// # Errors
    /// When the log or the archive cannot be read; a later call reads again what this one could not.
    pub async fn next(&mut self) -> Result<Vec<Entry>, Error> {
        loop {
            for index in 0..self.sources.len() {
                let found = self.sources[index].read(&self.families, &self.filter).await?;
                if !found.is_empty() {
                    // The other partitions come first the next time.
                    self.sources.rotate_left(index + 1);
                    return Ok(found);
                }
            }
            let signals = self.sources.iter_mut().map(|source| Box::pin(source.append_signal.changed()));
            let (_, index, _) = select_all(signals).await;
            self.sources[index].is_drained = false;
        }
    }
}

impl Source {
    /// The next entries that match; none only if everything was read.
    async fn read(&mut self, families: &[Family], filter: &Filter) -> Result<Vec<Entry>, Error> {
        loop {
            if self.is_drained && !self.append_signal.has_changed().unwrap_or(false) {
                return Ok(vec![]);
            }
            self.append_signal.mark_unchanged();
            self.is_drained = false;
            let page = self.history.raw(self.partition, families, self.range, Order::OldestFirst, PAGE).await?;
            if page.len() < PAGE {
                self.is_drained = true;
                self.history = History::new(Arc::clone(self.history.log()), None);
            }
            let Some(last) = page.last() else { continue };
            self.range.from = Range::after(last.id).from;
            let found: Vec<Entry> = page.iter().filter_map(|raw| filter.pick(raw)).collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
}

/// A place to continue from: the last event that a reader has of each partition.
///
/// It is written as event ids, the one that was read last first: `0.1767225612000-1`, or, if the log has several partitions,
/// `0.1767225612000-1,1.1767225611990-0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Vec<EventId>);

/// A text that is no [`Cursor`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an event id such as 0.1732391234567-3, nor several of different partitions with commas between them"
)]
pub struct InvalidCursor(String);

impl Cursor {
    /// The present: after every event that `filter` selects and that was appended so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn now(history: &History, filter: &Filter) -> Result<Self, Error> {
        let log = history.log();
        let partitions = filter.partitions(log.partitions()).into_iter();
        try_join_all(partitions.map(|partition| log.clock(partition))).await.map(Self)
    }

    /// A position in a log of `partitions`.
    pub fn at(position: Position, partitions: u16) -> Self {
        Self((0..partitions).map(|partition| position.last_before(Partition(partition))).collect())
    }

    /// The same for a log of `partitions`: the ones that it does not list continue after the event that was read last.
    #[must_use]
    pub fn complete(mut self, partitions: u16) -> Self {
        if let Some(latest) = self.0.first() {
            let others = Self::at(Position::after(*latest), partitions);
            let missing = others.0.into_iter().filter(|id| !self.lists(id.partition)).collect::<Vec<_>>();
            self.0.extend(missing);
        }
        self
    }

    /// Adds an event that was read.
    pub fn advance(&mut self, id: EventId) {
        self.0.retain(|last| last.partition != id.partition);
        self.0.insert(0, id);
    }

    /// The last event that the reader has of `partition`.
    pub fn of(&self, partition: Partition) -> EventId {
        let found = self.0.iter().find(|id| id.partition == partition);
        found.copied().unwrap_or(EventId::start(partition))
    }

    /// An event after it that cannot be read any more: it was trimmed, and there is no archive. The latest such of a partition.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn missing(&self, history: &History, filter: &Filter) -> Result<Option<EventId>, Error> {
        if history.archive().is_some() {
            return Ok(None);
        }
        for partition in filter.partitions(history.log().partitions()) {
            let families = filter.families().into_iter();
            let trimmed = try_join_all(families.map(|family| history.log().trimmed(partition, family))).await?;
            let last = trimmed.into_iter().flatten().max();
            if last.is_some_and(|last| last > self.of(partition)) {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// Whether it says where to continue in `partition`.
    pub fn lists(&self, partition: Partition) -> bool {
        self.0.iter().any(|id| id.partition == partition)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let invalid = || InvalidCursor(text.chars().take(120).collect());
        let mut cursor = Self(vec![]);
        for id in text.split(',') {
            let id: EventId = id.parse().map_err(|_| invalid())?;
            if cursor.lists(id.partition) {
                return Err(invalid());
            }
            cursor.0.push(id);
        }
        Ok(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        for text in ["0.5-1", "2.7-0,0.5-1,1.6-3"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for text in ["", ",", "0.5-1,", "0.5-1,0.6-1", "5", "2026-01-01T00:00:00Z"] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor(text.to_owned())));
        }
    }

    #[test]
    fn a_cursor_keeps_the_last_event_of_every_partition() {
        let mut cursor: Cursor = "1.6-3,0.5-1".parse().unwrap();
        cursor.advance("0.8-0".parse().unwrap());
        assert_eq!(cursor.to_string(), "0.8-0,1.6-3");
        cursor.advance("0.9-0".parse().unwrap());
        assert_eq!(cursor.to_string(), "0.9-0,1.6-3");
    }

    #[test]
    fn one_event_is_a_place_in_every_partition() {
        for (event, complete) in
            [("1.6-3", "1.6-3,0.6-3,2.6-2"), ("0.6-0", "0.6-0,1.5-18446744073709551615,2.5-18446744073709551615")]
        {
            assert_eq!(event.parse::<Cursor>().unwrap().complete(3).to_string(), complete);
        }
        assert_eq!(Cursor::at(Position::START, 2).to_string(), "0.0-0,1.0-0");
    }
}
