//! Commands about dead letters: executed once, with their event or not at all, whatever the network loses.

#![allow(clippy::unwrap_used, reason = "a test fails on any error")]

mod toy;

use std::sync::Arc;

use hemostat_log::{Commit, DeadLetter, History, Inbox, Log, MemoryLog, NewDeadLetter};
use hemostat_runtime::{
    Context, DecideWorker, LeasedWorker, Step, commands::CommandError, dead_letters::What, unchanging,
};
use hemostat_schema::{Action, Event, EventId, Family, action::Redelivery};

use crate::toy::{
    faulty::{
        FaultyLog,
        LogFault::{NotCommitted, ReplyLost},
    },
    *,
};

async fn letters(log: &MemoryLog) -> Vec<DeadLetter> {
    log.dead_letters(P, 10).await.unwrap()
}

/// How the commands on the log redrove dead letters.
async fn redriven(log: &MemoryLog) -> Vec<Redelivery> {
    let how = |event: hemostat_schema::Recorded| match event.event() {
        Some(Event::Action(Action::DeadLetterRedriven(redriven))) => Some(redriven.how),
        _ => None,
    };
    history(log).await.into_iter().filter_map(how).collect()
}

async fn decide(ctx: &Context) {
    let mut worker = LeasedWorker::new(ctx.clone(), DecideWorker::<Answer>::new(ctx.clone(), P, unchanging(9)));
    while !matches!(worker.step().await.unwrap(), Step::Idle { .. }) {}
}

#[tokio::test]
async fn a_redrive_whose_answer_was_lost_is_not_done_again() {
    let (log, _, ctx) = bed();
    put(&*log, vec![paused("a", "panic")]).await;
    decide(&ctx).await;
    let letter = letters(&log).await[0].clone();

    let faulty = History::new(FaultyLog::new(log.clone(), [NotCommitted, ReplyLost]), None);
    for _ in 0..2 {
        let lost = order(&faulty, letter.key, What::Redrive, "k").await;
        assert!(matches!(&lost, Err(CommandError::Log(error)) if error.is_transient()), "{lost:?}");
    }
    let executed = order(&faulty, letter.key, What::Redrive, "k").await.unwrap();
    assert!(!executed.first_time, "the second time had executed it");
    assert_eq!((letters(&log).await, redriven(&log).await), (vec![], vec![Redelivery::Refolded]));

    // It fails again, and so is a new dead letter: the resent command is not about that one.
    decide(&ctx).await;
    let again = letters(&log).await;
    assert_eq!((again.len(), again[0].id), (1, letter.id));
    assert_eq!(order(&faulty, letter.key, What::Redrive, "k").await.unwrap(), executed);
    assert!(matches!(order(&faulty, letter.key, What::Redrive, "other").await, Err(CommandError::Unknown)));
    assert!(matches!(order(&faulty, again[0].key, What::Redrive, "k").await, Err(CommandError::KeyReused)));
    assert_eq!((letters(&log).await, redriven(&log).await.len()), (again, 1));
}

/// A group without rows of its own gives up on an event.
async fn given_up(log: &Arc<MemoryLog>) -> EventId {
    let event = put(&**log, vec![paused("a", "x")]).await[0];
    let lease = log.acquire(P, "g", "me", std::time::Duration::from_secs(10)).await.unwrap().unwrap();
    let deliveries = Inbox::new(log.clone(), lease.clone(), [Family::Action]).next(9).await.unwrap();
    let acks = deliveries.iter().map(|delivery| (Family::Action, delivery.id)).collect();
    let dead_letters = vec![NewDeadLetter { family: Family::Action, id: event, error: "no".into() }];
    log.commit(&Commit { acks, dead_letters, ..Commit::new(lease) }).await.unwrap();
    event
}

#[tokio::test]
async fn an_effect_gets_its_delivery_again_and_a_discarded_one_stays_away() {
    let (log, _, ctx) = bed();
    let (kept, redelivered) = (given_up(&log).await, given_up(&log).await);
    let found = letters(&log).await;
    let key = |event: EventId| found.iter().find(|letter| letter.id == event).unwrap().key;
    let discarded = order(&ctx.history, key(kept), What::Discard, "discard").await.unwrap();
    assert_eq!(discarded.event.cause, Some(kept));
    order(&ctx.history, key(redelivered), What::Redrive, "redrive").await.unwrap();
    assert_eq!((letters(&log).await, redriven(&log).await), (vec![], vec![Redelivery::Delivered]));

    let lease = log.acquire(P, "g", "you", std::time::Duration::from_secs(10)).await.unwrap().unwrap();
    let deliveries = Inbox::new(log.clone(), lease, [Family::Action]).next(9).await.unwrap();
    let seen: Vec<_> = deliveries.iter().map(|delivery| delivery.id).filter(|id| *id <= redelivered).collect();
    assert_eq!(seen, [redelivered]);
}

#[tokio::test]
async fn a_dead_letter_of_no_partition_is_unknown() {
    let (_, _, ctx) = bed();
    let refused = order(&ctx.history, "9.1-1".parse().unwrap(), What::Redrive, "k").await;
    assert!(matches!(refused, Err(CommandError::Unknown)));
}
