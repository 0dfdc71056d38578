//! Commits: atomic, with causes, guards, timers, rows and sequences.

use super::*;

laws![
    a_cause_in_the_same_commit_gets_the_id_of_its_sibling,
    a_cause_that_comes_later_is_refused,
    a_guard_with_an_outdated_version_is_a_conflict_and_changes_nothing,
    measurements_do_not_advance_the_version_of_their_subject,
    a_timer_fires_once_as_it_was_set,
    timers_belong_to_their_group,
    rows_are_written_and_deleted_with_the_commit,
    a_repeated_sequence_is_not_applied_again,
    a_large_commit_is_one_commit,
];

async fn a_cause_in_the_same_commit_gets_the_id_of_its_sibling(TestLog { log, store: _store }: TestLog) {
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

async fn a_cause_that_comes_later_is_refused(TestLog { log, store: _store }: TestLog) {
    let writer = lease(&*log, "g", "me").await;
    for index in [0, 1, 9] {
        let events =
            [event(Family::Action, "a", "x").caused_by(Cause::Sibling(index)), event(Family::Action, "a", "y")];
        let refused = log.commit(&of(&writer, events)).await;
        assert!(matches!(refused, Err(CommitError::Log(Error::Invalid { .. }))), "{refused:?}");
    }
    assert_eq!(log.clock(P).await.unwrap(), EventId::start(P));
}

async fn a_guard_with_an_outdated_version_is_a_conflict_and_changes_nothing(TestLog { log, store: _store }: TestLog) {
    let writer = lease(&*log, "g", "me").await;
    let ids = log.commit(&of(&writer, ["1", "2"].map(|mark| event(Family::Observation, "a", mark)))).await.unwrap();
    let guard = |name: &str, family, expected_version| Guard { subject: subject(name), family, expected_version };
    let fresh = guard("b", Family::Observation, None);
    let before = state(&log, "g").await;
    for version in [None, Some(ids[0])] {
        let guards = vec![fresh.clone(), guard("a", Family::Observation, version)];
        let refused = log.commit(&change_all(Commit { guards, ..Commit::new(writer.clone()) }, at(5))).await;
        assert!(matches!(&refused, Err(CommitError::Conflict(whom)) if *whom == subject("a")), "{refused:?}");
        assert_eq!(state(&log, "g").await, before);
    }
    for version in [ids[1], EventId { ms: ids[1].ms + 1, ..ids[1] }] {
        let guards =
            vec![fresh.clone(), guard("a", Family::Observation, Some(version)), guard("a", Family::Alert, None)];
        log.commit(&Commit { guards, ..Commit::new(writer.clone()) }).await.unwrap();
    }
}

async fn measurements_do_not_advance_the_version_of_their_subject(TestLog { log, store: _store }: TestLog) {
    let writer = lease(&*log, "g", "me").await;
    log.commit(&of(&writer, measurements("a"))).await.unwrap();
    let guards = vec![Guard { subject: subject("a"), family: Family::Observation, expected_version: None }];
    log.commit(&Commit { guards, ..of(&writer, [event(Family::Action, "a", "x")]) }).await.unwrap();
}

async fn a_timer_fires_once_as_it_was_set(TestLog { log, store: _store }: TestLog) {
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
    assert!(matches!(fire("retry", 30).await, Err(CommitError::AlreadyHandled)), "it was set again");
    assert!(matches!(fire("expiry", 10).await, Err(CommitError::AlreadyHandled)), "it was cancelled");
    fire("retry", 5).await.unwrap();
    assert!(matches!(fire("retry", 5).await, Err(CommitError::AlreadyHandled)), "it has fired");
    let fired = vec![TimerKey { subject: subject("a"), name: "judge".into(), due: at(20) }];
    let again = Commit { fired, timers: vec![set("judge", 40)], ..Commit::new(mine.clone()) };
    log.commit(&again).await.unwrap();
    assert_eq!(stored().await, [("judge".to_owned(), 40)]);
    let bad = Commit { timers: vec![set("a|b", 1)], ..Commit::new(mine.clone()) };
    assert!(matches!(log.commit(&bad).await, Err(CommitError::Log(Error::Invalid { .. }))));
}

async fn timers_belong_to_their_group(TestLog { log, store: _store }: TestLog) {
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

async fn rows_are_written_and_deleted_with_the_commit(TestLog { log, store: _store }: TestLog) {
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

async fn a_repeated_sequence_is_not_applied_again(TestLog { log, store: _store }: TestLog) {
    let mine = lease(&*log, "g", "me").await;
    let numbered = |lease: &Lease, seq, mark: &str| Commit {
        seq: Some(seq),
        ..of(lease, [event(Family::Action, "a", mark), event(Family::Alert, "a", mark)])
    };
    let first = log.commit(&numbered(&mine, 1, "1")).await.unwrap();
    let second = log.commit(&numbered(&mine, 2, "2")).await.unwrap();
    assert_eq!(log.commit(&numbered(&mine, 2, "2")).await.unwrap(), second, "the newest sequence returns its ids");
    assert_eq!(log.commit(&numbered(&mine, 1, "1")).await.unwrap(), [], "an older one only that it was done");
    let taken_over = lease(&*log, "g", "me").await;
    let third = log.commit(&numbered(&taken_over, 1, "3")).await.unwrap();
    let ids: Vec<_> = [first, second, third].concat();
    let read = log.read(P, &Family::ALL, Range::ALL, Order::OldestFirst, 100).await.unwrap();
    assert_eq!(read.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids);
}

async fn a_large_commit_is_one_commit(TestLog { log, store: _store }: TestLog) {
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
