//! The folded state of a decider in memory, up to one offset of the partition: a write-back cache of its materialised rows.

use std::collections::{BTreeSet, HashMap};

use hemostat_core::{
    Decider,
    fold::{self, SubjectState, decider_view, shared_view},
};
use hemostat_log::{Guard, Log, Range, RawEntry, RowChange};
use hemostat_schema::{EventId, HostName, Partition, Recorded, Subject};
use serde::de::DeserializeOwned;
use tracing::{error, warn};

use crate::{
    context::Context,
    project::trimmed_without_archive,
    read_model::{OFFSET, decode_row, encode, offset},
    worker::WorkerError,
};

/// Subjects kept in memory between commits. With more, the cache is emptied and rows are read again.
const CAPACITY: usize = 2_000;

pub(super) struct StateCache<D: Decider> {
    partition: Partition,
    /// Boxed: a hash table is up to half empty and is copied as it grows.
    subjects: HashMap<Subject, Box<SubjectState<D::State>>>,
    hosts: HashMap<HostName, D::Shared>,
    /// What differs from the stored rows.
    changed: BTreeSet<Subject>,
    changed_hosts: BTreeSet<HostName>,
    /// Events whose fold panicked, and what the panic said.
    panicked: HashMap<EventId, String>,
    /// The offset: the last event that was folded.
    offset: EventId,
    /// Whether the stored rows have an offset; without one they are worthless.
    has_offset: bool,
}

impl<D: Decider> StateCache<D> {
    /// Continues from the stored rows. Where they have no offset, folds all of history.
    pub async fn load(ctx: &Context, partition: Partition) -> Result<Self, WorkerError> {
        let saved = offset(&*ctx.log, partition, &decider_view::<D>()).await?;
        let mut cache = Self {
            partition,
            subjects: HashMap::new(),
            hosts: HashMap::new(),
            changed: BTreeSet::new(),
            changed_hosts: BTreeSet::new(),
            panicked: HashMap::new(),
            offset: saved.unwrap_or(EventId::start(partition)),
            has_offset: saved.is_some(),
        };
        if saved.is_none() {
            cache.fold_history(ctx).await?;
        }
        Ok(cache)
    }

    async fn fold_history(&mut self, ctx: &Context) -> Result<(), WorkerError> {
        if let Some((family, last)) = trimmed_without_archive(&ctx.history, self.partition, D::READS).await? {
            warn!(
                "{}/{}: {} up to {last} were trimmed and there is no archive; the state is folded from what came later",
                D::GROUP,
                self.partition,
                family.stream()
            );
        }
        let end = ctx.log.clock(self.partition).await?;
        let mut scan = ctx.history.scan(self.partition, D::READS, Range::ALL.up_to(end));
        while let Some(page) = scan.next().await? {
            for event in page.iter().filter_map(|entry| RawEntry::decode(entry).event.ok()) {
                self.fold(&event);
            }
        }
        self.offset = self.offset.max(end);
        Ok(())
    }

    /// Reads the rows of `subjects` and of their hosts that are not in memory.
    pub async fn read(
        &mut self,
        log: &dyn Log,
        subjects: impl IntoIterator<Item = Subject>,
    ) -> Result<(), WorkerError> {
        let mut missing = BTreeSet::new();
        for subject in subjects {
            // A decision rests on its subject and on the host itself.
            missing.insert(Subject::host(subject.host.clone()));
            missing.insert(subject);
        }
        let hosts: BTreeSet<HostName> =
            missing.iter().map(|subject| subject.host.clone()).filter(|host| !self.hosts.contains_key(host)).collect();
        missing.retain(|subject| !self.subjects.contains_key(subject));

        for (subject, row) in read(log, self.partition, &decider_view::<D>(), missing).await? {
            self.subjects.insert(subject, Box::new(row.unwrap_or_default()));
        }
        for (host, row) in read(log, self.partition, &shared_view::<D>(), hosts).await? {
            self.hosts.insert(host, row.unwrap_or_default());
        }
        Ok(())
    }

    /// Folds an event, once. When `evolve` panics, the state stays as it was and the subject's version does not advance: a
    /// commit about the subject then conflicts, so nothing is decided on an incomplete state.
    pub fn fold(&mut self, event: &Recorded) {
        if event.id <= self.offset {
            return;
        }
        self.offset = event.id;
        let subject = self.subjects.entry(event.subject.clone()).or_default();
        let shared = self.hosts.entry(event.subject.host.clone()).or_default();
        match fold::decider::<D>(subject, shared, event) {
            Ok(changed) => {
                if changed.subject {
                    self.changed.insert(event.subject.clone());
                }
                if changed.shared {
                    self.changed_hosts.insert(event.subject.host.clone());
                }
            }
            Err(why) => {
                error!("{}: could not fold {}: {why}", D::GROUP, event.id);
                self.panicked.insert(event.id, why);
            }
        }
    }

    /// Why the fold of an event failed, if it did.
    pub fn panic_of(&self, id: EventId) -> Option<&String> {
        self.panicked.get(&id)
    }

    /// The event's delivery is acknowledged.
    pub fn forget_panic_of(&mut self, id: EventId) {
        self.panicked.remove(&id);
    }

    /// The states of a subject and of its host, if they are in memory.
    pub fn get(&self, subject: &Subject) -> Option<(&SubjectState<D::State>, &D::Shared)> {
        Some((self.subjects.get(subject)?, self.hosts.get(&subject.host)?))
    }

    /// The guards of a commit that rests on `subject`: its versions, as they were folded.
    pub fn guards(&self, subject: &Subject) -> impl Iterator<Item = Guard> {
        let state = self.subjects.get(subject);
        D::READS.iter().map(move |family| Guard {
            subject: subject.clone(),
            family: *family,
            expected_version: state.and_then(|state| state.versions.get(family).copied()),
        })
    }

    pub fn offset(&self) -> EventId {
        self.offset
    }

    /// The rows that differ from the stored ones, with the offset. None if the events since changed nothing (samples of a
    /// healthy container): whoever continues from the older offset has the same state, as their deliveries are
    /// acknowledged.
    pub fn changes(&self) -> Result<Vec<RowChange>, WorkerError> {
        let mut changes = vec![];
        for subject in &self.changed {
            let row = self.subjects.get(subject).map(encode).transpose()?;
            changes.push(RowChange { view: decider_view::<D>(), key: subject.to_string(), row });
        }
        for host in &self.changed_hosts {
            let row = self.hosts.get(host).map(encode).transpose()?;
            changes.push(RowChange { view: shared_view::<D>(), key: host.to_string(), row });
        }
        if self.is_dirty() {
            let row = Some(encode(&self.offset)?);
            changes.push(RowChange { view: decider_view::<D>(), key: OFFSET.to_owned(), row });
        }
        Ok(changes)
    }

    /// Whether the stored rows are another state than the one in memory.
    fn is_dirty(&self) -> bool {
        !self.changed.is_empty() || !self.changed_hosts.is_empty() || !self.has_offset
    }

    /// The changes were committed.
    pub fn saved(&mut self) {
        self.changed.clear();
        self.changed_hosts.clear();
        self.has_offset = true;
        if self.subjects.len() > CAPACITY {
            self.subjects.clear();
            self.hosts.clear();
        }
    }
}

/// The rows of `keys`, each with its key.
async fn read<K: ToString, T: DeserializeOwned>(
    log: &dyn Log,
    partition: Partition,
    view: &str,
    keys: BTreeSet<K>,
) -> Result<Vec<(K, Option<T>)>, WorkerError> {
    if keys.is_empty() {
        return Ok(vec![]);
    }
    let names: Vec<String> = keys.iter().map(K::to_string).collect();
    let found = log.rows(partition, view, &names).await?;
    let decoded = names
        .iter()
        .zip(found)
        .map(|(name, bytes)| bytes.map(|bytes| decode_row(view, name, &bytes)).transpose().map_err(WorkerError::from));
    keys.into_iter().zip(decoded).map(|(key, row)| Ok((key, row?))).collect()
}
