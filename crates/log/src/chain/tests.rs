use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const P: Partition = Partition(3);
const FAMILY: Family = Family::Action;

fn entry(ms: u64, text: &[u8]) -> RawEntry {
    let field = |name: &'static str, value: &[u8]| (Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value));
    let id = EventId { partition: P, ms, seq: 0 };
    RawEntry { id, family: FAMILY, fields: vec![field("k", b"action.resumed.1"), field("e", text)] }
}

fn fold(entries: &[RawEntry], every: usize) -> (Tip, Vec<Checkpoint>) {
    let mut tip = Tip::default();
    let checkpoints = entries.iter().filter_map(|entry| tip.fold(entry, every)).collect();
    (tip, checkpoints)
}

fn marks(entries: &[RawEntry]) -> Vec<Mark> {
    entries.iter().map(Mark::of).collect()
}

/// Two events or more, at rising places.
fn history() -> impl Strategy<Value = Vec<RawEntry>> {
    prop::collection::vec((1..1000u64, prop::collection::vec(any::<u8>(), 0..20)), 2..60).prop_map(|steps| {
        let mut at = 0;
        let place = |(step, text): (u64, Vec<u8>)| {
            at += step + 1;
            entry(at, &text)
        };
        steps.into_iter().map(place).collect()
    })
}

proptest! {
    #[test]
    fn every_tampering_is_detected_and_the_first_different_event_is_named(
        before in history(),
        which in any::<prop::sample::Index>(),
        deed in 0..4u8,
    ) {
        let index = which.index(before.len());
        let id = before[index].id;
        let mut after = before.clone();
        let expected = match deed {
            0 => {
                after[index] = entry(id.ms, b"something else that no event of the others says");
                Difference::Changed(id)
            }
            1 => {
                after.remove(index);
                Difference::Missing(id)
            }
            2 => {
                after.insert(index, entry(id.ms - 1, b"inserted"));
                Difference::Added(after[index].id)
            }
            // Two events change places: each place then holds another event than before.
            _ => {
                let index = index.min(before.len() - 2);
                let (one, other) = (before[index].clone(), before[index + 1].clone());
                prop_assume!(one.fields != other.fields);
                after[index] = RawEntry { id: one.id, ..other.clone() };
                after[index + 1] = RawEntry { id: other.id, ..one.clone() };
                Difference::Changed(one.id)
            }
        };
        prop_assert_ne!(fold(&before, 8).0.link.hash, fold(&after, 8).0.link.hash);
        prop_assert_eq!(first_difference(P, &marks(&before), &marks(&after)), Some(expected));
        prop_assert_eq!(first_difference(P, &marks(&before), &marks(&before)), None);
    }

    #[test]
    fn a_chain_does_not_depend_on_blocks_or_restarts(entries in history(), every in 1..20usize) {
        let (tip, checkpoints) = fold(&entries, every);
        prop_assert_eq!(tip.link, entries.iter().fold(Link::default(), Link::then));
        prop_assert_eq!(checkpoints.len(), entries.len() / every);
        let mut since = Link::default();
        for (checkpoint, block) in checkpoints.iter().zip(entries.chunks(every)) {
            prop_assert_eq!(checkpoint.since, since);
            prop_assert_eq!((checkpoint.first(), checkpoint.last), (block[0].id, block[every - 1].id));
            prop_assert_eq!(&checkpoint.marks, &marks(block));
            since = checkpoint.link;
            prop_assert_eq!(&Checkpoint::from_row(&checkpoint.to_row().unwrap()).unwrap(), checkpoint);
        }
        prop_assert_eq!(tip.since, since);

        // Whoever goes on from a row, or behind a checkpoint, comes to the same end.
        let cut = entries.len() / 2;
        let mut again = Tip::from_row(&fold(&entries[..cut], every).0.to_row().unwrap()).unwrap();
        let _: Vec<_> = entries[cut..].iter().filter_map(|entry| again.fold(entry, every)).collect();
        prop_assert_eq!(&again, &tip);
        if let Some(checkpoint) = checkpoints.first() {
            let mut behind = Tip::after(checkpoint);
            let _: Vec<_> = entries[every..].iter().filter_map(|entry| behind.fold(entry, every)).collect();
            prop_assert_eq!(&behind, &tip);
        }
    }
}

#[test]
fn the_fingerprint_covers_id_and_family() {
    let here = entry(1, b"x");
    let elsewhere = RawEntry { id: EventId { partition: Partition(4), ..here.id }, ..here.clone() };
    let other_stream = RawEntry { family: Family::Alert, ..here.clone() };
    let later = RawEntry { id: EventId { seq: 1, ..here.id }, ..here.clone() };
    for other in [elsewhere, other_stream, later] {
        assert_ne!(fingerprint(&here), fingerprint(&other));
    }
}

#[test]
fn a_hash_is_written_and_parsed_in_hexadecimal() {
    // FIPS 180-2, appendix B.1.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Hash::of(b"abc").to_string(), abc);
    assert_eq!(abc.parse(), Ok(Hash::of(b"abc")));
    for bad in ["", "ba78", &abc[1..], &abc.replace('a', "g"), &format!("+{}", &abc[1..]), &"ä".repeat(32)] {
        assert!(bad.parse::<Hash>().is_err(), "{bad}");
    }
}

#[test]
fn row_keys_are_parsed_and_sort_by_count() {
    assert_eq!(parse_key(&tip_key(FAMILY)), Some((FAMILY, None)));
    assert_eq!(parse_key(&checkpoint_key(FAMILY, 256)), Some((FAMILY, Some(256))));
    assert!(checkpoint_key(FAMILY, 256) < checkpoint_key(FAMILY, 1024));
    for other in ["", "/", "nonsense", "action/x", "nonsense/1"] {
        assert_eq!(parse_key(other), None);
    }
}
