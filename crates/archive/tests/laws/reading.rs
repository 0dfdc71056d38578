//! The archive reads like the log: the same range, order and limit give the same entries.

use std::ops::Bound;

use hemostat_archive::Archive;
use hemostat_log::{Archive as _, Order, Range, RawEntry};
use hemostat_schema::{EventId, Family};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{FAMILY, P, archive, event, events, id, sealed};

fn bound() -> impl Strategy<Value = Bound<EventId>> {
    // Existing ids, ids between them, and ids beyond them.
    let place = (0..70u64, 0..4u64).prop_map(|(ms, seq)| EventId { partition: P, ms, seq });
    prop_oneof![Just(Bound::Unbounded), place.clone().prop_map(Bound::Included), place.prop_map(Bound::Excluded)]
}

/// The entries that the log would return.
fn expected(history: &[RawEntry], range: Range, order: Order, limit: usize) -> Vec<RawEntry> {
    let within = |entry: &&RawEntry| {
        (match range.from {
            Bound::Unbounded => true,
            Bound::Included(from) => entry.id >= from,
            Bound::Excluded(from) => entry.id > from,
        }) && match range.to {
            Bound::Unbounded => true,
            Bound::Included(to) => entry.id <= to,
            Bound::Excluded(to) => entry.id < to,
        }
    };
    let mut found: Vec<RawEntry> = history.iter().filter(within).cloned().collect();
    if order == Order::NewestFirst {
        found.reverse();
    }
    found.truncate(limit);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_range_is_read_in_both_orders_like_from_the_log(
        lengths in prop::collection::vec(1..9usize, 1..6),
        reads in prop::collection::vec((bound(), bound(), any::<bool>(), 0..12usize), 1..20),
    ) {
        Runtime::new().unwrap().block_on(async {
            let history: Vec<RawEntry> = (1..).step_by(2).map(event).take(lengths.iter().sum()).collect();
            let (archive, store) = archive();
            sealed(&archive, &history, &lengths).await;
            // Another process, with an index of its own.
            let reader = Archive::new(store);
            for (from, to, backwards, limit) in reads {
                let (range, order) = (Range { from, to }, if backwards { Order::NewestFirst } else { Order::OldestFirst });
                let read = reader.raw(P, &[FAMILY], range, order, limit).await.unwrap();
                assert_eq!(read, expected(&history, range, order, limit), "{range:?} {order:?} {limit}");
            }
        });
    }
}

#[tokio::test]
async fn families_are_merged_by_id() {
    let (archive, _) = archive();
    let odd = events([1, 3, 5]);
    let even: Vec<RawEntry> =
        events([2, 4, 6]).into_iter().map(|entry| RawEntry { family: Family::Alert, ..entry }).collect();
    sealed(&archive, &odd, &[2, 1]).await;
    sealed(&archive, &even, &[1, 2]).await;
    let ids = async |order, limit| {
        let read = archive.raw(P, &Family::ALL, Range::ALL, order, limit).await.unwrap();
        read.iter().map(|entry| entry.id.ms).collect::<Vec<_>>()
    };
    assert_eq!(ids(Order::OldestFirst, 4).await, [1, 2, 3, 4]);
    assert_eq!(ids(Order::NewestFirst, 10).await, [6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn segments_that_another_process_seals_are_found() {
    let (archive, store) = archive();
    let history = events(1..=6);
    let reader = Archive::new(store);
    assert_eq!(reader.sealed(P, FAMILY).await.unwrap(), None);
    sealed(&archive, &history, &[2, 2, 2]).await;
    let read = reader.raw(P, &[FAMILY], Range::ALL.up_to(id(6)), Order::OldestFirst, 100).await.unwrap();
    assert_eq!(read, history);
    assert_eq!(reader.sealed(P, FAMILY).await.unwrap(), Some(id(6)));
}
