//! Reading page after page gives every matching event once and in order, at a bounded cost.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::{sync::Arc, time::Duration};

use hemostat_core::testing;
use hemostat_history::{
    Filter, History, Position,
    filter::{ContainerPattern, KindPattern},
    select::{PageLimits, page},
};
use hemostat_log::{Commit, Log as _, MemoryLog, Order};
use hemostat_schema::{
    ContainerName, EventId, Family, HostName, NewEvent, Partition, Span, Subject, sample::Container,
};
use proptest::prelude::*;

/// A log of events of these hosts, containers and families, and their ids in order.
async fn logged(partitions: u16, happened: &[(u8, u8, bool)]) -> (Arc<MemoryLog>, Vec<(EventId, Subject, Family)>) {
    let log = Arc::new(MemoryLog::with_clock(partitions, || testing::at(0)));
    let mut all = vec![];
    for (host, container, seen) in happened {
        let subject: Subject = format!("host-{host}/c{container}").parse().unwrap();
        let event = if *seen {
            NewEvent::new(subject.clone(), testing::at(0), testing::started(0).event)
        } else {
            NewEvent::new(subject.clone(), testing::at(0), testing::reached(testing::run(0)))
        };
        let (family, partition) = (event.event.family(), Partition::of(&subject.host, partitions));
        let lease = log.acquire(partition, "test", "me", Duration::from_secs(9)).await.unwrap().unwrap();
        let ids = log.commit(&Commit { events: vec![event], ..Commit::new(lease) }).await.unwrap();
        all.push((ids[0], subject, family));
    }
    all.sort_by_key(|(id, ..)| Position::before(*id));
    (log, all)
}

async fn read_all(history: &History, mut filter: Filter, order: Order, limits: PageLimits) -> Vec<EventId> {
    let mut found = vec![];
    loop {
        let page = page(history, &filter, order, limits).await.unwrap();
        assert!(page.entries.len() <= limits.found);
        found.extend(page.entries.iter().map(|entry| entry.id));
        match (page.next, order) {
            (None, _) => return found,
            (Some(next), Order::OldestFirst) => filter.window.from = Position::after(next),
            (Some(next), Order::NewestFirst) => filter.window.to = Position::before(next),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_pages_together_give_every_matching_event_once_and_in_order(
        partitions in 1..5_u16,
        happened in prop::collection::vec((0..4_u8, 0..3_u8, any::<bool>()), 0..60),
        (found, scanned, chunk) in (1..9_usize, 1..20_usize, 1..9_usize),
        host in prop::option::of(0..4_u8),
        container in prop::option::of(0..3_u8),
        seen in any::<bool>(),
        newest in any::<bool>(),
    ) {
        let host: Option<HostName> = host.map(|host| format!("host-{host}").parse().unwrap());
        let container: Option<ContainerName> = container.map(|container| format!("c{container}").parse().unwrap());
        let filter = Filter {
            kind: seen.then(|| KindPattern::from(Family::Observation)),
            host: host.clone(),
            container: container.as_ref().map(ContainerPattern::from),
            ..Filter::ALL
        };
        let order = if newest { Order::NewestFirst } else { Order::OldestFirst };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (read, all) = runtime.block_on(async {
            let (log, all) = logged(partitions, &happened).await;
            let limits = PageLimits { found, scanned, chunk };
            (read_all(&History::new(log, None), filter, order, limits).await, all)
        });
        let matches = |(_, subject, family): &&(EventId, Subject, Family)| {
            (!seen || *family == Family::Observation)
                && host.as_ref().is_none_or(|host| subject.host == *host)
                && (container.is_none() || subject.container == container)
        };
        let mut expected: Vec<EventId> = all.iter().filter(matches).map(|(id, ..)| *id).collect();
        if newest {
            expected.reverse();
        }
        prop_assert_eq!(read, expected);
    }
}

#[tokio::test]
async fn a_page_examines_no_more_entries_than_its_limit() {
    let (log, all) = logged(1, &[(0, 0, true); 50]).await;
    let rare = Filter { container: Some("c1".parse().unwrap()), ..Filter::ALL };
    let limits = PageLimits { found: 10, scanned: 20, chunk: 7 };
    let page = page(&History::new(log, None), &rare, Order::OldestFirst, limits).await.unwrap();
    assert_eq!((page.entries.len(), page.next), (0, Some(all[19].0)));
}

#[tokio::test]
async fn an_entry_that_cannot_be_decoded_is_on_the_page_if_its_kind_and_subject_match() {
    let (log, _) = logged(1, &[(0, 0, true)]).await;
    log.append_raw(Partition(0), Family::Observation, "nonsense", "host-0/c0", b"?");
    let found = async |filter: Filter| {
        let limits = PageLimits { found: 10, scanned: 20, chunk: 7 };
        page(&History::new(log.clone(), None), &filter, Order::OldestFirst, limits).await.unwrap().entries.len()
    };
    assert_eq!(found(Filter::ALL).await, 2);
    assert_eq!(found(Filter { container: Some("c0".parse().unwrap()), ..Filter::ALL }).await, 2);
    assert_eq!(found(Filter { container: Some("c1".parse().unwrap()), ..Filter::ALL }).await, 0);
    assert_eq!(found(Filter { kind: Some("observation.started".parse().unwrap()), ..Filter::ALL }).await, 1);
}

#[tokio::test]
async fn measurements_can_be_left_out() {
    let (log, _) = logged(1, &[(0, 0, true)]).await;
    let lease = log.acquire(Partition(0), "test", "me", Duration::from_secs(9)).await.unwrap().unwrap();
    let sampled = testing::event(1, Container { vitals: testing::vitals(50.0, 50.0, 1), holds: Span::ZERO });
    log.commit(&Commit { events: vec![sampled], ..Commit::new(lease) }).await.unwrap();
    let limits = PageLimits { found: 10, scanned: 20, chunk: 7 };
    for (notable_only, found) in [(false, 2), (true, 1)] {
        let filter = Filter { notable_only, ..Filter::ALL };
        let page = page(&History::new(log.clone(), None), &filter, Order::NewestFirst, limits).await.unwrap();
        assert_eq!(page.entries.len(), found);
    }
}
