//! The notary: folds every event of a partition into its family's chain of hashes, in the order of the log.
//!
//! Its rows and its position are one commit, and its position is the last event of its chains: there is nothing that
//! could disagree. A checkpoint is told to the witness, where there is one, before it is committed: so each one that
//! stands has been told, whatever crashes; while the witness cannot be reached, the notary waits, and with it whatever
//! would be trimmed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hemostat_archive::{Error as ArchiveError, Witness};
use hemostat_runtime::{
    Context, Halt, Metric, Step, Tenure, Worker,
    log::{
        Commit, Cursor, Lease, Order, Range, RawEntry, RowChange,
        chain::{Checkpoint, VIEW, checkpoint_key, tip_key},
    },
};
use hemostat_schema::{Family, Partition, Span, Timestamp};
use tokio::{sync::watch, time::sleep};
use tracing::{error, warn};

use crate::ledger::Tips;

/// Events in one commit.
const BATCH: usize = 1000;

/// So long after the bell has rung, what has come meanwhile is folded in one commit: nobody waits for the notary.
const GATHER: Duration = Duration::from_millis(250);

/// How long to wait for a witness that cannot be reached.
const WITNESS_RETRY: Span = Span::from_secs(5);

/// A notary rests at most so long, even where no bell rings.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Keeps the chains of one partition.
#[derive(Debug)]
pub struct Notary {
    ctx: Context,
    partition: Partition,
    every: usize,
    witness: Option<Arc<Witness>>,
    bell: watch::Receiver<u64>,
    lease: Option<Lease>,
    tips: Tips,
    /// The witness could not be reached, and that was said.
    silent: bool,
}

impl Notary {
    /// With a checkpoint after every so many events of a family (at least one).
    pub fn new(ctx: Context, partition: Partition, every: usize, witness: Option<Arc<Witness>>) -> Self {
        let bell = ctx.log.bell(partition);
        Self { ctx, partition, every, witness, bell, lease: None, tips: Tips::default(), silent: false }
    }

    /// Tells the witness of the checkpoints; whether it could be told.
    async fn tell(&mut self, checkpoints: &[(Family, Checkpoint)]) -> bool {
        let Some(witness) = &self.witness else { return true };
        for (family, checkpoint) in checkpoints {
            match witness.tell(self.partition, *family, checkpoint, self.ctx.clock.now()).await {
                Ok(()) => {}
                Err(error @ ArchiveError::Contradicted { .. }) => error!(
                    partition = %self.partition,
                    "history is not what it was: {error}; run `hemostat verify` to see what differs"
                ),
                Err(error) => {
                    if !std::mem::replace(&mut self.silent, true) {
                        warn!(
                            "notary/{}: the witness cannot be told ({}); nothing is trimmed until it can: \
                             see notary.witness",
                            self.partition,
                            error.told()
                        );
                    }
                    return false;
                }
            }
        }
        self.silent = false;
        true
    }
}

#[async_trait]
impl Worker for Notary {
    fn group(&self) -> &str {
        crate::ledger::NOTARY
    }

    fn partition(&self) -> Partition {
        self.partition
    }

    async fn begin(&mut self, tenure: &Tenure) -> Result<(), Halt> {
        self.tips = Tips::read(&*self.ctx.log, self.partition).await?;
        self.lease = Some(tenure.lease().clone());
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, Halt> {
        self.bell.borrow_and_update();
        let Some(lease) = self.lease.clone() else { return Err(Halt::Astray) };
        let range = Range::after(self.tips.position(self.partition));
        let entries = self.ctx.log.raw(self.partition, &Family::ALL, range, Order::OldestFirst, BATCH).await?;
        let Some(last) = entries.last().map(|entry| entry.id) else { return Ok(Step::Idle { until: None }) };

        // What was folded and then not committed must not stay.
        let mut tips = self.tips.clone();
        let closed = |entry: &RawEntry| Some((entry.family, tips.of_mut(entry.family).fold(entry, self.every)?));
        let checkpoints: Vec<(Family, Checkpoint)> = entries.iter().filter_map(closed).collect();
        if !self.tell(&checkpoints).await {
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
            #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
            let length = self.tips.of(family).link.count as f64;
            Metric::ChainLength.gauge(&[("family", family.name()), ("partition", &partition)]).set(length);
        }
        Ok(Step::Worked { handled: entries.len(), emitted: 0 })
    }

    async fn rest(&mut self, until: Option<Timestamp>) {
        // The witness is waited for, whatever comes meanwhile.
        if let Some(until) = until {
            return sleep(Span::between(self.ctx.clock.now(), until).into()).await;
        }
        tokio::select! {
            Ok(()) = self.bell.changed() => sleep(GATHER).await,
            () = sleep(LONGEST_REST) => {}
        }
    }
}

fn row_change(key: String, row: Vec<u8>) -> RowChange {
    RowChange { view: VIEW.to_owned(), key, row: Some(row) }
}

fn unwritable(error: impl std::fmt::Display) -> Halt {
    let reason = format!("a row of {VIEW} cannot be written: {error}");
    Halt::Log(hemostat_runtime::log::Error::Invalid { doing: "keep the chain of hashes", reason })
}
