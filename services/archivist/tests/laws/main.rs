//! The laws of the archivist: nothing is lost, nothing goes that somebody needs, and what was tampered with stays where
//! it is and is named.

#![allow(clippy::unwrap_used, reason = "a law that meets an error is broken")]

#[path = "../../../../crates/archive/tests/laws/faulty.rs"]
mod faulty;
mod notary;
mod redis;
mod sealing;
#[path = "../../../../crates/log/tests/support/mod.rs"]
mod support;
mod trimming;

use std::{sync::Arc, time::Duration};

use hemostat_archive::Archive;
use hemostat_archivist::{Archivist, Notary, Retention, When};
use hemostat_log::{Commit, History, Log, MemoryLog, Order, Range, RawEntry};
use hemostat_runtime::{Clock, Context, ManualClock, Stage, Step, Worker};
use hemostat_schema::{EventId, Family, Partition, Span, Timestamp};

use crate::support::events::event;

const P: Partition = Partition(0);
const EVERY: usize = 4;
const WHEN: When = When { events: 10, age: Span::from_secs(100) };
/// Everything older than 200 seconds goes.
const RETENTION: Retention = Retention { keep: [Span::from_secs(200); 4], max_events: 0, discard: false };

/// A log in memory whose time is the test's.
struct Bed {
    ctx: Context,
    clock: Arc<ManualClock>,
}

impl Bed {
    fn new(archive: Option<Arc<Archive>>) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_000_000).unwrap()));
        let of_log = clock.clone();
        let log: Arc<dyn Log> = Arc::new(MemoryLog::with_clock(1, move || of_log.now()));
        let history = History::new(log.clone(), archive.map(|archive| archive as Arc<dyn hemostat_log::Archive>));
        let ctx = Context { clock: clock.clone(), history, ..Context::new(log) };
        Self { ctx, clock }
    }

    fn notary(&self) -> Stage<Notary> {
        Stage::new(self.ctx.clone(), Notary::new(self.ctx.clone(), P, EVERY, None))
    }

    fn archivist(&self, archive: Option<Arc<Archive>>, retention: Retention) -> Stage<Archivist> {
        Stage::new(self.ctx.clone(), Archivist::new(self.ctx.clone(), P, archive, WHEN, retention))
    }

    fn passes(&self, secs: u64) {
        self.clock.advance(Span::from_secs(secs));
    }

    /// Puts so many events of each family on the log, one a second.
    async fn put(&self, count: usize) {
        for n in 0..count {
            self.passes(1);
            put(&*self.ctx.log, Family::ALL.map(|family| event(family, "api", &n.to_string()))).await;
        }
    }

    async fn on_log(&self) -> Vec<EventId> {
        ids(&self.ctx.log.raw(P, &Family::ALL, Range::ALL, Order::OldestFirst, usize::MAX).await.unwrap())
    }

    /// All that ever happened.
    async fn ever(&self) -> Vec<EventId> {
        let mut scan = self.ctx.history.scan(P, Family::ALL, Range::ALL);
        let mut all = vec![];
        while let Some(page) = scan.next().await.unwrap() {
            all.extend(ids(&page));
        }
        all
    }
}

fn ids(entries: &[RawEntry]) -> Vec<EventId> {
    entries.iter().map(|entry| entry.id).collect()
}

async fn put(log: &dyn Log, events: impl IntoIterator<Item = hemostat_schema::NewEvent>) {
    let lease = log.acquire(P, "writer", "writer", Duration::from_secs(10_000_000)).await.unwrap().unwrap();
    log.commit(&Commit { events: events.into_iter().collect(), ..Commit::new(lease) }).await.unwrap();
}

/// Steps until there is nothing left to do.
async fn rest<W: Worker>(stage: &mut Stage<W>) {
    while let Step::Worked { .. } = stage.step().await.unwrap() {}
}
