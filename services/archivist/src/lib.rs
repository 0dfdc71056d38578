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

pub use self::{archivist::Archivist, notary::Notary, seal::SealPolicy, trim::Retention};

/// The sections of the configuration that the archivist reads.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// When segments are sealed.
    pub archive: &'a hemostat_settings::Archive,
    /// How long events stay on the log.
    pub retention: &'a hemostat_settings::Retention,
    /// Checkpoints and their witness.
    pub notary: &'a hemostat_settings::Notary,
}

/// The workers of every partition; segments go to `archive_url`, if any.
///
/// # Errors
/// When the archive or the witness cannot be used as they are configured.
pub fn tasks(ctx: &Context, settings: Settings<'_>, archive_url: Option<String>) -> anyhow::Result<Vec<Task>> {
    let open = |url: String| hemostat_archive::open(&url).context("archive.url cannot be used");
    let archive: Option<Arc<Archive>> = archive_url.map(open).transpose()?;
    let witness = settings.notary.witness.as_deref().map(Witness::open).transpose();
    let witness = witness.context("notary.witness cannot be used")?.map(Arc::new);
    let every = usize::try_from(settings.notary.every).unwrap_or(usize::MAX);
    let mut tasks = vec![];
    for partition in ctx.partitions() {
        let notary = Notary::new(ctx.clone(), partition, every, witness.clone());
        tasks.push(Task::new(format!("notary/{partition}"), LeasedWorker::new(ctx.clone(), notary).run()));
        let (seal_policy, retention) = (SealPolicy::from(settings.archive), Retention::from(settings.retention));
        let archivist = Archivist::new(ctx.clone(), partition, archive.clone(), seal_policy, retention);
        tasks.push(Task::new(format!("archivist/{partition}"), LeasedWorker::new(ctx.clone(), archivist).run()));
    }
    Ok(tasks)
}
