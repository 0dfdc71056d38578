//! Appends without a lease: by any process, at most once per key.

use futures::future::join_all;

use super::*;

laws![
    an_append_with_a_known_key_changes_nothing_and_gets_the_first_ids,
    appends_of_several_processes_with_one_key_are_one,
    an_append_whose_guard_has_advanced_is_refused_and_leaves_no_key,
    a_key_belongs_to_one_partition,
];

fn two(key: &str, mark: &str) -> Append {
    let caused = event(Family::Diagnosis, "a", mark).caused_by(Cause::Sibling(0));
    Append::new(P, key, vec![event(Family::Action, "a", mark), caused])
}

async fn an_append_with_a_known_key_changes_nothing_and_gets_the_first_ids(TestLog { log, store: _store }: TestLog) {
    assert_eq!(log.appended(P, "k").await.unwrap(), None);
    let first = log.append_once(&two("k", "x")).await.unwrap();
    assert!(first.first_time && first.ids.len() == 2, "{first:?}");
    assert_eq!(log.get(first.ids[1]).await.unwrap().unwrap().event.unwrap().cause, Some(first.ids[0]));
    assert_eq!(log.clock(P).await.unwrap(), first.ids[1]);

    let again = Appended { first_time: false, ..first.clone() };
    assert_eq!(log.append_once(&two("k", "y")).await.unwrap(), again, "the key decides");
    let guards = vec![Guard { subject: subject("a"), family: Family::Action, expected_version: None }];
    let guarded = Append { guards, ..two("k", "x") };
    assert_eq!(log.append_once(&guarded).await.unwrap(), again, "before the guards, which the first time has advanced");
    assert_eq!(log.appended(P, "k").await.unwrap(), Some(first.ids.clone()));
    assert_eq!(log.clock(P).await.unwrap(), first.ids[1], "nothing was appended");

    let next = log.append_once(&two("other key {0}: \u{e4}", "z")).await.unwrap();
    assert!(next.first_time && next.ids[0] > first.ids[1]);
    let none = log.append_once(&Append::new(P, "none", vec![])).await.unwrap();
    assert_eq!(none, Appended { ids: vec![], first_time: true });
    assert_eq!(log.appended(P, "none").await.unwrap(), Some(vec![]));
}

async fn appends_of_several_processes_with_one_key_are_one(TestLog { log, store: _store }: TestLog) {
    let appends: Vec<_> = (0..16).map(|n| two("k", &n.to_string())).collect();
    let done = join_all(appends.iter().map(|append| log.append_once(append))).await;
    let done: Vec<_> = done.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|appended| appended.first_time).count(), 1);
    assert!(done.iter().all(|appended| appended.ids == done[0].ids), "{done:?}");
    assert_eq!(log.clock(P).await.unwrap(), done[0].ids[1]);
}

async fn an_append_whose_guard_has_advanced_is_refused_and_leaves_no_key(TestLog { log, store: _store }: TestLog) {
    let first = log.append_once(&two("first", "x")).await.unwrap().ids[0];
    let guards = |expected_version| vec![Guard { subject: subject("a"), family: Family::Action, expected_version }];
    let refused = log.append_once(&Append { guards: guards(None), ..two("k", "y") }).await;
    assert!(matches!(&refused, Err(CommitError::Conflict(of)) if *of == subject("a")), "{refused:?}");
    assert_eq!(log.appended(P, "k").await.unwrap(), None);
    let decided_again = Append { guards: guards(Some(first)), ..two("k", "y") };
    assert!(log.append_once(&decided_again).await.unwrap().first_time);
}

async fn a_key_belongs_to_one_partition(TestLog { log, store: _store }: TestLog) {
    let elsewhere = Append { partition: Partition(1), ..two("k", "x") };
    assert!(log.append_once(&two("k", "x")).await.unwrap().first_time);
    assert!(log.append_once(&elsewhere).await.unwrap().first_time);
    assert!(matches!(
        log.append_once(&Append { partition: Partition(2), ..elsewhere }).await,
        Err(CommitError::Log(_))
    ));
}
