//! Deciders: fold the log into state, decide upon triggers, commit with optimistic concurrency.
//!
//! ```text
//!   inbox ──► fold everything ──► decide, trigger by trigger ──► one commit: events, acknowledgements, rows, timers
//!     ▲                                  │                           │ guarded by the versions that were folded
//!     └──── conflict: read on ◄──────────┼───────────────────────────┤
//!                                        ▼                           ▼
//!       a subject waits while events about it are in flight      own events come back through the inbox
//! ```
//!
//! State is what the log says, folded in the order of event ids, and nothing else. The materialised rows and their offset
//! are written in the commit that acknowledges the deliveries, so the rows are always a consistent cut of the log: every
//! event up to the offset is in them, no later one is. Without an offset (a new group, a new version of the rows, deleted
//! rows) the worker folds the whole log again, without deciding anything.

mod round;
mod state_cache;
mod timers;
mod worker;

use std::sync::Arc;

use hemostat_core::Decider;
use tokio::sync::watch;

pub use self::worker::DecideWorker;
use crate::{context::Context, leased_worker::LeasedWorker, task::Task};

/// A policy that never changes.
pub fn unchanging<P>(policy: P) -> watch::Receiver<Arc<P>> {
    watch::channel(Arc::new(policy)).1
}

/// The workers of a decider, one for each partition. When the policy changes, the next decision uses the new one, and
/// every timer fires once, because its due time followed from the old one.
pub fn decider<D: Decider>(ctx: &Context, policy: &watch::Receiver<Arc<D::Policy>>) -> Vec<Task> {
    let worker = |partition| DecideWorker::<D>::new(ctx.clone(), partition, policy.clone());
    ctx.partitions().map(|partition| LeasedWorker::task(ctx, worker(partition))).collect()
}
