//! Checks that streams, groups, versions, timers, leases and views are consistent with each other.
//!
//! `verify` compares rows with their events; `fsck` checks the data structures around them. A partition is inspected as one
//! snapshot, history is read up to it without decoding the events, and [`check`], which is pure, finds inconsistencies.

mod check;
mod facts;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use hemostat_log::{Error, History, Inspection, Range};
use hemostat_runtime::{
    read_model::{self, OFFSET},
    session::{LiveProcess, live_processes},
};
use hemostat_schema::{EventId, Family, Partition};

use crate::select::Progress;
pub use check::check;
pub use facts::{Finding, KnownNames, ScannedHistory};

/// Checks every partition.
///
/// # Errors
/// When the log or the archive cannot be read.
pub async fn run(history: &History, progress: &Progress) -> Result<Vec<Finding>, Error> {
    let known = KnownNames::of_this_version();
    let mut findings = vec![];
    for partition in (0..history.log().partitions()).map(Partition) {
        let inspection = history.log().inspect(partition).await?;
        let scanned = scan(history, partition, &inspection, progress).await?;
        findings.extend(check(partition, &inspection, &known, &scanned));
        let live = live_processes(&**history.log(), partition).await?;
        findings.extend(differing_policies(partition, &live));
    }
    Ok(findings)
}

/// The processes at work must decide by one policy.
fn differing_policies(partition: Partition, live: &[LiveProcess]) -> Option<Finding> {
    let said = |process: &LiveProcess| Some(format!("{} {}", process.owner, process.says.policy.as_ref()?));
    let policies: BTreeSet<&String> = live.iter().filter_map(|process| process.says.policy.as_ref()).collect();
    (policies.len() > 1).then(|| Finding {
        partition,
        place: "policies of the processes".to_owned(),
        what: format!("they differ: {}", live.iter().filter_map(said).collect::<Vec<_>>().join(", ")),
        advice: "give all processes the same configuration; the log of each says what has changed".to_owned(),
    })
}

/// Reads history up to the inspection.
async fn scan(
    history: &History,
    partition: Partition,
    inspection: &Inspection,
    progress: &Progress,
) -> Result<ScannedHistory, Error> {
    let log = history.log();
    let mut scanned = ScannedHistory::default();
    let pending = inspection.streams.values().flat_map(|stream| &stream.groups).flat_map(|group| &group.pending);
    let wanted: BTreeSet<EventId> =
        pending.copied().chain(inspection.dead_letters.iter().map(|letter| letter.id)).collect();
    let upto =
        Range { from: Bound::Unbounded, to: Bound::Included(inspection.clock.unwrap_or(EventId::start(partition))) };
    let mut pages = history.scan(partition, Family::ALL, upto);
    while let Some(page) = pages.next().await? {
        page.iter().for_each(|entry| scanned.take(entry, &wanted));
        progress.add(page.len(), page.last().map_or(0, |last| last.id.ms));
    }
    for group in inspection.cursors.keys() {
        let view = inspection.served.get(group).unwrap_or(group);
        let row = log.rows(partition, view, &[OFFSET.to_owned()]).await?.into_iter().next().flatten();
        if let Some(offset) = row.and_then(|row| read_model::decode(&row).ok()) {
            scanned.offsets.insert(group.clone(), offset);
        }
    }
    if let Some(archive) = history.archive() {
        let mut sealed = BTreeMap::new();
        for family in Family::ALL {
            sealed.extend(archive.sealed(partition, family).await?.map(|last| (family, last)));
        }
        scanned.sealed = Some(sealed);
    }
    Ok(scanned)
}
