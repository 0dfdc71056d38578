//! The manifest of a segment, and the names of a segment's objects.

use hemostat_log::chain::{Hash, Link};
use hemostat_schema::{EventId, Family, Partition, Timestamp};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

/// Describes a segment and references the previous one. Immutable: the next manifest contains the hash of its bytes.
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
    /// The number of events.
    pub count: u64,
    /// The name of the Parquet file, in the directory of the manifest.
    pub file: String,
    /// The length of the file, in bytes.
    pub bytes: u64,
    /// The SHA-256 of the file.
    pub sha256: Hash,
    /// The previous segment; `None` for the first.
    pub previous: Option<Previous>,
    /// The family's chain of hashes before the first event.
    pub before: Link,
    /// The family's chain of hashes after the last event.
    pub chain: Link,
    /// When it was sealed.
    pub sealed_at: Timestamp,
}

/// A reference to the previous segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its first event, which names its manifest.
    pub first: EventId,
    /// The SHA-256 of its manifest.
    pub manifest: Hash,
}

/// A manifest as it was read, with the hash of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedManifest {
    pub manifest: Manifest,
    pub hash: Hash,
}

impl SealedManifest {
    /// Parses a manifest; an error if it does not belong to the segment that begins with `first`.
    pub fn read(bytes: &[u8], family: Family, first: EventId) -> Result<Self, String> {
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if (manifest.partition, manifest.family, manifest.first) != (first.partition, family, first) {
            return Err(format!(
                "it belongs to {} {} of partition {}",
                manifest.family, manifest.first, manifest.partition
            ));
        }
        Ok(Self { manifest, hash: Hash::of(bytes) })
    }

    pub fn previous(&self) -> Previous {
        Previous { first: self.manifest.first, manifest: self.hash }
    }
}

/// An id with leading zeros, so that names sort like ids.
fn padded(id: EventId) -> String {
    format!("{:015}-{:010}", id.ms, id.seq)
}

/// The directory of a family's segments.
pub(crate) fn directory(partition: Partition, family: Family) -> Path {
    Path::from_iter([partition.to_string().as_str(), family.name()])
}

/// The manifest's name contains only the first event: of two writers that seal from the same event, one can create it.
pub(crate) fn manifest_path(family: Family, first: EventId) -> Path {
    directory(first.partition, family).join(format!("{}.json", padded(first)).as_str())
}

pub(crate) fn file_name(first: EventId, last: EventId) -> String {
    format!("{}_{}.parquet", padded(first), padded(last))
}

pub(crate) fn file_path(manifest: &Manifest) -> Path {
    directory(manifest.partition, manifest.family).join(manifest.file.as_str())
}

/// The common prefix of all Parquet files that begin with this event.
pub(crate) fn file_prefix(first: EventId) -> String {
    format!("{}_", padded(first))
}

/// The first event of the segment whose manifest has this name; `None` if the name is not a manifest's.
pub(crate) fn first_of(partition: Partition, name: &str) -> Option<EventId> {
    EventId::from_entry(partition, name.strip_suffix(".json")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Partition = Partition(2);

    #[test]
    fn names_sort_like_ids_and_parse_back() {
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
