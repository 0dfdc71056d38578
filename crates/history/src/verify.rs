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

use std::{collections::BTreeMap, fmt};

use hemostat_archive::{Archive, DamagedObject, Error as ArchiveError, Witness};
use hemostat_core::{
    alerting::Alerting,
    judge::Judge,
    remedy::Authorisation,
    views::{Breaker, Calibration, Containers, Cooldown, Dedup, Incidents, Timeline},
};
use hemostat_diagnosis::Triage;
use hemostat_log::{Entry, Error, History, Range, RawEntry};
use hemostat_schema::{EventId, Family, Partition};
use serde::Serialize;

use crate::Progress;
use chains::Chains;
use refold::{Refold, Source};

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// How many events were read.
    pub events: u64,
    /// How many rows were compared.
    pub rows: u64,
    /// How many events are in the chains of hashes that were computed again.
    pub chained: u64,
    /// What differs.
    pub differences: Vec<Difference>,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
    /// Remarks that explain the result.
    pub notes: Vec<String>,
}

/// Something that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Difference {
    /// A stored row differs from the fold of its events.
    Row {
        /// The view, such as `containers.1`.
        view: String,
        /// The key of the row.
        key: String,
        /// The folded row; `None` when there should be none.
        expected: Option<serde_json::Value>,
        /// The stored row; `None` when there is none.
        found: Option<serde_json::Value>,
    },
    /// History differs from what the notary has seen.
    History {
        /// The partition.
        partition: Partition,
        /// The family.
        family: Family,
        /// The first event that differs, if it is known.
        event: Option<EventId>,
        /// In which way.
        why: String,
    },
    /// An object of the archive differs from what was sealed.
    Archive {
        /// The object.
        object: String,
        /// In which way.
        why: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |row: &Option<serde_json::Value>| row.as_ref().map_or("no row".to_owned(), |row| format!("{row:#}"));
        match self {
            Self::Row { view, key, expected: Some(expected), found: Some(found) } => {
                write!(f, "row {key} of the view {view} differs from the fold of its events")?;
                let mut fields = vec![];
                differing(String::new(), expected, found, &mut fields);
                fields.iter().try_for_each(|(path, expected, found)| {
                    write!(f, "\n  {path}\n    expected {expected}\n    found    {found}")
                })
            }
            Self::Row { view, key, expected, found } => {
                write!(f, "row {key} of the view {view} differs from the fold of its events")?;
                write!(f, "\n  expected {}\n  found    {}", shown(expected), shown(found))
            }
            Self::History { partition, family, why, .. } => {
                write!(f, "history of {family}s in partition {partition}: {why}")
            }
            Self::Archive { object, why } => write!(f, "archive: {object}: {why}"),
        }
    }
}

/// The innermost fields in which two values differ.
fn differing(
    path: String,
    expected: &serde_json::Value,
    found: &serde_json::Value,
    fields: &mut Vec<(String, String, String)>,
) {
    use serde_json::Value::{Array, Null, Object};
    match (expected, found) {
        (Array(expected), Array(found)) if expected.len() == found.len() => {
            for (n, (expected, found)) in expected.iter().zip(found).enumerate() {
                differing(format!("{path}[{n}]"), expected, found, fields);
            }
        }
        (Object(expected), Object(found)) => {
            let mut names: Vec<&String> = expected.keys().chain(found.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                differing(path, expected.get(name).unwrap_or(&Null), found.get(name).unwrap_or(&Null), fields);
            }
        }
        (expected, found) if expected != found => {
            let path = if path.is_empty() { "all of it".to_owned() } else { path };
            fields.push((path, expected.to_string(), found.to_string()));
        }
        _ => {}
    }
}

/// What is checked besides the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Others<'a> {
    /// The archive, if there is one.
    pub archive: Option<&'a Archive>,
    /// The notary's witness, if there is one.
    pub witness: Option<&'a Witness>,
}

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

/// An error with its sources.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
