//! Following the log gives every matching event once and in the order of its partition, and continues after a cursor.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use hemostat_core::testing;
use hemostat_history::{Cursor, Filter, Follower, History};
use hemostat_log::{Commit, Log as _, MemoryLog};
use hemostat_schema::{EventId, NewEvent, Partition, Subject};
use tokio::time::timeout;

const PARTITIONS: u16 = 3;
const HOSTS: [&str; 4] = ["a", "b", "c", "d"];

async fn append(log: &MemoryLog, host: &str) -> EventId {
    let subject: Subject = format!("{host}/c").parse().unwrap();
    let partition = Partition::of(&subject.host, PARTITIONS);
    let lease = log.acquire(partition, "test", "me", Duration::from_secs(9)).await.unwrap().unwrap();
    let event = NewEvent::new(subject, testing::at(0), testing::started(0).event);
    log.commit(&Commit { events: vec![event], ..Commit::new(lease) }).await.unwrap()[0]
}

async fn read(follower: &mut Follower, count: usize) -> Vec<EventId> {
    let mut read = vec![];
    while read.len() < count {
        let found = timeout(Duration::from_secs(20), follower.next()).await.expect("an event within 20 s").unwrap();
        read.extend(found.iter().map(|entry| entry.id));
    }
    read
}

#[tokio::test]
async fn events_are_followed_from_the_present_and_continued_after_each_of_them() {
    let log = Arc::new(MemoryLog::with_clock(PARTITIONS, || testing::at(0)));
    let history = History::new(log.clone(), None);
    for host in HOSTS {
        append(&log, host).await;
    }
    let start = Cursor::now(&history, &Filter::ALL).await.unwrap();
    let mut follower = Follower::new(&history, Filter::ALL, &start);
    let mut appended = vec![];
    for host in ["a", "d", "b", "a", "c", "c", "b"] {
        appended.push(append(&log, host).await);
    }
    let all = read(&mut follower, appended.len()).await;
    assert_eq!(all.iter().collect::<BTreeSet<_>>(), appended.iter().collect(), "each once, and nothing older");
    for partition in (0..PARTITIONS).map(Partition) {
        let of = |ids: &[EventId]| ids.iter().copied().filter(|id| id.partition == partition).collect::<Vec<_>>();
        assert_eq!(of(&all), of(&appended));
    }

    let later = {
        let waiting = tokio::spawn(async move { read(&mut follower, 1).await });
        let later = append(&log, "b").await;
        assert_eq!(waiting.await.unwrap(), [later], "the append ends the wait");
        later
    };

    let mut cursor = start;
    for (index, id) in all.iter().enumerate() {
        cursor.advance(*id);
        let cursor: Cursor = cursor.to_string().parse().unwrap();
        let mut rest = read(&mut Follower::new(&history, Filter::ALL, &cursor), all.len() - index).await;
        rest.sort_unstable();
        let mut expected: Vec<_> = all[index + 1..].iter().copied().chain([later]).collect();
        expected.sort_unstable();
        assert_eq!(rest, expected, "after {cursor}");
    }
}

#[tokio::test]
async fn events_that_do_not_match_are_passed_over() {
    let log = Arc::new(MemoryLog::with_clock(PARTITIONS, || testing::at(0)));
    let history = History::new(log.clone(), None);
    let filter = Filter { host: Some("b".parse().unwrap()), ..Filter::ALL };
    let start = Cursor::now(&history, &filter).await.unwrap();
    let mut follower = Follower::new(&history, filter, &start);
    for _ in 0..600 {
        append(&log, "a").await;
        append(&log, "c").await;
    }
    let wanted = append(&log, "b").await;
    assert_eq!(read(&mut follower, 1).await, [wanted]);
}
