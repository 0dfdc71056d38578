//! A segment in the making: it takes events page by page, so that nobody has a whole one in memory.

use bytes::Bytes;
use hemostat_log::{RawEntry, chain::Link};
use hemostat_schema::{EventId, Family};
use tokio::task::spawn_blocking;

use crate::{Error, Writer};

/// Events that are to be sealed together, already as Parquet.
#[derive(Debug)]
pub struct Draft {
    writer: Writer<Vec<u8>>,
    before: Link,
    chain: Link,
    extent: Option<Extent>,
}

/// From which event to which a segment reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub family: Family,
    pub first: EventId,
    pub last: EventId,
}

/// A draft to which nothing is added any more.
#[derive(Debug)]
pub(crate) struct Finished {
    pub file: Bytes,
    pub extent: Extent,
    pub before: Link,
    pub chain: Link,
}

impl Draft {
    /// Holds nothing yet. `before` says where the family's chain of hashes stood before the first event.
    ///
    /// # Errors
    /// When Parquet cannot be written at all.
    pub fn after(before: Link) -> Result<Self, Error> {
        Ok(Self { writer: Writer::new(vec![])?, before, chain: before, extent: None })
    }

    /// How many events it holds.
    pub fn count(&self) -> usize {
        usize::try_from(self.chain.count.saturating_sub(self.before.count)).unwrap_or(usize::MAX)
    }

    /// Adds the events that come next, oldest first, all of one family of one partition.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn add(mut self, entries: Vec<RawEntry>) -> Result<Self, Error> {
        let added = spawn_blocking(move || {
            let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(self) };
            let begin = self.extent.map_or(first.id, |extent| extent.first);
            self.extent = Some(Extent { family: first.family, first: begin, last: last.id });
            self.chain = entries.iter().fold(self.chain, Link::then);
            self.writer.write(&entries)?;
            Ok(self)
        });
        added.await.unwrap_or_else(|panic| Err(Error::Unwritable(panic.to_string())))
    }

    /// # Panics
    /// When it holds nothing.
    pub(crate) async fn finish(self) -> Result<Finished, Error> {
        let Self { writer, before, chain, extent } = self;
        let extent = extent.expect("a segment holds at least one event");
        let file = spawn_blocking(move || writer.finish().map(Bytes::from));
        let file = file.await.unwrap_or_else(|panic| Err(Error::Unwritable(panic.to_string())))?;
        Ok(Finished { file, extent, before, chain })
    }
}
