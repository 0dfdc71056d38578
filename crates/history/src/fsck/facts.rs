//! What goes into a check (the names that are known, the scanned history) and what comes out of it (findings).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use hemostat_core::{
    Decider, Projection,
    alerting::Alerting,
    fold::{decider_view, projection_group, shared_view},
    judge::Judge,
    remedy::Authorisation,
    views::{Breaker, Calibration, Containers, Cooldown, Dedup, IncidentSamples, Incidents, Metrics, Timeline},
};
use hemostat_diagnosis::Triage;
use hemostat_log::RawEntry;
use hemostat_runtime::read_model::{CONTAINER_CHECKPOINTS, HOST_CHECKPOINTS};
use hemostat_schema::{EventId, Family, Partition};
use serde::Serialize;

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
            groups: ["consult", "execute"].map(str::to_owned).into(),
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
        known.view::<Metrics>();
        known.view::<IncidentSamples>();
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
pub(super) const MAX_FINDINGS: usize = 20;
