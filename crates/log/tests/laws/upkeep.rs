//! Maintenance: trimming, dead letters, revoked leases, served views, members, inspection.

use hemostat_log::{Cursor, History, ViewChange};

use super::*;

laws![
    an_entry_that_a_group_has_not_handled_is_not_trimmed,
    a_group_that_starts_late_is_delivered_what_comes_later,
    a_dropped_group_holds_back_no_trimming,
    an_entry_beyond_an_offset_is_not_trimmed,
    a_trim_deletes_exactly_the_entries_before_its_bound,
    a_redriven_dead_letter_is_delivered_again_to_a_new_epoch,
    a_dead_letter_whose_event_is_gone_cannot_be_redriven,
    a_view_is_requested_with_the_event_that_says_so,
    a_discarded_dead_letter_is_gone_and_its_event_stays,
    a_revoked_lease_commits_nothing,
    an_epoch_of_another_owner_commits_nothing,
    a_view_is_served_and_another_retired_in_one_commit,
    a_snapshot_has_every_row,
    an_inspection_lists_the_state_of_a_partition,
    a_scan_reads_history_in_order_to_its_end,
];

async fn three(log: &Arc<dyn Log>) -> Vec<EventId> {
    let mut ids = vec![];
    for mark in ["0", "1", "2"] {
        ids.push(append(log, event(Family::Action, "a", mark)).await);
    }
    ids
}

async fn left(log: &Arc<dyn Log>) -> Vec<EventId> {
    let read = log.raw(P, &Family::ALL, Range::ALL, Order::OldestFirst, 99).await.unwrap();
    read.into_iter().map(|entry| entry.id).collect()
}

async fn an_entry_that_a_group_has_not_handled_is_not_trimmed(TestLog { log, store: _store }: TestLog) {
    let ids = three(&log).await;
    let mine = lease(&*log, "g", "me").await;
    let trim = async || log.trim(P, Family::Action, EventId::end(P)).await.unwrap();
    let mut inbox = Inbox::new(Arc::clone(&log), mine.clone(), [Family::Action]);
    log.pending(&mine, &[Family::Action]).await.unwrap();
    let held = trim().await;
    assert_eq!((held.removed, held.held_by.as_deref()), (0, Some("g")), "it has read nothing");
    assert_eq!(inbox.next(9).await.unwrap().len(), 3);
    assert_eq!(trim().await.removed, 0, "it has acknowledged nothing");
    let acks = vec![(Family::Action, ids[0]), (Family::Action, ids[2])];
    log.commit(&Commit { acks, ..Commit::new(mine.clone()) }).await.unwrap();
    let held = trim().await;
    assert_eq!((held.removed, held.held_by.as_deref()), (1, Some("g")));
    assert_eq!(left(&log).await, ids[1..]);
    assert_eq!(log.trimmed(P, Family::Action).await.unwrap(), Some(ids[0]));
    log.commit(&Commit { acks: vec![(Family::Action, ids[1])], ..Commit::new(mine) }).await.unwrap();
    assert_eq!(trim().await.removed, 2);
    assert_eq!(left(&log).await, []);
}

async fn a_group_that_starts_late_is_delivered_what_comes_later(TestLog { log, store: _store }: TestLog) {
    let ids = three(&log).await;
    let mine = lease(&*log, "late", "me").await;
    let families = [Family::Action];
    assert_eq!(log.groups(P, Family::Action).await.unwrap(), Vec::<String>::new());
    log.start_group(&mine, &families, ids[1]).await.unwrap();
    assert_eq!(log.groups(P, Family::Action).await.unwrap(), ["late"]);
    // Where the group exists, its position stays.
    log.start_group(&mine, &families, ids[2]).await.unwrap();
    let mut inbox = Inbox::new(Arc::clone(&log), mine.clone(), families);
    let got: Vec<_> = inbox.next(9).await.unwrap().into_iter().map(|delivery| delivery.id).collect();
    assert_eq!(got, [ids[2]]);
    let newer = lease(&*log, "late", "me").await;
    for refused in [log.start_group(&mine, &families, ids[1]).await, log.drop_group(&mine, &families).await] {
        assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    }
    log.drop_group(&newer, &families).await.unwrap();
    assert_eq!(log.groups(P, Family::Action).await.unwrap(), Vec::<String>::new());
}

async fn a_dropped_group_holds_back_no_trimming(TestLog { log, store: _store }: TestLog) {
    three(&log).await;
    let mine = lease(&*log, "g", "me").await;
    log.pending(&mine, &[Family::Action]).await.unwrap();
    let trim = async || log.trim(P, Family::Action, EventId::end(P)).await.unwrap();
    assert_eq!(trim().await.held_by.as_deref(), Some("g"));
    log.drop_group(&mine, &[Family::Action]).await.unwrap();
    assert_eq!(trim().await.removed, 3);
    log.drop_group(&mine, &[Family::Action]).await.unwrap();
}

async fn an_entry_beyond_an_offset_is_not_trimmed(TestLog { log, store: _store }: TestLog) {
    let ids = three(&log).await;
    let mine = lease(&*log, "v.1", "me").await;
    let pass = async |at, families: &[Family]| {
        let cursor = Some(Cursor { at, families: families.to_vec() });
        log.commit(&Commit { cursor, ..Commit::new(mine.clone()) }).await.unwrap();
    };
    pass(ids[1], &[Family::Observation, Family::Action]).await;
    let held = log.trim(P, Family::Action, EventId::end(P)).await.unwrap();
    assert_eq!((held.removed, held.held_by.as_deref()), (2, Some("v.1")));
    pass(ids[1], &[Family::Alert]).await;
    let free = log.trim(P, Family::Action, EventId::end(P)).await.unwrap();
    assert_eq!((free.removed, free.held_by), (1, None), "who does not read a family does not hold it back");
}

async fn a_trim_deletes_exactly_the_entries_before_its_bound(TestLog { log, store: _store }: TestLog) {
    assert_eq!(log.trimmed(P, Family::Action).await.unwrap(), None);
    let ids = three(&log).await;
    let other = append(&log, event(Family::Alert, "a", "x")).await;
    assert_eq!(log.trim(P, Family::Action, ids[2]).await.unwrap().removed, 2);
    assert_eq!(log.trim(P, Family::Action, ids[2]).await.unwrap().removed, 0);
    assert_eq!(left(&log).await, [ids[2], other]);
    assert_eq!(log.trimmed(P, Family::Action).await.unwrap(), Some(ids[1]));
    assert_eq!(log.trimmed(P, Family::Alert).await.unwrap(), None);
    assert_eq!(log.clock(P).await.unwrap(), other, "ids are never given again");
}

/// Makes one of three deliveries a dead letter and acknowledges all.
async fn one_dead_letter(log: &Arc<dyn Log>) -> (Vec<EventId>, Lease, Inbox) {
    let ids = three(log).await;
    let mine = lease(&**log, "g", "me").await;
    let mut inbox = Inbox::new(Arc::clone(log), mine.clone(), [Family::Action]);
    assert_eq!(inbox.next(9).await.unwrap().len(), 3);
    let acks = ids.iter().map(|id| (Family::Action, *id)).collect();
    let dead_letters = vec![NewDeadLetter { family: Family::Action, id: ids[1], error: "no".into() }];
    let rows = ["kept", "forgotten"].map(|key| RowChange { view: "g.1".into(), key: key.into(), row: Some(vec![1]) });
    log.commit(&Commit { acks, dead_letters, rows: rows.into(), ..Commit::new(mine.clone()) }).await.unwrap();
    (ids, mine, inbox)
}

/// An append that settles a dead letter, with an event that says so.
fn settling(key: &str, letter: EventId, how: Settle) -> Append {
    let settlement = Some(Settlement { letter, how });
    Append { settlement, ..Append::new(P, key, vec![event(Family::Diagnosis, "b", key)]) }
}

async fn a_redriven_dead_letter_is_delivered_again_to_a_new_epoch(TestLog { log, store: _store }: TestLog) {
    let (ids, _, mut inbox) = one_dead_letter(&log).await;
    let letter = log.dead_letters(P, 9).await.unwrap()[0].clone();
    let redrive = Settle::Redeliver { forget: vec![("g.1".to_owned(), "forgotten".to_owned())] };
    let redriven = log.append_once(&settling("redrive", letter.key, redrive.clone())).await.unwrap();
    assert!(redriven.first_time);
    assert!(matches!(inbox.next(9).await, Err(Error::Fenced { .. })));
    let mine = lease(&*log, "g", "me").await;
    let mut inbox = Inbox::new(Arc::clone(&log), mine.clone(), [Family::Action]);
    let again = inbox.next(9).await.unwrap();
    assert_eq!(again.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), [ids[1]]);
    assert_eq!(again[0].times, 2, "something may have been done about it before");
    assert_eq!(log.all_rows(P, "g.1").await.unwrap(), [("kept".to_owned(), vec![1])]);
    assert_eq!(log.dead_letters(P, 9).await.unwrap(), []);

    let acks = again.iter().map(|delivery| (Family::Action, delivery.id)).collect();
    log.commit(&Commit { acks, ..Commit::new(mine.clone()) }).await.unwrap();
    let resent = log.append_once(&settling("redrive", letter.key, redrive.clone())).await.unwrap();
    assert_eq!(resent, Appended { first_time: false, ..redriven });
    let other = log.append_once(&settling("other", letter.key, redrive)).await;
    assert!(matches!(other, Err(CommitError::AlreadyHandled)), "it is no longer a dead letter: {other:?}");
    assert_eq!(log.appended(P, "other").await.unwrap(), None);
    log.commit(&Commit::new(mine)).await.expect("the lease is as it was");
    assert_eq!(inbox.next(9).await.unwrap(), []);
    assert_eq!(left(&log).await.len(), 4, "one event of the command");
}

async fn a_dead_letter_whose_event_is_gone_cannot_be_redriven(TestLog { log, store: _store }: TestLog) {
    let (_, mine, _) = one_dead_letter(&log).await;
    assert_eq!(log.trim(P, Family::Action, EventId::end(P)).await.unwrap().removed, 3);
    let letter = log.dead_letters(P, 9).await.unwrap()[0].clone();
    let redrive = settling("redrive", letter.key, Settle::Redeliver { forget: vec![] });
    let Err(CommitError::Log(refused)) = log.append_once(&redrive).await else { panic!("it is redriven") };
    assert!(refused.to_string().contains("discard it instead"), "{refused}");
    assert_eq!(log.dead_letters(P, 9).await.unwrap(), [letter]);
    assert_eq!((log.appended(P, "redrive").await.unwrap(), left(&log).await), (None, vec![]));
    log.commit(&Commit::new(mine)).await.expect("the lease is as it was");
}

async fn a_view_is_requested_with_the_event_that_says_so(TestLog { log, store: _store }: TestLog) {
    let (_, mine, _) = one_dead_letter(&log).await;
    let letter = log.dead_letters(P, 9).await.unwrap()[0].clone();
    let rebuild = settling("rebuild", letter.key, Settle::Rebuild { view: "g.1~2".into() });
    assert!(log.append_once(&rebuild).await.unwrap().first_time);
    assert_eq!(log.views(P).await.unwrap()["g+"], "g.1~2");
    assert!(matches!(log.commit(&Commit::new(mine)).await, Err(CommitError::Fenced)));
    assert_eq!(log.dead_letters(P, 9).await.unwrap(), [letter], "until the rebuild begins");
}

async fn a_discarded_dead_letter_is_gone_and_its_event_stays(TestLog { log, store: _store }: TestLog) {
    let (ids, ..) = one_dead_letter(&log).await;
    let letter = log.dead_letters(P, 9).await.unwrap()[0].clone();
    let discarded = log.append_once(&settling("discard", letter.key, Settle::Discard)).await.unwrap();
    assert_eq!(log.discard(P, letter.key).await.unwrap(), None);
    assert_eq!(log.dead_letters(P, 9).await.unwrap(), []);
    assert_eq!(left(&log).await, [ids, discarded.ids].concat());
}

async fn a_revoked_lease_commits_nothing(TestLog { log, store: _store }: TestLog) {
    let mine = lease(&*log, "g", "me").await;
    log.revoke(P, "g").await.unwrap();
    let refused = log.commit(&of(&mine, [event(Family::Action, "a", "x")])).await;
    assert!(matches!(refused, Err(CommitError::Fenced)), "{refused:?}");
    assert!(!is_held(&*log, &mine).await);
    assert_eq!(lease(&*log, "g", "other").await.epoch, mine.epoch + 1, "anybody may take it at once");
    log.revoke(P, "unknown").await.unwrap();
}

async fn an_epoch_of_another_owner_commits_nothing(TestLog { log, store: _store }: TestLog) {
    let mine = lease(&*log, "g", "me").await;
    let same_epoch = Lease { owner: "other".into(), ..mine.clone() };
    let refused = log.commit(&of(&same_epoch, [event(Family::Action, "a", "x")])).await;
    assert!(matches!(refused, Err(CommitError::Fenced)), "{refused:?}");
    assert!(!is_held(&*log, &same_epoch).await);
    log.commit(&of(&mine, [event(Family::Action, "a", "x")])).await.unwrap();
}

async fn a_view_is_served_and_another_retired_in_one_commit(TestLog { log, store: _store }: TestLog) {
    let mine = lease(&*log, "v.2", "me").await;
    let row = |view: &str| RowChange { view: view.into(), key: "k".into(), row: Some(vec![1]) };
    let serve = |view: &str| ViewChange::Serve { name: "v".into(), view: view.into() };
    let served = async || log.views(P).await.unwrap().get("v").cloned();
    log.commit(&Commit { rows: vec![row("v.1")], views: vec![serve("v.1")], ..Commit::new(mine.clone()) })
        .await
        .unwrap();
    assert_eq!(served().await.as_deref(), Some("v.1"));
    let views = vec![serve("v.2"), ViewChange::Retire { view: "v.1".into() }];
    log.commit(&Commit { rows: vec![row("v.2")], views, ..Commit::new(mine) }).await.unwrap();
    assert_eq!(served().await.as_deref(), Some("v.2"));
    assert_eq!(log.all_rows(P, "v.1").await.unwrap(), []);
    assert_eq!(log.all_rows(P, "v.2").await.unwrap().len(), 1);
    log.request_view(P, "v.2", "v.2~2").await.unwrap();
    assert_eq!(log.views(P).await.unwrap().get("v.2+").map(String::as_str), Some("v.2~2"));
}

async fn a_snapshot_has_every_row(TestLog { log, store: _store }: TestLog) {
    let mine = lease(&*log, "v.1", "me").await;
    let rows = (0..1_500).map(|n| RowChange { view: "v.1".into(), key: format!("{n:04}"), row: Some(vec![0xff, 0]) });
    log.commit(&Commit { rows: rows.collect(), ..Commit::new(mine) }).await.unwrap();
    let snapshot = log.snapshot(P, "v.1").await.unwrap();
    assert_eq!(snapshot.len(), 1_500);
    assert_eq!(snapshot, log.all_rows(P, "v.1").await.unwrap());
    assert_eq!(log.snapshot(P, "nothing.1").await.unwrap(), []);
}

async fn an_inspection_lists_the_state_of_a_partition(TestLog { log, store: _store }: TestLog) {
    let (ids, mine, _) = one_dead_letter(&log).await;
    let late = append(&log, event(Family::Action, "b", "late")).await;
    let timers = vec![TimerUpdate::Set { subject: subject("a"), name: "retry".into(), due: at(7) }];
    let cursor = Some(Cursor { at: ids[2], families: vec![Family::Action, Family::Alert] });
    log.commit(&Commit { timers, cursor: cursor.clone(), ..Commit::new(mine.clone()) }).await.unwrap();
    log.deliver(&mine, log.pending(&mine, &[Family::Action]).await.unwrap().reader, &[Family::Action], 9)
        .await
        .unwrap();
    log.trim(P, Family::Action, ids[1]).await.unwrap();
    let found = log.inspect(P).await.unwrap();
    assert_eq!(found.clock, Some(late));
    let stream = &found.streams[&Family::Action];
    assert_eq!((stream.length, stream.first, stream.last), (3, Some(ids[1]), Some(late)));
    let group = stream.groups.iter().find(|group| group.name == "g").unwrap();
    assert_eq!((group.delivered, &*group.pending), (late, &[late][..]));
    let mut versions = found.versions.clone();
    versions.sort();
    assert_eq!(versions, [("action/host/a".into(), ids[2].entry()), ("action/host/b".into(), late.entry())]);
    assert_eq!(found.timers, [("g|host/a|retry".to_owned(), "7".to_owned())]);
    assert_eq!(found.cursors.get("g"), cursor.as_ref());
    assert_eq!(found.trimmed.get(&Family::Action), Some(&ids[0]));
    assert_eq!(found.dead_letters.len(), 1);
    let held = found.leases.iter().find(|lease| lease.group == "g").unwrap();
    assert_eq!((held.owner.as_deref(), held.epoch), (Some("me"), mine.epoch));
    assert_eq!(found.views, ["g.1"]);
}

async fn a_scan_reads_history_in_order_to_its_end(TestLog { log, store: _store }: TestLog) {
    let mine = lease(&*log, "writer", "writer").await;
    let mut ids = vec![];
    for _ in 0..5 {
        let events = (0..1_000).map(|n| event(Family::ALL[n % 4], "a", "x"));
        ids.extend(log.commit(&of(&mine, events.collect::<Vec<_>>())).await.unwrap());
    }
    let mut scan = History::new(Arc::clone(&log), None).scan(P, Family::ALL, Range::after(ids[6]));
    let mut seen = vec![];
    while let Some(page) = scan.next().await.unwrap() {
        seen.extend(page.into_iter().map(|entry| entry.id));
    }
    assert_eq!(seen, ids[7..]);
    assert_eq!(scan.next().await.unwrap(), None);
}
