//! Do streams, groups, heads, timers, leases and views agree with each other?
//!
//! `verify` asks whether rows are what events say; this asks whether the machinery around them is sound. The partition is
//! inspected in one instant, history is read up to that instant without being decoded, and [`check`] judges, pure, what
//! was found.

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

/// Something that is not sound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// In which partition.
    pub partition: Partition,
    /// Where: the key, and what in it.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  {}", self.place, self.what, self.advice)
    }
}

/// What a program of this version keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Groups that are handed deliveries.
    pub groups: BTreeSet<String>,
    /// Groups that have timers.
    pub deciders: BTreeSet<String>,
    /// Groups that read by position.
    pub readers: BTreeSet<String>,
    /// Views that are there whatever is served.
    pub views: BTreeSet<String>,
}

impl Known {
    /// Of this program.
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
        self.views.extend([format!("{}.{}", D::GROUP, D::VERSION), format!("{}-shared.{}", D::GROUP, D::VERSION)]);
    }

    fn view<P: Projection>(&mut self) {
        self.readers.insert(format!("{}.{}", P::NAME, P::VERSION));
    }
}

/// What history says of what was inspected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The version of each `family/subject`: its last event of a kind that advances it.
    pub versions: BTreeMap<String, EventId>,
    /// Those events that something refers to and that are there.
    pub there: BTreeSet<EventId>,
    /// Streams whose entries do not ascend, or are not those of the stream, each with the first that is wrong.
    pub misplaced: Vec<(Family, EventId, String)>,
    /// Up to where a reader's rows go.
    pub positions: BTreeMap<String, EventId>,
    /// Up to where the archive goes; not there where there is no archive.
    pub sealed: Option<BTreeMap<Family, EventId>>,
}

impl Seen {
    /// Takes in an entry that is one of `wanted`, or the newest of its subject.
    pub fn take(&mut self, entry: &RawEntry, wanted: &BTreeSet<EventId>) {
        if wanted.contains(&entry.id) {
            self.there.insert(entry.id);
        }
        let kind = entry.kind().unwrap_or_default();
        if !kind.starts_with(&format!("{}.", entry.family)) && self.misplaced.len() < MOST {
            self.misplaced.push((entry.family, entry.id, format!("its kind is {kind:?}")));
        }
        if entry.advances_version()
            && let Some(subject) = entry.subject()
        {
            self.versions.insert(format!("{}/{subject}", entry.family), entry.id);
        }
    }
}

/// So many findings of a sort are told.
const MOST: usize = 20;

/// Inspects every partition.
///
/// # Errors
/// When the log or the archive cannot be read.
pub async fn run(history: &History, progress: &Progress) -> Result<Vec<Finding>, Error> {
    let known = Known::of_this_version();
    let mut findings = vec![];
    for partition in (0..history.log().partitions()).map(Partition) {
        let inspection = history.log().inspect(partition).await?;
        let seen = look(history, partition, &inspection, progress).await?;
        findings.extend(check(partition, &inspection, &known, &seen));
    }
    Ok(findings)
}

/// Reads what history says of what was inspected.
async fn look(
    history: &History,
    partition: Partition,
    inspection: &Inspection,
    progress: &Progress,
) -> Result<Seen, Error> {
    let log = history.log();
    let mut seen = Seen::default();
    let pending = inspection.streams.values().flat_map(|stream| &stream.groups).flat_map(|group| &group.pending);
    let wanted: BTreeSet<EventId> = pending.copied().chain(inspection.dead_letters.iter().map(|parked| parked.id)).collect();
    let upto =
        Range { from: Bound::Unbounded, to: Bound::Included(inspection.clock.unwrap_or(EventId::start(partition))) };
    let mut scan = history.scan(partition, Family::ALL, upto);
    while let Some(page) = scan.next().await? {
        page.iter().for_each(|entry| seen.take(entry, &wanted));
        progress.add(page.len(), page.last().map_or(0, |last| last.id.ms));
    }
    for group in inspection.cursors.keys() {
        let view = inspection.served.get(group).unwrap_or(group);
        let row = log.rows(partition, view, &[OFFSET.to_owned()]).await?.into_iter().next().flatten();
        if let Some(position) = row.and_then(|row| read_model::decode(&row).ok()) {
            seen.positions.insert(group.clone(), position);
        }
    }
    if let Some(archive) = history.archive() {
        let mut sealed = BTreeMap::new();
        for family in Family::ALL {
            sealed.extend(archive.sealed(partition, family).await?.map(|last| (family, last)));
        }
        seen.sealed = Some(sealed);
    }
    Ok(seen)
}
