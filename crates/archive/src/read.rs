//! Reading what is archived, as one reads the log; every segment is checked against its manifest before it is believed.

use std::{ops::Bound, sync::Arc};

use async_trait::async_trait;
use hemostat_log::{Order, Range, RawEntry, chain::Hash};
use hemostat_schema::{EventId, Family, Partition};

use crate::{
    Archive, Broken, Damage, Error, Manifest,
    cache::Events,
    manifest::{Sealed, file_path, manifest_path},
    segment::Reader,
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
            found.extend(self.of_family(partition, *family, range, order, limit).await.map_err(told)?);
        }
        found.sort_unstable_by_key(|entry| entry.id);
        if order == Order::NewestFirst {
            found.reverse();
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn sealed(&self, partition: Partition, family: Family) -> Result<Option<EventId>, hemostat_log::Error> {
        Ok(self.newest(partition, family).await.map_err(told)?.map(|manifest| manifest.last))
    }
}

fn told(error: Error) -> hemostat_log::Error {
    hemostat_log::Error::Archive { reason: error.told(), transient: error.is_transient() }
}

impl Archive {
    /// The first `limit` events of `range` in `order`.
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
        self.look_as_far_as(partition, family, range.to).await?;
        let firsts = self.firsts(partition, family);
        // The segment that is open where the range begins, up to the last one that begins within it.
        let begin = match range.from {
            Bound::Unbounded => 0,
            Bound::Included(id) | Bound::Excluded(id) => firsts.partition_point(|first| *first <= id).saturating_sub(1),
        };
        let end = match range.to {
            Bound::Unbounded => firsts.len(),
            Bound::Included(id) => firsts.partition_point(|first| *first <= id),
            Bound::Excluded(id) => firsts.partition_point(|first| *first < id),
        };
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

    /// Asks for new segments only where the range may reach beyond those that are known.
    async fn look_as_far_as(&self, partition: Partition, family: Family, to: Bound<EventId>) -> Result<(), Error> {
        let known = self.reaches(partition, family);
        match (to, known) {
            (Bound::Included(to), Some(last)) if to <= last => Ok(()),
            (Bound::Excluded(to), Some(last)) if to <= last => Ok(()),
            _ => self.refresh(partition, family).await,
        }
    }

    /// The events of a segment, checked when they are read from where they lie.
    pub(crate) async fn events(&self, sealed: &Sealed) -> Result<Events, Error> {
        let manifest = &sealed.manifest;
        if let Some(events) = self.cache.get(manifest.family, manifest.first) {
            return Ok(events);
        }
        let events = self.read_file(manifest).await?;
        self.cache.put(manifest.family, manifest.first, events.clone());
        Ok(events)
    }

    /// As they are now, whatever was read before.
    pub(crate) async fn read_file(&self, manifest: &Manifest) -> Result<Events, Error> {
        let path = file_path(manifest);
        let broken = |why| Broken { which: path.to_string(), why };
        let file = self.place.get(&path).await?.ok_or_else(|| broken(Damage::Missing))?;
        let sealed = manifest.sha256;
        // A segment takes some milliseconds, in which other tasks want to go on.
        let read = tokio::task::spawn_blocking(move || {
            let found = Hash::of(&file);
            if found != sealed {
                return Err(Damage::Altered { sealed, found });
            }
            Reader::read_all(file).map_err(Damage::Unreadable)
        });
        let read = read.await.unwrap_or_else(|panic| Err(Damage::Unreadable(panic.to_string())));
        let events = read.map_err(broken)?;
        holds(manifest, &events).map_err(|why| broken(Damage::Otherwise(why)))?;
        Ok(Arc::from(events))
    }
}

/// Whether the segment is the one after that which begins with `before`; the one in between is missing otherwise.
pub(crate) fn follows(manifest: &Manifest, before: Option<EventId>) -> Result<(), Broken> {
    match manifest.previous {
        Some(previous) if Some(previous.first) != before => {
            Err(Broken { which: manifest_path(manifest.family, previous.first).to_string(), why: Damage::Missing })
        }
        None if before.is_some() => Err(Broken {
            which: manifest_path(manifest.family, manifest.first).to_string(),
            why: Damage::Otherwise("it says that nothing came before it, and something does".to_owned()),
        }),
        _ => Ok(()),
    }
}

/// Whether the events are those that the manifest says, or why not.
fn holds(manifest: &Manifest, events: &[RawEntry]) -> Result<(), String> {
    let said = (manifest.count, Some(manifest.first), Some(manifest.last));
    let held = (events.len() as u64, events.first().map(|event| event.id), events.last().map(|event| event.id));
    if said != held {
        return Err(format!("{} events from {} to {} are not in it", manifest.count, manifest.first, manifest.last));
    }
    if !events.is_sorted_by(|one, next| one.id < next.id) {
        return Err("its events are not in order".to_owned());
    }
    match events.iter().find(|event| (event.id.partition, event.family) != (manifest.partition, manifest.family)) {
        Some(event) => Err(format!("event {} of another stream is in it", event.id)),
        None => Ok(()),
    }
}

/// Those in the range.
fn within(events: &[RawEntry], range: Range) -> &[RawEntry] {
    let begin = match range.from {
        Bound::Unbounded => 0,
        Bound::Included(id) => events.partition_point(|event| event.id < id),
        Bound::Excluded(id) => events.partition_point(|event| event.id <= id),
    };
    let end = match range.to {
        Bound::Unbounded => events.len(),
        Bound::Included(id) => events.partition_point(|event| event.id <= id),
        Bound::Excluded(id) => events.partition_point(|event| event.id < id),
    };
    &events[begin..end.max(begin)]
}
