//! Is everything what the log says, and is the log what it was?
//!
//! One walk through all of history (archive and log) feeds every fold: the rows of each view and each decider are folded
//! anew and compared with those that are kept, and each family's chain of hashes is computed anew and compared with what
//! the notary, and where there is one its witness, has seen.
//!
//! HemoStat may go on meanwhile: rows and their position are read in one instant, and each fold goes up to its own.
//! What can no longer be folded, because events were discarded without an archive, is told and not guessed.

mod chains;
mod folds;

use std::{collections::BTreeMap, fmt};

use hemostat_archive::{Archive, Broken, Error as ArchiveError, Witness};
use hemostat_core::{
    alerting::Alerting,
    judge::Judge,
    remedy::Remedy,
    view::{Breaker, Calibration, Containers, Cooldown, Dedup, Incidents, Timeline},
};
use hemostat_diagnosis::Triage;
use hemostat_log::{Error, History, Range};
use hemostat_schema::{EventId, Family, Partition};
use serde::Serialize;

use crate::Progress;
use chains::Chains;
use folds::{Fold, Source};

/// What was found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// How many events were read.
    pub events: u64,
    /// How many rows were compared.
    pub rows: u64,
    /// How many events lie in chains of hashes that were computed anew.
    pub chained: u64,
    /// What is not as it should be.
    pub differences: Vec<Difference>,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
    /// What explains something, or is worth knowing.
    pub notes: Vec<String>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Difference {
    /// A row is not what its events say.
    Row {
        /// The view, such as `containers.1`.
        view: String,
        /// The row.
        key: String,
        /// What the events say; none where they say that there is no such row.
        expected: Option<serde_json::Value>,
        /// What is kept; none where there is no row.
        found: Option<serde_json::Value>,
    },
    /// History is not what the notary has seen.
    History {
        /// The partition.
        partition: Partition,
        /// The family.
        family: Family,
        /// The first event that differs, where that can be told.
        event: Option<EventId>,
        /// How.
        why: String,
    },
    /// The archive is not what was sealed.
    Archive {
        /// The object.
        object: String,
        /// How.
        why: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |row: &Option<serde_json::Value>| row.as_ref().map_or("no row".to_owned(), |row| format!("{row:#}"));
        match self {
            Self::Row { view, key, expected: Some(expected), found: Some(found) } => {
                write!(f, "row {key} of the view {view} is not what its events say")?;
                let mut fields = vec![];
                differing(String::new(), expected, found, &mut fields);
                fields.iter().try_for_each(|(path, expected, found)| {
                    write!(f, "\n  {path}\n    expected {expected}\n    found    {found}")
                })
            }
            Self::Row { view, key, expected, found } => {
                write!(f, "row {key} of the view {view} is not what its events say")?;
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

/// What is checked beside the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Others<'a> {
    /// The archive, where there is one.
    pub archive: Option<&'a Archive>,
    /// The notary's witness, where there is one.
    pub witness: Option<&'a Witness>,
}

/// Checks everything.
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
    let mut folds: Vec<Box<dyn Fold>> = vec![];
    let mut sit = |fold: Result<Box<dyn Fold>, String>| match fold {
        Ok(fold) => folds.push(fold),
        Err(why) => report.unchecked.push(why),
    };
    sit(source.view::<Containers>().await?);
    sit(source.view::<Incidents>().await?);
    sit(source.view::<Timeline>().await?);
    sit(source.view::<Cooldown>().await?);
    sit(source.view::<Breaker>().await?);
    sit(source.view::<Dedup>().await?);
    sit(source.view::<Calibration>().await?);
    sit(source.decider::<Triage>().await?);
    sit(source.decider::<Remedy>().await?);
    sit(source.decider::<Judge>().await?);
    sit(source.decider::<Alerting>().await?);
    let mut chains = Chains::load(history, others, partition, &trimmed, report).await?;
    for parked in log.parked(partition, PARKED).await? {
        report.notes.push(format!(
            "{} has put event {} aside ({}): rows that rest on it are as if it had not been",
            parked.group, parked.id, parked.error
        ));
    }
    archive(others, partition, report).await;

    let upto = folds.iter().map(|fold| fold.position()).chain(chains.upto()).max();
    let mut scan = history.scan(partition, Family::ALL, upto.map_or(Range::before(EventId::start(partition)), up_to));
    let read = async {
        while let Some(page) = scan.next().await? {
            for entry in &page {
                chains.take(entry);
                if folds.iter().any(|fold| fold.wants(entry.id, entry.family)) {
                    let entry = entry.decode();
                    for fold in folds.iter_mut().filter(|fold| fold.wants(entry.id, entry.family)) {
                        fold.take(&entry);
                    }
                }
            }
            report.events += page.len() as u64;
            progress.add(page.len(), page.last().map_or(0, |last| last.id.ms));
        }
        Ok(())
    };
    let read: Result<(), Error> = read.await;
    if let Err(error) = read {
        // A damaged archive has been named by now; what lies behind it cannot be folded.
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

/// So many parked deliveries are told of.
const PARKED: usize = 1_000;

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
            Err(ArchiveError::Broken(Broken { which, why })) => {
                report.differences.push(Difference::Archive { object: which, why: why.to_string() });
            }
            Err(error) => {
                report
                    .unchecked
                    .push(format!("the archive of {family}s in partition {partition}: {}", chain_of(&error)));
            }
        }
    }
}

/// An error with everything that led to it.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
