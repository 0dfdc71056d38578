//! Any entry survives a round trip through Parquet, also one that cannot be decoded.

use bytes::Bytes;
use hemostat_archive::{ParquetReader, ParquetWriter};
use hemostat_log::RawEntry;
use hemostat_schema::{EventId, Family, Partition};
use proptest::prelude::*;

use super::{event, events};

fn any_entry() -> impl Strategy<Value = RawEntry> {
    let id = (any::<u16>(), any::<u64>(), any::<u64>());
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let fields = prop::collection::vec((bytes(), bytes()), 0..5);
    let any =
        (id, prop::sample::select(Family::ALL.to_vec()), fields).prop_map(|((partition, ms, seq), family, fields)| {
            let fields = fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            RawEntry { id: EventId { partition: Partition(partition), ms, seq }, family, fields }
        });
    prop_oneof![any, (1..1000u64).prop_map(event)]
}

fn written(entries: &[RawEntry]) -> Bytes {
    let mut writer = ParquetWriter::new(vec![]).unwrap();
    writer.write(entries).unwrap();
    writer.finish().unwrap().into()
}

proptest! {
    #[test]
    fn any_entry_is_read_back_unchanged(entries in prop::collection::vec(any_entry(), 0..40)) {
        prop_assert_eq!(ParquetReader::read_all(written(&entries)), Ok(entries));
    }
}

#[test]
fn a_long_file_is_read_one_row_group_at_a_time() {
    let entries = events(1..=6_000);
    let reader = ParquetReader::new(written(&entries)).unwrap();
    let pieces: Vec<Vec<RawEntry>> = reader.map(Result::unwrap).collect();
    assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [2_500, 2_500, 1_000]);
    assert!(pieces.concat() == entries);
}

#[test]
fn a_file_without_events_is_refused() {
    let whole = written(&events(1..=3));
    for bytes in [Bytes::new(), Bytes::from_static(b"PAR1"), whole.slice(..whole.len() / 2)] {
        assert!(ParquetReader::read_all(bytes).is_err());
    }
}

#[test]
fn the_same_events_give_the_same_bytes() {
    assert_eq!(written(&events(1..=500)), written(&events(1..=500)));
}
