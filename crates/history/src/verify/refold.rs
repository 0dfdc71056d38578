//! Folds the rows of views and deciders again from history and compares them with the stored ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hemostat_core::{
    Decider, Projection,
    fold::{self, Rows, SubjectState, decider_view, existing, shared_view},
};
use hemostat_log::{Entry, Error, Log};
use hemostat_runtime::read_model::{self, OFFSET, decode, decode_row, encode, is_internal};
use hemostat_schema::{EventId, Family, HostName, Partition, Recorded, Subject};
use serde::{Serialize, de::DeserializeOwned};

use super::report::{Difference, Report};

/// The rows of one view or decider, folded again.
pub(super) trait Refold: Send {
    /// The offset of the stored rows: later events do not belong to them.
    fn offset(&self) -> EventId;
    /// The families that it reads.
    fn reads(&self) -> &'static [Family];
    /// Folds the next events.
    fn fold(&mut self, events: &[&Recorded]);
    /// Compares the folded rows with the stored ones.
    fn compare(self: Box<Self>, report: &mut Report);
}

impl dyn Refold {
    /// Whether the event belongs to the stored rows.
    pub fn wants(&self, id: EventId, family: Family) -> bool {
        id <= self.offset() && self.reads().contains(&family)
    }

    /// Folds those entries of a page that belong to the stored rows.
    pub fn fold_page(&mut self, page: &[Entry]) {
        let events = page.iter().filter(|entry| self.wants(entry.id, entry.family));
        let events: Vec<&Recorded> = events.filter_map(|entry| entry.event.as_ref().ok()).collect();
        self.fold(&events);
    }
}

/// Where the stored rows are read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub log: &'a dyn Log,
    pub partition: Partition,
    /// The last event of each family that was trimmed and is in no archive.
    pub lost: &'a BTreeMap<Family, EventId>,
}

/// The stored rows of one view, encoded, and their offset.
#[derive(Debug)]
struct StoredView {
    view: String,
    offset: EventId,
    rows: BTreeMap<String, Vec<u8>>,
}

/// What can be folded again, or why it cannot be checked.
type Checkable = Result<Box<dyn Refold>, String>;

impl Source<'_> {
    /// The served view of `P`.
    pub async fn view<P: Projection>(self) -> Result<Checkable, Error> {
        let view = match read_model::served::<P>(self.log, self.partition).await {
            Ok(view) => view,
            Err(read_model::Error::Building(building)) => return Ok(Err(building.to_string())),
            Err(read_model::Error::Log(error)) => return Err(error),
        };
        if let Some(why) = self.why_lost(P::READS, &view) {
            return Ok(Err(why));
        }
        let Some(stored) = self.stored(&view).await? else {
            return Ok(Err(format!(
                "the view {view} of partition {} was replaced meanwhile: try again",
                self.partition
            )));
        };
        Ok(Ok(Box::new(ViewRefold::<P> { stored, rows: HashMap::new() })))
    }

    /// The state of `D`.
    pub async fn decider<D: Decider>(self) -> Result<Checkable, Error> {
        let (view, hosts) = (decider_view::<D>(), shared_view::<D>());
        if let Some(why) = self.why_lost(D::READS, &view) {
            return Ok(Err(why));
        }
        // Subjects and hosts are two views: they are one snapshot if the offset is the same before and after.
        for _ in 0..ATTEMPTS {
            let Some(subjects) = self.stored(&view).await? else {
                return Ok(Err(format!("the decider {} has not read partition {} yet", D::GROUP, self.partition)));
            };
            let rows = self.log.snapshot(self.partition, &hosts).await?.into_iter().collect();
            if read_model::offset(self.log, self.partition, &view).await? == Some(subjects.offset) {
                let hosts = StoredView { view: hosts, offset: subjects.offset, rows };
                return Ok(Ok(Box::new(DeciderRefold::<D> {
                    subjects,
                    hosts,
                    states: HashMap::new(),
                    shared: HashMap::new(),
                    changed: BTreeSet::new(),
                    changed_hosts: BTreeSet::new(),
                })));
            }
        }
        Ok(Err(format!("the decider {} of partition {} is too busy to be read: try again", D::GROUP, self.partition)))
    }

    fn why_lost(self, reads: &[Family], view: &str) -> Option<String> {
        let (family, last) = reads.iter().find_map(|family| Some((*family, *self.lost.get(family)?)))?;
        Some(format!(
            "the view {view} of partition {} rests on {family}s up to {last}, which were discarded without an archive",
            self.partition
        ))
    }

    async fn stored(self, view: &str) -> Result<Option<StoredView>, Error> {
        let rows: BTreeMap<String, Vec<u8>> = self.log.snapshot(self.partition, view).await?.into_iter().collect();
        let Some(offset) = rows.get(OFFSET) else { return Ok(None) };
        let offset = decode_row(view, OFFSET, offset)?;
        Ok(Some(StoredView { view: view.to_owned(), offset, rows }))
    }
}

/// How often rows that change while they are read are read again.
const ATTEMPTS: u32 = 100;

impl StoredView {
    /// Compares these rows with the `expected` ones.
    fn compare<T>(&self, expected: &BTreeMap<String, T>, report: &mut Report)
    where
        T: Serialize + DeserializeOwned + PartialEq,
    {
        let found = self.rows.keys().filter(|key| !is_internal(key));
        let keys: BTreeSet<&String> = found.chain(expected.keys()).collect();
        report.rows += keys.len() as u64;
        for key in keys {
            let (expected, found) = (expected.get(key), self.rows.get(key));
            let same = match (expected, found) {
                (None, None) => true,
                (Some(expected), Some(found)) => {
                    encode(expected).is_ok_and(|bytes| bytes == *found)
                        || decode::<T>(found).is_ok_and(|found| found == *expected)
                }
                (Some(_), None) | (None, Some(_)) => false,
            };
            if !same {
                report.differences.push(Difference::Row {
                    view: self.view.clone(),
                    key: key.clone(),
                    expected: expected.map(|row| encode(row).map_or(serde_json::Value::Null, |bytes| as_json(&bytes))),
                    found: found.map(|bytes| as_json(bytes)),
                });
            }
        }
    }
}

/// A row of any type as JSON.
fn as_json(bytes: &[u8]) -> serde_json::Value {
    decode(bytes).unwrap_or_else(|_| format!("{} bytes that are no row", bytes.len()).into())
}

/// The view of a projection.
struct ViewRefold<P: Projection> {
    stored: StoredView,
    rows: Rows<P>,
}

impl<P: Projection> Refold for ViewRefold<P> {
    fn offset(&self) -> EventId {
        self.stored.offset
    }

    fn reads(&self) -> &'static [Family] {
        P::READS
    }

    fn fold(&mut self, events: &[&Recorded]) {
        fold::fold_all::<P>(&mut self.rows, events.iter().copied());
    }

    fn compare(self: Box<Self>, report: &mut Report) {
        let Self { mut stored, rows } = *self;
        let (offset, view) = (stored.offset, stored.view.clone());
        let is_kept = |key: &str, row: &P::Row| !fold::is_expired::<P>(key, row, offset);
        if P::IS_EXPIRED.is_some() {
            stored.rows.retain(|key, row| {
                is_internal(key) || decode_row(&view, key, row).map_or(true, |row| is_kept(key, &row))
            });
        }
        let mut rows = existing(rows);
        rows.retain(|key, row| is_kept(key, row));
        stored.compare(&rows, report);
    }
}

/// The state of a decider.
struct DeciderRefold<D: Decider> {
    subjects: StoredView,
    hosts: StoredView,
    states: HashMap<Subject, SubjectState<D::State>>,
    shared: HashMap<HostName, D::Shared>,
    /// Those that have a row: an event changed them.
    changed: BTreeSet<Subject>,
    changed_hosts: BTreeSet<HostName>,
}

impl<D: Decider> Refold for DeciderRefold<D> {
    fn offset(&self) -> EventId {
        self.subjects.offset
    }

    fn reads(&self) -> &'static [Family] {
        D::READS
    }

    fn fold(&mut self, events: &[&Recorded]) {
        for event in events {
            let state = self.states.entry(event.subject.clone()).or_default();
            let shared = self.shared.entry(event.subject.host.clone()).or_default();
            let changed = fold::decider::<D>(state, shared, event).unwrap_or_default();
            if changed.subject {
                self.changed.insert(event.subject.clone());
            }
            if changed.shared {
                self.changed_hosts.insert(event.subject.host.clone());
            }
        }
    }

    fn compare(self: Box<Self>, report: &mut Report) {
        let Self { subjects, hosts, states, shared, changed, changed_hosts } = *self;
        let rows = states.into_iter().filter(|(subject, _)| changed.contains(subject));
        subjects.compare(&rows.map(|(subject, state)| (subject.to_string(), state)).collect(), report);
        let rows = shared.into_iter().filter(|(host, _)| changed_hosts.contains(host));
        hosts.compare(&rows.map(|(host, shared)| (host.to_string(), shared)).collect(), report);
    }
}
