//! Views: a reader sees complete views only, and a rebuilt view equals one that was folded event by event.

#![allow(clippy::unwrap_used, reason = "a test fails on any error")]

mod toy;

use std::collections::BTreeMap;

use hemostat_core::{Projection, projection::IsExpired};
use hemostat_log::{Commit, History, Log, MemoryLog, RowChange, ViewChange};
use hemostat_runtime::{
    Context, LeasedWorker, ProjectWorker, Step,
    commands::CommandError,
    dead_letters::{self, What},
    read_model, rebuild,
};
use hemostat_schema::{Action, Event, EventId, Family, Recorded, Timestamp, action::Redelivery};
use proptest::prelude::*;

use crate::toy::{
    faulty::{
        FaultyLog,
        LogFault::{NotCommitted, ReplyLost},
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

fn project<P: Projection>(ctx: &Context) -> LeasedWorker<ProjectWorker<P>> {
    LeasedWorker::new(ctx.clone(), ProjectWorker::new(ctx.clone(), P))
}

/// Steps until there is nothing to do, through all faults of the log.
async fn settle<P: Projection>(worker: &mut LeasedWorker<ProjectWorker<P>>) {
    for _ in 0..100 {
        if let Ok(Step::Idle { .. }) = worker.step().await {
            return;
        }
    }
    panic!("it never becomes idle");
}

async fn counts<P: Projection<Row = u32>>(log: &dyn Log) -> Result<BTreeMap<String, u32>, read_model::Error> {
    Ok(read_model::all::<P>(log).await?.into_iter().collect())
}

fn of(counts: &[(&str, u32)]) -> BTreeMap<String, u32> {
    counts.iter().map(|(name, count)| (format!("host/{name}"), *count)).collect()
}

async fn xs(log: &MemoryLog, name: &str, count: usize) {
    put(log, vec![paused(name, "x"); count]).await;
}

#[tokio::test]
async fn a_view_is_read_only_after_it_was_built_to_the_end_of_the_log() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 2_500).await;
    let mut worker = project::<Count>(&ctx);
    let mut progress = vec![];
    for _ in 0..2 {
        assert!(matches!(worker.step().await.unwrap(), Step::Worked { handled: 1_000, .. }));
        let Err(read_model::Error::Building(building)) = counts::<Count>(&*log).await else { panic!("it is read") };
        assert!(matches!(read_model::get::<Count>(&*log, "host/a").await, Err(read_model::Error::Building(_))));
        progress.push(building);
    }
    assert_eq!(progress[1].view, "count.1");
    assert!(progress[1].at >= progress[0].at && progress[1].at.unwrap() < progress[1].clock, "{progress:?}");
    assert!(matches!(worker.step().await.unwrap(), Step::Worked { handled: 500, .. }));
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 2_500)])));
}

#[tokio::test]
async fn a_view_that_was_never_built_cannot_be_read() {
    let (log, _, _) = bed();
    let Err(error) = counts::<Count>(&*log).await else { panic!("it is read") };
    assert!(error.to_string().contains("is one running?"), "{error}");
}

#[tokio::test]
async fn during_a_rebuild_the_old_view_is_read_and_maintained() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 1_500).await;
    let mut worker = project::<Count>(&ctx);
    settle(&mut worker).await;
    let requested = rebuild::request(&*log, P, "count.1").await.unwrap();
    assert_eq!(requested, "count.1~2");
    assert_eq!(
        rebuild::request(&*log, P, "count.1").await.unwrap(),
        requested,
        "a second request does not start it again"
    );

    // The lease was recalled; the worker notices and begins with the first page.
    while !matches!(worker.step().await.unwrap(), Step::Worked { handled: 1_000, .. }) {}
    xs(&log, "b", 1).await;
    let before = rebuild::progress(&*log, P, "count.1", &requested).await.unwrap();
    assert!(!before.served, "{before:?}");
    assert_eq!(read_model::served::<Count>(&*log, P).await.unwrap(), "count.1");
    settle(&mut worker).await;
    assert_eq!(read_model::served::<Count>(&*log, P).await.unwrap(), requested);
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 1_500), ("b", 1)])));
    assert!(log.all_rows(P, "count.1").await.unwrap().is_empty(), "the old one is deleted");
    assert!(rebuild::progress(&*log, P, "count.1", &requested).await.unwrap().served);
}

#[tokio::test]
async fn a_rebuild_corrects_a_row_that_was_changed_by_hand() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 3).await;
    settle(&mut project::<Count>(&ctx)).await;
    change(
        &log,
        vec![RowChange {
            view: "count.1".into(),
            key: "host/a".into(),
            row: Some(read_model::encode(&7_u32).unwrap()),
        }],
        vec![],
    )
    .await;
    rebuild::request(&*log, P, "count.1").await.unwrap();
    settle(&mut project::<Count>(&ctx)).await;
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 3)])));
}

#[tokio::test]
async fn a_view_that_lost_its_offset_is_not_read_and_is_rebuilt() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 3).await;
    settle(&mut project::<Count>(&ctx)).await;
    change(&log, vec![], vec![ViewChange::Retire { view: "count.1".into() }]).await;
    assert!(matches!(counts::<Count>(&*log).await, Err(read_model::Error::Building(_))));
    settle(&mut project::<Count>(&ctx)).await;
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 3)])));
}

#[tokio::test]
async fn rows_without_an_offset_are_discarded() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 3).await;
    change(
        &log,
        vec![RowChange {
            view: "count.1".into(),
            key: "host/a".into(),
            row: Some(read_model::encode(&7_u32).unwrap()),
        }],
        vec![],
    )
    .await;
    settle(&mut project::<Count>(&ctx)).await;
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 3)])));
}

#[tokio::test]
async fn two_versions_read_their_own_views_and_the_older_view_is_deleted_after_its_process_ends() {
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
    assert_eq!(log.views(P).await.unwrap()["count"], "count.2", "the name points to the newer view");
    rebuild::request(&*log, P, "count.1").await.unwrap();
    let mut older = project::<Count>(&old);
    settle(&mut older).await;
    assert_eq!(read_model::served::<Count>(&*log, P).await.unwrap(), "count.1~2");
    assert_eq!(log.views(P).await.unwrap()["count"], "count.2", "a rebuild of the older view does not change that");

    // The older process ends, and the newer one starts again.
    old.shutdown.cancel();
    older.run().await.unwrap();
    settle(&mut project::<Twice>(&new)).await;
    assert!(matches!(counts::<Count>(&*log).await, Err(read_model::Error::Building(_))));
    assert_eq!(counts::<Twice>(&*log).await, Ok(of(&[("a", 8)])));
    let cursors = log.inspect(P).await.unwrap().cursors;
    assert!(cursors["count.1"].families.is_empty(), "its cursor holds back nothing: {cursors:?}");
}

#[tokio::test]
async fn an_event_that_cannot_be_folded_is_dead_lettered_once_per_build() {
    let (log, _, ctx) = bed();
    let broken = log.append_raw(P, Family::Action, "action.paused.1", "host/a", b"\xff");
    let poison = put(&*log, vec![paused("a", "x"), paused("a", "panic"), paused("a", "y"), paused("b", "x")]).await[1];
    settle(&mut project::<Count>(&ctx)).await;
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 2), ("b", 1)])));
    let dead_letters = log.dead_letters(P, 10).await.unwrap();
    assert_eq!(dead_letters.iter().map(|letter| letter.id).collect::<Vec<_>>(), [poison, broken]);
    assert!(dead_letters[0].error.contains("folding this panics"), "{dead_letters:?}");

    // A rebuild dead-letters everything that it cannot fold, also what an operator had discarded.
    let history = History::new(log.clone(), None);
    order(&history, dead_letters[1].key, What::Discard, "1").await.unwrap();
    let redriven = order(&history, dead_letters[0].key, What::Redrive, "2").await.unwrap();
    let Some(Event::Action(Action::DeadLetterRedriven(redriven))) = redriven.event.event() else {
        panic!("{redriven:?}")
    };
    assert_eq!((redriven.how, redriven.view.as_deref()), (Redelivery::Rebuilt, Some("count.1~2")));
    settle(&mut project::<Count>(&ctx)).await;
    let again = log.dead_letters(P, 10).await.unwrap();
    assert_eq!(again.iter().map(|letter| letter.id).collect::<Vec<_>>(), [poison, broken], "each once");
    let commands = ("@hemostat".to_owned(), 2);
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 2), ("b", 1)]).into_iter().chain([commands]).collect()));
    order(&history, again[0].key, What::Discard, "3").await.unwrap();
    assert!(matches!(order(&history, again[0].key, What::Discard, "4").await, Err(CommandError::Unknown)));
    assert_eq!(dead_letters::list(&*log, 10).await.unwrap().len(), 1);
}

/// Changes rows as an operator would, behind the projector's back.
async fn change(log: &MemoryLog, rows: Vec<RowChange>, views: Vec<ViewChange>) {
    let lease = log.acquire(P, "test", "test", std::time::Duration::from_secs(10)).await.unwrap().unwrap();
    log.commit(&Commit { rows, views, ..Commit::new(lease) }).await.unwrap();
}

/// A step of a random history: events are appended, the projector steps, is asked to rebuild, restarts, or meets a fault of
/// the log.
#[derive(Debug, Clone)]
enum Happens {
    Paused(u8, usize),
    Poison,
    Step,
    Rebuild,
    Restart,
    NotCommitted,
    ReplyLost,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0..4_u8, 1..700_usize).prop_map(|(name, count)| Happens::Paused(name, count)),
        1 => Just(Happens::Poison),
        6 => Just(Happens::Step),
        2 => Just(Happens::Rebuild),
        2 => Just(Happens::Restart),
        1 => Just(Happens::NotCommitted),
        1 => Just(Happens::ReplyLost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_count_each_event_once_and_are_never_incomplete(story in prop::collection::vec(happens(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (memory, _, ctx) = bed();
            let log = FaultyLog::new(memory.clone(), []);
            let ctx = Context { log: log.clone(), history: History::new(log.clone(), None), ..ctx };
            let mut worker = project::<Count>(&ctx);
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
                    Happens::Step => drop(worker.step().await),
                    Happens::Rebuild => drop(rebuild::request(&*memory, P, "count.1").await.unwrap()),
                    Happens::Restart => worker = project::<Count>(&ctx),
                    Happens::NotCommitted => log.inject(NotCommitted),
                    Happens::ReplyLost => log.inject(ReplyLost),
                }
                // Once a count was read, no smaller one is.
                if let Ok(read) = counts::<Count>(&*memory).await {
                    for (key, count) in &least {
                        prop_assert!(read.get(key) >= Some(count), "{read:?} after {least:?}");
                    }
                    least = read;
                } else {
                    prop_assert!(least.is_empty(), "a view that was read is gone");
                }
            }
            settle(&mut worker).await;
            prop_assert_eq!(counts::<Count>(&*memory).await, Ok(expected));
            let dead_letters: std::collections::BTreeSet<EventId> =
                memory.dead_letters(P, 1_000).await.unwrap().into_iter().map(|letter| letter.id).collect();
            prop_assert_eq!(dead_letters.len(), poison);
            prop_assert_eq!(memory.dead_letters(P, 1_000).await.unwrap().len(), poison, "each once");
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn events_that_change_no_row_write_no_row_and_the_offset_follows_at_the_latest_at_the_end() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 3).await;
    let mut worker = project::<Count>(&ctx);
    settle(&mut worker).await;
    let before = log.all_rows(P, "count.1").await.unwrap();
    put(&*log, vec![paused("a", "silent"); 2]).await;
    assert!(matches!(worker.step().await.unwrap(), Step::Worked { handled: 2, .. }));
    assert_eq!(log.all_rows(P, "count.1").await.unwrap(), before);
    // A crash here costs nothing: the next process folds the same events again.
    put(&*log, vec![paused("a", "silent"), paused("a", "x")]).await;
    let mut next = project::<Count>(&ctx);
    settle(&mut next).await;
    assert_eq!(counts::<Count>(&*log).await, Ok(of(&[("a", 4)])));

    put(&*log, vec![paused("a", "silent")]).await;
    settle(&mut next).await;
    ctx.shutdown.cancel();
    next.run().await.unwrap();
    let (end, cursor) = (log.clock(P).await.unwrap(), log.inspect(P).await.unwrap().cursors["count.1"].clone());
    assert_eq!(cursor.at, end);
}

/// As [`Count`], but a row of `old` is deleted when it is older than the offset.
#[derive(Debug)]
struct Expiring;

impl Projection for Expiring {
    const NAME: &'static str = "expiring";
    const VERSION: u16 = 1;
    const READS: &'static [Family] = &[Family::Action];
    const IS_EXPIRED: Option<IsExpired<u32>> = Some(|key, _, now| key == "host/old" && now > Timestamp::UNIX_EPOCH);
    type Row = u32;

    fn keys(event: &Recorded) -> Vec<String> {
        Count::keys(event)
    }

    fn evolve(row: Option<u32>, key: &str, event: &Recorded) -> Option<u32> {
        Count::evolve(row, key, event)
    }
}

#[tokio::test]
async fn expired_rows_are_deleted_with_the_offset_in_one_commit() {
    let (log, _, ctx) = bed();
    xs(&log, "old", 2).await;
    xs(&log, "new", 1).await;
    let mut worker = project::<Expiring>(&ctx);
    settle(&mut worker).await;
    settle(&mut worker).await;
    assert_eq!(counts::<Expiring>(&*log).await, Ok(of(&[("new", 1)])));
    assert_eq!(log.inspect(P).await.unwrap().cursors["expiring.1"].at, log.clock(P).await.unwrap());
    // A row that comes again begins again, also in the memory of the worker.
    xs(&log, "old", 1).await;
    settle(&mut worker).await;
    assert_eq!(counts::<Expiring>(&*log).await, Ok(of(&[("new", 1), ("old", 1)])));
}

#[tokio::test]
async fn the_cursor_of_an_idle_view_is_at_the_end_and_holds_back_no_trimming() {
    let (log, _, ctx) = bed();
    xs(&log, "a", 3).await;
    settle(&mut project::<Count>(&ctx)).await;
    let end = log.clock(P).await.unwrap();
    let cursor = log.inspect(P).await.unwrap().cursors["count.1"].clone();
    assert_eq!((cursor.at, cursor.families), (end, vec![Family::Action]));
    let trimmed = log.trim(P, Family::Action, EventId { seq: end.seq + 1, ..end }).await.unwrap();
    assert_eq!((trimmed.removed, trimmed.held_by), (3, None));
}
