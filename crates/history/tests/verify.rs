//! `verify`: rows that the workers wrote equal the fold of their events, and a row that was changed is named.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::{sync::Arc, time::Duration};

use hemostat_core::{
    Decider, Policy, Projection,
    alerting::Alerting,
    fold::{decider_view, shared_view},
    judge::Judge,
    remedy::Authorisation,
    views::{Breaker, Calibration, Containers, Cooldown, Dedup, IncidentSamples, Incidents, Metrics, Timeline},
};
use hemostat_diagnosis::Triage;
use hemostat_history::{
    History, Progress,
    testing::{Plan, history},
    verify::{self, Difference, Others, Report},
};
use hemostat_log::{Commit, Log, MemoryLog, RowChange};
use hemostat_runtime::{Context, DecideWorker, LeasedWorker, ProjectWorker, Step, Worker, read_model, unchanging};
use hemostat_schema::{Body, Family, NewEvent, Partition, Span};

const P: Partition = Partition(0);

/// Steps until there is nothing to do; returns whether anything was done.
async fn settle<W: Worker>(ctx: &Context, worker: W) -> bool {
    let mut worker = LeasedWorker::new(ctx.clone(), worker);
    for step in 0..10_000 {
        if let Step::Idle { .. } = worker.step().await.unwrap() {
            return step > 0;
        }
    }
    panic!("it never becomes idle");
}

async fn decide<D: Decider<Policy = Policy>>(ctx: &Context) -> bool {
    settle(ctx, DecideWorker::<D>::new(ctx.clone(), P, unchanging(Policy::default()))).await
}

async fn project<V: Projection>(ctx: &Context) {
    settle(ctx, ProjectWorker::<V>::new(ctx.clone(), P)).await;
}

/// Half a day of two containers that fall ill, with the rows of every decider and every view.
async fn written() -> (Arc<MemoryLog>, Context) {
    let plan = Plan {
        containers: 2,
        length: Span::from_secs(12 * 3600),
        sample_every: Span::from_secs(1800),
        ill_every: Span::from_secs(5400),
    };
    let log = Arc::new(MemoryLog::new(1));
    let ctx = Context::new(log.clone());
    let events = history(plan, &Policy::default()).into_iter().map(|event| {
        let Body::Known(known) = event.body else { panic!("the generated history has an unknown event") };
        NewEvent { incident: event.incident, ..NewEvent::new(event.subject, event.at, known) }
    });
    let lease = log.acquire(P, "test", "me", Duration::from_secs(60)).await.unwrap().unwrap();
    log.commit(&Commit { events: events.collect(), ..Commit::new(lease) }).await.unwrap();
    log.append_raw(P, Family::Action, "action.paused.1", "host/c0", b"\xff");

    // Each decider may emit events that the others read.
    while [decide::<Triage>(&ctx).await, decide::<Authorisation>(&ctx).await].contains(&true)
        | [decide::<Judge>(&ctx).await, decide::<Alerting>(&ctx).await].contains(&true)
    {}
    project::<Containers>(&ctx).await;
    project::<Incidents>(&ctx).await;
    project::<Timeline>(&ctx).await;
    project::<Cooldown>(&ctx).await;
    project::<Breaker>(&ctx).await;
    project::<Dedup>(&ctx).await;
    project::<Calibration>(&ctx).await;
    project::<Metrics>(&ctx).await;
    project::<IncidentSamples>(&ctx).await;
    (log, ctx)
}

async fn verified(ctx: &Context) -> Report {
    verify::run(&ctx.history, Others::default(), &Progress::default()).await.unwrap()
}

#[tokio::test]
async fn rows_that_the_workers_wrote_equal_the_fold_of_their_events() {
    let (log, ctx) = written().await;
    let report = verified(&ctx).await;
    assert_eq!(report.differences, []);
    assert!(report.rows > 20 && report.events > 50, "{report:?}");
    assert_eq!(report.unchecked.len(), 1, "no notary has seen the partition: {:?}", report.unchecked);
    let dead_letters = log.dead_letters(P, 100).await.unwrap().len();
    assert!(dead_letters > 0, "one event cannot be decoded");
    assert_eq!(report.notes.len(), dead_letters);
}

#[tokio::test]
async fn each_row_that_was_changed_or_deleted_is_named() {
    let (log, ctx) = written().await;
    let containers = read_model::served::<Containers>(&*log, P).await.unwrap();
    let (judge, hosts) = (decider_view::<Judge>(), shared_view::<Authorisation>());
    let mut rows = vec![];
    for (view, row) in [(containers, None), (judge, Some(b"\xc0".to_vec())), (hosts, None)] {
        let (key, _) =
            log.all_rows(P, &view).await.unwrap().into_iter().find(|(key, _)| !key.starts_with('/')).unwrap();
        rows.push(RowChange { view, key, row });
    }
    let lease = log.acquire(P, "test", "me", Duration::from_secs(60)).await.unwrap().unwrap();
    log.commit(&Commit { rows: rows.clone(), ..Commit::new(lease) }).await.unwrap();

    let report = verified(&ctx).await;
    let named: Vec<(String, String, bool)> = report
        .differences
        .into_iter()
        .map(|difference| match difference {
            Difference::Row { view, key, found, .. } => (view, key, found.is_some()),
            other => panic!("{other}"),
        })
        .collect();
    for RowChange { view, key, row } in &rows {
        assert!(named.contains(&(view.clone(), key.clone(), row.is_some())), "{view} {key} is not in {named:?}");
    }
    assert_eq!(named.len(), rows.len());
}

#[tokio::test]
async fn a_view_that_is_not_built_yet_is_unchecked() {
    let log = Arc::new(MemoryLog::new(1));
    let report = verify::run(&History::new(log, None), Others::default(), &Progress::default()).await.unwrap();
    assert_eq!((report.differences.len(), report.rows), (0, 0));
    // Nine views, four deciders, and the chains of the notary.
    assert_eq!(report.unchecked.len(), 14, "{:?}", report.unchecked);
}
