//! An undecoded entry, as the store has it: the unit of archive and hash chain.

use bytes::Bytes;
use hemostat_schema::{EventId, Family};

use crate::{Entry, entry};

/// An undecoded entry, exactly as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEntry {
    /// Its place in the total order.
    pub id: EventId,
    /// Its stream.
    pub family: Family,
    /// Its fields in the order of the store: `k` kind and version, `s` subject, `c` cause if any, `e` envelope.
    pub fields: Vec<(Bytes, Bytes)>,
}

impl RawEntry {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&Bytes> {
        self.fields.iter().find_map(|(field, value)| (field == name.as_bytes()).then_some(value))
    }

    /// Kind and version, such as `action.authorised.1`, without decoding the envelope.
    pub fn kind(&self) -> Option<&str> {
        std::str::from_utf8(self.field("k")?).ok()
    }

    /// The subject, such as `host/api`, without decoding the envelope.
    pub fn subject(&self) -> Option<&str> {
        std::str::from_utf8(self.field("s")?).ok()
    }

    /// Whether its kind advances the version of its subject, without decoding the envelope.
    pub fn advances_version(&self) -> bool {
        let kind = self.kind().unwrap_or_default();
        hemostat_schema::advances_version(kind.rsplit_once('.').map_or(kind, |(kind, _)| kind))
    }

    /// The event, or why it cannot be decoded.
    pub fn decode(&self) -> Entry {
        let text = |name: &str, missing: bool| match self.field(name).map(|value| std::str::from_utf8(value)) {
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(format!("the field {name} is not text")),
            None if missing => Ok(None),
            None => Err(format!("the entry has no field {name}")),
        };
        let event = || {
            let kind = text("k", false)?.unwrap_or_default();
            let subject = text("s", false)?.unwrap_or_default();
            let cause = text("c", true)?;
            let envelope = self.field("e").ok_or("the entry has no field e")?;
            entry::decode(self.id, kind, subject, cause, envelope)
        };
        Entry { id: self.id, family: self.family, event: event() }
    }

    /// An injective encoding of its fields: each name and value, preceded by its length (four bytes, little-endian).
    pub fn canonical(&self) -> Vec<u8> {
        let length = self.fields.iter().map(|(name, value)| 8 + name.len() + value.len()).sum();
        let mut bytes = Vec::with_capacity(length);
        for part in self.fields.iter().flat_map(|(name, value)| [name, value]) {
            // Redis accepts no value longer than 512 MB.
            bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// The entry whose [`canonical`](Self::canonical) form is `bytes`.
    ///
    /// # Errors
    /// If `bytes` are no such encoding.
    pub fn from_canonical(id: EventId, family: Family, bytes: impl Into<Bytes>) -> Result<Self, String> {
        const CUT: &str = "the fields of an entry are truncated";
        let mut rest: Bytes = bytes.into();
        let mut fields = vec![];
        while !rest.is_empty() {
            let mut part = || {
                let length: [u8; 4] = rest.get(..4)?.try_into().ok()?;
                let end = 4 + usize::try_from(u32::from_le_bytes(length)).ok()?;
                let part = (end <= rest.len()).then(|| rest.slice(4..end))?;
                rest = rest.slice(end..);
                Some(part)
            };
            fields.push((part().ok_or(CUT)?, part().ok_or(CUT)?));
        }
        Ok(Self { id, family, fields })
    }
}

#[cfg(test)]
mod tests {
    use hemostat_schema::Partition;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_canonical_form_is_read_back_and_a_truncated_one_is_refused(
            fields in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), prop::collection::vec(any::<u8>(), 0..40)), 0..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let fields: Vec<(Bytes, Bytes)> = fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            let entry = RawEntry { id: EventId::start(Partition(0)), family: Family::Action, fields };
            let bytes = entry.canonical();
            let again = RawEntry::from_canonical(entry.id, entry.family, bytes.clone());
            prop_assert_eq!(again.as_ref(), Ok(&entry));
            if !bytes.is_empty() {
                let short = bytes[..cut.index(bytes.len())].to_vec();
                prop_assert_ne!(RawEntry::from_canonical(entry.id, entry.family, short), Ok(entry));
            }
        }
    }

    #[test]
    fn decoding_names_the_missing_field() {
        let entry = |fields: &[(&'static str, &'static [u8])]| RawEntry {
            id: EventId::start(Partition(0)),
            family: Family::Action,
            fields: fields
                .iter()
                .map(|(name, value)| (Bytes::from_static(name.as_bytes()), Bytes::from_static(value)))
                .collect(),
        };
        for (fields, says) in [
            (&[][..], "no field k"),
            (&[("k", b"action.x.1" as &[u8])], "no field s"),
            (&[("k", b"action.x.1"), ("s", b"h/a")], "no field e"),
            (&[("k", b"\xff"), ("s", b"h/a"), ("e", b"")], "field k is not text"),
        ] {
            let why = entry(fields).decode().event.unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }
}
