//! One page of the log: the events that match, in order, at a bounded cost.
//!
//! A filter may match one event in a million, so a page ends after so many *looked at*, not only after so many found; it
//! then says where to go on. Walking from page to page gives every matching event exactly once, because the place to go on
//! from is the last event looked at, and nothing is ever added before it within its partition.

use std::collections::VecDeque;

use futures::future::try_join_all;
use hemostat_history::{History, Position, Window};
use hemostat_schema::{ContainerName, EventId, Family, HostName, IncidentId, Partition};

use crate::log::{Entry, Error, Order, Range};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Only these families.
    pub families: Vec<Family>,
    /// Only this kind.
    pub kind: Option<String>,
    /// Only about this host and its containers.
    pub host: Option<HostName>,
    /// Only about containers of this name.
    pub container: Option<ContainerName>,
    /// Only of this incident.
    pub incident: Option<IncidentId>,
}

/// What a page may cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// So many events on the page.
    pub found: usize,
    /// So many events looked at.
    pub scanned: usize,
    /// So many read at once from a partition.
    pub chunk: usize,
}

/// A page.
#[derive(Debug, Default)]
pub struct Page {
    /// What was found.
    pub entries: Vec<Entry>,
    /// The last event looked at, where there may be more after it.
    pub next: Option<EventId>,
}

impl Filter {
    /// Everything.
    pub fn all() -> Self {
        Self { families: Family::ALL.to_vec(), kind: None, host: None, container: None, incident: None }
    }

    /// Whether it asks for this entry. What cannot be read belongs to nobody, so it is shown only where nobody is asked for.
    fn asks_for(&self, entry: &Entry) -> bool {
        let Self { families: _, kind, host, container, incident } = self;
        match &entry.event {
            Err(_) => kind.is_none() && host.is_none() && container.is_none() && incident.is_none(),
            Ok(event) => {
                host.as_ref().is_none_or(|host| event.subject.host == *host)
                    && (container.is_none() || event.subject.container == *container)
                    && (incident.is_none() || event.incident == *incident)
                    && kind.as_ref().is_none_or(|kind| event.kind() == *kind)
            }
        }
    }

    fn partitions(&self, count: u16) -> Vec<Partition> {
        match &self.host {
            Some(host) => vec![Partition::of(host, count)],
            None => (0..count).map(Partition).collect(),
        }
    }
}

/// The first page of what `filter` asks for in `window`.
pub async fn page(past: &History, filter: &Filter, window: Window, order: Order, cost: Cost) -> Result<Page, Error> {
    let partitions = filter.partitions(past.log().partitions());
    let mut sources: Vec<_> = partitions.into_iter().map(|partition| Source::new(partition, window)).collect();
    let mut page = Page::default();
    let mut scanned = 0;
    loop {
        try_join_all(sources.iter_mut().map(|source| source.fill(past, &filter.families, order, cost.chunk))).await?;
        let heads = sources.iter_mut().filter(|source| !source.entries.is_empty());
        let first = match order {
            Order::OldestFirst => heads.min_by_key(|source| source.head()),
            Order::NewestFirst => heads.max_by_key(|source| source.head()),
        };
        let Some(entry) = first.and_then(|source| source.entries.pop_front()) else {
            page.next = None;
            return Ok(page);
        };
        if page.entries.len() == cost.found || scanned == cost.scanned {
            return Ok(page);
        }
        scanned += 1;
        page.next = Some(entry.id);
        if filter.asks_for(&entry) {
            page.entries.push(entry);
        }
    }
}

/// What is still to be read of one partition.
#[derive(Debug)]
struct Source {
    partition: Partition,
    range: Range,
    entries: VecDeque<Entry>,
    exhausted: bool,
}

impl Source {
    fn new(partition: Partition, window: Window) -> Self {
        Self { partition, range: window.range(partition), entries: VecDeque::new(), exhausted: false }
    }

    fn head(&self) -> Option<Position> {
        self.entries.front().map(|entry| Position::before(entry.id))
    }

    async fn fill(&mut self, past: &History, families: &[Family], order: Order, chunk: usize) -> Result<(), Error> {
        if !self.entries.is_empty() || self.exhausted {
            return Ok(());
        }
        let entries = past.read(self.partition, families, self.range, order, chunk).await?;
        self.exhausted = entries.len() < chunk;
        if let Some(last) = entries.last() {
            match order {
                Order::OldestFirst => self.range.from = Range::after(last.id).from,
                Order::NewestFirst => self.range.to = Range::before(last.id).to,
            }
        }
        self.entries = entries.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use hemostat_core::testing;
    use hemostat_log::{Commit, Log as _, MemoryLog};
    use hemostat_schema::{NewEvent, Subject};
    use proptest::prelude::*;

    use super::*;

    /// Events that happened on these hosts, about these containers, of alternating families; all ids in order.
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

    async fn walk(past: &History, filter: &Filter, order: Order, cost: Cost) -> Vec<EventId> {
        let (mut window, mut found) = (Window::ALL, vec![]);
        loop {
            let page = page(past, filter, window, order, cost).await.unwrap();
            assert!(page.entries.len() <= cost.found);
            found.extend(page.entries.iter().map(|entry| entry.id));
            match (page.next, order) {
                (None, _) => return found,
                (Some(next), Order::OldestFirst) => window.from = Position::after(next),
                (Some(next), Order::NewestFirst) => window.to = Position::before(next),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn walking_the_pages_gives_every_matching_event_once_and_in_order(
            partitions in 1..5_u16,
            happened in prop::collection::vec((0..4_u8, 0..3_u8, any::<bool>()), 0..60),
            (found, scanned, chunk) in (1..9_usize, 1..20_usize, 1..9_usize),
            host in prop::option::of(0..4_u8),
            container in prop::option::of(0..3_u8),
            seen in any::<bool>(),
            newest in any::<bool>(),
        ) {
            let filter = Filter {
                families: if seen { vec![Family::Observation] } else { Family::ALL.to_vec() },
                host: host.map(|host| format!("host-{host}").parse().unwrap()),
                container: container.map(|container| format!("c{container}").parse().unwrap()),
                ..Filter::all()
            };
            let order = if newest { Order::NewestFirst } else { Order::OldestFirst };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (walked, all) = runtime.block_on(async {
                let (log, all) = logged(partitions, &happened).await;
                (walk(&History::new(log, None), &filter, order, Cost { found, scanned, chunk }).await, all)
            });
            let matches = |(_, subject, family): &&(EventId, Subject, Family)| {
                filter.families.contains(family)
                    && filter.host.as_ref().is_none_or(|host| subject.host == *host)
                    && (filter.container.is_none() || subject.container == filter.container)
            };
            let mut expected: Vec<EventId> = all.iter().filter(matches).map(|(id, ..)| *id).collect();
            if newest {
                expected.reverse();
            }
            prop_assert_eq!(walked, expected);
        }
    }

    #[tokio::test]
    async fn a_page_costs_no_more_than_it_may() {
        let (log, all) = logged(1, &[(0, 0, true); 50]).await;
        let rare = Filter { container: Some("c1".parse().unwrap()), ..Filter::all() };
        let cost = Cost { found: 10, scanned: 20, chunk: 7 };
        let page = page(&History::new(log, None), &rare, Window::ALL, Order::OldestFirst, cost).await.unwrap();
        assert_eq!((page.entries.len(), page.next), (0, Some(all[19].0)));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_shown_only_where_nobody_is_asked_for() {
        let (log, _) = logged(1, &[(0, 0, true)]).await;
        log.append_raw(Partition(0), Family::Observation, "nonsense", "host-0/c0", b"?");
        let found = async |filter: Filter| {
            let cost = Cost { found: 10, scanned: 20, chunk: 7 };
            let past = History::new(log.clone(), None);
            page(&past, &filter, Window::ALL, Order::OldestFirst, cost).await.unwrap().entries.len()
        };
        assert_eq!(found(Filter::all()).await, 2);
        assert_eq!(found(Filter { container: Some("c0".parse().unwrap()), ..Filter::all() }).await, 1);
    }
}
