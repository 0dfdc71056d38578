//! What a decider worker knows: the states of subjects and hosts, folded up to one position of the partition.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
};

use hemostat_core::Decider;
use hemostat_log::{Guard, Log, Range, RawEntry, RowChange};
use hemostat_schema::{Body, EventId, Family, HostName, Partition, Recorded, Subject, TraceParent};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use crate::{
    Context, Halt,
    project::missing,
    rows,
    views::{self, POSITION},
    worker::said,
};

/// Subjects that are kept in memory between commits; beyond that they are read again.
const CACHED: usize = 2_000;

/// What is known of one subject; the row of a decider's view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Known<S> {
    /// The newest event of each family that was folded and that decisions can rest on.
    pub heads: BTreeMap<Family, EventId>,
    /// The trace of the newest event that belongs to an incident, for what a timer leads to.
    pub trace: Option<TraceParent>,
    /// What was folded.
    pub state: S,
}

impl<S: Default> Default for Known<S> {
    fn default() -> Self {
        Self { heads: BTreeMap::new(), trace: None, state: S::default() }
    }
}

pub(super) struct Memory<D: Decider> {
    partition: Partition,
    /// Boxed, as a table is up to half empty, and is copied as it grows.
    subjects: HashMap<Subject, Box<Known<D::State>>>,
    hosts: HashMap<HostName, D::Shared>,
    /// What differs from the rows.
    changed: BTreeSet<Subject>,
    changed_hosts: BTreeSet<HostName>,
    /// Events whose fold panicked, and what the panic said.
    poisoned: HashMap<EventId, String>,
    /// Up to here everything was folded.
    through: EventId,
    saved: Option<EventId>,
}

fn view<D: Decider>() -> String {
    format!("{}.{}", D::GROUP, D::VERSION)
}

fn shared_view<D: Decider>() -> String {
    format!("{}-shared.{}", D::GROUP, D::VERSION)
}

impl<D: Decider> Memory<D> {
    /// As the rows say; where they do not say up to where they go, as all that ever happened says.
    pub async fn load(ctx: &Context, partition: Partition) -> Result<Self, Halt> {
        let saved = views::position(&*ctx.log, partition, &view::<D>()).await?;
        let mut memory = Self {
            partition,
            subjects: HashMap::new(),
            hosts: HashMap::new(),
            changed: BTreeSet::new(),
            changed_hosts: BTreeSet::new(),
            poisoned: HashMap::new(),
            through: saved.unwrap_or(EventId::start(partition)),
            saved,
        };
        if saved.is_none() {
            memory.fold_history(ctx).await?;
        }
        Ok(memory)
    }

    async fn fold_history(&mut self, ctx: &Context) -> Result<(), Halt> {
        if let Some((family, last)) = missing(&ctx.history, self.partition, D::READS).await? {
            warn!(
                "{}/{}: {} up to {last} are no longer on the log and there is no archive; what is known begins after them",
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
        self.through = self.through.max(end);
        Ok(())
    }

    /// Reads those of `subjects`, and of their hosts, that are not in memory.
    pub async fn recall(&mut self, log: &dyn Log, subjects: impl IntoIterator<Item = Subject>) -> Result<(), Halt> {
        let mut missing = BTreeSet::new();
        for subject in subjects {
            // A decision rests on its subject and on the host itself.
            missing.insert(Subject::host(subject.host.clone()));
            missing.insert(subject);
        }
        let hosts: BTreeSet<HostName> =
            missing.iter().map(|subject| subject.host.clone()).filter(|host| !self.hosts.contains_key(host)).collect();
        missing.retain(|subject| !self.subjects.contains_key(subject));

        for (subject, row) in read(log, self.partition, &view::<D>(), missing).await? {
            self.subjects.insert(subject, Box::new(row.unwrap_or_default()));
        }
        for (host, row) in read(log, self.partition, &shared_view::<D>(), hosts).await? {
            self.hosts.insert(host, row.unwrap_or_default());
        }
        Ok(())
    }

    /// Takes an event in, unless it was. Where `evolve` panics it is as if the event had not been there, but that the
    /// subject's head is no longer the one that was folded, so that nothing is decided on what is not known.
    pub fn fold(&mut self, event: &Recorded) {
        if event.id <= self.through {
            return;
        }
        self.through = event.id;
        let known = self.subjects.entry(event.subject.clone()).or_default();
        let shared = self.hosts.entry(event.subject.host.clone()).or_default();

        if event.event().is_some() {
            let (mut new, mut new_shared) = (known.state.clone(), shared.clone());
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| D::evolve(&mut new, &mut new_shared, event))) {
                let why = format!("the fold panicked: {}", said(&*panic));
                error!("{}: could not fold {}: {why}", D::GROUP, event.id);
                self.poisoned.insert(event.id, why);
                return;
            }
            if *shared != new_shared {
                *shared = new_shared;
                self.changed_hosts.insert(event.subject.host.clone());
            }
            if known.state != new {
                known.state = new;
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

    /// Why an event could not be folded, where that is so.
    pub fn poisoned(&self, id: EventId) -> Option<&String> {
        self.poisoned.get(&id)
    }

    /// The event is dealt with.
    pub fn done(&mut self, id: EventId) {
        self.poisoned.remove(&id);
    }

    /// What is known of a subject and its host, once recalled.
    pub fn of(&self, subject: &Subject) -> Option<(&Known<D::State>, &D::Shared)> {
        Some((self.subjects.get(subject)?, self.hosts.get(&subject.host)?))
    }

    /// That nothing was added about `subject` but what was folded.
    pub fn guards(&self, subject: &Subject) -> impl Iterator<Item = Guard> {
        let known = self.subjects.get(subject);
        D::READS.iter().map(move |family| Guard {
            subject: subject.clone(),
            family: *family,
            head: known.and_then(|known| known.heads.get(family).copied()),
        })
    }

    pub fn through(&self) -> EventId {
        self.through
    }

    /// The rows that differ from those in the log, and the position.
    pub fn changes(&self) -> Result<Vec<RowChange>, Halt> {
        let mut changes = vec![];
        for subject in &self.changed {
            let row = self.subjects.get(subject).map(rows::encode).transpose()?;
            changes.push(RowChange { view: view::<D>(), key: subject.to_string(), row });
        }
        for host in &self.changed_hosts {
            let row = self.hosts.get(host).map(rows::encode).transpose()?;
            changes.push(RowChange { view: shared_view::<D>(), key: host.to_string(), row });
        }
        if self.saved != Some(self.through) {
            let row = Some(rows::encode(&self.through)?);
            changes.push(RowChange { view: view::<D>(), key: POSITION.to_owned(), row });
        }
        Ok(changes)
    }

    /// The rows are as the memory is.
    pub fn saved(&mut self) {
        self.changed.clear();
        self.changed_hosts.clear();
        self.saved = Some(self.through);
        if self.subjects.len() > CACHED {
            self.subjects.clear();
            self.hosts.clear();
        }
    }
}

/// Whether the commit that put the event there moved its subject's head.
fn moves_head(event: &Recorded) -> bool {
    match &event.body {
        Body::Known(known) => known.moves_head(),
        Body::Unknown { kind, .. } => kind != "observation.sampled",
    }
}

/// The rows of `keys`, each with its key.
async fn read<K: ToString, T: serde::de::DeserializeOwned>(
    log: &dyn Log,
    partition: Partition,
    view: &str,
    keys: BTreeSet<K>,
) -> Result<Vec<(K, Option<T>)>, Halt> {
    if keys.is_empty() {
        return Ok(vec![]);
    }
    let names: Vec<String> = keys.iter().map(K::to_string).collect();
    let found = log.rows(partition, view, &names).await?;
    let decoded = names
        .iter()
        .zip(found)
        .map(|(name, bytes)| bytes.map(|bytes| rows::decode_row(view, name, &bytes)).transpose().map_err(Halt::from));
    keys.into_iter().zip(decoded).map(|(key, row)| Ok((key, row?))).collect()
}
