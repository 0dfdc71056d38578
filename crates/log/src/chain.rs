//! Tamper evidence: a hash chain over the events of one family of one partition.
//!
//! Pure. The notary maintains the chains, the archive's manifests record their state, and `hemostat verify` computes them
//! again. Changing, deleting, inserting or swapping an event changes every later hash.
//!
//! ```text
//!   event          e1        e2        e3   ...
//!   fingerprint    d1        d2        d3         dn = SHA-256(id ‖ family ‖ canonical fields)
//!   chain     0 ──►h1 ──────►h2 ──────►h3 ...     hn = SHA-256(hn-1 ‖ dn)
//!                  └─ block of N ─┘ checkpoint: h, and 8 bytes of each d, to name the first event that differs
//! ```
//!
//! The chain alone cannot show that an attacker rewrote the whole history including the chain. Against that, checkpoints
//! are also sent to a witness that the attacker cannot write to (`notary.witness`).

#[cfg(test)]
mod tests;

use std::{cmp::Ordering, fmt, str::FromStr};

use hemostat_schema::{EventId, Family, Partition};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::RawEntry;

/// The view of the notary: tips and checkpoints.
pub const VIEW: &str = "notary.1";

/// The key of a family's [`Tip`].
pub fn tip_key(family: Family) -> String {
    family.name().to_owned()
}

/// The key of the [`Checkpoint`] after `count` events; these keys sort by count.
pub fn checkpoint_key(family: Family, count: u64) -> String {
    format!("{family}/{count:020}")
}

/// Parses a key of [`VIEW`]: family, and the count of a checkpoint (none for a tip). None if it is no such key.
pub fn parse_key(key: &str) -> Option<(Family, Option<u64>)> {
    match key.split_once('/') {
        None => Some((key.parse().ok()?, None)),
        Some((family, count)) => Some((family.parse().ok()?, Some(count.parse().ok()?))),
    }
}

/// A SHA-256. Written in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a SHA-256 in hexadecimal")]
pub struct NotAHash(String);

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let not = || NotAHash(text.chars().take(80).collect());
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return Err(not());
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let (high, low) = (digit(digits[0]).ok_or_else(not)?, digit(digits[1]).ok_or_else(not)?);
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The fingerprint of an event: the hash of its id, its family and all its stored fields.
pub fn fingerprint(entry: &RawEntry) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(entry.id.to_string());
    hasher.update(entry.family.name());
    hasher.update(entry.canonical());
    Hash(hasher.finalize().into())
}

/// The state of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Link {
    /// How many events it has.
    pub count: u64,
    /// The hash of all of them; zeros before the first.
    pub hash: Hash,
}

impl Link {
    /// The state after `entry`.
    #[must_use]
    pub fn then(self, entry: &RawEntry) -> Self {
        self.join(fingerprint(entry))
    }

    /// The state after the event with this fingerprint.
    #[must_use]
    pub fn join(self, fingerprint: Hash) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(self.hash.0);
        hasher.update(fingerprint.0);
        Self { count: self.count + 1, hash: Hash(hasher.finalize().into()) }
    }
}

/// What a block records of one event, to name the first one that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    ms: u64,
    seq: u64,
    /// The first eight bytes of its fingerprint.
    digest: u64,
}

impl Mark {
    fn new(id: EventId, fingerprint: Hash) -> Self {
        let (first, _) = fingerprint.0.split_first_chunk().expect("a SHA-256 has more than eight bytes");
        Self { ms: id.ms, seq: id.seq, digest: u64::from_be_bytes(*first) }
    }

    /// The mark of `entry`.
    pub fn of(entry: &RawEntry) -> Self {
        Self::new(entry.id, fingerprint(entry))
    }

    /// The id of the event.
    pub fn id(&self, partition: Partition) -> EventId {
        EventId { partition, ms: self.ms, seq: self.seq }
    }
}

/// A chain with its last, open block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tip {
    /// The state of the chain.
    pub link: Link,
    /// The last event in it.
    pub last: Option<EventId>,
    /// The state at the last checkpoint, where the open block begins.
    pub since: Link,
    /// The events since the last checkpoint.
    pub marks: Vec<Mark>,
}

impl Tip {
    /// A chain that continues after this checkpoint.
    pub fn after(checkpoint: &Checkpoint) -> Self {
        Self { link: checkpoint.link, last: Some(checkpoint.last), since: checkpoint.link, marks: vec![] }
    }

    /// Adds `entry`. After `every` events (at least one) it closes the block and returns a checkpoint.
    pub fn fold(&mut self, entry: &RawEntry, every: usize) -> Option<Checkpoint> {
        let fingerprint = fingerprint(entry);
        self.link = self.link.join(fingerprint);
        self.last = Some(entry.id);
        self.marks.push(Mark::new(entry.id, fingerprint));
        if self.marks.len() < every {
            return None;
        }
        let marks = std::mem::take(&mut self.marks);
        let since = std::mem::replace(&mut self.since, self.link);
        Some(Checkpoint { link: self.link, since, last: entry.id, marks })
    }
}

/// A closed block of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The state of the chain after it.
    pub link: Link,
    /// The state before it.
    pub since: Link,
    /// Its last event.
    pub last: EventId,
    /// Its events, in their order.
    pub marks: Vec<Mark>,
}

impl Checkpoint {
    /// Its first event.
    pub fn first(&self) -> EventId {
        self.marks.first().map_or(self.last, |mark| mark.id(self.last.partition))
    }
}

/// How history differs from what the notary saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// This event was changed.
    Changed(EventId),
    /// This event was deleted.
    Missing(EventId),
    /// This event was added.
    Added(EventId),
}

impl Difference {
    /// The event.
    pub fn id(self) -> EventId {
        match self {
            Self::Changed(id) | Self::Missing(id) | Self::Added(id) => id,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(id) => write!(f, "event {id} was changed"),
            Self::Missing(id) => write!(f, "event {id} is missing"),
            Self::Added(id) => write!(f, "event {id} was added"),
        }
    }
}

/// The first event in which `found` differs from `seen`; both in id order.
pub fn first_difference(partition: Partition, seen: &[Mark], found: &[Mark]) -> Option<Difference> {
    let (mut seen, mut found) = (seen.iter(), found.iter());
    loop {
        let (was, is) = match (seen.next(), found.next()) {
            (None, None) => return None,
            (Some(was), None) => return Some(Difference::Missing(was.id(partition))),
            (None, Some(is)) => return Some(Difference::Added(is.id(partition))),
            (Some(was), Some(is)) => (was, is),
        };
        match (was.ms, was.seq).cmp(&(is.ms, is.seq)) {
            Ordering::Less => return Some(Difference::Missing(was.id(partition))),
            Ordering::Greater => return Some(Difference::Added(is.id(partition))),
            Ordering::Equal if was.digest != is.digest => return Some(Difference::Changed(is.id(partition))),
            Ordering::Equal => {}
        }
    }
}

macro_rules! row {
    ($type:ty) => {
        impl $type {
            /// As a row of [`VIEW`].
            ///
            /// # Errors
            /// If it cannot be encoded as MessagePack, which does not happen with its fields.
            pub fn to_row(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
                rmp_serde::to_vec(self)
            }

            /// From a row of [`VIEW`].
            ///
            /// # Errors
            /// If the row cannot be decoded.
            pub fn from_row(row: &[u8]) -> Result<Self, rmp_serde::decode::Error> {
                rmp_serde::from_slice(row)
            }
        }
    };
}

row!(Tip);
row!(Checkpoint);
