//! Checks that streams, groups, versions, timers, leases and views are consistent with each other.
//!
//! `verify` compares rows with their events; `fsck` checks the data structures around them. A partition is inspected as one
//! snapshot, history is read up to it without decoding the events, and [`check`], which is pure, finds inconsistencies.

mod check;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
};

use hemostat_core::{
    Decider, Projection,
    alerting::Alerting,
    fold::{decider_view, projection_group, shared_view},
    judge::Judge,
    remedy::Authorisation,
    views::{Breaker, Calibration, Containers, Cooldown, Dedup, Incidents, Timeline},
};
use hemostat_diagnosis::Triage;
use hemostat_log::{Error, History, Inspection, Range, RawEntry};
use hemostat_runtime::read_model::{self, CONTAINER_CHECKPOINTS, HOST_CHECKPOINTS, OFFSET};
use hemostat_schema::{EventId, Family, Partition};
use serde::Serialize;

use crate::Progress;
pub use check::check;

/// An inconsistency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The partition.
    pub partition: Partition,
    /// The Redis key, and what in it.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What the operator can do.
    pub advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  {}", self.place, self.what, self.advice)
    }
}

/// The names that this version of HemoStat uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNames {
    /// Consumer groups of deciders and effects.
    pub groups: BTreeSet<String>,
    /// Consumer groups with timers.
    pub deciders: BTreeSet<String>,
    /// Groups that read by cursor.
    pub readers: BTreeSet<String>,
    /// Views that no projection maintains.
    pub views: BTreeSet<String>,
}

impl KnownNames {
    /// Of all roles.
    pub fn of_this_version() -> Self {
        let mut known = Self {
            groups: ["consult", "execute", "deliver"].map(str::to_owned).into(),
            deciders: BTreeSet::new(),
            readers: ["notary".to_owned()].into(),
            views: [hemostat_log::chain::VIEW, CONTAINER_CHECKPOINTS, HOST_CHECKPOINTS].map(str::to_owned).into(),
        };
        known.decider::<Triage>();
        known.decider::<Authorisation>();
        known.decider::<Judge>();
        known.decider::<Alerting>();
        known.view::<Containers>();
        known.view::<Incidents>();
        known.view::<Timeline>();
        known.view::<Cooldown>();
        known.view::<Breaker>();
        known.view::<Dedup>();
        known.view::<Calibration>();
        known
    }

    fn decider<D: Decider>(&mut self) {
        self.groups.insert(D::GROUP.to_owned());
        self.deciders.insert(D::GROUP.to_owned());
        self.views.extend([decider_view::<D>(), shared_view::<D>()]);
    }

    fn view<P: Projection>(&mut self) {
        self.readers.insert(projection_group::<P>());
    }
}

/// What history says about an inspected partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScannedHistory {
    /// The version of each `family/subject`: its last event of a kind that advances it.
    pub versions: BTreeMap<String, EventId>,
    /// The events that exist, among those that pending entries and dead letters refer to.
    pub existing: BTreeSet<EventId>,
    /// Entries that do not belong to their stream, and why.
    pub misplaced: Vec<(Family, EventId, String)>,
    /// The offset of each reader's rows.
    pub offsets: BTreeMap<String, EventId>,
    /// The last archived event of each family; `None` without an archive.
    pub sealed: Option<BTreeMap<Family, EventId>>,
}

impl ScannedHistory {
    /// Reads the next entry. `wanted` are the events whose existence is checked.
    pub fn take(&mut self, entry: &RawEntry, wanted: &BTreeSet<EventId>) {
        if wanted.contains(&entry.id) {
            self.existing.insert(entry.id);
        }
        let kind = entry.kind().unwrap_or_default();
        if !kind.starts_with(&format!("{}.", entry.family)) && self.misplaced.len() < MAX_FINDINGS {
            self.misplaced.push((entry.family, entry.id, format!("its kind is {kind:?}")));
        }
        if entry.advances_version()
            && let Some(subject) = entry.subject()
        {
            self.versions.insert(format!("{}/{subject}", entry.family), entry.id);
        }
    }
}

/// Maximum findings of one kind.
const MAX_FINDINGS: usize = 20;

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
    }
    Ok(findings)
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
