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
use hemostat_log::{
    RawEntry,
    chain::{Hash, Link},
};
use hemostat_schema::Timestamp;
use tracing::debug;

use crate::{
    Archive, Broken, Damage, Error, Manifest, Writer,
    manifest::{Sealed, directory, file_name, file_path, file_prefix, manifest_path},
    place::Created,
    segment::Reader,
};

impl Archive {
    /// Seals `entries`: all events of one family of one partition that came after the last segment (or, for the first
    /// one, since history begins) up to some event, oldest first. `before` says where the family's chain of hashes stood
    /// before the first of them.
    ///
    /// # Errors
    /// When it cannot be written or is not read back as it was; when somebody else has sealed meanwhile, or the chain
    /// does not go on where the last segment's ends. Nothing is sealed then, and it may be tried again.
    ///
    /// # Panics
    /// When there are no entries.
    pub async fn seal(&self, entries: Vec<RawEntry>, before: Link, now: Timestamp) -> Result<Manifest, Error> {
        let (first, last) = match entries.as_slice() {
            [] => panic!("a segment holds at least one event"),
            [first, ..] => (first, entries.last().unwrap_or(first)),
        };
        let (first, last, family) = (first.id, last.id, first.family);
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
        let chain = entries.iter().fold(before, Link::then);
        let (file, entries) = encode(entries).await?;
        let mut manifest = Manifest {
            partition: first.partition,
            family,
            first,
            last,
            count: entries.len() as u64,
            file: file_name(first, last),
            bytes: file.len() as u64,
            sha256: Hash::of(&file),
            previous: previous.map(|sealed| sealed.previous()),
            before,
            chain,
            sealed_at: now,
        };
        self.write_file(&mut manifest, file, entries).await?;
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
    async fn write_file(&self, manifest: &mut Manifest, file: Bytes, entries: Vec<RawEntry>) -> Result<(), Error> {
        let path = file_path(manifest);
        let broken = |why| Error::Broken(Broken { which: path.to_string(), why });
        if self.place.create(&path, file.clone()).await? == Created::Before {
            let theirs = self.place.get(&path).await?;
            // The same events may be written in other bytes by another version of this program.
            if let Some(theirs) = theirs
                && let Ok(held) = Reader::read_all(theirs.clone())
                && held == entries
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
        let read = tokio::task::spawn_blocking(move || Reader::read_all(written).map(|held| held == entries));
        match read.await.unwrap_or_else(|panic| Err(panic.to_string())) {
            Ok(true) => Ok(()),
            Ok(false) => Err(broken(Damage::Otherwise("other events are read from it than were written".to_owned()))),
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

async fn encode(entries: Vec<RawEntry>) -> Result<(Bytes, Vec<RawEntry>), Error> {
    let encoded = tokio::task::spawn_blocking(move || {
        let mut writer = Writer::new(vec![])?;
        writer.write(&entries)?;
        Ok((writer.finish()?.into(), entries))
    });
    encoded.await.unwrap_or_else(|panic| Err(Error::Unwritable(panic.to_string())))
}
