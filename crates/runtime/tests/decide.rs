//! Tests of the decider's worker.

#![allow(clippy::unwrap_used, reason = "a test fails on any error")]

mod toy;

use hemostat_log::{Log, RowChange};
use hemostat_runtime::{Context, DecideWorker, LeasedWorker, Step, unchanging};
use hemostat_schema::{ByteCount, Family, NewEvent, Span, Timestamp, sample::Disk};

use crate::toy::*;

fn worker(ctx: &Context, most: u32) -> LeasedWorker<DecideWorker<Answer>> {
    LeasedWorker::new(ctx.clone(), DecideWorker::new(ctx.clone(), P, unchanging(most)))
}

/// Steps until there is nothing to do.
async fn settle(worker: &mut LeasedWorker<DecideWorker<Answer>>) -> Step {
    for _ in 0..100 {
        match worker.step().await.unwrap() {
            Step::Worked { .. } => {}
            step => return step,
        }
    }
    panic!("it never becomes idle");
}

#[tokio::test]
async fn a_decision_is_made_once_with_its_trigger_as_cause_and_in_its_trace() {
    let (log, _, ctx) = bed();
    let ids = put(&*log, vec![paused("a", "x")]).await;
    let mut worker = worker(&ctx, 9);
    settle(&mut worker).await;
    settle(&mut worker).await;
    assert_eq!(story(&*log).await, ["x", "0"]);
    let history = history(&*log).await;
    assert_eq!(history[1].cause, Some(ids[0]));
    assert!(history[1].trace.is_some());
}

#[tokio::test]
async fn deliveries_pending_at_a_crash_are_decided_exactly_once_by_the_next_process() {
    let (log, _, ctx) = bed();
    put(&*log, vec![paused("a", "x"), paused("b", "y")]).await;
    let first = other(&ctx, "first");
    // It reads the deliveries and crashes before it commits.
    let lease = log.acquire(P, "answer", "first", first.lease_ttl).await.unwrap().unwrap();
    let mut inbox = hemostat_log::Inbox::new(log.clone(), lease.clone(), [Family::Action]);
    assert_eq!(inbox.next(10).await.unwrap().len(), 2);
    log.release(&lease).await.unwrap();

    settle(&mut worker(&other(&ctx, "second"), 9)).await;
    settle(&mut worker(&other(&ctx, "second"), 9)).await;
    assert_eq!(story(&*log).await, ["x", "y", "0", "0"]);
}

#[tokio::test]
async fn a_decision_sees_the_events_of_earlier_decisions_about_its_subject() {
    let (log, _, ctx) = bed();
    put(&*log, vec![paused("a", "x"), paused("a", "y"), paused("b", "z"), paused("a", "w")]).await;
    settle(&mut worker(&ctx, 2)).await;
    let mut answers = story(&*log).await.split_off(4);
    answers.sort();
    assert_eq!(answers, ["0", "0", "1"], "a is answered twice at most, b once");
}

#[tokio::test]
async fn state_survives_a_restart_and_deleted_rows_are_folded_again() {
    let (log, _, ctx) = bed();
    put(&*log, vec![paused("a", "x")]).await;
    settle(&mut worker(&ctx, 9)).await;
    put(&*log, vec![paused("a", "y")]).await;
    settle(&mut worker(&ctx, 9)).await;
    assert_eq!(story(&*log).await, ["x", "0", "y", "1"]);

    let lease = log.acquire(P, "rows", "test", ctx.lease_ttl).await.unwrap().unwrap();
    let mut delete = hemostat_log::Commit::new(lease);
    delete.seq = Some(1);
    for view in ["answer.1", "answer-shared.1"] {
        for (key, _) in log.all_rows(P, view).await.unwrap() {
            delete.rows.push(RowChange { view: view.into(), key, row: None });
        }
    }
    assert!(delete.rows.len() >= 3, "subject, host and offset: {:?}", delete.rows);
    log.commit(&delete).await.unwrap();

    put(&*log, vec![paused("a", "z")]).await;
    settle(&mut worker(&ctx, 9)).await;
    assert_eq!(story(&*log).await.last().unwrap(), "2", "the whole log was folded again");
}

/// An event that advances no version and that the decider does not count.
fn silent(name: &str) -> NewEvent {
    let disk = Disk { path: "/".into(), size: ByteCount(1), available: ByteCount(1) };
    NewEvent::new(subject(name), Timestamp::UNIX_EPOCH, disk)
}

#[tokio::test]
async fn an_event_that_changes_no_state_writes_no_row_and_is_handled_once() {
    let (log, _, ctx) = bed();
    put(&*log, vec![paused("a", "x")]).await;
    settle(&mut worker(&ctx, 9)).await;
    let before = log.all_rows(P, "answer.1").await.unwrap();
    put(&*log, vec![silent("a"), silent("b")]).await;
    let mut first = worker(&ctx, 9);
    settle(&mut first).await;
    assert_eq!(log.all_rows(P, "answer.1").await.unwrap(), before, "not even the offset");
    assert_eq!(log.lag(P, "answer", &[Family::Action, Family::Sample]).await.unwrap(), 0, "they are acknowledged");
    // Whoever takes over continues from the older offset with the same state.
    put(&*log, vec![silent("a"), paused("a", "y")]).await;
    drop(first);
    settle(&mut worker(&ctx, 9)).await;
    assert_eq!(story(&*log).await, ["x", "0", "y", "1"]);
}

#[tokio::test]
async fn a_panic_dead_letters_one_delivery_and_nothing_else() {
    let (log, _, ctx) = bed();
    let ids = put(&*log, vec![paused("a", "panic"), paused("b", "x")]).await;
    settle(&mut worker(&ctx, 9)).await;
    assert_eq!(story(&*log).await, ["panic", "x", "0"]);
    let dead_letters = log.dead_letters(P, 10).await.unwrap();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].id, ids[0]);
    assert!(dead_letters[0].error.contains("deciding this panics"), "{}", dead_letters[0].error);
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_becomes_a_dead_letter_and_an_unknown_kind_is_skipped() {
    let (log, _, ctx) = bed();
    let broken = log.append_raw(P, Family::Action, "action.paused.1", "host/a", b"\xff");
    let later = b"\x82\xa2at\xb42026-01-01T00:00:00Z\xa4data\x80";
    log.append_raw(P, Family::Action, "action.dreamt.1", "host/b", later);
    put(&*log, vec![paused("c", "x")]).await;
    settle(&mut worker(&ctx, 9)).await;
    let dead_letters = log.dead_letters(P, 10).await.unwrap();
    assert_eq!(dead_letters.iter().map(|letter| letter.id).collect::<Vec<_>>(), [broken]);
    assert_eq!(story(&*log).await, ["x", "0"]);
}

#[tokio::test]
async fn a_timer_fires_once_when_it_is_due_also_after_a_restart() {
    let (log, clock, ctx) = bed();
    put(&*log, vec![paused("a", "wait")]).await;
    let Step::Idle { until: Some(due) } = settle(&mut worker(&ctx, 9)).await else { panic!("no timer") };
    assert_eq!(Span::between(hemostat_runtime::Clock::now(&*clock), due), Span::from_secs(60));

    let mut after = worker(&ctx, 9);
    clock.advance(Span::from_millis(59_999));
    settle(&mut after).await;
    assert_eq!(story(&*log).await, ["wait"]);
    clock.advance(Span::from_millis(1));
    assert_eq!(settle(&mut after).await, Step::Idle { until: None });
    settle(&mut worker(&ctx, 9)).await;
    assert_eq!(story(&*log).await, ["wait", "woken"]);
}

#[tokio::test]
async fn after_a_fold_panics_its_subject_is_undecided_until_the_next_event() {
    let (log, _, ctx) = bed();
    put(&*log, vec![paused("a", "panic in fold")]).await;
    let mut worker = worker(&ctx, 9);
    settle(&mut worker).await;
    assert_eq!(log.dead_letters(P, 10).await.unwrap().len(), 1);
    put(&*log, vec![paused("a", "x")]).await;
    settle(&mut worker).await;
    assert_eq!(story(&*log).await, ["panic in fold", "x", "0"], "the newest event was folded");
}

#[tokio::test]
async fn a_standby_takes_over_when_the_lease_is_released_and_the_old_holder_commits_nothing() {
    let (log, _, ctx) = bed();
    let (one, two) = (other(&ctx, "one"), other(&ctx, "two"));
    let mut first = worker(&one, 9);
    let mut second = worker(&two, 9);
    settle(&mut first).await;
    assert_eq!(second.step().await.unwrap(), Step::StandingBy);

    let running = tokio::spawn(first.run());
    one.shutdown.cancel();
    running.await.unwrap().unwrap();
    put(&*log, vec![paused("a", "x")]).await;
    settle(&mut second).await;
    assert_eq!(story(&*log).await, ["x", "0"]);
}
