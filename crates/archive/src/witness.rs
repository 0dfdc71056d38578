//! What the notary said, kept where one who can write in Redis cannot.
//!
//! For each checkpoint a small object, which is never written a second time: who writes all of history anew, chain and
//! all, cannot make it agree with what the witness keeps.

use hemostat_log::chain::{Checkpoint, Hash};
use hemostat_schema::{EventId, Family, Partition, Timestamp};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::{
    Broken, Damage, Error,
    place::{Created, Place},
};

/// Keeps what it was told, in a directory or an S3-compatible store.
#[derive(Debug)]
pub struct Witness(Place);

/// What the witness was told of one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testimony {
    /// The partition.
    pub partition: Partition,
    /// The family.
    pub family: Family,
    /// After so many events ...
    pub count: u64,
    /// ... of which this was the last ...
    pub last: EventId,
    /// ... the chain of hashes stood here.
    pub hash: Hash,
    /// When it was told.
    pub told_at: Timestamp,
}

impl Witness {
    /// At a directory (made where there is none), `file:///path` or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// When the address cannot be understood, or the directory not be made.
    pub fn open(url: &str) -> Result<Self, Error> {
        Ok(Self(Place::open("witness", url)?))
    }

    /// Tells it of a checkpoint. Again does nothing.
    ///
    /// # Errors
    /// When it cannot be written; [`Error::Contradicted`] when it was told something else of this place before.
    pub async fn tell(
        &self,
        partition: Partition,
        family: Family,
        checkpoint: &Checkpoint,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (count, hash) = (checkpoint.link.count, checkpoint.link.hash);
        let told = Testimony { partition, family, count, last: checkpoint.last, hash, told_at: now };
        let path = path(partition, family, count);
        let bytes = serde_json::to_vec_pretty(&told).map_err(|error| Error::Unwritable(error.to_string()))?;
        if self.0.create(&path, bytes.into()).await? == Created::Now {
            return Ok(());
        }
        match self.read(&path).await? {
            before if before.hash == hash && before.last == told.last => Ok(()),
            before => Err(Error::Contradicted { which: path.to_string(), told: before.hash, now: hash }),
        }
    }

    /// What it was told of a family, by count.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn testimonies(&self, partition: Partition, family: Family) -> Result<Vec<Testimony>, Error> {
        let directory = directory(partition, family);
        let mut names = self.0.names(&directory, None).await?;
        names.retain(|name| name.ends_with(".json"));
        names.sort_unstable();
        let mut told = vec![];
        for name in names {
            told.push(self.read(&directory.clone().join(name.as_str())).await?);
        }
        Ok(told)
    }

    async fn read(&self, path: &Path) -> Result<Testimony, Error> {
        let broken = |why| Broken { which: path.to_string(), why };
        let bytes = self.0.get(path).await?.ok_or_else(|| broken(Damage::Missing))?;
        Ok(serde_json::from_slice(&bytes).map_err(|error| broken(Damage::Unreadable(error.to_string())))?)
    }
}

/// Apart from the archive's own objects, in case both were given the same place.
fn directory(partition: Partition, family: Family) -> Path {
    Path::from_iter(["witness", partition.to_string().as_str(), family.name()])
}

fn path(partition: Partition, family: Family, count: u64) -> Path {
    directory(partition, family).join(format!("{count:020}.json").as_str())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hemostat_log::{RawEntry, chain::Tip};

    use super::*;

    const P: Partition = Partition(1);

    fn checkpoint(text: &'static str) -> Checkpoint {
        let fields = vec![(Bytes::from_static(b"e"), Bytes::from_static(text.as_bytes()))];
        let entry = RawEntry { id: EventId { partition: P, ms: 7, seq: 0 }, family: Family::Alert, fields };
        Tip::default().fold(&entry, 1).unwrap()
    }

    #[tokio::test]
    async fn a_witness_keeps_what_it_was_told_first_and_says_when_it_is_told_otherwise() {
        let directory = tempfile::tempdir().unwrap();
        let witness = Witness::open(directory.path().to_str().unwrap()).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let (one, other) = (checkpoint("one"), checkpoint("other"));
        witness.tell(P, Family::Alert, &one, now).await.unwrap();
        witness.tell(P, Family::Alert, &one, Timestamp::MAX).await.unwrap();
        let error = witness.tell(P, Family::Alert, &other, now).await.unwrap_err();
        assert!(matches!(&error, Error::Contradicted { told, .. } if *told == one.link.hash), "{error}");
        let told = Testimony {
            partition: P,
            family: Family::Alert,
            count: 1,
            last: one.last,
            hash: one.link.hash,
            told_at: now,
        };
        assert_eq!(witness.testimonies(P, Family::Alert).await.unwrap(), [told]);
        assert_eq!(witness.testimonies(P, Family::Action).await.unwrap(), []);
    }
}
