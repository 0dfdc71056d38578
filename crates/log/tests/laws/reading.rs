//! Reading: one total order, ranges, and the append signal.

use super::*;

laws![
    ids_ascend_across_families_and_the_clock_is_the_last,
    a_range_is_read_in_either_direction_up_to_its_limit,
    an_entry_is_found_by_id_in_any_family,
    an_append_is_signalled,
    partitions_are_independent,
    a_partition_that_does_not_exist_is_an_error,
];

async fn ids_ascend_across_families_and_the_clock_is_the_last(TestLog { log, store: _store }: TestLog) {
    assert_eq!(log.clock(P).await.unwrap(), EventId::start(P));
    let writer = lease(&*log, "g", "me").await;
    let mut ids = vec![];
    for round in 0..5 {
        let events = Family::ALL.map(|family| event(family, "a", &format!("{round} {family}")));
        ids.extend(log.commit(&of(&writer, events)).await.unwrap());
        assert_eq!(log.clock(P).await.unwrap(), *ids.last().unwrap());
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let read = log.read(P, &Family::ALL, Range::ALL, Order::OldestFirst, 100).await.unwrap();
    assert_eq!(read.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids);
    let first = Family::ALL.map(|family| format!("0 {family}"));
    assert_eq!(marks(&read)[..first.len()], first);
}

async fn a_range_is_read_in_either_direction_up_to_its_limit(TestLog { log, store: _store }: TestLog) {
    let writer = lease(&*log, "g", "me").await;
    let events = ["0", "1", "2", "3", "4", "5"];
    let families = [Family::Action, Family::Alert, Family::Observation].into_iter().cycle();
    let events: Vec<NewEvent> = events.iter().zip(families).map(|(mark, family)| event(family, "a", mark)).collect();
    let ids = log.commit(&of(&writer, events)).await.unwrap();
    let check = async |families: &[Family], range: Range, order: Order, limit: usize, want: &[&str]| {
        let read = log.read(P, families, range, order, limit).await.unwrap();
        assert_eq!(marks(&read), want, "{families:?} {range:?} {order:?} {limit}");
    };
    use Order::{NewestFirst, OldestFirst};
    let all = &Family::ALL[..];
    check(all, Range::ALL, OldestFirst, 100, &["0", "1", "2", "3", "4", "5"]).await;
    check(all, Range::ALL, NewestFirst, 100, &["5", "4", "3", "2", "1", "0"]).await;
    check(all, Range::ALL, OldestFirst, 2, &["0", "1"]).await;
    check(all, Range::ALL, NewestFirst, 2, &["5", "4"]).await;
    check(all, Range::ALL, OldestFirst, 0, &[]).await;
    check(all, Range::after(ids[1]), OldestFirst, 2, &["2", "3"]).await;
    check(all, Range::before(ids[2]), NewestFirst, 9, &["1", "0"]).await;
    check(all, Range::after(ids[1]).up_to(ids[3]), OldestFirst, 9, &["2", "3"]).await;
    check(all, Range::after(ids[3]).up_to(ids[1]), OldestFirst, 9, &[]).await;
    check(all, Range::after(ids[5]), OldestFirst, 9, &[]).await;
    check(all, Range::after(EventId::end(P)), OldestFirst, 9, &[]).await;
    check(all, Range::before(EventId::start(P)), NewestFirst, 9, &[]).await;
    check(&[Family::Alert], Range::ALL, OldestFirst, 9, &["1", "4"]).await;
    check(&[Family::Alert, Family::Action, Family::Alert], Range::ALL, NewestFirst, 3, &["4", "3", "1"]).await;
    check(&[], Range::ALL, OldestFirst, 9, &[]).await;
}

async fn an_entry_is_found_by_id_in_any_family(TestLog { log, store: _store }: TestLog) {
    let writer = lease(&*log, "g", "me").await;
    let events = Family::ALL.map(|family| event(family, "a", family.name()));
    let ids = log.commit(&of(&writer, events.clone())).await.unwrap();
    for (event, id) in events.into_iter().zip(&ids) {
        let found = log.get(*id).await.unwrap().unwrap();
        assert_eq!((found.id, found.family), (*id, event.event.family()));
        assert_eq!(found.event, Ok(event.recorded(*id, &ids)));
    }
    assert_eq!(log.get(EventId { seq: 99, ..ids[0] }).await.unwrap(), None);
}

async fn an_append_is_signalled(TestLog { log, store: _store }: TestLog) {
    let mut append_signal = log.append_signal(P);
    for mark in ["1", "2", "3"] {
        append_signal.mark_unchanged();
        let id = append(&log, event(Family::Alert, "a", mark)).await;
        // Spurious signals are allowed; there must be one once the event can be read.
        let heard = async {
            loop {
                append_signal.changed().await.unwrap();
                if log.clock(P).await.unwrap() >= id {
                    break;
                }
            }
        };
        timeout(DEADLINE, heard).await.expect("the append is signalled");
    }
}

async fn partitions_are_independent(TestLog { log, store: _store }: TestLog) {
    assert_eq!(log.partitions(), 2);
    append(&log, event(Family::Action, "a", "x")).await;
    let other = Partition(1);
    assert_eq!(log.clock(other).await.unwrap(), EventId::start(other));
    let lease = log.acquire(other, "writer", "you", DEADLINE).await.unwrap().expect("its leases are its own");
    let root = log.commit(&of(&lease, [event(Family::Action, "a", "y")])).await.unwrap()[0];
    let effect = event(Family::Alert, "a", "z").caused_by(Cause::Event(root));
    let siblings = [effect, event(Family::Alert, "a", "w").caused_by(Cause::Sibling(0))];
    let ids = log.commit(&of(&lease, siblings)).await.unwrap();
    let read = log.read(other, &Family::ALL, Range::ALL, Order::OldestFirst, 9).await.unwrap();
    assert_eq!(marks(&read), ["y", "z", "w"]);
    let causes: Vec<_> = read.into_iter().map(|entry| entry.event.unwrap().cause).collect();
    assert_eq!(causes, [None, Some(root), Some(ids[0])]);
}

async fn a_partition_that_does_not_exist_is_an_error(TestLog { log, store: _store }: TestLog) {
    let none = Partition(2);
    let refused = log.clock(none).await;
    assert!(matches!(refused, Err(Error::NoPartition { partitions: 2, .. })), "{refused:?}");
    assert!(log.acquire(none, "g", "me", DEADLINE).await.is_err());
    assert!(log.read(none, &Family::ALL, Range::ALL, Order::OldestFirst, 9).await.is_err());
    assert!(log.get(EventId::start(none)).await.is_err());
}
