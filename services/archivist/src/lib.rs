//! The archivist: makes history tamper-evident, archives it, and trims the log.
//!
//! ```text
//!   log ──► notary ──► chain of hashes, checkpoints ──► rows, witness
//!               └─ offset ─► sealing ──► segments ─┐
//!                                                  └─ read back ─► trimming, at a checkpoint
//! ```
//!
//! Each partition has two workers: the [notary], and one that [seals](seal) and [trims](trim). Both read the log by
//! offset. Only events that the notary has hashed, and that still match, are sealed. Only events that every consumer
//! group has processed, and that the archive holds if there is one, are trimmed.

pub mod chain_index;
pub mod notary;
pub mod seal;
pub mod trim;

mod archivist;

use std::sync::Arc;

use anyhow::Context as _;
use hemostat_archive::{Archive, Witness};
use hemostat_runtime::{Context, LeasedWorker, Task};
use hemostat_settings::Config;

pub use self::{archivist::Archivist, notary::Notary, seal::SealPolicy, trim::Retention};

/// The workers of every partition; segments go to `archive.url`, if any.
///
/// # Errors
/// When the archive or the witness cannot be used as they are configured.
pub fn tasks(ctx: &Context, config: &Config) -> anyhow::Result<Vec<Task>> {
    let open = |url: String| hemostat_archive::open(&url).context("archive.url cannot be used");
    let archive: Option<Arc<Archive>> = config.archive_url().map(open).transpose()?;
    let witness = config.notary.witness.as_deref().map(Witness::open).transpose();
    let witness = witness.context("notary.witness cannot be used")?.map(Arc::new);
    let every = usize::try_from(config.notary.every).unwrap_or(usize::MAX);
    let mut tasks = vec![];
    for partition in ctx.partitions() {
        let notary = Notary::new(ctx.clone(), partition, every, witness.clone());
        tasks.push(Task::new(format!("notary/{partition}"), LeasedWorker::new(ctx.clone(), notary).run()));
        let (seal_policy, retention) = (SealPolicy::from(&config.archive), Retention::from(&config.retention));
        let archivist = Archivist::new(ctx.clone(), partition, archive.clone(), seal_policy, retention);
        tasks.push(Task::new(format!("archivist/{partition}"), LeasedWorker::new(ctx.clone(), archivist).run()));
    }
    Ok(tasks)
}
