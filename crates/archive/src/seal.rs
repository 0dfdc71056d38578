//! Sealing: writes a segment, after which its events may be trimmed from the log.
//!
//! ```text
//!   write the file ─► read it back, compare ─► create the manifest ─► delete files of failed attempts
//! ```
//!
//! Sealing is idempotent: a segment exists once its manifest does, so a crash before that leaves nothing to undo and a
//! retry writes the same. Of two processes that seal from the same event (one of which has lost its lease without
//! noticing), only one can create the manifest, because both use the same name.

use bytes::Bytes;
use hemostat_log::chain::{Hash, Link};
use hemostat_schema::Timestamp;
use tokio::task::spawn_blocking;
use tracing::debug;

use crate::{
    Archive, Damage, DamagedObject, Error, Manifest, SegmentBuilder,
    builder::Extent,
    manifest::{SealedManifest, directory, file_name, file_path, file_prefix, manifest_path},
    parquet_file::ParquetReader,
    storage::Created,
};

impl Archive {
    /// Seals the segment, whose events must follow the last sealed one without a gap.
    ///
    /// # Errors
    /// When storage fails or does not return what was written; [`Error::AlreadySealed`] when another process has sealed
    /// these events; [`Error::ChainMismatch`] when the chain of hashes does not continue the last segment's. Nothing is
    /// sealed then, and the caller may retry.
    ///
    /// # Panics
    /// When the segment is empty.
    pub async fn seal(&self, builder: SegmentBuilder, now: Timestamp) -> Result<Manifest, Error> {
        let (file, Extent { family, first, last }, [before, chain]) = builder.finish().await?;
        self.refresh(first.partition, family).await?;
        let previous = self.newest_indexed(first.partition, family).await?;
        if let Some(SealedManifest { manifest, .. }) = previous.as_deref() {
            if first <= manifest.last {
                return Err(Error::AlreadySealed { first, sealed: manifest.last.to_string() });
            }
            if before != manifest.chain {
                return Err(Error::ChainMismatch { first });
            }
        }
        let mut manifest = Manifest {
            partition: first.partition,
            family,
            first,
            last,
            count: chain.count.saturating_sub(before.count),
            file: file_name(first, last),
            bytes: file.len() as u64,
            sha256: Hash::of(&file),
            previous: previous.map(|sealed| sealed.previous()),
            before,
            chain,
            sealed_at: now,
        };
        self.write_file(&mut manifest, file).await?;
        let bytes = serde_json::to_vec_pretty(&manifest).map_err(|error| Error::Unwritable(error.to_string()))?;
        match self.storage.create(&manifest_path(family, first), bytes.into()).await? {
            Created::New => {}
            // By another process, or by this one and the response was lost.
            Created::AlreadyExists => {
                let existing = self.sealed(family, first).await?;
                if existing.manifest.chain != manifest.chain {
                    return Err(Error::AlreadySealed { first, sealed: existing.manifest.last.to_string() });
                }
                manifest = existing.manifest.clone();
            }
        }
        self.delete_leftovers(&manifest).await;
        Ok(manifest)
    }

    /// Writes the file and reads it back. Keeps an existing file of that name if it holds the same events.
    async fn write_file(&self, manifest: &mut Manifest, file: Bytes) -> Result<(), Error> {
        let path = file_path(manifest);
        let damaged = |why| Error::Damaged(DamagedObject { object: path.to_string(), why });
        if self.storage.create(&path, file.clone()).await? == Created::AlreadyExists {
            let existing = self.storage.get(&path).await?;
            // Another version of HemoStat may encode the same events as other bytes.
            if let Some(existing) = existing
                && chain_of(existing.clone(), manifest.before).await == Ok(manifest.chain)
            {
                (manifest.bytes, manifest.sha256) = (existing.len() as u64, Hash::of(&existing));
                return Ok(());
            }
            self.storage.replace(&path, file).await?;
        }
        let written = self.storage.get(&path).await?.ok_or_else(|| damaged(Damage::Missing))?;
        let found = Hash::of(&written);
        if found != manifest.sha256 {
            return Err(damaged(Damage::Altered { sealed: manifest.sha256, found }));
        }
        match chain_of(written, manifest.before).await {
            Ok(chain) if chain == manifest.chain => Ok(()),
            Ok(_) => Err(damaged(Damage::Inconsistent("it returned other events than were written".to_owned()))),
            Err(why) => Err(damaged(Damage::Unreadable(why))),
        }
    }

    /// Deletes the files of failed attempts, which begin with the same event, so that a tool that reads every file of
    /// the directory sees each event once. Best effort.
    async fn delete_leftovers(&self, manifest: &Manifest) {
        let directory = directory(manifest.partition, manifest.family);
        let prefix = file_prefix(manifest.first);
        let deleted = async {
            let names = self.storage.names(&directory, Some(&manifest_path(manifest.family, manifest.first))).await?;
            for name in names.iter().filter(|name| name.starts_with(&prefix) && **name != manifest.file) {
                self.storage.delete(&directory.clone().join(name.as_str())).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = deleted.await {
            debug!("could not delete left-over files of {}: {error}", manifest.file);
        }
    }
}

/// The chain of hashes after the events of a file, read one row group at a time.
async fn chain_of(file: Bytes, before: Link) -> Result<Link, String> {
    let chain = spawn_blocking(move || {
        let mut chain = before;
        for entries in ParquetReader::new(file)? {
            chain = entries?.iter().fold(chain, Link::then);
        }
        Ok(chain)
    });
    chain.await.unwrap_or_else(|panic| Err(panic.to_string()))
}
