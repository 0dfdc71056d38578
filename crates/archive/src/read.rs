//! Reads archived events with the log's interface. Every segment is verified against its manifest before use.

use std::{ops::Bound, sync::Arc};

use async_trait::async_trait;
use hemostat_log::{Order, Range, RawEntry, chain::Hash};
use hemostat_schema::{EventId, Family, Partition};

use crate::{
    Archive, Damage, DamagedObject, Error, Manifest,
    cache::SegmentEvents,
    manifest::{SealedManifest, file_path, manifest_path},
    parquet_file::ParquetReader,
};

#[async_trait]
impl hemostat_log::Archive for Archive {
    async fn raw(
        &self,
        partition: Partition,
        families: &[Family],
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<RawEntry>, hemostat_log::Error> {
        let mut found = vec![];
        for family in families {
            found.extend(self.of_family(partition, *family, range, order, limit).await.map_err(log_error)?);
        }
        found.sort_unstable_by_key(|entry| entry.id);
        if order == Order::NewestFirst {
            found.reverse();
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn sealed(&self, partition: Partition, family: Family) -> Result<Option<EventId>, hemostat_log::Error> {
        Ok(self.newest(partition, family).await.map_err(log_error)?.map(|manifest| manifest.last))
    }
}

fn log_error(error: Error) -> hemostat_log::Error {
    hemostat_log::Error::Archive { reason: error.with_sources(), transient: error.is_transient() }
}

impl Archive {
    /// The first `limit` events of `range`, in `order`.
    async fn of_family(
        &self,
        partition: Partition,
        family: Family,
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<RawEntry>, Error> {
        if range.is_empty() || limit == 0 {
            return Ok(vec![]);
        }
        self.refresh_up_to(partition, family, range.to).await?;
        let firsts = self.firsts(partition, family);
        // From the segment that contains the range's start to the last one that begins within the range.
        let begin = match range.from {
            Bound::Unbounded => 0,
            Bound::Included(id) | Bound::Excluded(id) => firsts.partition_point(|first| *first <= id).saturating_sub(1),
        };
        let end = end_of(&firsts, |first| *first, range.to);
        let mut found = vec![];
        let mut indices = begin..end;
        while found.len() < limit
            && let Some(index) = match order {
                Order::OldestFirst => indices.next(),
                Order::NewestFirst => indices.next_back(),
            }
        {
            let sealed = self.sealed(family, firsts[index]).await?;
            follows(&sealed.manifest, index.checked_sub(1).map(|before| firsts[before]))?;
            let events = self.events(&sealed).await?;
            let within = within(&events, range);
            match order {
                Order::OldestFirst => found.extend(within.iter().take(limit - found.len()).cloned()),
                Order::NewestFirst => found.extend(within.iter().rev().take(limit - found.len()).cloned()),
            }
        }
        Ok(found)
    }

    /// Refreshes the index, unless the range ends within the indexed segments.
    async fn refresh_up_to(&self, partition: Partition, family: Family, to: Bound<EventId>) -> Result<(), Error> {
        let indexed = self.indexed_up_to(partition, family);
        match (to, indexed) {
            (Bound::Included(to) | Bound::Excluded(to), Some(last)) if to <= last => Ok(()),
            _ => self.refresh(partition, family).await,
        }
    }

    /// The events of a segment, from the cache or read and verified.
    pub(crate) async fn events(&self, sealed: &SealedManifest) -> Result<SegmentEvents, Error> {
        let manifest = &sealed.manifest;
        if let Some(events) = self.cache.get(manifest.family, manifest.first) {
            return Ok(events);
        }
        let events = self.read_file(manifest).await?;
        self.cache.put(manifest.family, manifest.first, events.clone());
        Ok(events)
    }

    /// Reads and verifies the events of a segment from storage, past the cache.
    pub(crate) async fn read_file(&self, manifest: &Manifest) -> Result<SegmentEvents, Error> {
        let path = file_path(manifest);
        let damaged = |why| DamagedObject { object: path.to_string(), why };
        let file = self.storage.get(&path).await?.ok_or_else(|| damaged(Damage::Missing))?;
        let sealed = manifest.sha256;
        // Hashing and decoding a segment takes milliseconds: off the async threads.
        let read = tokio::task::spawn_blocking(move || {
            let found = Hash::of(&file);
            if found != sealed {
                return Err(Damage::Altered { sealed, found });
            }
            ParquetReader::read_all(file).map_err(Damage::Unreadable)
        });
        let read = read.await.unwrap_or_else(|panic| Err(Damage::Unreadable(panic.to_string())));
        let events = read.map_err(damaged)?;
        check_contents(manifest, &events).map_err(|why| damaged(Damage::Inconsistent(why)))?;
        Ok(Arc::from(events))
    }
}

/// Checks that the segment's predecessor is the one that begins with `before`; otherwise a segment is missing.
pub(crate) fn follows(manifest: &Manifest, before: Option<EventId>) -> Result<(), DamagedObject> {
    match manifest.previous {
        Some(previous) if Some(previous.first) != before => Err(DamagedObject {
            object: manifest_path(manifest.family, previous.first).to_string(),
            why: Damage::Missing,
        }),
        None if before.is_some() => Err(DamagedObject {
            object: manifest_path(manifest.family, manifest.first).to_string(),
            why: Damage::Inconsistent("it claims to be the first segment, and is not".to_owned()),
        }),
        _ => Ok(()),
    }
}

/// Checks that number, bounds, order and stream of the events are those of the manifest.
fn check_contents(manifest: &Manifest, events: &[RawEntry]) -> Result<(), String> {
    let expected = (manifest.count, Some(manifest.first), Some(manifest.last));
    let found = (events.len() as u64, events.first().map(|event| event.id), events.last().map(|event| event.id));
    if expected != found {
        return Err(format!("{} events from {} to {} are not in it", manifest.count, manifest.first, manifest.last));
    }
    if !events.is_sorted_by(|one, next| one.id < next.id) {
        return Err("its events are not in order".to_owned());
    }
    match events.iter().find(|event| (event.id.partition, event.family) != (manifest.partition, manifest.family)) {
        Some(event) => Err(format!("it contains event {} of another stream", event.id)),
        None => Ok(()),
    }
}

fn within(events: &[RawEntry], range: Range) -> &[RawEntry] {
    let begin = match range.from {
        Bound::Unbounded => 0,
        Bound::Included(id) => events.partition_point(|event| event.id < id),
        Bound::Excluded(id) => events.partition_point(|event| event.id <= id),
    };
    &events[begin..end_of(events, |event| event.id, range.to).max(begin)]
}

/// How many of these, which are in the order of their ids, come before the end of a range.
fn end_of<T>(sorted: &[T], id: impl Fn(&T) -> EventId, to: Bound<EventId>) -> usize {
    match to {
        Bound::Unbounded => sorted.len(),
        Bound::Included(to) => sorted.partition_point(|one| id(one) <= to),
        Bound::Excluded(to) => sorted.partition_point(|one| id(one) < to),
    }
}
