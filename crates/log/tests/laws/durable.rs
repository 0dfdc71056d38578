//! Making sure of an event before something is done because of it.

use hemostat_log::{Confirmed, Durability};

use super::*;

laws![
    an_event_that_is_there_is_as_safe_as_the_store_makes_it_by_itself,
    an_event_that_is_not_there_is_lost,
    who_has_lost_the_lease_is_told_so_and_not_that_an_event_is_safe,
];

const WITHIN: Duration = Duration::from_millis(50);

async fn an_event_that_is_there_is_as_safe_as_the_store_makes_it_by_itself(TestLog { log, store: _store }: TestLog) {
    let id = append(&log, event(Family::Action, "a", "x")).await;
    let mine = lease(&*log, "g", "me").await;
    let confirmed = log.confirm(&mine, DEADLINE, (Family::Action, id), Durability::Everysec, WITHIN).await.unwrap();
    assert_eq!(confirmed, Confirmed::Safe, "also when another has committed it");
}

async fn an_event_that_is_not_there_is_lost(TestLog { log, store: _store }: TestLog) {
    let id = append(&log, event(Family::Action, "a", "x")).await;
    let mine = lease(&*log, "g", "me").await;
    let gone = EventId { seq: id.seq + 7, ..id };
    let confirmed = log.confirm(&mine, DEADLINE, (Family::Action, gone), Durability::Everysec, WITHIN).await.unwrap();
    assert_eq!(confirmed, Confirmed::Lost);
}

async fn who_has_lost_the_lease_is_told_so_and_not_that_an_event_is_safe(TestLog { log, store: _store }: TestLog) {
    let id = append(&log, event(Family::Action, "a", "x")).await;
    let mine = lease(&*log, "g", "me").await;
    log.release(&mine).await.unwrap();
    lease(&*log, "g", "another").await;
    let lost = log.confirm(&mine, DEADLINE, (Family::Action, id), Durability::Everysec, WITHIN).await.unwrap_err();
    assert!(matches!(lost, Error::Fenced { .. }), "{lost:?}");
}
