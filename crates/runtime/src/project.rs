//! Keeping the rows of a projection: read, fold, write rows and acknowledgements in one commit.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use async_trait::async_trait;
use hemostat_core::Projection;
use hemostat_log::{Commit, Delivery, Inbox, Park, RowChange};
use hemostat_schema::{Partition, Timestamp};
use tokio::sync::watch;
use tracing::error;

use crate::{
    Context, Halt, Stage, Step, Task, Worker,
    lease::Tenure,
    rows,
    worker::{commit, rest, said},
};

/// Deliveries in one commit.
const BATCH: usize = 500;

/// Rows that are kept in memory between commits; beyond that they are read again.
const CACHED_ROWS: usize = 4096;

/// The workers of a projection, one for each partition.
pub fn projection<P: Projection>(ctx: &Context) -> Vec<Task> {
    ctx.partitions()
        .map(|partition| {
            let worker = ProjectWorker::<P>::new(ctx.clone(), partition);
            Task::new(format!("{}/{partition}", worker.view), Stage::new(ctx.clone(), worker).run())
        })
        .collect()
}

/// Folds one partition into the rows of `P`.
pub struct ProjectWorker<P: Projection> {
    ctx: Context,
    partition: Partition,
    /// Name and version; also the consumer group.
    view: String,
    bell: watch::Receiver<u64>,
    inbox: Option<Inbox>,
    /// As they are in the log; none for those that are not there.
    rows: HashMap<String, Option<P::Row>>,
}

impl<P: Projection> ProjectWorker<P> {
    /// With nothing in memory.
    pub fn new(ctx: Context, partition: Partition) -> Self {
        let bell = ctx.log.bell(partition);
        Self { ctx, partition, view: rows::view::<P>(), bell, inbox: None, rows: HashMap::new() }
    }

    /// Reads those rows that are not in memory.
    async fn load(&mut self, keys: BTreeSet<&String>) -> Result<(), Halt> {
        if self.rows.len() > CACHED_ROWS {
            self.rows.clear();
        }
        let missing: Vec<String> = keys.into_iter().filter(|key| !self.rows.contains_key(*key)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let read = self.ctx.log.rows(self.partition, &self.view, &missing).await?;
        for (key, bytes) in missing.into_iter().zip(read) {
            let row = bytes.map(|bytes| rows::decode_row(&self.view, &key, &bytes)).transpose()?;
            self.rows.insert(key, row);
        }
        Ok(())
    }

    /// Folds one delivery into the rows in memory; why not, where it cannot be.
    fn fold(&mut self, delivery: &Delivery, keys: &[String], changed: &mut BTreeSet<String>) -> Result<(), String> {
        let event = delivery.event.as_ref().map_err(Clone::clone)?;
        let folded: BTreeMap<&String, Option<P::Row>> = catch_unwind(AssertUnwindSafe(|| {
            let row = |key: &String| self.rows.get(key).cloned().flatten();
            keys.iter().map(|key| (key, P::evolve(row(key), key, event))).collect()
        }))
        .map_err(|panic| format!("the projection panicked: {}", said(&*panic)))?;
        for (key, row) in folded {
            let before = self.rows.insert(key.clone(), row);
            if before.as_ref() != self.rows.get(key) {
                changed.insert(key.clone());
            }
        }
        Ok(())
    }
}

#[async_trait]
impl<P: Projection> Worker for ProjectWorker<P> {
    fn group(&self) -> &str {
        &self.view
    }

    fn partition(&self) -> Partition {
        self.partition
    }

    async fn begin(&mut self, tenure: &Tenure) -> Result<(), Halt> {
        self.rows.clear();
        self.inbox = Some(Inbox::new(self.ctx.log.clone(), tenure.lease().clone(), P::READS));
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, Halt> {
        self.bell.borrow_and_update();
        let Some(inbox) = &mut self.inbox else { return Err(Halt::Astray) };
        let lease = inbox.lease().clone();
        let deliveries = inbox.next(BATCH).await?;
        if deliveries.is_empty() {
            return Ok(Step::Idle { until: None });
        }
        let keys: Vec<Result<Vec<String>, String>> = deliveries.iter().map(keys::<P>).collect();
        self.load(keys.iter().flatten().flatten().collect()).await?;

        let mut change = Commit::new(lease);
        let mut changed = BTreeSet::new();
        for (delivery, keys) in deliveries.iter().zip(&keys) {
            change.acks.push((delivery.family, delivery.id));
            let folded = keys.clone().and_then(|keys| self.fold(delivery, &keys, &mut changed));
            if let Err(why) = folded {
                error!("{}: could not fold {}, which is put aside: {why}", self.view, delivery.id);
                change.parked.push(Park { family: delivery.family, id: delivery.id, error: why });
            }
        }
        for key in changed {
            let row = self.rows.get(&key).and_then(Option::as_ref).map(rows::encode).transpose()?;
            change.rows.push(RowChange { view: self.view.clone(), key, row });
        }
        commit(&self.ctx, &change).await?;
        Ok(Step::Worked { handled: deliveries.len(), emitted: 0 })
    }

    async fn rest(&mut self, until: Option<Timestamp>) {
        rest(&mut self.bell, &*self.ctx.clock, until).await;
    }
}

/// The rows that a delivery touches; none where a later program wrote it.
fn keys<P: Projection>(delivery: &Delivery) -> Result<Vec<String>, String> {
    match &delivery.event {
        Ok(event) if event.event().is_some() => catch_unwind(AssertUnwindSafe(|| P::keys(event)))
            .map_err(|panic| format!("the projection panicked: {}", said(&*panic))),
        Ok(_) => Ok(vec![]),
        Err(why) => Err(why.clone()),
    }
}

impl<P: Projection> fmt::Debug for ProjectWorker<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectWorker")
            .field("view", &self.view)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}
