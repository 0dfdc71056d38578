//! The rows of a view at an instant are the rows that a reader saw at that instant.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use hemostat_core::{
    Projection,
    views::{Breaker, Calibration, Containers, Cooldown, Dedup, Incidents, Timeline},
};
use hemostat_history::testing::{Plan, history};
use hemostat_history::{History, Position, Progress, as_of};
use hemostat_log::{Commit, Log, MemoryLog};
use hemostat_runtime::{Context, LeasedWorker, ProjectWorker, Step, read_model};
use hemostat_schema::{
    Body, Cause, Event, EventId, NewEvent, Observation, Partition, Recorded, Span, Timestamp,
    alert::{Raised, Resolution, Resolved},
};
use proptest::{
    sample::subsequence,
    strategy::{Strategy as _, ValueTree as _},
};

/// Half a day of four containers that fall ill, with an alert for each symptom.
fn half_a_day() -> Vec<Recorded> {
    let plan = Plan {
        containers: 4,
        length: Span::from_secs(12 * 3600),
        sample_every: Span::from_secs(1800),
        ill_every: Span::from_secs(5400),
    };
    let with_alert = |event: Recorded| {
        let alert: Option<Event> = match event.event() {
            Some(Event::Observation(Observation::SymptomRaised(raised))) => {
                let (title, text) = ("ill".into(), "so".into());
                Some(Raised { severity: raised.severity, title, text }.into())
            }
            Some(Event::Observation(Observation::SymptomCleared(cleared))) => {
                let (title, text, alert) = ("well".into(), "so".into(), event.id);
                Some(Resolved { alert, how: Resolution::Passed, title, text, took: cleared.stood }.into())
            }
            _ => None,
        };
        // A free id: more events than any millisecond of this history has.
        let id = EventId { seq: event.id.seq + 1_000_000, ..event.id };
        let alert =
            alert.map(|alert| Recorded { id, cause: Some(event.id), body: Body::Known(alert), ..event.clone() });
        std::iter::once(event).chain(alert)
    };
    history(plan, &hemostat_core::testing::policy()).into_iter().flat_map(with_alert).collect()
}

/// A log that is written in pieces, and a projector that follows it.
struct Written<P: Projection> {
    log: Arc<MemoryLog>,
    ctx: Context,
    now: Arc<AtomicI64>,
    projector: LeasedWorker<ProjectWorker<P>>,
    /// The ids on this log, by the ids of the generated history.
    ids: HashMap<EventId, EventId>,
}

impl<P: Projection> Written<P> {
    fn new() -> Self {
        let now = Arc::new(AtomicI64::new(1_767_225_600_000));
        let clock = Arc::clone(&now);
        let log = Arc::new(MemoryLog::with_clock(1, move || Timestamp::from_millisecond(clock.load(Relaxed)).unwrap()));
        let ctx = Context::new(log.clone());
        let projector = LeasedWorker::new(ctx.clone(), ProjectWorker::<P>::new(ctx.clone(), Partition(0)));
        Self { log, ctx, now, projector, ids: HashMap::new() }
    }

    /// Writes these events, a millisecond after what was written before, and lets the projector fold them.
    async fn write(&mut self, events: &[Recorded]) {
        self.now.fetch_add(1, Relaxed);
        let lease = self.log.acquire(Partition(0), "test", "me", Duration::from_secs(60)).await.unwrap().unwrap();
        let siblings: HashMap<EventId, usize> =
            events.iter().enumerate().map(|(index, event)| (event.id, index)).collect();
        let new = |event: &Recorded| {
            let Body::Known(known) = &event.body else { panic!("the generated history has an unknown event") };
            let cause = event.cause.map(|cause| match siblings.get(&cause) {
                Some(index) => Cause::Sibling(*index),
                None => Cause::Event(self.ids[&cause]),
            });
            let Recorded { subject, at, incident, trace, .. } = event.clone();
            NewEvent { subject, at, incident, cause, trace, event: known.clone() }
        };
        let commit = Commit { events: events.iter().map(new).collect(), ..Commit::new(lease) };
        let ids = self.log.commit(&commit).await.unwrap();
        self.ids.extend(events.iter().map(|event| event.id).zip(ids));
        for _ in 0..100 {
            if let Ok(Step::Idle { .. }) = self.projector.step().await {
                return;
            }
        }
        panic!("the projector never becomes idle");
    }

    async fn rows(&self) -> BTreeMap<String, P::Row> {
        read_model::all::<P>(&*self.log).await.unwrap().into_iter().collect()
    }
}

/// Compares the rows after each piece of the history with the rows of [`as_of`] at the same instant.
async fn check<P: Projection>(history: &[Recorded], ends: &[usize]) {
    let mut written = Written::<P>::new();
    let mut seen = vec![];
    let mut begin = 0;
    for end in ends.iter().copied().chain([history.len()]) {
        written.write(&history[begin..end]).await;
        seen.push((written.log.clock(Partition(0)).await.unwrap(), written.rows().await));
        begin = end;
    }
    assert!(seen.iter().any(|(_, rows)| !rows.is_empty()), "{} is never empty here", P::NAME);

    let (past, progress) = (History::new(written.ctx.log.clone(), None), Progress::default());
    for (id, expected) in &seen {
        let by_event = as_of::rows::<P>(&past, Position::after(*id), &progress).await.unwrap();
        assert_eq!(by_event, *expected, "{} as of {id}", P::NAME);
        let instant = Timestamp::from_millisecond(i64::try_from(id.ms).unwrap()).unwrap();
        let by_time = as_of::rows::<P>(&past, Position::by(instant), &progress).await.unwrap();
        assert_eq!(by_time, *expected, "{} as of {instant}", P::NAME);
    }
    let (id, _) = seen[seen.len() / 2];
    for key in seen.iter().flat_map(|(_, rows)| rows.keys()).collect::<std::collections::BTreeSet<_>>() {
        let expected = seen[seen.len() / 2].1.get(key);
        let row = as_of::row::<P>(&past, key, Position::after(id), &progress).await.unwrap();
        assert_eq!(row.as_ref(), expected, "{} of {key} as of {id}", P::NAME);
    }
}

/// Fifty instants, chosen by a fixed seed.
fn fifty(length: usize) -> Vec<usize> {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    subsequence((1..length).collect::<Vec<_>>(), 50).new_tree(&mut runner).unwrap().current()
}

#[tokio::test]
async fn containers_and_incidents_as_of_fifty_instants_are_the_rows_seen_then() {
    let history = half_a_day();
    let ends = fifty(history.len());
    check::<Containers>(&history, &ends).await;
    check::<Incidents>(&history, &ends).await;
}

#[tokio::test]
async fn every_other_view_as_of_fifty_instants_is_the_rows_seen_then() {
    let history = half_a_day();
    let ends = fifty(history.len());
    check::<Timeline>(&history, &ends).await;
    check::<Cooldown>(&history, &ends).await;
    check::<Breaker>(&history, &ends).await;
    check::<Dedup>(&history, &ends).await;
    check::<Calibration>(&history, &ends).await;
}

#[tokio::test]
async fn before_the_first_event_there_are_no_rows() {
    let mut written = Written::<Containers>::new();
    written.write(&half_a_day()).await;
    let past = History::new(written.ctx.log.clone(), None);
    let rows = as_of::rows::<Containers>(&past, Position::START, &Progress::default()).await.unwrap();
    assert_eq!(rows, BTreeMap::new());
}
