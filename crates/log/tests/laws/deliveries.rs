//! Deliveries: every consumer group receives every event until it acknowledges it.

use super::*;

laws![
    a_delivery_is_acknowledged_once_and_a_second_acknowledgement_changes_nothing,
    a_batch_with_a_delivery_that_is_not_pending_changes_nothing,
    an_unacknowledged_delivery_comes_again_with_its_count,
    groups_read_independently,
    an_inbox_is_in_order_across_families,
    an_undecodable_entry_is_delivered_with_the_reason,
    a_dead_letter_names_its_group_and_the_reason,
    the_lag_counts_unacknowledged_entries,
];

async fn a_delivery_is_acknowledged_once_and_a_second_acknowledgement_changes_nothing(
    TestLog { log, store: _store }: TestLog,
) {
    let id = append(&log, event(Family::Observation, "a", "x")).await;
    let mine = lease(&*log, "g", "me").await;
    let acks = vec![(Family::Observation, id)];
    let early = log.commit(&Commit { acks: acks.clone(), ..Commit::new(mine.clone()) }).await;
    assert!(matches!(early, Err(CommitError::AlreadyHandled)), "nothing was delivered yet: {early:?}");
    let mut inbox = Inbox::new(Arc::clone(&log), mine.clone(), [Family::Observation]);
    assert_eq!(delivered(&inbox.next(9).await.unwrap()), ["x"]);
    log.commit(&Commit { acks: acks.clone(), ..Commit::new(mine.clone()) }).await.unwrap();
    let before = state(&log, "g").await;
    let again = log.commit(&change_all(Commit { acks, ..Commit::new(mine) }, at(5))).await;
    assert!(matches!(again, Err(CommitError::AlreadyHandled)), "{again:?}");
    assert_eq!(state(&log, "g").await, before);
    inbox.reset();
    assert_eq!(inbox.next(9).await.unwrap(), []);
}

async fn a_batch_with_a_delivery_that_is_not_pending_changes_nothing(TestLog { log, store: _store }: TestLog) {
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
        assert!(matches!(commit(lost).await, Err(CommitError::AlreadyHandled)), "{lost:?}");
        assert_eq!(state(&log, "g").await, before);
    }
    commit(&[4, 0, 2]).await.expect("in any order, with others pending between them");
    inbox.reset();
    assert_eq!(delivered(&inbox.next(9).await.unwrap()), ["3"]);
}

async fn an_unacknowledged_delivery_comes_again_with_its_count(TestLog { log, store: _store }: TestLog) {
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

async fn groups_read_independently(TestLog { log, store: _store }: TestLog) {
    append(&log, event(Family::Action, "a", "x")).await;
    for group in ["one", "two"] {
        let lease = lease(&*log, group, "me").await;
        let mut inbox = Inbox::new(Arc::clone(&log), lease.clone(), [Family::Action]);
        let got = inbox.next(9).await.unwrap();
        assert_eq!(delivered(&got), ["x"], "a new group begins at the beginning");
        log.commit(&Commit { acks: vec![(Family::Action, got[0].id)], ..Commit::new(lease) }).await.unwrap();
    }
}

async fn an_inbox_is_in_order_across_families(TestLog { log, store: _store }: TestLog) {
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

async fn an_undecodable_entry_is_delivered_with_the_reason(bed: TestLog) {
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
    let dead_letters = vec![NewDeadLetter { family: Family::Action, id: got[0].id, error: reason(0).to_owned() }];
    log.commit(&Commit { acks, dead_letters, ..Commit::new(mine) }).await.unwrap();
    let read = log.read(P, &[Family::Action], Range::ALL, Order::OldestFirst, 9).await.unwrap();
    assert_eq!(read.iter().map(|entry| entry.event.is_ok()).collect::<Vec<_>>(), [false, false, true]);
}

async fn a_dead_letter_names_its_group_and_the_reason(TestLog { log, store: _store }: TestLog) {
    let id = append(&log, event(Family::Action, "a", "x")).await;
    for (group, error) in [("one", "first"), ("two", "second")] {
        let mine = lease(&*log, group, "me").await;
        let dead_letters = vec![NewDeadLetter { family: Family::Action, id, error: error.into() }];
        log.commit(&Commit { dead_letters, ..Commit::new(mine) }).await.unwrap();
    }
    let letters = log.dead_letters(P, 9).await.unwrap();
    let found: Vec<_> =
        letters.iter().map(|letter| (&*letter.group, letter.family, letter.id, &*letter.error)).collect();
    assert_eq!(found, [("two", Family::Action, id, "second"), ("one", Family::Action, id, "first")]);
    assert!(letters[0].at.as_millisecond() >= i64::try_from(id.ms).unwrap());
    assert_eq!(log.dead_letters(P, 1).await.unwrap(), letters[..1]);
}

async fn the_lag_counts_unacknowledged_entries(TestLog { log, store: _store }: TestLog) {
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
