//! Decodes stream entries: the reply of XRANGE, and the same as the functions pack it (MessagePack in one string).
//!
//! A function reads several streams at one instant. It converts them to a Lua table and packs that, which costs the server
//! several times what XRANGE costs; the client gets one string and slices it without copying.

use std::ops::Range;

use bytes::Bytes;
use hemostat_schema::{EventId, Family, Partition};

use super::reply::{Reply, corrupt};
use crate::{Error, RawEntry};

/// The entries of one stream.
pub(super) fn entries(
    reply: Reply,
    partition: Partition,
    family: Family,
    doing: &'static str,
) -> Result<Vec<RawEntry>, Error> {
    let bytes = reply.data(doing)?.unwrap_or_default();
    let mut packed = Packed { bytes, at: 0 };
    let entry = |packed: &mut Packed| {
        packed.list().filter(|length| *length == 2)?;
        let id = packed.text()?;
        let id = EventId::from_entry(partition, std::str::from_utf8(&packed.bytes[id]).ok()?).ok()?;
        let parts = packed.list()?;
        let fields = (0..parts / 2).map(|_| {
            let (name, value) = (packed.text()?, packed.text()?);
            Some((packed.name(name), packed.bytes.slice(value)))
        });
        Some(RawEntry { id, family, fields: fields.collect::<Option<_>>()? })
    };
    let entries = packed.list().and_then(|count| (0..count).map(|_| entry(&mut packed)).collect());
    let whole = |_: &Vec<RawEntry>| packed.at == packed.bytes.len();
    entries.filter(whole).ok_or_else(|| corrupt(doing, format!("entries of {family} that are not packed as expected")))
}

/// The entries of one stream in a reply of XRANGE.
pub(super) fn listed(
    reply: Reply,
    partition: Partition,
    family: Family,
    doing: &'static str,
) -> Result<Vec<RawEntry>, Error> {
    let entry = |entry: Reply| {
        let Reply::List(parts) = entry else { return None };
        let [Reply::Data(id), Reply::List(fields)] = <[Reply; 2]>::try_from(parts).ok()? else { return None };
        let id = EventId::from_entry(partition, std::str::from_utf8(&id).ok()?).ok()?;
        let mut fields = fields.into_iter();
        let mut pairs = Vec::with_capacity(fields.len() / 2);
        while let (Some(Reply::Data(name)), Some(Reply::Data(value))) = (fields.next(), fields.next()) {
            pairs.push((usual(&name).unwrap_or(name), value));
        }
        fields.next().is_none().then_some(RawEntry { id, family, fields: pairs })
    };
    let entries: Option<Vec<_>> = reply.list(doing)?.into_iter().map(entry).collect();
    entries.ok_or_else(|| corrupt(doing, format!("entries of {family} that are malformed")))
}

/// The name of a known field as a static value, so that it does not keep the page in memory.
pub(super) fn usual(name: &[u8]) -> Option<Bytes> {
    Some(match name {
        b"k" => Bytes::from_static(b"k"),
        b"s" => Bytes::from_static(b"s"),
        b"c" => Bytes::from_static(b"c"),
        b"e" => Bytes::from_static(b"e"),
        _ => return None,
    })
}

/// Reads lists and texts of a MessagePack buffer one after the other; none if the next value is something else.
struct Packed {
    bytes: Bytes,
    at: usize,
}

impl Packed {
    /// The length of a list, whose elements come next.
    fn list(&mut self) -> Option<usize> {
        self.length(|rest| rmp::decode::read_array_len(rest).ok())
    }

    /// The range of a text.
    fn text(&mut self) -> Option<Range<usize>> {
        let length = self.length(|rest| rmp::decode::read_str_len(rest).ok())?;
        let text = self.at..self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        self.at = text.end;
        Some(text)
    }

    /// The name of a field.
    fn name(&self, name: Range<usize>) -> Bytes {
        usual(&self.bytes[name.clone()]).unwrap_or_else(|| self.bytes.slice(name))
    }

    fn length(&mut self, read: fn(&mut &[u8]) -> Option<u32>) -> Option<usize> {
        let mut rest = self.bytes.get(self.at..)?;
        let length = read(&mut rest)?;
        self.at = self.bytes.len() - rest.len();
        usize::try_from(length).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const P: Partition = Partition(3);

    fn read(bytes: Vec<u8>) -> Result<Vec<RawEntry>, Error> {
        entries(Reply::Data(bytes.into()), P, Family::Action, "test")
    }

    proptest! {
        #[test]
        fn packed_entries_are_read_back_and_malformed_ones_are_refused(
            // For each entry the lengths of its values.
            packed in prop::collection::vec((any::<u64>(), prop::collection::vec(0..400_usize, 0..18)), 0..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let field = |length: &usize| ("n".repeat(1 + length % 3), "v".repeat(*length));
            let as_redis = |(ms, lengths): &(u64, Vec<usize>)| {
                (format!("{ms}-7"), lengths.iter().map(field).flat_map(|(name, value)| [name, value]).collect::<Vec<_>>())
            };
            let bytes = rmp_serde::to_vec(&packed.iter().map(as_redis).collect::<Vec<_>>()).unwrap();
            let expected = packed.iter().map(|(ms, lengths)| RawEntry {
                id: EventId { partition: P, ms: *ms, seq: 7 },
                family: Family::Action,
                fields: lengths.iter().map(field).map(|(name, value)| (name.into(), value.into())).collect(),
            });
            prop_assert_eq!(read(bytes.clone()).unwrap(), expected.collect::<Vec<_>>());
            prop_assert!(read(bytes[..cut.index(bytes.len())].to_vec()).is_err());
            prop_assert!(read([bytes, vec![0]].concat()).is_err());
        }
    }
}
