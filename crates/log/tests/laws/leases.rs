//! Leases: one holder at a time, and a process that lost its lease can neither commit nor receive anything.

use super::*;

laws![
    a_lease_is_held_by_one_owner_until_it_is_released,
    an_expired_lease_can_be_acquired_by_another_and_is_lost_to_the_first,
    acquiring_ones_own_lease_again_starts_a_new_epoch,
    a_commit_with_a_lost_lease_changes_nothing,
    a_read_with_an_old_reader_token_receives_nothing,
    a_reader_without_its_lease_receives_nothing,
];

async fn a_lease_is_held_by_one_owner_until_it_is_released(TestLog { log, store: _store }: TestLog) {
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
    assert!(!log.renew(&mine, DEADLINE).await.unwrap());
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
