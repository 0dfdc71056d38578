//! The archive: which segments there are, and what each says of itself.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hemostat_schema::{EventId, Family, Partition};
use object_store::ObjectStore;

use crate::{
    Broken, Damage, Error, Manifest,
    cache::Cache,
    manifest::{Sealed, directory, first_of, manifest_path},
    place::Place,
};

/// For messages.
const WHOSE: &str = "archive";

/// Sealed history in a directory or an S3-compatible store.
#[derive(Debug)]
pub struct Archive {
    pub(crate) place: Place,
    pub(crate) cache: Cache,
    known: Mutex<HashMap<(Partition, Family), Known>>,
}

/// The segments of one family by their first events, with their manifests where these were read. Segments are only ever
/// added, so this grows and never changes.
type Known = BTreeMap<EventId, Option<Arc<Sealed>>>;

/// The archive at a directory (made where there is none), `file:///path` or `s3://bucket/prefix`; for the latter,
/// credentials, region and endpoint come from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
/// `AWS_REGION`, `AWS_ENDPOINT_URL`, …).
///
/// # Errors
/// When the address cannot be understood, or the directory not be made.
pub fn open(url: &str) -> Result<Arc<Archive>, Error> {
    Ok(Arc::new(Archive::at(Place::open(WHOSE, url)?)))
}

impl Archive {
    /// In an object store that the caller brings; it must know how to write an object only where there is none.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self::at(Place::new(WHOSE, store))
    }

    fn at(place: Place) -> Self {
        Self { place, cache: Cache::default(), known: Mutex::default() }
    }

    /// The manifests of a family's segments, in their order.
    ///
    /// # Errors
    /// When the archive cannot be read, or a manifest not be made out.
    pub async fn segments(&self, partition: Partition, family: Family) -> Result<Vec<Manifest>, Error> {
        self.refresh(partition, family).await?;
        let mut manifests = vec![];
        for first in self.firsts(partition, family) {
            manifests.push(self.sealed(family, first).await?.manifest.clone());
        }
        Ok(manifests)
    }

    /// The manifest of the family's last segment.
    ///
    /// # Errors
    /// When the archive cannot be read, or the manifest not be made out.
    pub async fn newest(&self, partition: Partition, family: Family) -> Result<Option<Manifest>, Error> {
        self.refresh(partition, family).await?;
        Ok(self.newest_known(partition, family).await?.map(|sealed| sealed.manifest.clone()))
    }

    /// As [`newest`](Self::newest), as far as it was looked.
    pub(crate) async fn newest_known(
        &self,
        partition: Partition,
        family: Family,
    ) -> Result<Option<Arc<Sealed>>, Error> {
        let last = self.known().get(&(partition, family)).and_then(|known| Some(*known.last_key_value()?.0));
        match last {
            Some(first) => Ok(Some(self.sealed(family, first).await?)),
            None => Ok(None),
        }
    }

    /// Up to which event at least there are segments, as far as it was looked; asks nobody.
    pub(crate) fn reaches(&self, partition: Partition, family: Family) -> Option<EventId> {
        let known = self.known();
        let (first, sealed) = known.get(&(partition, family))?.last_key_value()?;
        Some(sealed.as_ref().map_or(*first, |sealed| sealed.manifest.last))
    }

    /// Looks for segments that were sealed since it looked last.
    pub(crate) async fn refresh(&self, partition: Partition, family: Family) -> Result<(), Error> {
        let after = self.known().get(&(partition, family)).and_then(|known| Some(*known.last_key_value()?.0));
        let after = after.map(|first| manifest_path(family, first));
        let names = self.place.names(&directory(partition, family), after.as_ref()).await?;
        let mut known = self.known();
        let known = known.entry((partition, family)).or_default();
        for first in names.iter().filter_map(|name| first_of(partition, name)) {
            known.entry(first).or_default();
        }
        Ok(())
    }

    /// The first events of all segments, as far as it was looked.
    pub(crate) fn firsts(&self, partition: Partition, family: Family) -> Vec<EventId> {
        self.known().get(&(partition, family)).map(|known| known.keys().copied().collect()).unwrap_or_default()
    }

    /// The manifest of the segment that begins with `first`.
    pub(crate) async fn sealed(&self, family: Family, first: EventId) -> Result<Arc<Sealed>, Error> {
        let key = (first.partition, family);
        if let Some(Some(sealed)) = self.known().get(&key).and_then(|known| known.get(&first)) {
            return Ok(sealed.clone());
        }
        let sealed = self.read_manifest(family, first).await?;
        self.known().entry(key).or_default().insert(first, Some(sealed.clone()));
        Ok(sealed)
    }

    /// As it is now, whatever was read before.
    pub(crate) async fn read_manifest(&self, family: Family, first: EventId) -> Result<Arc<Sealed>, Error> {
        let path = manifest_path(family, first);
        let broken = |why| Broken { which: path.to_string(), why };
        let bytes = self.place.get(&path).await?.ok_or_else(|| broken(Damage::Missing))?;
        let sealed = Sealed::read(&bytes, family, first).map_err(|why| broken(Damage::Unreadable(why)))?;
        Ok(Arc::new(sealed))
    }

    /// Nothing is awaited while it is held.
    fn known(&self) -> MutexGuard<'_, HashMap<(Partition, Family), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
