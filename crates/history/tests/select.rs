//! A filter selects exactly the matching events, once and in order, and reads no more than it needs.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::{sync::Arc, time::Duration};

use hemostat_core::testing;
use hemostat_history::{Filter, History, Position, Progress, Selected, Window};
use hemostat_log::{Commit, Log, MemoryLog};
use hemostat_schema::{Event, EventId, Family, IncidentId, NewEvent, Partition, Subject};
use proptest::prelude::*;

/// One event about a container: a diagnosis or an observation, with or without an incident.
#[derive(Debug, Clone)]
struct Happened {
    subject: Subject,
    diagnosed: bool,
    ill: bool,
}

fn happened() -> impl Strategy<Value = Happened> {
    (0..3_u8, 0..3_u8, any::<bool>(), any::<bool>()).prop_map(|(host, name, diagnosed, ill)| Happened {
        subject: format!("host-{host}/api-{name}").parse().unwrap(),
        diagnosed,
        ill,
    })
}

fn incident(subject: &Subject) -> IncidentId {
    IncidentId::begun(subject, testing::at(0))
}

/// A log with these events, and their ids.
async fn logged(partitions: u16, events: &[Happened]) -> (Arc<MemoryLog>, Vec<(EventId, Happened)>) {
    let log = Arc::new(MemoryLog::with_clock(partitions, || testing::at(0)));
    let mut all = vec![];
    for event in events {
        let what: Event =
            if event.diagnosed { testing::reached(testing::run(0)).into() } else { testing::started(0).event };
        let new = NewEvent::new(event.subject.clone(), testing::at(0), what)
            .in_incident(event.ill.then(|| incident(&event.subject)));
        let partition = Partition::of(&event.subject.host, partitions);
        let lease = log.acquire(partition, "test", "me", Duration::from_secs(9)).await.unwrap().unwrap();
        let ids = log.commit(&Commit { events: vec![new], ..Commit::new(lease) }).await.unwrap();
        all.push((ids[0], event.clone()));
    }
    all.sort_by_key(|(id, _)| Position::before(*id));
    (log, all)
}

async fn selected(log: Arc<MemoryLog>, filter: Filter) -> (Vec<EventId>, u64) {
    let progress = Progress::default();
    let history = History::new(log, None);
    let mut selected = Selected::new(&history, filter, &progress);
    let mut ids = vec![];
    while let Some(found) = selected.next().await.unwrap() {
        assert_eq!(found.raw.decode(), found.entry);
        ids.push(found.entry.id);
    }
    (ids, progress.looked_at())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_matching_events_are_selected_once_and_in_order(
        partitions in 1..5_u16,
        events in prop::collection::vec(happened(), 0..50),
        host in prop::option::of(0..3_u8),
        container in prop::option::of(prop::sample::select(vec!["api-1", "api-*", "host-1/api-?", "*-[12]/api-0", "nobody"])),
        kind in prop::option::of(prop::sample::select(vec!["diagnosis", "diagnosis.reached", "*.started", "*.*"])),
        of_incident in prop::option::of(any::<prop::sample::Index>()),
        stretch in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (log, all) = runtime.block_on(logged(partitions, &events));
        let wanted = of_incident.filter(|_| !all.is_empty()).map(|at| incident(&at.get(&all).1.subject));
        let window = if all.is_empty() {
            Window::ALL
        } else {
            Window { from: Position::before(stretch.0.get(&all).0), to: Position::after(stretch.1.get(&all).0) }
        };
        let filter = Filter {
            window,
            kind: kind.map(|kind| kind.parse().unwrap()),
            host: host.map(|host| format!("host-{host}").parse().unwrap()),
            container: container.map(|container| container.parse().unwrap()),
            incident: wanted.clone(),
            notable_only: false,
        };
        // The same conditions, written out.
        let is_asked_for = |(id, event): &&(EventId, Happened)| {
            let (of_host, name) = (event.subject.host.as_str(), event.subject.short());
            window.contains(*id)
                && host.is_none_or(|host| of_host == format!("host-{host}"))
                && match container {
                    None | Some("api-*") => true,
                    Some("api-1") => name == "api-1",
                    Some("host-1/api-?") => of_host == "host-1",
                    Some("*-[12]/api-0") => of_host != "host-0" && name == "api-0",
                    Some(_) => false,
                }
                && match kind {
                    None | Some("*.*") => true,
                    Some("*.started") => !event.diagnosed,
                    Some(_) => event.diagnosed,
                }
                && wanted.as_ref().is_none_or(|wanted| event.ill && incident(&event.subject) == *wanted)
        };
        let expected: Vec<EventId> = all.iter().filter(is_asked_for).map(|(id, _)| *id).collect();
        prop_assert_eq!(runtime.block_on(selected(log, filter)).0, expected);
    }
}

#[tokio::test]
async fn events_outside_the_window_the_family_or_the_host_are_not_read() {
    let event = |subject: &str, diagnosed| Happened { subject: subject.parse().unwrap(), diagnosed, ill: false };
    let events =
        [event("host-0/a", true), event("host-0/a", false), event("host-1/a", false), event("host-0/a", false)];
    let (log, all) = logged(64, &events).await;
    let last = all.iter().rev().find(|(_, event)| event.subject.host.as_str() == "host-0").unwrap().0;
    for (filter, looked_at) in [
        (Filter::ALL, 4),
        (Filter { kind: Some("diagnosis".parse().unwrap()), ..Filter::ALL }, 1),
        (Filter { kind: Some("observation.sta*".parse().unwrap()), ..Filter::ALL }, 3),
        (Filter { host: Some("host-1".parse().unwrap()), ..Filter::ALL }, 1),
        (Filter { container: Some("host-1/a".parse().unwrap()), ..Filter::ALL }, 1),
        (Filter { window: Window::ALL.starting_with(last), host: Some("host-0".parse().unwrap()), ..Filter::ALL }, 1),
    ] {
        assert_eq!(selected(log.clone(), filter.clone()).await.1, looked_at, "{filter:?}");
    }
}

#[tokio::test]
async fn an_entry_that_cannot_be_decoded_matches_by_its_kind_and_subject() {
    let (log, _) = logged(1, &[]).await;
    log.append_raw(Partition(0), Family::Observation, "observation.started.1", "host-0/api", b"?");
    for (filter, given) in [
        (Filter::ALL, 1),
        (Filter { kind: Some("observation.started".parse().unwrap()), ..Filter::ALL }, 1),
        (Filter { container: Some("api".parse().unwrap()), ..Filter::ALL }, 1),
        (Filter { container: Some("db".parse().unwrap()), ..Filter::ALL }, 0),
        (Filter { incident: Some(incident(&testing::subject())), ..Filter::ALL }, 0),
    ] {
        assert_eq!(selected(log.clone(), filter.clone()).await.0.len(), given, "{filter:?}");
    }
}
