//! Whether a family's whole archive is what was sealed: every manifest, every file, every event.

use hemostat_log::chain::Link;
use hemostat_schema::{EventId, Family, Partition};

use crate::{
    Archive, Broken, Damage, Error, Manifest,
    manifest::{Previous, Sealed, file_path, manifest_path},
    read::follows,
};

impl Archive {
    /// Reads everything of a family anew: each manifest's hash stands in the next one, each file has the hash of its
    /// manifest, and its events give the chain of hashes that the notary had there.
    ///
    /// # Errors
    /// [`Error::Broken`] names the first object that is not as it was sealed; other errors say why it could not be
    /// looked at.
    pub async fn verify_chain(&self, partition: Partition, family: Family) -> Result<(), Error> {
        self.refresh(partition, family).await?;
        let mut before: Option<(Previous, Link)> = None;
        let mut last_first: Option<EventId> = None;
        for first in self.firsts(partition, family) {
            let sealed = self.read_manifest(family, first).await?;
            follows(&sealed.manifest, last_first)?;
            linked(&sealed, before)?;
            self.verify_segment(&sealed.manifest).await?;
            before = Some((sealed.previous(), sealed.manifest.chain));
            last_first = Some(first);
        }
        Ok(())
    }

    /// Reads one segment anew and folds its events.
    async fn verify_segment(&self, manifest: &Manifest) -> Result<(), Error> {
        let events = self.read_file(manifest).await?;
        let chain = events.iter().fold(manifest.before, Link::then);
        if chain == manifest.chain {
            return Ok(());
        }
        let why = Damage::Chain { sealed: manifest.chain.hash, found: chain.hash };
        Err(Broken { which: file_path(manifest).to_string(), why }.into())
    }
}

/// Whether the manifest before is the one that this one was written after.
fn linked(sealed: &Sealed, before: Option<(Previous, Link)>) -> Result<(), Broken> {
    let (Some((found, chain)), Some(said)) = (before, sealed.manifest.previous) else { return Ok(()) };
    let family = sealed.manifest.family;
    if found.manifest != said.manifest {
        let why = Damage::Altered { sealed: said.manifest, found: found.manifest };
        return Err(Broken { which: manifest_path(family, found.first).to_string(), why });
    }
    if sealed.manifest.before != chain {
        let why = Damage::Chain { sealed: chain.hash, found: sealed.manifest.before.hash };
        return Err(Broken { which: manifest_path(family, sealed.manifest.first).to_string(), why });
    }
    Ok(())
}
