//! Confirmation that an event is durable before a side effect.

use hemostat_log::{Confirmed, Durability};

use super::*;

laws![
    an_existing_event_has_the_default_durability,
    an_event_that_is_not_there_is_lost,
    a_confirmation_with_a_lost_lease_is_fenced,
];

const WITHIN: Duration = Duration::from_millis(50);

async fn an_existing_event_has_the_default_durability(TestLog { log, store: _store }: TestLog) {
    let id = append(&log, event(Family::Action, "a", "x")).await;
    let mine = lease(&*log, "g", "me").await;
    let confirmed = log.confirm(&mine, DEADLINE, (Family::Action, id), Durability::Everysec, WITHIN).await.unwrap();
    assert_eq!(confirmed, Confirmed::Durable, "also when another has committed it");
}

async fn an_event_that_is_not_there_is_lost(TestLog { log, store: _store }: TestLog) {
    let id = append(&log, event(Family::Action, "a", "x")).await;
    let mine = lease(&*log, "g", "me").await;
    let gone = EventId { seq: id.seq + 7, ..id };
    let confirmed = log.confirm(&mine, DEADLINE, (Family::Action, gone), Durability::Everysec, WITHIN).await.unwrap();
    assert_eq!(confirmed, Confirmed::EventMissing);
}

async fn a_confirmation_with_a_lost_lease_is_fenced(TestLog { log, store: _store }: TestLog) {
    let id = append(&log, event(Family::Action, "a", "x")).await;
    let mine = lease(&*log, "g", "me").await;
    log.release(&mine).await.unwrap();
    lease(&*log, "g", "another").await;
    let lost = log.confirm(&mine, DEADLINE, (Family::Action, id), Durability::Everysec, WITHIN).await.unwrap_err();
    assert!(matches!(lost, Error::Fenced { .. }), "{lost:?}");
}
