//! The laws of the log, each tried on both stores.
//!
//! A law is a function of a [`Bed`]; `laws!` makes one test of it in memory and one on a real redis-server.

mod support;

use std::{sync::Arc, time::Duration};

use hemostat_log::{
    Commit, CommitError, Error, Guard, Inbox, Log, MemoryLog, Order, Park, Range, RowChange, StoredTimer, TimerKey,
    TimerUpdate,
};
use hemostat_schema::{Cause, EventId, Family, NewEvent, Partition, Timestamp};
use support::{
    DEADLINE, Server,
    events::{P, append, delivered, event, lease, marks, of, sample, subject},
};
use tokio::time::timeout;

/// A fresh log of two partitions, and a way past its checks.
struct Bed {
    log: Arc<dyn Log>,
    store: Store,
}

enum Store {
    Memory(Arc<MemoryLog>),
    Redis(Server),
}

impl Bed {
    fn memory() -> Self {
        let memory = Arc::new(MemoryLog::new(2));
        Self { log: Arc::clone(&memory) as Arc<dyn Log>, store: Store::Memory(memory) }
    }

    async fn redis() -> Self {
        let server = Server::new();
        let options = server.options().partitions(Some(2));
        hemostat_log::migrate(&options).await.unwrap();
        let log = hemostat_log::RedisLog::connect(&options).await.unwrap();
        Self { log: Arc::new(log), store: Store::Redis(server) }
    }

    /// An action as a broken program might write it.
    fn append_raw(&self, kind: &str, envelope: &str) {
        match &self.store {
            Store::Memory(log) => {
                log.append_raw(P, Family::Action, kind, "host/a", envelope.as_bytes());
            }
            Store::Redis(server) => {
                let id = server.cli(&["XADD", "hemostat:{0}:actions", "*", "k", kind, "s", "host/a", "e", envelope]);
                server.cli(&["SET", "hemostat:{0}:clock", &id]);
            }
        }
    }
}

macro_rules! laws {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $( #[tokio::test] async fn $name() { super::$name(super::Bed::memory()).await; } )+
        }
        mod redis {
            $( #[tokio::test] async fn $name() { super::$name(super::Bed::redis().await).await; } )+
        }
    };
}

laws![
    ids_ascend_across_families_and_the_clock_is_the_last,
    a_range_is_read_in_either_direction_up_to_its_limit,
    one_entry_is_found_whatever_its_family,
    a_cause_within_the_commit_gets_its_siblings_id,
    a_cause_that_comes_later_is_refused,
    one_holds_a_lease_until_it_is_given_back,
    a_lease_that_ran_out_can_be_taken_and_is_lost_to_the_first,
    taking_ones_own_lease_again_begins_a_new_epoch,
    a_commit_with_a_lost_lease_changes_nothing,
    a_decision_on_old_knowledge_is_a_conflict_and_changes_nothing,
    a_sample_does_not_disturb_a_decision,
    a_delivery_is_dealt_with_once_and_a_second_time_changes_nothing,
    a_batch_of_which_one_delivery_is_gone_changes_nothing,
    a_timer_rings_once_as_it_was_set,
    timers_belong_to_their_group,
    rows_are_written_and_deleted_with_the_commit,
    a_sequence_sent_again_is_not_done_again,
    what_is_not_acknowledged_comes_again_and_says_how_often,
    a_read_of_an_earlier_reader_takes_nothing,
    a_reader_without_its_lease_takes_nothing,
    groups_read_for_themselves,
    an_inbox_is_in_order_across_families,
    an_entry_that_cannot_be_read_is_delivered_with_its_reason,
    what_is_parked_says_who_gave_up_and_why,
    the_lag_counts_what_is_not_acknowledged,
    the_bell_rings_for_an_append,
    partitions_are_apart,
    a_partition_that_does_not_exist_is_an_error,
    a_large_commit_is_one_commit,
];

async fn ids_ascend_across_families_and_the_clock_is_the_last(Bed { log, store: _store }: Bed) {
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
    assert_eq!(marks(&read)[..5], ["0 observation", "0 diagnosis", "0 action", "0 alert", "1 observation"]);
}

async fn a_range_is_read_in_either_direction_up_to_its_limit(Bed { log, store: _store }: Bed) {
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

async fn one_entry_is_found_whatever_its_family(Bed { log, store: _store }: Bed) {
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

async fn a_cause_within_the_commit_gets_its_siblings_id(Bed { log, store: _store }: Bed) {
    let writer = lease(&*log, "g", "me").await;
    let root = log.commit(&of(&writer, [event(Family::Observation, "a", "root")])).await.unwrap()[0];
    let events = [
        event(Family::Diagnosis, "a", "first").caused_by(Cause::Event(root)),
        event(Family::Action, "a", "second").caused_by(Cause::Sibling(0)),
        event(Family::Alert, "a", "third").caused_by(Cause::Sibling(1)),
    ];
    let ids = log.commit(&of(&writer, events)).await.unwrap();
    let read = log.read(P, &Family::ALL, Range::after(root), Order::OldestFirst, 9).await.unwrap();
    let causes: Vec<_> = read.into_iter().map(|entry| entry.event.unwrap().cause).collect();
    assert_eq!(causes, [Some(root), Some(ids[0]), Some(ids[1])]);
}

async fn a_cause_that_comes_later_is_refused(Bed { log, store: _store }: Bed) {
    let writer = lease(&*log, "g", "me").await;
    for index in [0, 1, 9] {
        let events =
            [event(Family::Action, "a", "x").caused_by(Cause::Sibling(index)), event(Family::Action, "a", "y")];
        let refused = log.commit(&of(&writer, events)).await;
        assert!(matches!(refused, Err(CommitError::Log(Error::Invalid { .. }))), "{refused:?}");
    }
    assert_eq!(log.clock(P).await.unwrap(), EventId::start(P));
}

async fn one_holds_a_lease_until_it_is_given_back(Bed { log, store: _store }: Bed) {
    let mine = lease(&*log, "g", "me").await;
    assert_eq!(log.acquire(P, "g", "you", DEADLINE).await.unwrap(), None);
    assert!(log.acquire(P, "other", "you", DEADLINE).await.unwrap().is_some(), "another group is free");
    assert!(log.renew(&mine, DEADLINE).await.unwrap());
    log.release(&mine).await.unwrap();
    assert!(!log.renew(&mine, DEADLINE).await.unwrap());
    let yours = log.acquire(P, "g", "you", DEADLINE).await.unwrap().unwrap();
    assert!(yours.epoch > mine.epoch);
    log.release(&mine).await.unwrap();
    assert!(log.renew(&yours, DEADLINE).await.unwrap(), "a late release takes nothing from the next");
}

async fn a_lease_that_ran_out_can_be_taken_and_is_lost_to_the_first(Bed { log, store: _store }: Bed) {
    let mine = log.acquire(P, "g", "me", Duration::from_millis(30)).await.unwrap().unwrap();
    let take = async {
        loop {
            if let Some(lease) = log.acquire(P, "g", "you", DEADLINE).await.unwrap() {
                return lease;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let yours = timeout(DEADLINE, take).await.expect("the lease runs out");
    assert!(yours.epoch > mine.epoch);
    assert!(!log.renew(&mine, DEADLINE).await.unwrap());
    assert!(matches!(log.commit(&Commit::new(mine)).await, Err(CommitError::Stale)));
    assert!(log.commit(&Commit::new(yours)).await.is_ok());
}

async fn taking_ones_own_lease_again_begins_a_new_epoch(Bed { log, store: _store }: Bed) {
    let first = lease(&*log, "g", "me").await;
    let second = lease(&*log, "g", "me").await;
    assert!(second.epoch > first.epoch);
    assert!(matches!(log.commit(&Commit::new(first)).await, Err(CommitError::Stale)));
}

/// A commit that would change everything that can be changed; `acks` and `timer` must be there.
fn change_all(base: Commit, due: Timestamp) -> Commit {
    let timer = |name: &str| TimerUpdate::Set { subject: subject("a"), name: name.to_owned(), due };
    Commit {
        events: vec![event(Family::Action, "a", "changed")],
        rows: vec![RowChange { view: "v.1".into(), key: "k".into(), row: Some(b"changed".to_vec()) }],
        timers: vec![timer("changed")],
        parked: vec![Park { family: Family::Action, id: EventId::start(P), error: "changed".into() }],
        ..base
    }
}

/// What `change_all` changes.
async fn state(log: &Arc<dyn Log>, group: &str) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        log.read(P, &Family::ALL, Range::ALL, Order::OldestFirst, 1_000).await.unwrap(),
        log.all_rows(P, "v.1").await.unwrap(),
        log.timers(P, group).await.unwrap(),
        log.parked(P, 1_000).await.unwrap(),
        log.lag(P, group, &[Family::Observation]).await.unwrap(),
    )
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

async fn a_commit_with_a_lost_lease_changes_nothing(Bed { log, store: _store }: Bed) {
    let mine = lease(&*log, "g", "me").await;
    log.release(&mine).await.unwrap();
    let before = state(&log, "g").await;
    let released = log.commit(&change_all(Commit::new(mine.clone()), at(5))).await;
    assert!(matches!(released, Err(CommitError::Stale)), "{released:?}");
    lease(&*log, "g", "you").await;
    let taken = log.commit(&change_all(Commit::new(mine), at(5))).await;
    assert!(matches!(taken, Err(CommitError::Stale)), "{taken:?}");
    assert_eq!(state(&log, "g").await, before);
}

async fn a_decision_on_old_knowledge_is_a_conflict_and_changes_nothing(Bed { log, store: _store }: Bed) {
    let writer = lease(&*log, "g", "me").await;
    let ids = log.commit(&of(&writer, ["1", "2"].map(|mark| event(Family::Observation, "a", mark)))).await.unwrap();
    let guard = |name: &str, family, head| Guard { subject: subject(name), family, head };
    let fresh = guard("b", Family::Observation, None);
    let before = state(&log, "g").await;
    for head in [None, Some(ids[0])] {
        let guards = vec![fresh.clone(), guard("a", Family::Observation, head)];
        let refused = log.commit(&change_all(Commit { guards, ..Commit::new(writer.clone()) }, at(5))).await;
        assert!(matches!(&refused, Err(CommitError::Conflict(whom)) if *whom == subject("a")), "{refused:?}");
        assert_eq!(state(&log, "g").await, before);
    }
    for head in [ids[1], EventId { ms: ids[1].ms + 1, ..ids[1] }] {
        let guards = vec![fresh.clone(), guard("a", Family::Observation, Some(head)), guard("a", Family::Alert, None)];
        log.commit(&Commit { guards, ..Commit::new(writer.clone()) }).await.unwrap();
    }
}

async fn a_sample_does_not_disturb_a_decision(Bed { log, store: _store }: Bed) {
    let writer = lease(&*log, "g", "me").await;
    log.commit(&of(&writer, [sample("a"), sample("a")])).await.unwrap();
    let guards = vec![Guard { subject: subject("a"), family: Family::Observation, head: None }];
    log.commit(&Commit { guards, ..of(&writer, [event(Family::Action, "a", "x")]) }).await.unwrap();
}

async fn a_delivery_is_dealt_with_once_and_a_second_time_changes_nothing(Bed { log, store: _store }: Bed) {
    let id = append(&log, event(Family::Observation, "a", "x")).await;
    let mine = lease(&*log, "g", "me").await;
    let acks = vec![(Family::Observation, id)];
    let early = log.commit(&Commit { acks: acks.clone(), ..Commit::new(mine.clone()) }).await;
    assert!(matches!(early, Err(CommitError::Lost)), "nothing was delivered yet: {early:?}");
    let mut inbox = Inbox::new(Arc::clone(&log), mine.clone(), [Family::Observation]);
    assert_eq!(delivered(&inbox.next(9).await.unwrap()), ["x"]);
    log.commit(&Commit { acks: acks.clone(), ..Commit::new(mine.clone()) }).await.unwrap();
    let before = state(&log, "g").await;
    let again = log.commit(&change_all(Commit { acks, ..Commit::new(mine) }, at(5))).await;
    assert!(matches!(again, Err(CommitError::Lost)), "{again:?}");
    assert_eq!(state(&log, "g").await, before);
    inbox.reset();
    assert_eq!(inbox.next(9).await.unwrap(), []);
}

async fn a_batch_of_which_one_delivery_is_gone_changes_nothing(Bed { log, store: _store }: Bed) {
    let mut ids = vec![];
    for mark in ["0", "1", "2", "3", "4"] {
        ids.push((Family::Observation, append(&log, event(Family::Observation, "a", mark)).await));
    }
    let mine = lease(&*log, "g", "me").await;
    let mut inbox = Inbox::new(Arc::clone(&log), mine.clone(), [Family::Observation]);
    assert_eq!(inbox.next(9).await.unwrap().len(), 5);
    let commit = async |indices: &[usize]| {
        let acks = indices.iter().map(|index| ids[*index]).collect();
        log.commit(&Commit { acks, ..Commit::new(mine.clone()) }).await
    };
    commit(&[1]).await.unwrap();
    let before = state(&log, "g").await;
    for lost in [&[0, 1][..], &[1, 2], &[0, 1, 2, 3, 4], &[4, 1, 3]] {
        assert!(matches!(commit(lost).await, Err(CommitError::Lost)), "{lost:?}");
        assert_eq!(state(&log, "g").await, before);
    }
    commit(&[4, 0, 2]).await.expect("in any order, with others pending between them");
    inbox.reset();
    assert_eq!(delivered(&inbox.next(9).await.unwrap()), ["3"]);
}

async fn a_timer_rings_once_as_it_was_set(Bed { log, store: _store }: Bed) {
    let mine = lease(&*log, "g", "me").await;
    let set = |name: &str, due| TimerUpdate::Set { subject: subject("a"), name: name.to_owned(), due: at(due) };
    let cancel = |name: &str| TimerUpdate::Cancel { subject: subject("a"), name: name.to_owned() };
    let update = async |timers: Vec<TimerUpdate>| {
        log.commit(&Commit { timers, ..Commit::new(mine.clone()) }).await.unwrap();
    };
    let fire = async |name: &str, due| {
        let fired = vec![TimerKey { subject: subject("a"), name: name.to_owned(), due: at(due) }];
        log.commit(&Commit { fired, ..Commit::new(mine.clone()) }).await.map(drop)
    };
    let stored = async || -> Vec<(String, i64)> {
        let timers = log.timers(P, "g").await.unwrap();
        timers.into_iter().map(|timer: StoredTimer| (timer.name, timer.due.as_millisecond())).collect()
    };
    update(vec![set("retry", 30), set("judge", 20), set("expiry", 10)]).await;
    update(vec![set("retry", 5), cancel("expiry"), cancel("never set")]).await;
    assert_eq!(stored().await, [("retry".to_owned(), 5), ("judge".to_owned(), 20)]);
    assert!(matches!(fire("retry", 30).await, Err(CommitError::Lost)), "it was set anew");
    assert!(matches!(fire("expiry", 10).await, Err(CommitError::Lost)), "it was cancelled");
    fire("retry", 5).await.unwrap();
    assert!(matches!(fire("retry", 5).await, Err(CommitError::Lost)), "it rang");
    let fired = vec![TimerKey { subject: subject("a"), name: "judge".into(), due: at(20) }];
    let anew = Commit { fired, timers: vec![set("judge", 40)], ..Commit::new(mine.clone()) };
    log.commit(&anew).await.unwrap();
    assert_eq!(stored().await, [("judge".to_owned(), 40)]);
    let bad = Commit { timers: vec![set("a|b", 1)], ..Commit::new(mine.clone()) };
    assert!(matches!(log.commit(&bad).await, Err(CommitError::Log(Error::Invalid { .. }))));
}

async fn timers_belong_to_their_group(Bed { log, store: _store }: Bed) {
    for (group, due) in [("g", 1), ("group", 2)] {
        let lease = lease(&*log, group, "me").await;
        let timers = vec![TimerUpdate::Set { subject: subject("a"), name: "retry".into(), due: at(due) }];
        log.commit(&Commit { timers, ..Commit::new(lease) }).await.unwrap();
    }
    let timer = |due| StoredTimer { subject: subject("a"), name: "retry".into(), due: at(due) };
    assert_eq!(log.timers(P, "g").await.unwrap(), [timer(1)]);
    assert_eq!(log.timers(P, "group").await.unwrap(), [timer(2)]);
    assert_eq!(log.timers(P, "none").await.unwrap(), []);
}

async fn rows_are_written_and_deleted_with_the_commit(Bed { log, store: _store }: Bed) {
    let mine = lease(&*log, "g", "me").await;
    let change = |view: &str, key: &str, row: Option<&[u8]>| RowChange {
        view: view.into(),
        key: key.into(),
        row: row.map(<[u8]>::to_vec),
    };
    let commit = async |rows| log.commit(&Commit { rows, ..Commit::new(mine.clone()) }).await.unwrap();
    commit(vec![
        change("a.1", "x", Some(b"old")),
        change("b.1", "x", Some(b"\x00\xff\r\n")),
        change("a.1", "y", Some(b"")),
        change("a.1", "z", Some(b"gone")),
    ])
    .await;
    commit(vec![change("a.1", "x", Some(b"new")), change("a.1", "z", None), change("a.1", "never", None)]).await;
    let keys = ["y", "x", "z", "none"].map(str::to_owned);
    let found = log.rows(P, "a.1", &keys).await.unwrap();
    assert_eq!(found, [Some(vec![]), Some(b"new".to_vec()), None, None]);
    assert_eq!(log.rows(P, "a.1", &[]).await.unwrap(), Vec::<Option<Vec<u8>>>::new());
    let all = log.all_rows(P, "a.1").await.unwrap();
    assert_eq!(all, [("x".to_owned(), b"new".to_vec()), ("y".to_owned(), vec![])]);
    assert_eq!(log.all_rows(P, "b.1").await.unwrap(), [("x".to_owned(), b"\x00\xff\r\n".to_vec())]);
    assert_eq!(log.all_rows(P, "none.1").await.unwrap(), []);
}

async fn a_sequence_sent_again_is_not_done_again(Bed { log, store: _store }: Bed) {
    let mine = lease(&*log, "g", "me").await;
    let numbered = |lease: &hemostat_log::Lease, seq, mark: &str| Commit {
        seq: Some(seq),
        ..of(lease, [event(Family::Action, "a", mark), event(Family::Alert, "a", mark)])
    };
    let first = log.commit(&numbered(&mine, 1, "1")).await.unwrap();
    let second = log.commit(&numbered(&mine, 2, "2")).await.unwrap();
    assert_eq!(log.commit(&numbered(&mine, 2, "2")).await.unwrap(), second, "the newest tells its ids");
    assert_eq!(log.commit(&numbered(&mine, 1, "1")).await.unwrap(), [], "an older one only that it was done");
    let taken_over = lease(&*log, "g", "me").await;
    let third = log.commit(&numbered(&taken_over, 1, "3")).await.unwrap();
    let ids: Vec<_> = [first, second, third].concat();
    let read = log.read(P, &Family::ALL, Range::ALL, Order::OldestFirst, 100).await.unwrap();
    assert_eq!(read.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids);
}

async fn what_is_not_acknowledged_comes_again_and_says_how_often(Bed { log, store: _store }: Bed) {
    for mark in ["0", "1", "2"] {
        append(&log, event(Family::Action, "a", mark)).await;
    }
    let mine = lease(&*log, "g", "me").await;
    let mut inbox = Inbox::new(Arc::clone(&log), mine.clone(), [Family::Action]);
    let first = inbox.next(9).await.unwrap();
    assert_eq!(delivered(&first), ["0", "1", "2"]);
    assert!(first.iter().all(|delivery| delivery.times == 1), "{first:?}");
    assert_eq!(inbox.next(9).await.unwrap(), [], "given once");
    log.commit(&Commit { acks: vec![(Family::Action, first[1].id)], ..Commit::new(mine.clone()) }).await.unwrap();
    log.release(&mine).await.unwrap();

    let yours = lease(&*log, "g", "you").await;
    append(&log, event(Family::Action, "a", "3")).await;
    let mut inbox = Inbox::new(Arc::clone(&log), yours, [Family::Action]);
    let second = inbox.next(9).await.unwrap();
    assert_eq!(delivered(&second), ["0", "2", "3"]);
    assert_eq!(second.iter().map(|delivery| delivery.times).collect::<Vec<_>>(), [2, 2, 1]);
    inbox.reset();
    let third = inbox.next(9).await.unwrap();
    assert_eq!(third.iter().map(|delivery| delivery.times).collect::<Vec<_>>(), [3, 3, 2]);
}

async fn a_read_of_an_earlier_reader_takes_nothing(Bed { log, store: _store }: Bed) {
    let families = [Family::Action];
    let mine = lease(&*log, "g", "me").await;
    let early = log.pending(&mine, &families).await.unwrap().reader;
    let late = log.pending(&mine, &families).await.unwrap().reader;
    append(&log, event(Family::Action, "a", "x")).await;
    let refused = log.deliver(&mine, early, &families, 9).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert_eq!(delivered(&log.deliver(&mine, late, &families, 9).await.unwrap()), ["x"]);
}

async fn a_reader_without_its_lease_takes_nothing(Bed { log, store: _store }: Bed) {
    let families = [Family::Action];
    let mine = lease(&*log, "g", "me").await;
    let reader = log.pending(&mine, &families).await.unwrap().reader;
    log.release(&mine).await.unwrap();
    let yours = lease(&*log, "g", "you").await;
    append(&log, event(Family::Action, "a", "x")).await;
    assert!(matches!(log.deliver(&mine, reader, &families, 9).await, Err(Error::Fenced { .. })));
    assert!(matches!(log.pending(&mine, &families).await, Err(Error::Fenced { .. })));
    let mut inbox = Inbox::new(Arc::clone(&log), yours, families);
    assert_eq!(delivered(&inbox.next(9).await.unwrap()), ["x"]);
}

async fn groups_read_for_themselves(Bed { log, store: _store }: Bed) {
    append(&log, event(Family::Action, "a", "x")).await;
    for group in ["one", "two"] {
        let lease = lease(&*log, group, "me").await;
        let mut inbox = Inbox::new(Arc::clone(&log), lease.clone(), [Family::Action]);
        let got = inbox.next(9).await.unwrap();
        assert_eq!(delivered(&got), ["x"], "a new group begins at the beginning");
        log.commit(&Commit { acks: vec![(Family::Action, got[0].id)], ..Commit::new(lease) }).await.unwrap();
    }
}

async fn an_inbox_is_in_order_across_families(Bed { log, store: _store }: Bed) {
    let writer = lease(&*log, "w", "w").await;
    let families = [Family::Observation, Family::Observation, Family::Action, Family::Observation, Family::Alert];
    let events = |from: usize| -> Vec<NewEvent> {
        let families = families.iter().cycle().take(15).enumerate();
        families.map(|(index, family)| event(*family, "a", &(from + index).to_string())).collect()
    };
    log.commit(&of(&writer, events(0))).await.unwrap();
    let mine = lease(&*log, "g", "me").await;
    let mut inbox = Inbox::new(Arc::clone(&log), mine, Family::ALL);
    let mut seen = vec![];
    for round in 0.. {
        let got = inbox.next(2).await.unwrap();
        if got.is_empty() {
            break;
        }
        assert!(got.len() <= 2);
        seen.extend(delivered(&got));
        if round == 3 {
            log.commit(&of(&writer, events(15))).await.unwrap();
        }
    }
    assert_eq!(seen, (0..30).map(|mark| mark.to_string()).collect::<Vec<_>>());
}

async fn an_entry_that_cannot_be_read_is_delivered_with_its_reason(bed: Bed) {
    bed.append_raw("action.resumed.1", "not MessagePack");
    bed.append_raw("nonsense", "");
    let log = Arc::clone(&bed.log);
    append(&log, event(Family::Action, "a", "good")).await;
    let mine = lease(&*log, "g", "me").await;
    let mut inbox = Inbox::new(Arc::clone(&log), mine.clone(), [Family::Action]);
    let got = inbox.next(9).await.unwrap();
    let reason = |index: usize| got[index].event.as_ref().unwrap_err().as_str();
    assert_eq!(got.len(), 3);
    assert!(reason(0).contains("could not decode the data of action.resumed.1: "), "{}", reason(0));
    assert!(reason(1).contains("nonsense"), "{}", reason(1));
    assert_eq!(delivered(&got[2..]), ["good"]);
    let acks = got.iter().map(|delivery| (Family::Action, delivery.id)).collect();
    let parked = vec![Park { family: Family::Action, id: got[0].id, error: reason(0).to_owned() }];
    log.commit(&Commit { acks, parked, ..Commit::new(mine) }).await.unwrap();
    let read = log.read(P, &[Family::Action], Range::ALL, Order::OldestFirst, 9).await.unwrap();
    assert_eq!(read.iter().map(|entry| entry.event.is_ok()).collect::<Vec<_>>(), [false, false, true]);
}

async fn what_is_parked_says_who_gave_up_and_why(Bed { log, store: _store }: Bed) {
    let id = append(&log, event(Family::Action, "a", "x")).await;
    for (group, error) in [("one", "first"), ("two", "second")] {
        let mine = lease(&*log, group, "me").await;
        let parked = vec![Park { family: Family::Action, id, error: error.into() }];
        log.commit(&Commit { parked, ..Commit::new(mine) }).await.unwrap();
    }
    let parked = log.parked(P, 9).await.unwrap();
    let told: Vec<_> = parked.iter().map(|one| (&*one.group, one.family, one.id, &*one.error)).collect();
    assert_eq!(told, [("two", Family::Action, id, "second"), ("one", Family::Action, id, "first")]);
    assert!(parked[0].at.as_millisecond() >= i64::try_from(id.ms).unwrap());
    assert_eq!(log.parked(P, 1).await.unwrap(), parked[..1]);
}

async fn the_lag_counts_what_is_not_acknowledged(Bed { log, store: _store }: Bed) {
    let families = [Family::Action, Family::Alert];
    for family in [Family::Action, Family::Action, Family::Alert, Family::Observation] {
        append(&log, event(family, "a", "x")).await;
    }
    assert_eq!(log.lag(P, "g", &families).await.unwrap(), 3, "a group that has not begun lacks everything");
    let mine = lease(&*log, "g", "me").await;
    let mut inbox = Inbox::new(Arc::clone(&log), mine.clone(), families);
    let got = inbox.next(9).await.unwrap();
    append(&log, event(Family::Alert, "a", "x")).await;
    assert_eq!(log.lag(P, "g", &families).await.unwrap(), 4);
    let acks = got.iter().map(|delivery| (delivery.family, delivery.id)).collect();
    log.commit(&Commit { acks, ..Commit::new(mine) }).await.unwrap();
    assert_eq!(log.lag(P, "g", &families).await.unwrap(), 1);
}

async fn the_bell_rings_for_an_append(Bed { log, store: _store }: Bed) {
    let mut bell = log.bell(P);
    for mark in ["1", "2", "3"] {
        bell.mark_unchanged();
        let id = append(&log, event(Family::Alert, "a", mark)).await;
        // It may ring for nothing, but it rings until the event can be read.
        let heard = async {
            loop {
                bell.changed().await.unwrap();
                if log.clock(P).await.unwrap() >= id {
                    break;
                }
            }
        };
        timeout(DEADLINE, heard).await.expect("the bell rings");
    }
}

async fn partitions_are_apart(Bed { log, store: _store }: Bed) {
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

async fn a_partition_that_does_not_exist_is_an_error(Bed { log, store: _store }: Bed) {
    let none = Partition(2);
    let refused = log.clock(none).await;
    assert!(matches!(refused, Err(Error::NoPartition { partitions: 2, .. })), "{refused:?}");
    assert!(log.acquire(none, "g", "me", DEADLINE).await.is_err());
    assert!(log.read(none, &Family::ALL, Range::ALL, Order::OldestFirst, 9).await.is_err());
    assert!(log.get(EventId::start(none)).await.is_err());
}

async fn a_large_commit_is_one_commit(Bed { log, store: _store }: Bed) {
    const COUNT: usize = 3_000;
    let writer = lease(&*log, "w", "w").await;
    let events: Vec<_> = (0..COUNT).map(|mark| event(Family::Observation, "a", &mark.to_string())).collect();
    let rows = (0..COUNT).map(|key| RowChange { view: "v.1".into(), key: key.to_string(), row: Some(vec![1]) });
    let ids = log.commit(&Commit { rows: rows.collect(), ..of(&writer, events) }).await.unwrap();
    assert_eq!((ids.len(), log.all_rows(P, "v.1").await.unwrap().len()), (COUNT, COUNT));
    let mine = lease(&*log, "g", "me").await;
    let mut inbox = Inbox::new(Arc::clone(&log), mine.clone(), [Family::Observation]);
    let got = inbox.next(COUNT + 1).await.unwrap();
    assert_eq!(got.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), ids);
    let acks = got.iter().map(|delivery| (delivery.family, delivery.id)).collect();
    log.commit(&Commit { acks, ..Commit::new(mine) }).await.unwrap();
    assert_eq!(log.lag(P, "g", &[Family::Observation]).await.unwrap(), 0);
}
