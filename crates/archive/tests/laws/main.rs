//! The laws of the archive: sealed events are read back unchanged, whatever crashes, and every alteration is named.

#![allow(clippy::unwrap_used, reason = "a law that meets an error is broken")]

mod damage;
mod foreign;
mod parquet;
mod reading;
mod s3;
mod sealing;

use std::sync::Arc;

use bytes::Bytes;
use hemostat_archive::{Archive, Error, Manifest, SegmentBuilder};
use hemostat_log::{RawEntry, chain::Link};
use hemostat_schema::{
    EventId, Family, NewEvent, Partition, Timestamp,
    action::Resumed,
    codec::{Encoded, encode},
};
use object_store::{ObjectStore, memory::InMemory};

const P: Partition = Partition(3);
const FAMILY: Family = Family::Action;
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn id(ms: u64) -> EventId {
    EventId { partition: P, ms, seq: ms % 3 }
}

/// An event that decodes.
fn event(ms: u64) -> RawEntry {
    let at = Timestamp::from_millisecond(1_000).unwrap();
    let new = NewEvent::new("host/api".parse().unwrap(), at, Resumed { by: format!("at {ms}") });
    let Encoded { kind, subject, envelope } = encode(&new).unwrap();
    let field = |name: &'static str, value: Vec<u8>| (Bytes::from_static(name.as_bytes()), Bytes::from(value));
    let fields = vec![field("k", kind.into()), field("s", subject.into()), field("e", envelope)];
    RawEntry { id: id(ms), family: FAMILY, fields }
}

fn events(ms: impl IntoIterator<Item = u64>) -> Vec<RawEntry> {
    ms.into_iter().map(event).collect()
}

/// An archive in memory, with its store.
fn archive() -> (Archive, Arc<dyn ObjectStore>) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    (Archive::new(store.clone()), store)
}

/// Seals these events as one segment, added page by page.
async fn seal(archive: &Archive, entries: Vec<RawEntry>, before: Link) -> Result<Manifest, Error> {
    let mut builder = SegmentBuilder::after(before)?;
    for page in entries.chunks(3) {
        builder = builder.add(page.to_vec()).await?;
    }
    archive.seal(builder, NOW).await
}

/// Seals a history as segments of these lengths.
async fn sealed(archive: &Archive, history: &[RawEntry], lengths: &[usize]) -> Vec<Manifest> {
    let mut rest = history;
    let mut chain = Link::default();
    let mut manifests = vec![];
    for length in lengths {
        let (segment, after) = rest.split_at(*length);
        let manifest = seal(archive, segment.to_vec(), chain).await.unwrap();
        (chain, rest) = (manifest.chain, after);
        manifests.push(manifest);
    }
    manifests
}
