//! A copy of the notary's checkpoints outside Redis, to detect history that was rewritten together with its chain.
//!
//! One small write-once object per checkpoint. An intruder with write access to Redis can rewrite events and chain, but
//! then they contradict the witness.

use hemostat_log::chain::{Checkpoint, Hash};
use hemostat_schema::{EventId, Family, Partition, Timestamp};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::{
    Damage, DamagedObject, Error,
    storage::{Created, Storage},
};

/// Stores checkpoints in a directory or an S3-compatible bucket.
#[derive(Debug)]
pub struct Witness(Storage);

/// One checkpoint as the witness recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessRecord {
    /// The partition.
    pub partition: Partition,
    /// The family.
    pub family: Family,
    /// The number of events up to the checkpoint.
    pub count: u64,
    /// The last of these events.
    pub last: EventId,
    /// The chain's hash after it.
    pub hash: Hash,
    /// When the witness recorded it.
    #[serde(rename = "told_at")]
    pub recorded_at: Timestamp,
}

impl Witness {
    /// Opens a directory (created if missing), `file:///path` or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// When the address is invalid, or the directory cannot be created.
    pub fn open(url: &str) -> Result<Self, Error> {
        Ok(Self(Storage::open("witness", url)?))
    }

    /// Records a checkpoint. Idempotent.
    ///
    /// # Errors
    /// When storage fails; [`Error::Contradicted`] when another hash is recorded for this checkpoint.
    pub async fn record(
        &self,
        partition: Partition,
        family: Family,
        checkpoint: &Checkpoint,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (count, hash) = (checkpoint.link.count, checkpoint.link.hash);
        let recorded = WitnessRecord { partition, family, count, last: checkpoint.last, hash, recorded_at: now };
        let path = path(partition, family, count);
        let bytes = serde_json::to_vec_pretty(&recorded).map_err(|error| Error::Unwritable(error.to_string()))?;
        if self.0.create(&path, bytes.into()).await? == Created::New {
            return Ok(());
        }
        match self.read(&path).await? {
            before if before.hash == hash && before.last == recorded.last => Ok(()),
            before => Err(Error::Contradicted { object: path.to_string(), recorded: before.hash, now: hash }),
        }
    }

    /// The recorded checkpoints of a family, by count.
    ///
    /// # Errors
    /// When storage fails, or a record is invalid.
    pub async fn records(&self, partition: Partition, family: Family) -> Result<Vec<WitnessRecord>, Error> {
        let directory = directory(partition, family);
        let mut names = self.0.names(&directory, None).await?;
        names.retain(|name| name.ends_with(".json"));
        names.sort_unstable();
        let mut recorded = vec![];
        for name in names {
            recorded.push(self.read(&directory.clone().join(name.as_str())).await?);
        }
        Ok(recorded)
    }

    async fn read(&self, path: &Path) -> Result<WitnessRecord, Error> {
        let damaged = |why| DamagedObject { object: path.to_string(), why };
        let bytes = self.0.get(path).await?.ok_or_else(|| damaged(Damage::Missing))?;
        Ok(serde_json::from_slice(&bytes).map_err(|error| damaged(Damage::Unreadable(error.to_string())))?)
    }
}

/// Separate from the archive's objects, in case both are configured with the same location.
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
    async fn a_witness_keeps_the_first_record_and_reports_a_contradiction() {
        let directory = tempfile::tempdir().unwrap();
        let witness = Witness::open(directory.path().to_str().unwrap()).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let (one, other) = (checkpoint("one"), checkpoint("other"));
        witness.record(P, Family::Alert, &one, now).await.unwrap();
        witness.record(P, Family::Alert, &one, Timestamp::MAX).await.unwrap();
        let error = witness.record(P, Family::Alert, &other, now).await.unwrap_err();
        assert!(matches!(&error, Error::Contradicted { recorded, .. } if *recorded == one.link.hash), "{error}");
        let recorded = WitnessRecord {
            partition: P,
            family: Family::Alert,
            count: 1,
            last: one.last,
            hash: one.link.hash,
            recorded_at: now,
        };
        assert_eq!(witness.records(P, Family::Alert).await.unwrap(), [recorded]);
        assert_eq!(witness.records(P, Family::Action).await.unwrap(), []);
    }
}
