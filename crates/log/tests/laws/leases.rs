//! Leases: one holder at a time, and a process that lost its lease can neither commit nor receive anything.

use super::*;

laws![
    a_lease_is_held_by_one_owner_until_it_is_released,
    an_expired_lease_can_be_acquired_by_another_and_is_lost_to_the_first,
    acquiring_ones_own_lease_again_starts_a_new_epoch,
    a_commit_with_a_lost_lease_changes_nothing,
    a_read_with_an_old_reader_token_receives_nothing,
    a_reader_without_its_lease_receives_nothing,
    one_heartbeat_renews_every_lease_of_its_process_and_tells_which_are_lost,
    a_session_is_listed_with_what_it_says_until_it_ends,
    a_handoff_is_requested_until_it_is_withdrawn_or_expires,
];

async fn a_lease_is_held_by_one_owner_until_it_is_released(TestLog { log, store: _store }: TestLog) {
    let mine = lease(&*log, "g", "me").await;
    assert_eq!(log.acquire(P, "g", "you", DEADLINE).await.unwrap(), None);
    assert!(log.acquire(P, "other", "you", DEADLINE).await.unwrap().is_some(), "another group is free");
    assert!(is_held(&*log, &mine).await);
    log.release(&mine).await.unwrap();
    assert!(!is_held(&*log, &mine).await);
    let yours = log.acquire(P, "g", "you", DEADLINE).await.unwrap().unwrap();
    assert!(yours.epoch > mine.epoch);
    log.release(&mine).await.unwrap();
    assert!(is_held(&*log, &yours).await, "a late release takes nothing from the next");
}

async fn an_expired_lease_can_be_acquired_by_another_and_is_lost_to_the_first(TestLog { log, store: _store }: TestLog) {
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
    assert!(!is_held(&*log, &mine).await);
    assert!(matches!(log.commit(&Commit::new(mine)).await, Err(CommitError::Fenced)));
    assert!(log.commit(&Commit::new(yours)).await.is_ok());
}

async fn acquiring_ones_own_lease_again_starts_a_new_epoch(TestLog { log, store: _store }: TestLog) {
    let first = lease(&*log, "g", "me").await;
    let second = lease(&*log, "g", "me").await;
    assert!(second.epoch > first.epoch);
    assert!(matches!(log.commit(&Commit::new(first)).await, Err(CommitError::Fenced)));
}

async fn a_commit_with_a_lost_lease_changes_nothing(TestLog { log, store: _store }: TestLog) {
    let mine = lease(&*log, "g", "me").await;
    log.release(&mine).await.unwrap();
    let before = state(&log, "g").await;
    let released = log.commit(&change_all(Commit::new(mine.clone()), at(5))).await;
    assert!(matches!(released, Err(CommitError::Fenced)), "{released:?}");
    lease(&*log, "g", "you").await;
    let taken = log.commit(&change_all(Commit::new(mine), at(5))).await;
    assert!(matches!(taken, Err(CommitError::Fenced)), "{taken:?}");
    assert_eq!(state(&log, "g").await, before);
}

async fn a_read_with_an_old_reader_token_receives_nothing(TestLog { log, store: _store }: TestLog) {
    let families = [Family::Action];
    let mine = lease(&*log, "g", "me").await;
    let early = log.pending(&mine, &families).await.unwrap().reader;
    let late = log.pending(&mine, &families).await.unwrap().reader;
    append(&log, event(Family::Action, "a", "x")).await;
    let refused = log.deliver(&mine, early, &families, 9).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert_eq!(delivered(&log.deliver(&mine, late, &families, 9).await.unwrap()), ["x"]);
}

async fn a_reader_without_its_lease_receives_nothing(TestLog { log, store: _store }: TestLog) {
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

async fn one_heartbeat_renews_every_lease_of_its_process_and_tells_which_are_lost(
    TestLog { log, store: _store }: TestLog,
) {
    let short = Duration::from_millis(30);
    let mut leases = vec![];
    for group in ["a", "b", "c"] {
        leases.push(log.acquire(P, group, "me", short).await.unwrap().unwrap());
    }
    assert_eq!(heartbeat(&*log, "me", "", &leases, 10 * DEADLINE).await.0, [true; 3]);
    log.revoke(P, "b").await.unwrap();
    // Each would have ended by itself; the session is what keeps them.
    tokio::time::sleep(2 * short).await;
    for (group, epoch) in [("a", None), ("b", Some(2)), ("c", None)] {
        let taken = log.acquire(P, group, "you", DEADLINE).await.unwrap();
        assert_eq!(taken.map(|lease| lease.epoch), epoch, "{group}");
    }
    assert_eq!(heartbeat(&*log, "me", "", &leases, DEADLINE).await.0, [true, false, true]);
    let again = lease(&*log, "c", "me").await;
    assert_eq!(heartbeat(&*log, "me", "", &[leases[2].clone(), again], DEADLINE).await.0, [false, true]);
}

async fn a_session_is_listed_with_what_it_says_until_it_ends(TestLog { log, store: _store }: TestLog) {
    let session = |owner: &str, says: &str| Session { owner: owner.into(), says: says.into() };
    let list = |live: &[Session]| Sessions { live: live.to_vec(), handoffs: vec![] };
    assert_eq!(log.sessions(P).await.unwrap(), list(&[]));
    let b = session("b", "group g");
    assert_eq!(heartbeat(&*log, "b", &b.says, &[], 10 * DEADLINE).await.1, list(std::slice::from_ref(&b)));
    let a = session("a", "");
    assert_eq!(heartbeat(&*log, "a", "", &[], 10 * DEADLINE).await.1, list(&[a.clone(), b]), "sorted");
    let b = session("b", "groups g and h");
    heartbeat(&*log, "b", &b.says, &[], DEADLINE).await;
    // A holder of a lease that never sent a heartbeat says nothing.
    lease(&*log, "g", "silent").await;
    assert_eq!(log.sessions(P).await.unwrap(), list(&[a.clone(), b.clone()]));
    assert_eq!(log.sessions(Partition(1)).await.unwrap(), list(&[]), "each partition has its own");
    heartbeat(&*log, "short", "x", &[], Duration::from_millis(1)).await;
    let ended = async { while log.sessions(P).await.unwrap() != list(&[a.clone(), b.clone()]) {} };
    timeout(DEADLINE, ended).await.expect("it ends");
}

async fn a_handoff_is_requested_until_it_is_withdrawn_or_expires(TestLog { log, store: _store }: TestLog) {
    log.request_handoff(P, "execute|web", DEADLINE).await.unwrap();
    log.request_handoff(P, "execute|db", DEADLINE).await.unwrap();
    assert_eq!(log.sessions(P).await.unwrap().handoffs, ["execute|db", "execute|web"]);
    log.withdraw_handoff(P, "execute|db").await.unwrap();
    log.withdraw_handoff(P, "unknown").await.unwrap();
    log.request_handoff(P, "short", Duration::from_millis(1)).await.unwrap();
    let expired = async { while log.sessions(P).await.unwrap().handoffs != ["execute|web"] {} };
    timeout(DEADLINE, expired).await.expect("it expires");
}
