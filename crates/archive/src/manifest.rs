//! What a segment is said to hold, and where everything of it lies.

use hemostat_log::chain::{Hash, Link};
use hemostat_schema::{EventId, Family, Partition, Timestamp};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

/// What a segment holds, and what came before it. Its bytes never change once they are written: the next one has their
/// hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The partition.
    pub partition: Partition,
    /// The family.
    pub family: Family,
    /// The first event.
    pub first: EventId,
    /// The last event.
    pub last: EventId,
    /// How many events there are.
    pub count: u64,
    /// The name of the Parquet file, beside the manifest.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Hash,
    /// The segment before; none for the first.
    pub previous: Option<Previous>,
    /// Where the family's chain of hashes stood before the first event.
    pub before: Link,
    /// Where it stood behind the last one.
    pub chain: Link,
    /// When it was sealed.
    pub sealed_at: Timestamp,
}

/// The segment before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its first event: its manifest is named by it.
    pub first: EventId,
    /// The SHA-256 of its manifest.
    pub manifest: Hash,
}

/// A manifest with the hash of its bytes, by which the next one refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub manifest: Manifest,
    pub hash: Hash,
}

impl Sealed {
    /// From the bytes of a manifest, or why they are none of the segment that begins with `first`.
    pub fn read(bytes: &[u8], family: Family, first: EventId) -> Result<Self, String> {
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if (manifest.partition, manifest.family, manifest.first) != (first.partition, family, first) {
            return Err(format!("it is of {} {} of partition {}", manifest.family, manifest.first, manifest.partition));
        }
        Ok(Self { manifest, hash: Hash::of(bytes) })
    }

    pub fn previous(&self) -> Previous {
        Previous { first: self.manifest.first, manifest: self.hash }
    }
}

/// An id as it stands in names, so that they sort as the ids do.
fn sorted(id: EventId) -> String {
    format!("{:015}-{:010}", id.ms, id.seq)
}

/// Where a family's segments lie.
pub(crate) fn directory(partition: Partition, family: Family) -> Path {
    Path::from_iter([partition.to_string().as_str(), family.name()])
}

/// Of two that would seal from the same event on, only one can write this object.
pub(crate) fn manifest_path(family: Family, first: EventId) -> Path {
    directory(first.partition, family).join(format!("{}.json", sorted(first)).as_str())
}

/// The name of the Parquet file.
pub(crate) fn file_name(first: EventId, last: EventId) -> String {
    format!("{}_{}.parquet", sorted(first), sorted(last))
}

pub(crate) fn file_path(manifest: &Manifest) -> Path {
    directory(manifest.partition, manifest.family).join(manifest.file.as_str())
}

/// What every Parquet file is called whose first event is this.
pub(crate) fn file_prefix(first: EventId) -> String {
    format!("{}_", sorted(first))
}

/// The first event of the segment whose manifest has this name; none where it is no manifest's.
pub(crate) fn first_of(partition: Partition, name: &str) -> Option<EventId> {
    EventId::from_entry(partition, name.strip_suffix(".json")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Partition = Partition(2);

    #[test]
    fn names_sort_as_the_ids_do_and_are_read_back() {
        let id = |ms, seq| EventId { partition: P, ms, seq };
        let ids =
            [id(0, 1), id(9, 0), id(10, 0), id(10, 9), id(10, 10), id(999_999_999_999, 3), id(1_764_000_000_000, 0)];
        let paths = ids.map(|first| manifest_path(Family::Alert, first));
        assert!(paths.is_sorted(), "{paths:?}");
        assert_eq!(paths[0].as_ref(), "2/alert/000000000000000-0000000001.json");
        for (id, path) in ids.iter().zip(&paths) {
            assert_eq!(first_of(P, path.filename().unwrap()), Some(*id));
            assert!(file_name(*id, *id).starts_with(&file_prefix(*id)));
        }
        for other in [file_name(ids[0], ids[1]).as_str(), "", ".json", "x.json", "README"] {
            assert_eq!(first_of(P, other), None, "{other}");
        }
    }
}
