//! The laws of the decider's worker.

#![allow(clippy::unwrap_used, reason = "a law that meets an error is broken")]

mod toy;

use std::sync::Arc;

use hemostat_log::{Log, RowChange};
use hemostat_runtime::{Context, DecideWorker, Stage, Step};
use hemostat_schema::{Family, Span};

use crate::toy::*;

fn stage(ctx: &Context, most: u32) -> Stage<DecideWorker<Answer>> {
    Stage::new(ctx.clone(), DecideWorker::new(ctx.clone(), P, Arc::new(most)))
}

/// Steps until there is nothing to do.
async fn settle(stage: &mut Stage<DecideWorker<Answer>>) -> Step {
    for _ in 0..100 {
        match stage.step().await.unwrap() {
            Step::Worked { .. } => {}
            step => return step,
        }
    }
    panic!("it never comes to rest");
}

#[tokio::test]
async fn a_decision_is_made_once_with_its_trigger_as_cause_and_in_its_trace() {
    let (log, _, ctx) = bed();
    let ids = put(&*log, vec![paused("a", "x")]).await;
    let mut stage = stage(&ctx, 9);
    settle(&mut stage).await;
    settle(&mut stage).await;
    assert_eq!(story(&*log).await, ["x", "0"]);
    let history = history(&*log).await;
    assert_eq!(history[1].cause, Some(ids[0]));
    assert!(history[1].trace.is_some());
}

#[tokio::test]
async fn what_a_dead_process_had_in_hand_is_decided_exactly_once_by_the_next() {
    let (log, _, ctx) = bed();
    put(&*log, vec![paused("a", "x"), paused("b", "y")]).await;
    let first = other(&ctx, "first");
    // It takes the deliveries and dies before it commits.
    let lease = log.acquire(P, "answer", "first", first.lease_ttl).await.unwrap().unwrap();
    let mut inbox = hemostat_log::Inbox::new(log.clone(), lease.clone(), [Family::Action]);
    assert_eq!(inbox.next(10).await.unwrap().len(), 2);
    log.release(&lease).await.unwrap();

    settle(&mut stage(&other(&ctx, "second"), 9)).await;
    settle(&mut stage(&other(&ctx, "second"), 9)).await;
    assert_eq!(story(&*log).await, ["x", "y", "0", "0"]);
}

#[tokio::test]
async fn triggers_of_one_subject_see_the_events_of_the_ones_before() {
    let (log, _, ctx) = bed();
    put(&*log, vec![paused("a", "x"), paused("a", "y"), paused("b", "z"), paused("a", "w")]).await;
    settle(&mut stage(&ctx, 2)).await;
    let mut answers = story(&*log).await.split_off(4);
    answers.sort();
    assert_eq!(answers, ["0", "0", "1"], "a is answered twice at most, b once");
}

#[tokio::test]
async fn state_outlives_the_process_and_lost_rows_are_folded_again() {
    let (log, _, ctx) = bed();
    put(&*log, vec![paused("a", "x")]).await;
    settle(&mut stage(&ctx, 9)).await;
    put(&*log, vec![paused("a", "y")]).await;
    settle(&mut stage(&ctx, 9)).await;
    assert_eq!(story(&*log).await, ["x", "0", "y", "1"]);

    let lease = log.acquire(P, "rows", "test", ctx.lease_ttl).await.unwrap().unwrap();
    let mut delete = hemostat_log::Commit::new(lease);
    delete.seq = Some(1);
    for view in ["answer.1", "answer-shared.1"] {
        for (key, _) in log.all_rows(P, view).await.unwrap() {
            delete.rows.push(RowChange { view: view.into(), key, row: None });
        }
    }
    assert!(delete.rows.len() >= 3, "subject, host and position: {:?}", delete.rows);
    log.commit(&delete).await.unwrap();

    put(&*log, vec![paused("a", "z")]).await;
    settle(&mut stage(&ctx, 9)).await;
    assert_eq!(story(&*log).await.last().unwrap(), "2", "the whole log was folded again");
}

#[tokio::test]
async fn a_panic_puts_one_delivery_aside_and_nothing_else() {
    let (log, _, ctx) = bed();
    let ids = put(&*log, vec![paused("a", "panic"), paused("b", "x")]).await;
    settle(&mut stage(&ctx, 9)).await;
    assert_eq!(story(&*log).await, ["panic", "x", "0"]);
    let parked = log.parked(P, 10).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].id, ids[0]);
    assert!(parked[0].error.contains("deciding this panics"), "{}", parked[0].error);
}

#[tokio::test]
async fn what_cannot_be_read_is_put_aside_and_a_later_programs_kind_is_passed_over() {
    let (log, _, ctx) = bed();
    let broken = log.append_raw(P, Family::Action, "action.paused.1", "host/a", b"\xff");
    let later = b"\x82\xa2at\xb42026-01-01T00:00:00Z\xa4data\x80";
    log.append_raw(P, Family::Action, "action.dreamt.1", "host/b", later);
    put(&*log, vec![paused("c", "x")]).await;
    settle(&mut stage(&ctx, 9)).await;
    let parked = log.parked(P, 10).await.unwrap();
    assert_eq!(parked.iter().map(|parked| parked.id).collect::<Vec<_>>(), [broken]);
    assert_eq!(story(&*log).await, ["x", "0"]);
}

#[tokio::test]
async fn a_timer_rings_once_when_it_is_due_also_after_a_restart() {
    let (log, clock, ctx) = bed();
    put(&*log, vec![paused("a", "wait")]).await;
    let Step::Idle { until: Some(due) } = settle(&mut stage(&ctx, 9)).await else { panic!("no timer") };
    assert_eq!(Span::between(hemostat_runtime::Clock::now(&*clock), due), Span::from_secs(60));

    let mut after = stage(&ctx, 9);
    clock.advance(Span::from_millis(59_999));
    settle(&mut after).await;
    assert_eq!(story(&*log).await, ["wait"]);
    clock.advance(Span::from_millis(1));
    assert_eq!(settle(&mut after).await, Step::Idle { until: None });
    settle(&mut stage(&ctx, 9)).await;
    assert_eq!(story(&*log).await, ["wait", "woken"]);
}

#[tokio::test]
async fn a_fold_that_panics_leaves_its_subject_undecided_until_something_can_be_read() {
    let (log, _, ctx) = bed();
    put(&*log, vec![paused("a", "panic in fold")]).await;
    let mut stage = stage(&ctx, 9);
    settle(&mut stage).await;
    assert_eq!(log.parked(P, 10).await.unwrap().len(), 1);
    put(&*log, vec![paused("a", "x")]).await;
    settle(&mut stage).await;
    assert_eq!(story(&*log).await, ["panic in fold", "x", "0"], "the newest event is known again");
}

#[tokio::test]
async fn who_stands_by_takes_over_when_the_lease_is_given_back_and_the_old_one_commits_nothing() {
    let (log, _, ctx) = bed();
    let (one, two) = (other(&ctx, "one"), other(&ctx, "two"));
    let mut first = stage(&one, 9);
    let mut second = stage(&two, 9);
    settle(&mut first).await;
    assert_eq!(second.step().await.unwrap(), Step::StandingBy);

    let running = tokio::spawn(first.run());
    one.shutdown.cancel();
    running.await.unwrap().unwrap();
    put(&*log, vec![paused("a", "x")]).await;
    settle(&mut second).await;
    assert_eq!(story(&*log).await, ["x", "0"]);
}
