//! Builds the file of a segment from pages of events, so that a whole segment never lies in memory uncompressed.

use bytes::Bytes;
use hemostat_log::{RawEntry, chain::Link};
use hemostat_schema::{EventId, Family};
use tokio::task::spawn_blocking;

use crate::{Error, ParquetWriter};

/// Events that will be sealed as one segment, already encoded as Parquet.
#[derive(Debug)]
pub struct SegmentBuilder {
    writer: ParquetWriter<Vec<u8>>,
    before: Link,
    chain: Link,
    extent: Option<Extent>,
}

/// The first and the last event of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub family: Family,
    pub first: EventId,
    pub last: EventId,
}

impl SegmentBuilder {
    /// An empty segment. `before` is the family's chain of hashes before the first event.
    ///
    /// # Errors
    /// When the Parquet header cannot be written.
    pub fn after(before: Link) -> Result<Self, Error> {
        Ok(Self { writer: ParquetWriter::new(vec![])?, before, chain: before, extent: None })
    }

    /// The number of events added so far.
    pub fn count(&self) -> usize {
        usize::try_from(self.chain.count.saturating_sub(self.before.count)).unwrap_or(usize::MAX)
    }

    /// Appends the next events, oldest first, all of one family of one partition.
    ///
    /// # Errors
    /// When they cannot be encoded.
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
    /// When no event was added.
    pub(crate) async fn finish(self) -> Result<(Bytes, Extent, [Link; 2]), Error> {
        let Self { writer, before, chain, extent } = self;
        let extent = extent.expect("a segment holds at least one event");
        let file = spawn_blocking(move || writer.finish().map(Bytes::from));
        let file = file.await.unwrap_or_else(|panic| Err(Error::Unwritable(panic.to_string())))?;
        Ok((file, extent, [before, chain]))
    }
}
