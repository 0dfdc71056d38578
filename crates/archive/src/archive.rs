//! The archive and its index of segments: which exist, and their manifests.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hemostat_schema::{EventId, Family, Partition};
use object_store::ObjectStore;

use crate::{
    Damage, DamagedObject, Error, Manifest,
    cache::SegmentCache,
    manifest::{SealedManifest, directory, first_of, manifest_path},
    storage::Storage,
};

/// The storage's name in messages.
const NAME: &str = "archive";

/// Sealed history in a directory or an S3-compatible store.
#[derive(Debug)]
pub struct Archive {
    pub(crate) storage: Storage,
    pub(crate) cache: SegmentCache,
    index: Mutex<HashMap<(Partition, Family), Index>>,
}

/// The segments of one family by first event, with the manifests that were read so far. Segments are append-only, so an
/// entry never becomes stale.
type Index = BTreeMap<EventId, Option<Arc<SealedManifest>>>;

/// Opens the archive at a directory (created if missing), `file:///path` or `s3://bucket/prefix`. S3 credentials, region
/// and endpoint come from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`,
/// `AWS_ENDPOINT_URL`, …).
///
/// # Errors
/// When the address is invalid, or the directory cannot be created.
pub fn open(url: &str) -> Result<Arc<Archive>, Error> {
    Ok(Arc::new(Archive::at(Storage::open(NAME, url)?)))
}

impl Archive {
    /// An archive in the caller's object store, which must support [conditional writes](object_store::PutMode::Create).
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self::at(Storage::new(NAME, store))
    }

    fn at(storage: Storage) -> Self {
        Self { storage, cache: SegmentCache::default(), index: Mutex::default() }
    }

    /// The manifests of a family's segments, oldest first.
    ///
    /// # Errors
    /// When the archive cannot be read, or a manifest is invalid.
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
    /// When the archive cannot be read, or the manifest is invalid.
    pub async fn newest(&self, partition: Partition, family: Family) -> Result<Option<Manifest>, Error> {
        self.refresh(partition, family).await?;
        Ok(self.newest_indexed(partition, family).await?.map(|sealed| sealed.manifest.clone()))
    }

    /// Like [`newest`](Self::newest), without refreshing the index.
    pub(crate) async fn newest_indexed(
        &self,
        partition: Partition,
        family: Family,
    ) -> Result<Option<Arc<SealedManifest>>, Error> {
        match self.last_indexed(partition, family) {
            Some(first) => Ok(Some(self.sealed(family, first).await?)),
            None => Ok(None),
        }
    }

    /// The first event of the last indexed segment.
    fn last_indexed(&self, partition: Partition, family: Family) -> Option<EventId> {
        self.index().get(&(partition, family)).and_then(|index| Some(*index.last_key_value()?.0))
    }

    /// A lower bound of the last sealed event, from the index alone.
    pub(crate) fn indexed_up_to(&self, partition: Partition, family: Family) -> Option<EventId> {
        let index = self.index();
        let (first, sealed) = index.get(&(partition, family))?.last_key_value()?;
        Some(sealed.as_ref().map_or(*first, |sealed| sealed.manifest.last))
    }

    /// Adds the segments to the index that were sealed since the last refresh.
    pub(crate) async fn refresh(&self, partition: Partition, family: Family) -> Result<(), Error> {
        let after = self.last_indexed(partition, family).map(|first| manifest_path(family, first));
        let names = self.storage.names(&directory(partition, family), after.as_ref()).await?;
        let mut index = self.index();
        let index = index.entry((partition, family)).or_default();
        for first in names.iter().filter_map(|name| first_of(partition, name)) {
            index.entry(first).or_default();
        }
        Ok(())
    }

    /// The first events of all indexed segments.
    pub(crate) fn firsts(&self, partition: Partition, family: Family) -> Vec<EventId> {
        self.index().get(&(partition, family)).map(|index| index.keys().copied().collect()).unwrap_or_default()
    }

    /// The manifest of the segment that begins with `first`.
    pub(crate) async fn sealed(&self, family: Family, first: EventId) -> Result<Arc<SealedManifest>, Error> {
        let key = (first.partition, family);
        if let Some(Some(sealed)) = self.index().get(&key).and_then(|index| index.get(&first)) {
            return Ok(sealed.clone());
        }
        let sealed = self.read_manifest(family, first).await?;
        self.index().entry(key).or_default().insert(first, Some(sealed.clone()));
        Ok(sealed)
    }

    /// Reads a manifest from storage, past the index.
    pub(crate) async fn read_manifest(&self, family: Family, first: EventId) -> Result<Arc<SealedManifest>, Error> {
        let path = manifest_path(family, first);
        let damaged = |why| DamagedObject { object: path.to_string(), why };
        let bytes = self.storage.get(&path).await?.ok_or_else(|| damaged(Damage::Missing))?;
        let sealed = SealedManifest::read(&bytes, family, first).map_err(|why| damaged(Damage::Unreadable(why)))?;
        Ok(Arc::new(sealed))
    }

    /// The guard must not be held across an await.
    fn index(&self) -> MutexGuard<'_, HashMap<(Partition, Family), Index>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
