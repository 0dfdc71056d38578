//! The laws of the archivist: no event is lost, no needed event is trimmed, and altered events are named and stay on the
//! log.

#![allow(clippy::unwrap_used, reason = "a law that meets an error is broken")]

mod notary;
mod redis;
mod sealing;
mod trimming;

use std::{sync::Arc, time::Duration};

use hemostat_archive::Archive;
use hemostat_archivist::{Archivist, Notary, Retention, SealPolicy};
use hemostat_log::{Commit, History, Log, MemoryLog, Order, Range, RawEntry, testing::events::event};
use hemostat_runtime::{Clock, Context, LeasedWorker, ManualClock, Step, Worker};
use hemostat_schema::{EventId, Family, Partition, Span, Timestamp};

const P: Partition = Partition(0);
const EVERY: usize = 4;
const SEAL_POLICY: SealPolicy = SealPolicy { events: 10, age: Span::from_secs(100) };
/// Events are trimmed after 200 seconds.
const RETENTION: Retention =
    Retention { keep: [Span::from_secs(200); Family::ALL.len()], max_events: 0, discard: false };

/// A log in memory with a clock that the test advances.
struct ArchivistFixture {
    ctx: Context,
    clock: Arc<ManualClock>,
}

impl ArchivistFixture {
    fn new(archive: Option<Arc<Archive>>) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_000_000).unwrap()));
        let of_log = clock.clone();
        let log: Arc<dyn Log> = Arc::new(MemoryLog::with_clock(1, move || of_log.now()));
        let history = History::new(log.clone(), archive.map(|archive| archive as Arc<dyn hemostat_log::Archive>));
        let ctx = Context { clock: clock.clone(), history, ..Context::new(log) };
        Self { ctx, clock }
    }

    fn notary(&self) -> LeasedWorker<Notary> {
        LeasedWorker::new(self.ctx.clone(), Notary::new(self.ctx.clone(), P, EVERY, None))
    }

    fn archivist(&self, archive: Option<Arc<Archive>>, retention: Retention) -> LeasedWorker<Archivist> {
        LeasedWorker::new(self.ctx.clone(), Archivist::new(self.ctx.clone(), P, archive, SEAL_POLICY, retention))
    }

    fn advance(&self, secs: u64) {
        self.clock.advance(Span::from_secs(secs));
    }

    /// Appends `count` events of each family, one per second.
    async fn append(&self, count: usize) {
        for n in 0..count {
            self.advance(1);
            append(&*self.ctx.log, Family::ALL.map(|family| event(family, "api", &n.to_string()))).await;
        }
    }

    async fn on_log(&self) -> Vec<EventId> {
        ids(&self.ctx.log.raw(P, &Family::ALL, Range::ALL, Order::OldestFirst, usize::MAX).await.unwrap())
    }

    /// All events of archive and log.
    async fn all_events(&self) -> Vec<EventId> {
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

async fn append(log: &dyn Log, events: impl IntoIterator<Item = hemostat_schema::NewEvent>) {
    let lease = log.acquire(P, "writer", "writer", Duration::from_secs(10_000_000)).await.unwrap().unwrap();
    log.commit(&Commit { events: events.into_iter().collect(), ..Commit::new(lease) }).await.unwrap();
}

/// Steps until the worker is idle.
async fn run_until_idle<W: Worker>(stage: &mut LeasedWorker<W>) {
    while let Step::Worked { .. } = stage.step().await.unwrap() {}
}
