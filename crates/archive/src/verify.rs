//! Verifies a family's whole archive: every manifest, every file, every event.

use hemostat_log::chain::Link;
use hemostat_schema::{EventId, Family, Partition};

use crate::{
    Archive, Damage, DamagedObject, Error, Manifest,
    manifest::{Previous, SealedManifest, file_path, manifest_path},
    read::follows,
};

impl Archive {
    /// Reads everything from storage and checks that each manifest has the hash that the next one records, each file
    /// the hash in its manifest, and that its events give the notary's chain of hashes.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the first object that was altered or is missing; other errors say why the archive could
    /// not be read.
    pub async fn verify_chain(&self, partition: Partition, family: Family) -> Result<(), Error> {
        self.refresh(partition, family).await?;
        let mut before: Option<(Previous, Link)> = None;
        let mut last_first: Option<EventId> = None;
        for first in self.firsts(partition, family) {
            let sealed = self.read_manifest(family, first).await?;
            follows(&sealed.manifest, last_first)?;
            check_link(&sealed, before)?;
            self.verify_segment(&sealed.manifest).await?;
            before = Some((sealed.previous(), sealed.manifest.chain));
            last_first = Some(first);
        }
        Ok(())
    }

    /// Reads one segment from storage and folds its events.
    async fn verify_segment(&self, manifest: &Manifest) -> Result<(), Error> {
        let events = self.read_file(manifest).await?;
        let chain = events.iter().fold(manifest.before, Link::then);
        if chain == manifest.chain {
            return Ok(());
        }
        let why = Damage::Chain { sealed: manifest.chain.hash, found: chain.hash };
        Err(DamagedObject { object: file_path(manifest).to_string(), why }.into())
    }
}

/// Checks that the previous manifest is the one that this manifest references.
fn check_link(sealed: &SealedManifest, before: Option<(Previous, Link)>) -> Result<(), DamagedObject> {
    let (Some((found, chain)), Some(expected)) = (before, sealed.manifest.previous) else { return Ok(()) };
    let family = sealed.manifest.family;
    if found.manifest != expected.manifest {
        let why = Damage::Altered { sealed: expected.manifest, found: found.manifest };
        return Err(DamagedObject { object: manifest_path(family, found.first).to_string(), why });
    }
    if sealed.manifest.before != chain {
        let why = Damage::Chain { sealed: chain.hash, found: sealed.manifest.before.hash };
        return Err(DamagedObject { object: manifest_path(family, sealed.manifest.first).to_string(), why });
    }
    Ok(())
}
