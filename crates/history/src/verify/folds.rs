//! What is kept of a view or a decider, and the same folded anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use hemostat_core::{Decider, Projection};
use hemostat_log::{Entry, Error, Log};
use hemostat_runtime::{
    Known,
    rows::{self, encode},
    views::{POSITION, is_inner},
};
use hemostat_schema::{Body, EventId, Family, HostName, Partition, Recorded, Subject};
use serde::de::DeserializeOwned;

use super::{Difference, Report};

/// Something that is folded anew.
pub(super) trait Fold: Send {
    /// Up to where its rows go.
    fn position(&self) -> EventId;
    /// Whether the event belongs to its rows.
    fn wants(&self, id: EventId, family: Family) -> bool;
    /// Folds the next event.
    fn take(&mut self, entry: &Entry);
    /// Compares what was folded with what is kept.
    fn compare(self: Box<Self>, report: &mut Report);
}

/// Where rows are read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub log: &'a dyn Log,
    pub partition: Partition,
    /// Up to where events are gone for good.
    pub lost: &'a BTreeMap<Family, EventId>,
}

/// The rows of one view, as bytes, and up to where they go.
#[derive(Debug)]
struct Kept {
    view: String,
    position: EventId,
    rows: BTreeMap<String, Vec<u8>>,
}

type Seated = Result<Box<dyn Fold>, String>;

impl Source<'_> {
    /// The view that is served of `P`; why not, where it cannot be checked.
    pub async fn view<P: Projection>(self) -> Result<Seated, Error> {
        let view = match rows::served::<P>(self.log, self.partition).await {
            Ok(view) => view,
            Err(rows::Error::Filling(filling)) => return Ok(Err(filling.to_string())),
            Err(rows::Error::Log(error)) => return Err(error),
        };
        if let Some(why) = self.is_lost(P::READS, &view) {
            return Ok(Err(why));
        }
        let Some(kept) = self.kept(&view).await? else {
            return Ok(Err(format!(
                "the view {view} of partition {} was replaced meanwhile: try again",
                self.partition
            )));
        };
        Ok(Ok(Box::new(View::<P> { kept, rows: BTreeMap::new() })))
    }

    /// What a decider keeps; why not, where it cannot be checked.
    pub async fn decider<D: Decider>(self) -> Result<Seated, Error> {
        let (view, hosts) = (format!("{}.{}", D::GROUP, D::VERSION), format!("{}-shared.{}", D::GROUP, D::VERSION));
        if let Some(why) = self.is_lost(D::READS, &view) {
            return Ok(Err(why));
        }
        // Subjects and hosts stand in two views: they are of one instant when the position has not moved between.
        for _ in 0..ATTEMPTS {
            let Some(kept) = self.kept(&view).await? else {
                return Ok(Err(format!("the decider {} has not read partition {} yet", D::GROUP, self.partition)));
            };
            let shared = self.log.snapshot(self.partition, &hosts).await?.into_iter().collect();
            if self.position(&view).await? == Some(kept.position) {
                let hosts = Kept { view: hosts, position: kept.position, rows: shared };
                return Ok(Ok(Box::new(Mind::<D> { kept, hosts, ..Mind::default() })));
            }
        }
        Ok(Err(format!("the decider {} of partition {} does not rest: try again", D::GROUP, self.partition)))
    }

    fn is_lost(self, reads: &[Family], view: &str) -> Option<String> {
        let (family, last) = reads.iter().find_map(|family| Some((*family, *self.lost.get(family)?)))?;
        Some(format!(
            "the view {view} of partition {} rests on {family}s up to {last}, which were discarded without an archive",
            self.partition
        ))
    }

    async fn kept(self, view: &str) -> Result<Option<Kept>, Error> {
        let rows: BTreeMap<String, Vec<u8>> = self.log.snapshot(self.partition, view).await?.into_iter().collect();
        let Some(position) = rows.get(POSITION) else { return Ok(None) };
        let position = rows::decode_row(view, POSITION, position)?;
        Ok(Some(Kept { view: view.to_owned(), position, rows }))
    }

    async fn position(self, view: &str) -> Result<Option<EventId>, Error> {
        let row = self.log.rows(self.partition, view, &[POSITION.to_owned()]).await?.into_iter().next().flatten();
        row.map(|row| rows::decode_row(view, POSITION, &row)).transpose()
    }
}

/// How often rows are looked at again that changed while they were read.
const ATTEMPTS: u32 = 100;

impl Kept {
    /// Compares these rows with the `expected` ones.
    fn compare<T>(&self, expected: &BTreeMap<String, T>, report: &mut Report)
    where
        T: serde::Serialize + DeserializeOwned + PartialEq,
    {
        let found = self.rows.keys().filter(|key| !is_inner(key));
        let keys: BTreeSet<&String> = found.chain(expected.keys()).collect();
        report.rows += keys.len() as u64;
        for key in keys {
            let (expected, found) = (expected.get(key), self.rows.get(key));
            let same = match (expected, found) {
                (None, None) => true,
                (Some(expected), Some(found)) => {
                    encode(expected).is_ok_and(|bytes| bytes == *found)
                        || rows::decode::<T>(found).is_ok_and(|found| found == *expected)
                }
                _ => false,
            };
            if !same {
                report.differences.push(Difference::Row {
                    view: self.view.clone(),
                    key: key.clone(),
                    expected: expected.map(|row| encode(row).map_or(serde_json::Value::Null, |bytes| shown(&bytes))),
                    found: found.map(|bytes| shown(bytes)),
                });
            }
        }
    }
}

/// A row for people, whatever it holds.
fn shown(bytes: &[u8]) -> serde_json::Value {
    rows::decode(bytes).unwrap_or_else(|_| format!("{} bytes that are no row", bytes.len()).into())
}

/// A view.
struct View<P: Projection> {
    kept: Kept,
    rows: BTreeMap<String, P::Row>,
}

impl<P: Projection> Fold for View<P> {
    fn position(&self) -> EventId {
        self.kept.position
    }

    fn wants(&self, id: EventId, family: Family) -> bool {
        id <= self.kept.position && P::READS.contains(&family)
    }

    fn take(&mut self, entry: &Entry) {
        let Ok(event) = &entry.event else { return };
        if event.event().is_none() {
            return;
        }
        // As the projector does: an event that cannot be folded changes none of its rows.
        let folded = catch_unwind(AssertUnwindSafe(|| {
            let fold = |key: String| (P::evolve(self.rows.get(&key).cloned(), &key, event), key);
            P::keys(event).into_iter().map(fold).collect::<Vec<_>>()
        }));
        for (row, key) in folded.unwrap_or_default() {
            match row {
                Some(row) => drop(self.rows.insert(key, row)),
                None => drop(self.rows.remove(&key)),
            }
        }
    }

    fn compare(self: Box<Self>, report: &mut Report) {
        self.kept.compare(&self.rows, report);
    }
}

/// A decider's knowledge.
struct Mind<D: Decider> {
    kept: Kept,
    hosts: Kept,
    known: BTreeMap<Subject, Known<D::State>>,
    shared: BTreeMap<HostName, D::Shared>,
    /// Those that have a row: something about them has changed.
    changed: BTreeSet<Subject>,
    changed_hosts: BTreeSet<HostName>,
}

impl<D: Decider> Default for Mind<D> {
    fn default() -> Self {
        let nothing = || Kept { view: String::new(), position: EventId::start(Partition(0)), rows: BTreeMap::new() };
        Self {
            kept: nothing(),
            hosts: nothing(),
            known: BTreeMap::new(),
            shared: BTreeMap::new(),
            changed: BTreeSet::new(),
            changed_hosts: BTreeSet::new(),
        }
    }
}

impl<D: Decider> Fold for Mind<D> {
    fn position(&self) -> EventId {
        self.kept.position
    }

    fn wants(&self, id: EventId, family: Family) -> bool {
        id <= self.kept.position && D::READS.contains(&family)
    }

    fn take(&mut self, entry: &Entry) {
        let Ok(event) = &entry.event else { return };
        let known = self.known.entry(event.subject.clone()).or_default();
        let shared = self.shared.entry(event.subject.host.clone()).or_default();
        if event.event().is_some() {
            let (mut state, mut common) = (known.state.clone(), shared.clone());
            if catch_unwind(AssertUnwindSafe(|| D::evolve(&mut state, &mut common, event))).is_err() {
                return;
            }
            if *shared != common {
                *shared = common;
                self.changed_hosts.insert(event.subject.host.clone());
            }
            if known.state != state {
                known.state = state;
                self.changed.insert(event.subject.clone());
            }
        }
        if moves_head(event) {
            known.heads.insert(event.family(), event.id);
            if event.incident.is_some() && event.trace.is_some() {
                known.trace = event.trace;
            }
            self.changed.insert(event.subject.clone());
        }
    }

    fn compare(self: Box<Self>, report: &mut Report) {
        let Self { kept, hosts, known, shared, changed, changed_hosts } = *self;
        let rows = known.into_iter().filter(|(subject, _)| changed.contains(subject));
        kept.compare(&rows.map(|(subject, known)| (subject.to_string(), known)).collect(), report);
        let rows = shared.into_iter().filter(|(host, _)| changed_hosts.contains(host));
        hosts.compare(&rows.map(|(host, shared)| (host.to_string(), shared)).collect(), report);
    }
}

fn moves_head(event: &Recorded) -> bool {
    match &event.body {
        Body::Known(known) => known.moves_head(),
        Body::Unknown { kind, .. } => kind != "observation.sampled",
    }
}
