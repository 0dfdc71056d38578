//! The laws that hold when the log goes wrong: nothing is lost, nothing is done twice.

#![allow(clippy::unwrap_used, reason = "a law that meets an error is broken")]

mod toy;

use std::{sync::Arc, time::Duration};

use hemostat_log::{History, Log as _};
use hemostat_runtime::{
    Context, DecideWorker, Effect, EffectWorker, Fault, Permit, Producer, ProjectWorker, Stage, Worker, rows,
};
use hemostat_schema::{Family, NewEvent, Recorded, action::Resumed};
use tokio::time::timeout;

use crate::toy::{
    faulty::{
        FaultyLog,
        Trouble::{self, AnswerLost, Meanwhile, NotDone},
    },
    *,
};

/// Runs `worker` on a log with `trouble` until the log tells `count` things, then ends it in order.
async fn run_until<W: Worker>(
    events: Vec<NewEvent>,
    trouble: Vec<Trouble>,
    count: usize,
    worker: impl FnOnce(Context) -> W,
) -> (Arc<FaultyLog>, Vec<String>) {
    let (memory, _, ctx) = bed();
    put(&*memory, events).await;
    let log = FaultyLog::new(memory, trouble);
    let ctx = Context { log: log.clone(), history: History::new(log.clone(), None), ..ctx };
    let running = tokio::spawn(Stage::new(ctx.clone(), worker(ctx.clone())).run());
    let told = async {
        while story(&*log.inner).await.len() < count || !log.is_spent() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let told = timeout(Duration::from_secs(20), told).await;
    ctx.shutdown.cancel();
    timeout(Duration::from_secs(20), running).await.expect("it ends when told").unwrap().unwrap();
    let story = story(&*log.inner).await;
    assert!(told.is_ok(), "the log tells only {story:?}");
    (log, story)
}

#[tokio::test]
async fn what_is_added_meanwhile_is_read_before_the_decision_stands() {
    let meanwhile = NewEvent::new(subject("a"), hemostat_schema::Timestamp::UNIX_EPOCH, Resumed { by: "other".into() });
    let decide = |ctx: Context| DecideWorker::<Answer>::new(ctx, P, Arc::new(9));
    let (_, story) = run_until(vec![paused("a", "x")], vec![Meanwhile(Box::new(meanwhile))], 3, decide).await;
    assert_eq!(story, ["x", "other", "1"], "the answer counts the other's");
}

#[tokio::test]
async fn a_decision_stands_once_whether_its_commit_or_only_the_answer_was_lost() {
    for trouble in [vec![NotDone], vec![AnswerLost], vec![NotDone, NotDone, AnswerLost]] {
        let decide = |ctx: Context| DecideWorker::<Answer>::new(ctx, P, Arc::new(9));
        let (log, story) = run_until(vec![paused("a", "x"), paused("b", "y")], trouble, 4, decide).await;
        assert_eq!(story, ["x", "y", "0", "0"]);
        assert!(log.parked(P, 10).await.unwrap().is_empty());
    }
}

/// Counts how often it was done.
#[derive(Default)]
struct Once(Arc<std::sync::atomic::AtomicU32>);

#[async_trait::async_trait]
impl Effect for Once {
    const GROUP: &'static str = "once";
    const READS: &'static [Family] = &[Family::Action];

    fn wants(&self, event: &Recorded) -> bool {
        event.kind() == "action.paused"
    }

    async fn run(&self, event: &Recorded, permit: &Permit) -> Result<Vec<NewEvent>, Fault> {
        permit.check()?;
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(vec![NewEvent::new(event.subject.clone(), permit.now(), Resumed { by: "done".into() })])
    }
}

#[tokio::test]
async fn an_effect_is_not_repeated_because_its_outcome_could_not_be_committed() {
    for trouble in [vec![NotDone], vec![AnswerLost], vec![NotDone, AnswerLost]] {
        let times = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let once = Arc::new(Once(times.clone()));
        let (_, story) = run_until(vec![paused("a", "x")], trouble, 2, |ctx| EffectWorker::new(ctx, P, once)).await;
        assert_eq!(story, ["x", "done"]);
        assert_eq!(times.load(std::sync::atomic::Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_row_counts_each_event_once_whatever_becomes_of_the_commit() {
    let (log, _) = run_until(vec![paused("a", "x"), paused("a", "y")], vec![AnswerLost], 2, |ctx| {
        ProjectWorker::<Count>::new(ctx, P)
    })
    .await;
    put(&*log.inner, vec![paused("a", "z")]).await;
    let ctx = Context::new(log.clone());
    Stage::new(ctx.clone(), ProjectWorker::<Count>::new(ctx, P)).step().await.unwrap();
    assert_eq!(rows::get::<Count>(&*log, "host/a").await.unwrap(), Some(3));
}

#[tokio::test]
async fn a_producer_sends_again_what_it_does_not_know_was_done_and_it_is_there_once() {
    let (memory, _, ctx) = bed();
    let log = FaultyLog::new(memory, [AnswerLost, NotDone, AnswerLost]);
    let ctx = Context { log: log.clone(), history: History::new(log.clone(), None), ..ctx };
    let mut producer = Producer::acquire(&ctx, P, "monitor").await.unwrap();
    for name in ["x", "y"] {
        let ids = producer.append(vec![paused("a", name)], vec![]).await.unwrap();
        assert_eq!(ids.len(), 1);
    }
    assert_eq!(story(&*log).await, ["x", "y"]);
    assert!(log.is_spent());
}
