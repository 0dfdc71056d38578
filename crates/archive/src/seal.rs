//! Sealing: from then on a part of history is safe in the archive, and may be trimmed from the log.
//!
//! ```text
//!   write the file ─► read it back, compare ─► create the manifest ─► delete files of attempts that failed
//! ```
//!
//! A crash at any point is harmless: without a manifest there is no segment, and whoever tries again writes the same. Of
//! two who seal from the same event on (one of them has lost its lease and not noticed), only one can create the
//! manifest, as both would give it the same name.

use bytes::Bytes;
use hemostat_log::chain::{Hash, Link};
use hemostat_schema::Timestamp;
use tokio::task::spawn_blocking;
use tracing::debug;

use crate::{
    Archive, Broken, Damage, Draft, Error, Manifest,
    draft::{Extent, Finished},
    manifest::{Sealed, directory, file_name, file_path, file_prefix, manifest_path},
    place::Created,
    segment::Reader,
};

impl Archive {
    /// Seals all events of one family of one partition that came after the last segment (or, for the first one, since
    /// history begins) up to some event.
    ///
    /// # Errors
    /// When it cannot be written or is not read back as it was; when somebody else has sealed meanwhile, or the chain
    /// does not go on where the last segment's ends. Nothing is sealed then, and it may be tried again.
    ///
    /// # Panics
    /// When the draft holds nothing.
    pub async fn seal(&self, draft: Draft, now: Timestamp) -> Result<Manifest, Error> {
        let Finished { file, extent: Extent { family, first, last }, before, chain } = draft.finish().await?;
        self.refresh(first.partition, family).await?;
        let previous = self.newest_known(first.partition, family).await?;
        if let Some(Sealed { manifest, .. }) = previous.as_deref() {
            if first <= manifest.last {
                return Err(Error::OutOfTurn { first, sealed: manifest.last.to_string() });
            }
            if before != manifest.chain {
                return Err(Error::Unchained { first });
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
        match self.place.create(&manifest_path(family, first), bytes.into()).await? {
            Created::Now => {}
            // By another holder of the lease, or by ourselves before the answer was lost.
            Created::Before => {
                let theirs = self.sealed(family, first).await?;
                if theirs.manifest.chain != manifest.chain {
                    return Err(Error::OutOfTurn { first, sealed: theirs.manifest.last.to_string() });
                }
                manifest = theirs.manifest.clone();
            }
        }
        self.sweep(&manifest).await;
        Ok(manifest)
    }

    /// Writes the file and reads it back. What an attempt before left under its name is taken where it holds the same.
    async fn write_file(&self, manifest: &mut Manifest, file: Bytes) -> Result<(), Error> {
        let path = file_path(manifest);
        let broken = |why| Error::Broken(Broken { which: path.to_string(), why });
        if self.place.create(&path, file.clone()).await? == Created::Before {
            let theirs = self.place.get(&path).await?;
            // The same events may be written in other bytes by another version of this program.
            if let Some(theirs) = theirs
                && chain_of(theirs.clone(), manifest.before).await == Ok(manifest.chain)
            {
                (manifest.bytes, manifest.sha256) = (theirs.len() as u64, Hash::of(&theirs));
                return Ok(());
            }
            self.place.replace(&path, file).await?;
        }
        let written = self.place.get(&path).await?.ok_or_else(|| broken(Damage::Missing))?;
        let found = Hash::of(&written);
        if found != manifest.sha256 {
            return Err(broken(Damage::Altered { sealed: manifest.sha256, found }));
        }
        match chain_of(written, manifest.before).await {
            Ok(chain) if chain == manifest.chain => Ok(()),
            Ok(_) => Err(broken(Damage::Otherwise("other events are read from it than were written".to_owned()))),
            Err(why) => Err(broken(Damage::Unreadable(why))),
        }
    }

    /// Deletes what attempts that did not come to a manifest have left, so that whoever reads all files of a directory
    /// reads each event once. They all begin where this segment does.
    async fn sweep(&self, manifest: &Manifest) {
        let directory = directory(manifest.partition, manifest.family);
        let prefix = file_prefix(manifest.first);
        let swept = async {
            let names = self.place.names(&directory, Some(&manifest_path(manifest.family, manifest.first))).await?;
            for name in names.iter().filter(|name| name.starts_with(&prefix) && **name != manifest.file) {
                self.place.delete(&directory.clone().join(name.as_str())).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = swept.await {
            debug!("could not look for left-over files of {}: {error}", manifest.file);
        }
    }
}

/// Where the chain of hashes stands behind the events that are read from a file, one row group after the other.
async fn chain_of(file: Bytes, before: Link) -> Result<Link, String> {
    let chain = spawn_blocking(move || {
        let mut chain = before;
        for entries in Reader::new(file)? {
            chain = entries?.iter().fold(chain, Link::then);
        }
        Ok(chain)
    });
    chain.await.unwrap_or_else(|panic| Err(panic.to_string()))
}
