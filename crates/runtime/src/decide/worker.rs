//! The loop of a decider: read and fold, decide, commit; again where something was added meanwhile.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use hemostat_core::Decider;
use hemostat_log::CommitError;
use hemostat_schema::{Partition, Timestamp};
use tokio::sync::watch;
use tracing::warn;

use super::round::Open;
use crate::{
    Context, Halt, Metric, Step, Worker,
    lease::Tenure,
    worker::{commit, rest},
};

/// How often in one step it is decided again because of a conflict.
const ROUNDS: u32 = 20;

/// Decides for one partition.
pub struct DecideWorker<D: Decider> {
    ctx: Context,
    partition: Partition,
    policy: Arc<D::Policy>,
    bell: watch::Receiver<u64>,
    open: Option<Open<D>>,
}

impl<D: Decider> DecideWorker<D> {
    /// With nothing in memory.
    pub fn new(ctx: Context, partition: Partition, policy: Arc<D::Policy>) -> Self {
        let bell = ctx.log.bell(partition);
        Self { ctx, partition, policy, bell, open: None }
    }

    async fn rounds(ctx: &Context, policy: &D::Policy, open: &mut Open<D>) -> Result<Step, Halt> {
        let mut drained = open.take_in(ctx).await?.1;
        for _ in 0..ROUNDS {
            let now = ctx.clock.now();
            let round = open.decide(policy, now, drained)?;
            if round.change.acks.is_empty() && round.change.fired.is_empty() {
                let idle = Step::Idle { until: open.wake(ctx, now) };
                return Ok(if drained { idle } else { Step::Worked { handled: 0, emitted: 0 } });
            }
            match commit(ctx, &round.change).await {
                Ok(ids) => return Ok(open.settle(&round.change, &ids)),
                Err(CommitError::Conflict(subject)) => {
                    Metric::CommitConflicts.counter(&[("group", D::GROUP)]).increment(1);
                    let (read, all) = open.take_in(ctx).await?;
                    drained = all;
                    if read == 0 {
                        open.block(subject);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        warn!("{}: decided {ROUNDS} times and something was always added meanwhile; going on", D::GROUP);
        Ok(Step::Worked { handled: 0, emitted: 0 })
    }
}

#[async_trait]
impl<D: Decider> Worker for DecideWorker<D> {
    fn group(&self) -> &str {
        D::GROUP
    }

    fn partition(&self) -> Partition {
        self.partition
    }

    async fn begin(&mut self, tenure: &Tenure) -> Result<(), Halt> {
        self.open = None;
        self.open = Some(Open::load(&self.ctx, tenure.lease().clone()).await?);
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, Halt> {
        self.bell.borrow_and_update();
        let open = self.open.as_mut().ok_or(Halt::Astray)?;
        Self::rounds(&self.ctx, &self.policy, open).await
    }

    async fn rest(&mut self, until: Option<Timestamp>) {
        rest(&mut self.bell, &*self.ctx.clock, until).await;
    }
}

impl<D: Decider> fmt::Debug for DecideWorker<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecideWorker")
            .field("group", &D::GROUP)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}
