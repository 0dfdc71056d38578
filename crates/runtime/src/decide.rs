//! Running a decider: state is what the log says, folded in the order of ids, and nothing else.
//!
//! ```text
//!   inbox ──► fold everything ──► decide trigger by trigger ──► one commit: events, acks, rows, timers
//!     ▲                                  │                          │ guarded by the heads that were folded
//!     └──── conflict: read on ◄──────────┼──────────────────────────┤
//!                                        ▼                          ▼
//!              a subject that has just emitted waits      own events come back through the inbox
//! ```
//!
//! Rows are written in the same commit as the acknowledgements, together with the position up to which the partition
//! was folded. So the rows are always one consistent cut through the log: what is newer than the position is folded,
//! what is not has been. Where there is no position (a new group, a new version of the rows, rows that were deleted),
//! the whole log is folded again, without deciding anything.

mod memory;
mod round;
mod timers;
mod worker;

use std::sync::Arc;

use hemostat_core::Decider;

pub use self::{memory::Known, worker::DecideWorker};
use crate::{Context, Stage, Task};

/// The workers of a decider, one for each partition.
pub fn decider<D: Decider>(ctx: &Context, policy: Arc<D::Policy>) -> Vec<Task> {
    ctx.partitions()
        .map(|partition| {
            let worker = DecideWorker::<D>::new(ctx.clone(), partition, policy.clone());
            Task::new(format!("{}/{partition}", D::GROUP), Stage::new(ctx.clone(), worker).run())
        })
        .collect()
}
