//! Verifies the stored rows against the log, and the log against its chain of hashes.
//!
//! One scan of all history (archive and log) feeds every check: the rows of each view and each decider are folded again and
//! compared with the stored ones, and the chain of hashes of each family is computed again and compared with the notary's
//! checkpoints and, if there is one, with the records of its witness.
//!
//! HemoStat may run meanwhile: rows and their offset are read as one snapshot, and each fold ends at its own offset. Rows
//! whose events were discarded without an archive are reported as unchecked.

mod chains;
mod refold;
mod report;

use std::collections::BTreeMap;

use hemostat_archive::{DamagedObject, Error as ArchiveError};
use hemostat_core::{
    alerting::Alerting,
    judge::Judge,
    remedy::Authorisation,
    views::{Breaker, Calibration, Containers, Cooldown, Dedup, IncidentSamples, Incidents, Metrics, Timeline},
};
use hemostat_diagnosis::Triage;
use hemostat_log::{Entry, Error, History, Range, RawEntry};
use hemostat_schema::{EventId, Family, Partition};

use crate::select::Progress;
use chains::Chains;
use refold::{Refold, Source};
use report::chain_of;
pub use report::{Difference, Others, Report};

/// Verifies every partition.
///
/// # Errors
/// When the log cannot be read.
pub async fn run(history: &History, others: Others<'_>, progress: &Progress) -> Result<Report, Error> {
    let mut report = Report::default();
    for partition in (0..history.log().partitions()).map(Partition) {
        check(history, others, partition, progress, &mut report).await?;
    }
    Ok(report)
}

async fn check(
    history: &History,
    others: Others<'_>,
    partition: Partition,
    progress: &Progress,
    report: &mut Report,
) -> Result<(), Error> {
    let log = history.log();
    let trimmed = trimmed(history, partition).await?;
    let source = Source { log: &**log, partition, lost: if history.archive().is_none() { &trimmed } else { &NOTHING } };
    let mut folds: Vec<Box<dyn Refold>> = vec![];
    let mut add = |fold: Result<Box<dyn Refold>, String>| match fold {
        Ok(fold) => folds.push(fold),
        Err(why) => report.unchecked.push(why),
    };
    add(source.view::<Containers>().await?);
    add(source.view::<Incidents>().await?);
    add(source.view::<Timeline>().await?);
    add(source.view::<Cooldown>().await?);
    add(source.view::<Breaker>().await?);
    add(source.view::<Dedup>().await?);
    add(source.view::<Calibration>().await?);
    add(source.view::<Metrics>().await?);
    add(source.view::<IncidentSamples>().await?);
    add(source.decider::<Triage>().await?);
    add(source.decider::<Authorisation>().await?);
    add(source.decider::<Judge>().await?);
    add(source.decider::<Alerting>().await?);
    let mut chains = Chains::load(history, others, partition, &trimmed, report).await?;
    for letter in log.dead_letters(partition, MAX_DEAD_LETTERS).await? {
        report.notes.push(format!(
            "event {} is a dead letter of {} ({}): the rows of that group are folded without it",
            letter.id, letter.group, letter.error
        ));
    }
    archive(others, partition, report).await;

    let upto = folds.iter().map(|fold| fold.offset()).chain(chains.last()).max();
    let mut scan = history.scan(partition, Family::ALL, upto.map_or(Range::before(EventId::start(partition)), up_to));
    let read = async {
        while let Some(page) = scan.next().await? {
            page.iter().for_each(|entry| chains.take(entry));
            let is_wanted = |entry: &&RawEntry| folds.iter().any(|fold| fold.wants(entry.id, entry.family));
            let entries: Vec<Entry> = page.iter().filter(is_wanted).map(RawEntry::decode).collect();
            folds.iter_mut().for_each(|fold| fold.fold_page(&entries));
            report.events += page.len() as u64;
            progress.add(page.len(), page.last().map_or(0, |last| last.id.ms));
        }
        Ok(())
    };
    let read: Result<(), Error> = read.await;
    if let Err(error) = read {
        // A damaged archive is in the report by now; the events behind it cannot be folded.
        if error.is_transient() || report.differences.is_empty() {
            return Err(error);
        }
        report.unchecked.push(format!("partition {partition} could not be read to its end: {error}"));
        return Ok(());
    }
    if history.archive().is_none() && self::trimmed(history, partition).await? != trimmed {
        report
            .unchecked
            .push(format!("events of partition {partition} were discarded while it was checked: try again"));
        return Ok(());
    }
    chains.finish(report);
    for fold in folds {
        fold.compare(report);
    }
    Ok(())
}

static NOTHING: BTreeMap<Family, EventId> = BTreeMap::new();

/// Maximum dead letters in the report.
const MAX_DEAD_LETTERS: usize = 1_000;

fn up_to(id: EventId) -> Range {
    Range { from: std::ops::Bound::Unbounded, to: std::ops::Bound::Included(id) }
}

async fn trimmed(history: &History, partition: Partition) -> Result<BTreeMap<Family, EventId>, Error> {
    let mut trimmed = BTreeMap::new();
    for family in Family::ALL {
        trimmed.extend(history.log().trimmed(partition, family).await?.map(|last| (family, last)));
    }
    Ok(trimmed)
}

/// Every manifest, file and event of the archive.
async fn archive(others: Others<'_>, partition: Partition, report: &mut Report) {
    let Some(archive) = others.archive else { return };
    for family in Family::ALL {
        match archive.verify_chain(partition, family).await {
            Ok(()) => {}
            Err(ArchiveError::Damaged(DamagedObject { object, why })) => {
                report.differences.push(Difference::Archive { object, why: why.to_string() });
            }
            Err(error) => {
                report
                    .unchecked
                    .push(format!("the archive of {family}s in partition {partition}: {}", chain_of(&error)));
            }
        }
    }
}
