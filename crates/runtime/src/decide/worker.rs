//! The worker of a decider: read and fold, decide, commit; after a conflict, again.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use hemostat_core::Decider;
use hemostat_log::CommitError;
use hemostat_schema::{Partition, Timestamp};
use tokio::sync::watch;
use tracing::warn;

use super::round::{InForce, Loaded};
use crate::{
    context::Context,
    lease::LeaseHandle,
    metrics::Metric,
    worker::{Step, Worker, WorkerError, commit, wait_for_append},
};

/// Maximum rounds in one step: each conflict costs one.
const MAX_ROUNDS: u32 = 20;

/// Decides for one partition.
pub struct DecideWorker<D: Decider> {
    ctx: Context,
    partition: Partition,
    policy: watch::Receiver<Arc<D::Policy>>,
    in_force: InForce<D::Policy>,
    append_signal: watch::Receiver<u64>,
    loaded: Option<Loaded<D>>,
}

impl<D: Decider> DecideWorker<D> {
    /// With nothing in memory.
    pub fn new(ctx: Context, partition: Partition, mut policy: watch::Receiver<Arc<D::Policy>>) -> Self {
        let append_signal = ctx.log.append_signal(partition);
        let in_force = in_force::<D>(&mut policy);
        Self { ctx, partition, policy, in_force, append_signal, loaded: None }
    }

    async fn rounds(ctx: &Context, policy: &InForce<D::Policy>, loaded: &mut Loaded<D>) -> Result<Step, WorkerError> {
        let mut at_end = loaded.read_and_fold(ctx).await?.1;
        for _ in 0..MAX_ROUNDS {
            let now = ctx.clock.now();
            let round = loaded.decide(policy, now, at_end)?;
            if round.change.acks.is_empty() && round.change.fired.is_empty() {
                let idle = Step::Idle { until: loaded.next_due(ctx, now) };
                return Ok(if at_end && !round.has_unread_timers {
                    idle
                } else {
                    Step::Worked { handled: 0, appended: 0 }
                });
            }
            match commit(ctx, &round.change).await {
                Ok(ids) => return Ok(loaded.apply(&round.change, &ids)),
                Err(CommitError::Conflict(subject)) => {
                    Metric::CommitConflicts.counter(&[("group", D::GROUP)]).increment(1);
                    let (read, is_end) = loaded.read_and_fold(ctx).await?;
                    at_end = is_end;
                    if read == 0 {
                        loaded.block(subject);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        warn!("{}: {MAX_ROUNDS} conflicts in a row, as others append about the same subjects; trying again", D::GROUP);
        Ok(Step::Worked { handled: 0, appended: 0 })
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

    async fn load(&mut self, handle: &LeaseHandle) -> Result<(), WorkerError> {
        self.loaded = None;
        self.loaded = Some(Loaded::load(&self.ctx, handle.lease().clone(), self.in_force.hash).await?);
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, WorkerError> {
        self.append_signal.borrow_and_update();
        if self.policy.has_changed().unwrap_or(false) {
            self.in_force = in_force::<D>(&mut self.policy);
        }
        let loaded = self.loaded.as_mut().ok_or(WorkerError::StaleState)?;
        loaded.decide_by(self.in_force.hash);
        Self::rounds(&self.ctx, &self.in_force, loaded).await
    }

    async fn wait(&mut self, until: Option<Timestamp>) {
        tokio::select! {
            // A policy that never changes has no sender.
            Ok(()) = self.policy.changed() => self.policy.mark_changed(),
            () = wait_for_append(&mut self.append_signal, &*self.ctx.clock, until) => {}
        }
    }
}

/// The policy that decisions are made by from now on.
fn in_force<D: Decider>(policy: &mut watch::Receiver<Arc<D::Policy>>) -> InForce<D::Policy> {
    let policy = Arc::clone(&policy.borrow_and_update());
    InForce { hash: D::policy_hash(&policy), policy }
}

impl<D: Decider> fmt::Debug for DecideWorker<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecideWorker")
            .field("group", &D::GROUP)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}
