//! The laws of views: what is read is whole, and the same whether it was folded as it happened or all at once.

#![allow(clippy::unwrap_used, reason = "a law that meets an error is broken")]

mod toy;

use std::collections::BTreeMap;

use hemostat_core::Projection;
use hemostat_log::{Commit, History, Log, MemoryLog, RowChange, ViewChange};
use hemostat_runtime::{
    Context, ProjectWorker, Stage, Step,
    parked::{self, Redriven},
    rebuild, rows,
};
use hemostat_schema::{EventId, Family, Recorded};
use proptest::prelude::*;

use crate::toy::{
    faulty::{
        FaultyLog,
        Trouble::{AnswerLost, NotDone},
    },
    *,
};

/// As [`Count`], but each event counts for two.
#[derive(Debug)]
struct Twice;

impl Projection for Twice {
    const NAME: &'static str = "count";
    const VERSION: u16 = 2;
    const READS: &'static [Family] = &[Family::Action];
    type Row = u32;

    fn keys(event: &Recorded) -> Vec<String> {
        Count::keys(event)
    }

    fn evolve(row: Option<u32>, key: &str, event: &Recorded) -> Option<u32> {
        Count::evolve(Count::evolve(row, key, event), key, event)
    }
}

fn project<P: Projection>(ctx: &Context) -> Stage<ProjectWorker<P>> {
    Stage::new(ctx.clone(), ProjectWorker::new(ctx.clone(), P))
}

/// Steps until there is nothing to do, whatever goes wrong with the log meanwhile.
async fn settle<P: Projection>(stage: &mut Stage<ProjectWorker<P>>) {
    for _ in 0..100 {
        if let Ok(Step::Idle { .. }) = stage.step().await {
            return;
        }
    }
    panic!("it never comes to rest");
}

async fn counts<P: Projection<Row = u32>>(log: &dyn Log) -> Result<BTreeMap<String, u32>, rows::Error> {
    Ok(rows::all::<P>(log).await?.into_iter().collect())
}

fn of(counts: &[(&str, u32)]) -> BTreeMap<String, u32> {
    counts.iter().map(|(name, count)| (format!("host/{name}"), *count)).collect()
}

async fn xs(log: &MemoryLog, name: &str, count: usize) {
    put(log, vec![paused(name, "x"); count]).await;
}

#[tokio::test]
async fn a_view_is_read_only_when_it_has_been_filled_to_the_end() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 2_500).await;
    let mut stage = project::<Count>(&ctx);
    let mut told = vec![];
    for _ in 0..2 {
        assert!(matches!(stage.step().await.unwrap(), Step::Worked { handled: 1_000, .. }));
        let Err(rows::Error::Filling(filling)) = counts::<Count>(&*log).await else { panic!("it is read") };
        assert!(matches!(rows::get::<Count>(&*log, "host/a").await, Err(rows::Error::Filling(_))));
        told.push(filling);
    }
    assert_eq!(told[1].view, "count.1");
    assert!(told[1].at >= told[0].at && told[1].at.unwrap() < told[1].clock, "{told:?}");
    assert!(matches!(stage.step().await.unwrap(), Step::Worked { handled: 500, .. }));
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 2_500)])));
}

#[tokio::test]
async fn nobody_reads_what_nobody_has_filled() {
    let (log, _, _) = bed();
    let Err(error) = counts::<Count>(&*log).await else { panic!("it is read") };
    assert!(error.to_string().contains("is a projector running?"), "{error}");
}

#[tokio::test]
async fn while_a_view_is_filled_anew_the_old_one_is_read_and_kept() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 1_500).await;
    let mut stage = project::<Count>(&ctx);
    settle(&mut stage).await;
    let asked = rebuild::ask(&*log, P, "count.1").await.unwrap();
    assert_eq!(asked, "count.1~2");
    assert_eq!(rebuild::ask(&*log, P, "count.1").await.unwrap(), asked, "it is not begun twice");

    // The lease was taken back; the worker notices and begins with the first page.
    while !matches!(stage.step().await.unwrap(), Step::Worked { handled: 1_000, .. }) {}
    xs(&log, "b", 1).await;
    let before = rebuild::progress(&*log, P, "count.1", &asked).await.unwrap();
    assert!(!before.served, "{before:?}");
    assert_eq!(rows::served::<Count>(&*log, P).await.unwrap(), "count.1");
    settle(&mut stage).await;
    assert_eq!(rows::served::<Count>(&*log, P).await.unwrap(), asked);
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 1_500), ("b", 1)])));
    assert!(log.all_rows(P, "count.1").await.unwrap().is_empty(), "the old one is deleted");
    assert!(rebuild::progress(&*log, P, "count.1", &asked).await.unwrap().served);
}

#[tokio::test]
async fn a_row_that_was_changed_by_hand_is_right_again_after_a_rebuild() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 3).await;
    settle(&mut project::<Count>(&ctx)).await;
    change(
        &log,
        vec![RowChange { view: "count.1".into(), key: "host/a".into(), row: Some(rows::encode(&7_u32).unwrap()) }],
        vec![],
    )
    .await;
    rebuild::ask(&*log, P, "count.1").await.unwrap();
    settle(&mut project::<Count>(&ctx)).await;
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 3)])));
}

#[tokio::test]
async fn a_view_that_lost_its_position_is_not_read_and_is_filled_anew() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 3).await;
    settle(&mut project::<Count>(&ctx)).await;
    change(&log, vec![], vec![ViewChange::Retire { view: "count.1".into() }]).await;
    assert!(matches!(counts::<Count>(&*log).await, Err(rows::Error::Filling(_))));
    settle(&mut project::<Count>(&ctx)).await;
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 3)])));
}

#[tokio::test]
async fn rows_that_no_position_vouches_for_are_not_built_upon() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 3).await;
    change(
        &log,
        vec![RowChange { view: "count.1".into(), key: "host/a".into(), row: Some(rows::encode(&7_u32).unwrap()) }],
        vec![],
    )
    .await;
    settle(&mut project::<Count>(&ctx)).await;
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 3)])));
}

#[tokio::test]
async fn programs_of_two_versions_read_their_own_views_and_the_older_one_goes_with_its_program() {
    let (log, _, ctx) = bed();
    let (old, new) = (other(&ctx, "old"), other(&ctx, "new"));
    xs(&log, "a", 3).await;
    let mut older = project::<Count>(&old);
    settle(&mut older).await;
    settle(&mut project::<Twice>(&new)).await;
    xs(&log, "a", 1).await;
    settle(&mut older).await;
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 4)])), "it still runs");
    assert_eq!(counts::<Twice>(&*log).await, Ok(of(&[("a", 6)])));
    assert_eq!(log.views(P).await.unwrap()["count"], "count.2", "and the name is the newer one's");
    rebuild::ask(&*log, P, "count.1").await.unwrap();
    let mut older = project::<Count>(&old);
    settle(&mut older).await;
    assert_eq!(rows::served::<Count>(&*log, P).await.unwrap(), "count.1~2");
    assert_eq!(log.views(P).await.unwrap()["count"], "count.2", "whatever the older does");

    // It ends, and the newer one begins once more.
    old.shutdown.cancel();
    older.run().await.unwrap();
    settle(&mut project::<Twice>(&new)).await;
    assert!(matches!(counts::<Count>(&*log).await, Err(rows::Error::Filling(_))));
    assert_eq!(counts::<Twice>(&*log).await, Ok(of(&[("a", 8)])));
    let cursors = log.inspect(P).await.unwrap().cursors;
    assert!(cursors["count.1"].families.is_empty(), "nothing is kept for it: {cursors:?}");
}

#[tokio::test]
async fn what_cannot_be_folded_is_parked_once_and_again_only_by_a_new_filling() {
    let (log, _, ctx) = bed();
    let broken = log.append_raw(P, Family::Action, "action.paused.1", "host/a", b"\xff");
    let poison = put(&*log, vec![paused("a", "x"), paused("a", "panic"), paused("a", "y"), paused("b", "x")]).await[1];
    settle(&mut project::<Count>(&ctx)).await;
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 2), ("b", 1)])));
    let parked = log.parked(P, 10).await.unwrap();
    assert_eq!(parked.iter().map(|parked| parked.id).collect::<Vec<_>>(), [poison, broken]);
    assert!(parked[0].error.contains("folding this panics"), "{parked:?}");

    // A new filling parks everything that it cannot fold, also what somebody had discarded.
    parked::discard(&*log, parked[1].key).await.unwrap().unwrap();
    let history = History::new(log.clone(), None);
    let (_, redriven) = parked::redrive(&history, parked[0].key).await.unwrap().unwrap();
    assert_eq!(redriven, Redriven::Refilled("count.1~2".into()));
    settle(&mut project::<Count>(&ctx)).await;
    let again = log.parked(P, 10).await.unwrap();
    assert_eq!(again.iter().map(|parked| parked.id).collect::<Vec<_>>(), [poison, broken], "each once");
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 2), ("b", 1)])));
    assert!(parked::discard(&*log, again[0].key).await.unwrap().is_some());
    assert!(parked::discard(&*log, again[0].key).await.unwrap().is_none());
    assert_eq!(parked::list(&*log, 10).await.unwrap().len(), 1);
}

/// Changes rows behind everybody's back.
async fn change(log: &MemoryLog, rows: Vec<RowChange>, views: Vec<ViewChange>) {
    let lease = log.acquire(P, "test", "test", std::time::Duration::from_secs(10)).await.unwrap().unwrap();
    log.commit(&Commit { rows, views, ..Commit::new(lease) }).await.unwrap();
}

/// What happens in a history: something is paused, the projector works, is asked to begin anew, dies, or its commit goes
/// wrong.
#[derive(Debug, Clone)]
enum Happens {
    Paused(u8, usize),
    Poison,
    Step,
    Rebuild,
    Restart,
    NotDone,
    AnswerLost,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0..4_u8, 1..700_usize).prop_map(|(name, count)| Happens::Paused(name, count)),
        1 => Just(Happens::Poison),
        6 => Just(Happens::Step),
        2 => Just(Happens::Rebuild),
        2 => Just(Happens::Restart),
        1 => Just(Happens::NotDone),
        1 => Just(Happens::AnswerLost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_count_each_event_once_and_are_never_half_there(story in prop::collection::vec(happens(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (memory, _, ctx) = bed();
            let log = FaultyLog::new(memory.clone(), []);
            let ctx = Context { log: log.clone(), history: History::new(log.clone(), None), ..ctx };
            let mut stage = project::<Count>(&ctx);
            let (mut expected, mut poison, mut least) = (BTreeMap::new(), 0, BTreeMap::new());
            for event in story {
                match event {
                    Happens::Paused(name, count) => {
                        xs(&memory, &name.to_string(), count).await;
                        *expected.entry(format!("host/{name}")).or_insert(0) += u32::try_from(count).unwrap();
                    }
                    Happens::Poison => {
                        put(&*memory, vec![paused("0", "panic")]).await;
                        poison += 1;
                    }
                    Happens::Step => drop(stage.step().await),
                    Happens::Rebuild => drop(rebuild::ask(&*memory, P, "count.1").await.unwrap()),
                    Happens::Restart => stage = project::<Count>(&ctx),
                    Happens::NotDone => log.trouble(NotDone),
                    Happens::AnswerLost => log.trouble(AnswerLost),
                }
                // Once something is read, never less is.
                if let Ok(read) = counts::<Count>(&*memory).await {
                    for (key, count) in &least {
                        prop_assert!(read.get(key) >= Some(count), "{read:?} after {least:?}");
                    }
                    least = read;
                } else {
                    prop_assert!(least.is_empty(), "what was read is not there any more");
                }
            }
            settle(&mut stage).await;
            prop_assert_eq!(counts::<Count>(&*memory).await, Ok(expected));
            let parked: std::collections::BTreeSet<EventId> =
                memory.parked(P, 1_000).await.unwrap().into_iter().map(|parked| parked.id).collect();
            prop_assert_eq!(parked.len(), poison);
            prop_assert_eq!(memory.parked(P, 1_000).await.unwrap().len(), poison, "each once");
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn an_idle_view_is_at_the_end_and_keeps_nothing_from_being_trimmed() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 3).await;
    settle(&mut project::<Count>(&ctx)).await;
    let end = log.clock(P).await.unwrap();
    let cursor = log.inspect(P).await.unwrap().cursors["count.1"].clone();
    assert_eq!((cursor.at, cursor.families), (end, vec![Family::Action]));
    let trimmed = log.trim(P, Family::Action, EventId { seq: end.seq + 1, ..end }).await.unwrap();
    assert_eq!((trimmed.removed, trimmed.held_by), (3, None));
}
