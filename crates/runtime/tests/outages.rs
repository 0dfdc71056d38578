//! Outages of the log: nothing is lost, nothing is done twice.

#![allow(clippy::unwrap_used, reason = "a test fails on any error")]

mod toy;

use std::{sync::Arc, time::Duration};

use hemostat_log::{History, Log as _};
use hemostat_runtime::{
    Context, DecideWorker, Effect, EffectWorker, ExecutionGuard, Fault, LeasedWorker, Producer, ProjectWorker, Worker,
    read_model, unchanging,
};
use hemostat_schema::{Family, NewEvent, Recorded, action::Resumed};
use tokio::time::timeout;

use crate::toy::{
    faulty::{
        FaultyLog,
        LogFault::{self, CommittedBefore, NotCommitted, ReplyLost},
    },
    *,
};

/// Runs `worker` on a log with these faults until it has `count` events, then shuts it down.
async fn run_until<W: Worker>(
    events: Vec<NewEvent>,
    faults: Vec<LogFault>,
    count: usize,
    worker: impl FnOnce(Context) -> W,
) -> (Arc<FaultyLog>, Vec<String>) {
    let (memory, _, ctx) = bed();
    put(&*memory, events).await;
    let log = FaultyLog::new(memory, faults);
    let ctx = Context { log: log.clone(), history: History::new(log.clone(), None), ..ctx };
    let running = tokio::spawn(LeasedWorker::new(ctx.clone(), worker(ctx.clone())).run());
    let complete = async {
        while story(&*log.inner).await.len() < count || !log.is_spent() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let complete = timeout(Duration::from_secs(20), complete).await;
    ctx.shutdown.cancel();
    timeout(Duration::from_secs(20), running).await.expect("it ends on shutdown").unwrap().unwrap();
    let story = story(&*log.inner).await;
    assert!(complete.is_ok(), "there is only {story:?}");
    (log, story)
}

#[tokio::test]
async fn a_conflicting_event_is_folded_before_the_decision_is_committed() {
    let meanwhile = NewEvent::new(subject("a"), hemostat_schema::Timestamp::UNIX_EPOCH, Resumed { by: "other".into() });
    let decide = |ctx: Context| DecideWorker::<Answer>::new(ctx, P, unchanging(9));
    let (_, story) = run_until(vec![paused("a", "x")], vec![CommittedBefore(Box::new(meanwhile))], 3, decide).await;
    assert_eq!(story, ["x", "other", "1"], "the decision counts the other event");
}

#[tokio::test]
async fn a_decision_is_committed_once_whether_the_commit_or_the_reply_was_lost() {
    for faults in [vec![NotCommitted], vec![ReplyLost], vec![NotCommitted, NotCommitted, ReplyLost]] {
        let decide = |ctx: Context| DecideWorker::<Answer>::new(ctx, P, unchanging(9));
        let (log, story) = run_until(vec![paused("a", "x"), paused("b", "y")], faults, 4, decide).await;
        assert_eq!(story, ["x", "y", "0", "0"]);
        assert!(log.dead_letters(P, 10).await.unwrap().is_empty());
    }
}

/// Counts how often it was executed.
#[derive(Default)]
struct Once(Arc<std::sync::atomic::AtomicU32>);

#[async_trait::async_trait]
impl Effect for Once {
    const READS: &'static [Family] = &[Family::Action];

    fn group(&self) -> &str {
        "once"
    }

    fn wants(&self, event: &Recorded) -> bool {
        event.kind() == "action.paused"
    }

    async fn run(&self, event: &Recorded, guard: &ExecutionGuard) -> Result<Vec<NewEvent>, Fault> {
        guard.check_lease()?;
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(vec![NewEvent::new(event.subject.clone(), guard.began_at(), Resumed { by: "done".into() })])
    }
}

#[tokio::test]
async fn an_effect_is_not_repeated_when_its_outcome_cannot_be_committed() {
    for faults in [vec![NotCommitted], vec![ReplyLost], vec![NotCommitted, ReplyLost]] {
        let times = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let once = Arc::new(Once(times.clone()));
        let (_, story) = run_until(vec![paused("a", "x")], faults, 2, |ctx| EffectWorker::new(ctx, P, once)).await;
        assert_eq!(story, ["x", "done"]);
        assert_eq!(times.load(std::sync::atomic::Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_row_counts_each_event_once_when_a_reply_is_lost() {
    let (log, _) = run_until(vec![paused("a", "x"), paused("a", "y")], vec![ReplyLost], 2, |ctx| {
        ProjectWorker::<Count>::new(ctx, P)
    })
    .await;
    put(&*log.inner, vec![paused("a", "z")]).await;
    let ctx = Context::new(log.clone());
    LeasedWorker::new(ctx.clone(), ProjectWorker::<Count>::new(ctx, P)).step().await.unwrap();
    assert_eq!(read_model::get::<Count>(&*log, "host/a").await.unwrap(), Some(3));
}

#[tokio::test]
async fn a_producer_repeats_an_append_whose_reply_was_lost_and_it_is_done_once() {
    let (memory, _, ctx) = bed();
    let log = FaultyLog::new(memory, [ReplyLost, NotCommitted, ReplyLost]);
    let ctx = Context { log: log.clone(), history: History::new(log.clone(), None), ..ctx };
    let mut producer = Producer::acquire(&ctx, P, "monitor").await.unwrap();
    for name in ["x", "y"] {
        let ids = producer.append(vec![paused("a", name)], vec![]).await.unwrap();
        assert_eq!(ids.len(), 1);
    }
    assert_eq!(story(&*log).await, ["x", "y"]);
    assert!(log.is_spent());
}
