//! The archivist: proves that history is what it was, keeps it for ever, and so can trim the log.
//!
//! ```text
//!   log ──► notary ──► chain of hashes, checkpoints ──► rows, witness
//!               └─ has passed ─► sealing ──► segments ─┐
//!                                                      └─ read back ─► trimming, at a checkpoint
//! ```
//!
//! For each partition two workers: the [notary], and one that [seals](seal) and [trims](trim). Both read the log
//! by position. Nothing is sealed that the notary has not passed and found as it stands now, nothing is trimmed that some
//! group has yet to deal with or, where there is an archive, that is not in it.

pub mod ledger;
pub mod notary;
pub mod seal;
pub mod trim;

mod archivist;

use std::sync::Arc;

use anyhow::Context as _;
use hemostat_archive::{Archive, Witness};
use hemostat_runtime::{Context, Stage, Task};
use hemostat_settings::Config;

pub use self::{archivist::Archivist, notary::Notary, seal::When, trim::Retention};

/// The workers of every partition.
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
        tasks.push(Task::new(format!("notary/{partition}"), Stage::new(ctx.clone(), notary).run()));
        let (when, retention) = (When::from(config), Retention::from(config));
        let archivist = Archivist::new(ctx.clone(), partition, archive.clone(), when, retention);
        tasks.push(Task::new(format!("archivist/{partition}"), Stage::new(ctx.clone(), archivist).run()));
    }
    Ok(tasks)
}
