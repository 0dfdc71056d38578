//! The notary: folds every event of a partition into its family's chain of hashes, in log order.
//!
//! Rows and offset are written in one commit, and the offset is the last event of the chains, so they cannot disagree. If
//! a witness is configured, it records each checkpoint before the commit: every committed checkpoint is recorded,
//! whatever crashes. While the witness fails, the notary waits, and nothing further is trimmed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hemostat_archive::{Error as ArchiveError, Witness};
use hemostat_runtime::{
    Context, LeaseHandle, Metric, Step, Worker, WorkerError,
    log::{
        Commit, Cursor, Lease, Order, Range, RawEntry, RowChange,
        chain::{Checkpoint, VIEW, checkpoint_key, tip_key},
    },
};
use hemostat_schema::{Family, Partition, Span, Timestamp};
use tokio::{sync::watch, time::sleep};
use tracing::{error, warn};

use crate::chain_index::Tips;

/// Maximum events per commit.
const BATCH: usize = 1000;

/// How long the notary gathers further events after an append signal, to commit them together: its rows are not urgent.
const GATHER: Duration = Duration::from_millis(250);

/// How long the notary waits before it retries a failing witness.
const WITNESS_RETRY: Span = Span::from_secs(5);

/// Maximum time between two steps, also without an append signal.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Keeps the chains of one partition.
#[derive(Debug)]
pub struct Notary {
    ctx: Context,
    partition: Partition,
    every: usize,
    witness: Option<Arc<Witness>>,
    append_signal: watch::Receiver<u64>,
    lease: Option<Lease>,
    tips: Tips,
    /// The witness failed last time, and that was logged.
    witness_failing: bool,
}

impl Notary {
    /// A notary that sets a checkpoint after every `every` events of a family (at least one).
    pub fn new(ctx: Context, partition: Partition, every: usize, witness: Option<Arc<Witness>>) -> Self {
        let append_signal = ctx.log.append_signal(partition);
        Self {
            ctx,
            partition,
            every,
            witness,
            append_signal,
            lease: None,
            tips: Tips::default(),
            witness_failing: false,
        }
    }

    /// Records the checkpoints with the witness; `false` if it fails.
    async fn record(&mut self, checkpoints: &[(Family, Checkpoint)]) -> bool {
        let Some(witness) = &self.witness else { return true };
        for (family, checkpoint) in checkpoints {
            match witness.record(self.partition, *family, checkpoint, self.ctx.clock.now()).await {
                Ok(()) => {}
                Err(error @ ArchiveError::Contradicted { .. }) => error!(
                    partition = %self.partition,
                    "history was altered: {error}; run `hemostat verify` to see what differs"
                ),
                Err(error) => {
                    if !std::mem::replace(&mut self.witness_failing, true) {
                        warn!(
                            "notary/{}: the witness fails ({}); nothing is trimmed until it recovers: \
                             see notary.witness",
                            self.partition,
                            error.with_sources()
                        );
                    }
                    return false;
                }
            }
        }
        self.witness_failing = false;
        true
    }
}

#[async_trait]
impl Worker for Notary {
    fn group(&self) -> &str {
        crate::chain_index::NOTARY_GROUP
    }

    fn partition(&self) -> Partition {
        self.partition
    }

    async fn load(&mut self, handle: &LeaseHandle) -> Result<(), WorkerError> {
        self.tips = Tips::read(&*self.ctx.log, self.partition).await?;
        self.lease = Some(handle.lease().clone());
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, WorkerError> {
        self.append_signal.borrow_and_update();
        let Some(lease) = self.lease.clone() else { return Err(WorkerError::StaleState) };
        let range = Range::after(self.tips.position(self.partition));
        let entries = self.ctx.log.raw(self.partition, &Family::ALL, range, Order::OldestFirst, BATCH).await?;
        let Some(last) = entries.last().map(|entry| entry.id) else { return Ok(Step::Idle { until: None }) };

        // A copy: if the commit fails, the folded events must not remain in memory.
        let mut tips = self.tips.clone();
        let closed = |entry: &RawEntry| Some((entry.family, tips.of_mut(entry.family).fold(entry, self.every)?));
        let checkpoints: Vec<(Family, Checkpoint)> = entries.iter().filter_map(closed).collect();
        if !self.record(&checkpoints).await {
            return Ok(Step::Idle { until: Some(WITNESS_RETRY.after(self.ctx.clock.now())) });
        }
        let mut change = Commit::new(lease);
        for (family, checkpoint) in &checkpoints {
            let row = checkpoint.to_row().map_err(unwritable)?;
            change.rows.push(row_change(checkpoint_key(*family, checkpoint.link.count), row));
        }
        for family in Family::ALL {
            if tips.of(family) != self.tips.of(family) {
                change.rows.push(row_change(tip_key(family), tips.of(family).to_row().map_err(unwritable)?));
            }
        }
        change.cursor = Some(Cursor { at: last, families: Family::ALL.to_vec() });
        self.ctx.log.commit(&change).await?;
        self.tips = tips;

        let partition = self.partition.to_string();
        Metric::EventsHandled.counter(&[("group", self.group())]).increment(entries.len() as u64);
        for family in Family::ALL {
            #[expect(clippy::cast_precision_loss, reason = "a metric")]
            let length = self.tips.of(family).link.count as f64;
            Metric::ChainLength.gauge(&[("family", family.name()), ("partition", &partition)]).set(length);
        }
        Ok(Step::Worked { handled: entries.len(), appended: 0 })
    }

    async fn wait(&mut self, until: Option<Timestamp>) {
        // New events do not shorten the wait for a failing witness.
        if let Some(until) = until {
            return sleep(Span::between(self.ctx.clock.now(), until).into()).await;
        }
        tokio::select! {
            Ok(()) = self.append_signal.changed() => sleep(GATHER).await,
            () = sleep(MAX_WAIT) => {}
        }
    }
}

fn row_change(key: String, row: Vec<u8>) -> RowChange {
    RowChange { view: VIEW.to_owned(), key, row: Some(row) }
}

fn unwritable(error: impl std::fmt::Display) -> WorkerError {
    let reason = format!("a row of {VIEW} cannot be written: {error}");
    WorkerError::Log(hemostat_runtime::log::Error::Invalid { doing: "keep the chain of hashes", reason })
}
