//! The state of one partition in memory: a plain state machine without locks or async.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bytes::Bytes;
use hemostat_schema::{Cause, EventId, Family, NewEvent, Partition, Subject, Timestamp, codec::Encoded};

use crate::{
    Append, Appended, Backlog, Commit, CommitError, Cursor, DeadLetter, Delivery, Entry, Error, Guard, Heartbeat,
    Lease, Order, Range, RawEntry, Reader, Session, Sessions, StoredTimer, TimerUpdate, ViewChange,
};

/// Everything of one partition.
#[derive(Debug)]
pub(super) struct History {
    partition: Partition,
    pub(super) clock: EventId,
    pub(super) streams: HashMap<Family, BTreeMap<EventId, Stored>>,
    pub(super) versions: HashMap<(Family, Subject), EventId>,
    pub(super) rows: HashMap<String, BTreeMap<String, Vec<u8>>>,
    /// By group, subject and name: when it is due, in milliseconds since the epoch.
    pub(super) timers: BTreeMap<(String, Subject, String), i64>,
    pub(super) leases: HashMap<String, Held>,
    /// By owner: when the session ends, and what the process says about itself.
    sessions: BTreeMap<String, (Timestamp, Option<String>)>,
    /// By request: when it expires.
    handoffs: BTreeMap<String, Timestamp>,
    pub(super) groups: HashMap<(String, Family), Group>,
    pub(super) dead_letters: Vec<DeadLetter>,
    /// How many there ever were: their ids are not used again.
    dead_lettered: u64,
    pub(super) cursors: BTreeMap<String, Cursor>,
    pub(super) served: BTreeMap<String, String>,
    pub(super) trimmed: BTreeMap<Family, EventId>,
    /// By key: what was appended once.
    pub(super) appended: HashMap<String, Vec<EventId>>,
}

#[derive(Debug)]
pub(super) struct Stored {
    fields: Encoded,
    cause: Option<EventId>,
}

/// A group's lease.
#[derive(Debug)]
pub(super) struct Held {
    /// None once it was released.
    pub(super) owner: Option<String>,
    pub(super) epoch: u64,
    reader: u64,
    seq: u64,
    /// The ids that the commit with that sequence returned.
    ids: Vec<EventId>,
}

/// The state of a consumer group in one stream.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) delivered: EventId,
    /// How often each unacknowledged entry was delivered.
    pub(super) pending: BTreeMap<EventId, u32>,
}

impl History {
    pub fn new(partition: Partition) -> Self {
        Self {
            partition,
            clock: EventId::start(partition),
            streams: HashMap::new(),
            versions: HashMap::new(),
            rows: HashMap::new(),
            timers: BTreeMap::new(),
            leases: HashMap::new(),
            sessions: BTreeMap::new(),
            handoffs: BTreeMap::new(),
            groups: HashMap::new(),
            dead_letters: vec![],
            dead_lettered: 0,
            cursors: BTreeMap::new(),
            served: BTreeMap::new(),
            trimmed: BTreeMap::new(),
            appended: HashMap::new(),
        }
    }

    pub fn clock(&self) -> EventId {
        self.clock
    }

    pub fn append_raw(
        &mut self,
        family: Family,
        kind: &str,
        subject: &str,
        envelope: &[u8],
        now: Timestamp,
    ) -> EventId {
        let fields = Encoded { kind: kind.to_owned(), subject: subject.to_owned(), envelope: envelope.to_owned() };
        self.append(family, Stored { fields, cause: None }, now)
    }

    fn append(&mut self, family: Family, stored: Stored, now: Timestamp) -> EventId {
        let ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let seq = self.clock.seq + 1;
        let fresh = ms > self.clock.ms;
        self.clock = if fresh { EventId { ms, seq: 0, ..self.clock } } else { EventId { seq, ..self.clock } };
        self.streams.entry(family).or_default().insert(self.clock, stored);
        self.clock
    }

    pub fn raw(&self, families: &[Family], range: Range, order: Order, limit: usize) -> Vec<RawEntry> {
        if range.is_empty() {
            return vec![];
        }
        let of_family = |family: Family| -> Vec<(EventId, Family, &Stored)> {
            let found = self.streams.get(&family).into_iter().flat_map(|stream| stream.range((range.from, range.to)));
            let found = found.map(|(id, stored)| (*id, family, stored));
            match order {
                Order::OldestFirst => found.take(limit).collect(),
                Order::NewestFirst => found.rev().take(limit).collect(),
            }
        };
        let mut found: Vec<_> = families.iter().copied().flat_map(of_family).collect();
        found.sort_unstable_by_key(|(id, ..)| *id);
        found.dedup_by_key(|(id, ..)| *id);
        if order == Order::NewestFirst {
            found.reverse();
        }
        found.into_iter().take(limit).map(|(id, family, stored)| stored.raw(id, family)).collect()
    }

    pub fn get(&self, id: EventId) -> Option<Entry> {
        let found = |family: Family| Some((family, self.streams.get(&family)?.get(&id)?));
        let (family, stored) = Family::ALL.into_iter().find_map(found)?;
        Some(stored.raw(id, family).decode())
    }

    pub fn row(&self, view: &str, key: &str) -> Option<Vec<u8>> {
        self.rows.get(view)?.get(key).cloned()
    }

    pub fn all_rows(&self, view: &str) -> Vec<(String, Vec<u8>)> {
        let rows = self.rows.get(view).into_iter().flatten();
        rows.map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    pub fn timers(&self, group: &str) -> Vec<StoredTimer> {
        let of_group = self.timers.iter().filter(|((of, ..), _)| of == group);
        let timer = |((_, subject, name), due): (&(String, Subject, String), &i64)| StoredTimer {
            subject: subject.clone(),
            name: name.clone(),
            due: Timestamp::from_millisecond(*due).unwrap_or(Timestamp::MAX),
        };
        let mut timers: Vec<_> = of_group.map(timer).collect();
        timers.sort_by_key(|timer| timer.due);
        timers
    }

    pub fn acquire(&mut self, group: &str, owner: &str, ttl: Duration, now: Timestamp) -> Option<Lease> {
        let held = self.leases.get(group);
        let is_alive = |owner: &str| self.sessions.get(owner).is_some_and(|(until, _)| *until > now);
        if held.and_then(|held| held.owner.as_deref()).is_some_and(|by| by != owner && is_alive(by)) {
            return None;
        }
        let epoch = held.map_or(0, |held| held.epoch) + 1;
        let reader = held.map_or(0, |held| held.reader);
        let held = Held { owner: Some(owner.to_owned()), epoch, reader, seq: 0, ids: vec![] };
        self.renew(owner, ttl, now);
        self.leases.insert(group.to_owned(), held);
        Some(Lease { partition: self.partition, group: group.to_owned(), owner: owner.to_owned(), epoch })
    }

    /// A session never ends earlier than its process was told.
    fn renew(&mut self, owner: &str, ttl: Duration, now: Timestamp) -> &mut Option<String> {
        let (until, says) = self.sessions.entry(owner.to_owned()).or_insert((now, None));
        *until = later(now, ttl).max(*until);
        says
    }

    pub fn heartbeat(&mut self, heartbeat: &Heartbeat<'_>, now: Timestamp) -> (Vec<bool>, Sessions) {
        let Heartbeat { owner, says, leases, ttl, .. } = *heartbeat;
        self.sessions.retain(|_, (until, _)| *until > now);
        *self.renew(owner, ttl, now) = Some(says.to_owned());
        (leases.iter().map(|lease| self.held(lease).is_some()).collect(), self.live(now))
    }

    pub fn live(&self, now: Timestamp) -> Sessions {
        let session = |(owner, (until, says)): (&String, &(Timestamp, Option<String>))| {
            let says = says.clone().filter(|_| *until > now)?;
            Some(Session { owner: owner.clone(), says })
        };
        let handoffs = self.handoffs.iter().filter(|(_, until)| **until > now).map(|(request, _)| request.clone());
        Sessions { live: self.sessions.iter().filter_map(session).collect(), handoffs: handoffs.collect() }
    }

    pub fn request_handoff(&mut self, request: &str, ttl: Duration, now: Timestamp) {
        self.handoffs.insert(request.to_owned(), later(now, ttl));
    }

    pub fn withdraw_handoff(&mut self, request: &str) {
        self.handoffs.remove(request);
    }

    /// Checks the lease and renews its owner's session.
    pub fn confirm(&mut self, lease: &Lease, ttl: Duration, now: Timestamp) -> Result<(), Error> {
        self.held(lease).ok_or_else(|| fenced(lease))?;
        self.renew(&lease.owner, ttl, now);
        Ok(())
    }

    pub fn release(&mut self, lease: &Lease) {
        if let Some(held) = self.held(lease) {
            held.owner = None;
        }
    }

    /// The lease, if it still holds.
    fn held(&mut self, lease: &Lease) -> Option<&mut Held> {
        self.leases
            .get_mut(&lease.group)
            .filter(|held| held.epoch == lease.epoch && held.owner.as_ref() == Some(&lease.owner))
    }

    pub fn group_names(&self, family: Family) -> Vec<String> {
        self.groups.keys().filter(|(_, of)| *of == family).map(|(group, _)| group.clone()).collect()
    }

    pub fn start_group(&mut self, lease: &Lease, families: &[Family], after: EventId) -> Result<(), Error> {
        self.held(lease).ok_or_else(|| fenced(lease))?;
        for family in families {
            let key = (lease.group.clone(), *family);
            self.groups.entry(key).or_insert_with(|| Group { delivered: after, pending: BTreeMap::new() });
        }
        Ok(())
    }

    pub fn drop_group(&mut self, lease: &Lease, families: &[Family]) -> Result<(), Error> {
        self.held(lease).ok_or_else(|| fenced(lease))?;
        self.groups.retain(|(group, family), _| *group != lease.group || !families.contains(family));
        Ok(())
    }

    pub fn pending(&mut self, lease: &Lease, families: &[Family]) -> Result<Backlog, Error> {
        let start = EventId::start(self.partition);
        let held = self.held(lease).ok_or_else(|| fenced(lease))?;
        held.reader += 1;
        let reader = Reader(held.reader);
        let mut deliveries = vec![];
        for family in families {
            let group = self
                .groups
                .entry((lease.group.clone(), *family))
                .or_insert_with(|| Group { delivered: start, pending: BTreeMap::new() });
            let stream = self.streams.get(family);
            for (id, times) in &mut group.pending {
                *times += 1;
                let stored = stream.and_then(|stream| stream.get(id));
                deliveries.extend(stored.map(|stored| stored.delivery(*id, *family, *times)));
            }
        }
        deliveries.sort_by_key(|delivery| delivery.id);
        Ok(Backlog { reader, deliveries })
    }

    pub fn deliver(
        &mut self,
        lease: &Lease,
        reader: Reader,
        families: &[Family],
        count: usize,
    ) -> Result<Vec<Delivery>, Error> {
        self.held(lease).filter(|held| held.reader == reader.0).ok_or_else(|| fenced(lease))?;
        let mut deliveries = vec![];
        for family in families {
            let group = self.groups.get_mut(&(lease.group.clone(), *family)).ok_or_else(|| fenced(lease))?;
            let Some(stream) = self.streams.get(family) else { continue };
            let from = Range::after(group.delivered);
            for (id, stored) in stream.range((from.from, from.to)).take(count) {
                group.delivered = *id;
                group.pending.insert(*id, 1);
                deliveries.push(stored.delivery(*id, *family, 1));
            }
        }
        Ok(deliveries)
    }

    pub fn lag(&self, group: &str, families: &[Family]) -> u64 {
        let lag = |family: &Family| {
            let stream = self.streams.get(family).map_or(0, BTreeMap::len);
            let Some(group) = self.groups.get(&(group.to_owned(), *family)) else { return stream };
            let new = Range::after(group.delivered);
            let new = self.streams.get(family).map_or(0, |stream| stream.range((new.from, new.to)).count());
            group.pending.len() + new
        };
        families.iter().map(lag).map(|lag| u64::try_from(lag).unwrap_or(u64::MAX)).sum()
    }

    pub fn dead_letters(&self, limit: usize) -> Vec<DeadLetter> {
        self.dead_letters.iter().rev().take(limit).cloned().collect()
    }

    fn check(&self, guards: &[Guard]) -> Result<(), CommitError> {
        let advanced = |guard: &&Guard| {
            let version = self.versions.get(&(guard.family, guard.subject.clone())).copied();
            version > guard.expected_version
        };
        guards.iter().find(advanced).map_or(Ok(()), |guard| Err(CommitError::Conflict(guard.subject.clone())))
    }

    fn append_all(&mut self, events: &[NewEvent], encoded: Vec<Encoded>, now: Timestamp) -> Vec<EventId> {
        let mut ids: Vec<EventId> = Vec::with_capacity(encoded.len());
        for (event, fields) in events.iter().zip(encoded) {
            let cause = event.cause.map(|cause| match cause {
                Cause::Event(id) => id,
                Cause::Sibling(index) => ids[index],
            });
            let family = event.event.family();
            let id = self.append(family, Stored { fields, cause }, now);
            if event.event.advances_version() {
                self.versions.insert((family, event.subject.clone()), id);
            }
            ids.push(id);
        }
        ids
    }

    pub fn append_once(&mut self, append: &Append, now: Timestamp) -> Result<Appended, CommitError> {
        let encoded = append.encode()?;
        if let Some(ids) = self.appended.get(&append.key) {
            return Ok(Appended { ids: ids.clone(), first_time: false });
        }
        self.check(&append.guards)?;
        if let Some(settlement) = &append.settlement {
            self.settle(settlement)?;
        }
        let ids = self.append_all(&append.events, encoded, now);
        self.appended.insert(append.key.clone(), ids.clone());
        Ok(Appended { ids, first_time: true })
    }

    /// Checks everything, then changes everything.
    pub fn commit(&mut self, commit: &Commit, now: Timestamp) -> Result<Vec<EventId>, CommitError> {
        let encoded = commit.encode()?;
        let group = &commit.lease.group;
        let held = self.held(&commit.lease).ok_or(CommitError::Fenced)?;
        if let Some(seq) = commit.seq.filter(|seq| *seq <= held.seq) {
            return Ok(if seq == held.seq { held.ids.clone() } else { vec![] });
        }
        self.check(&commit.guards)?;
        let is_pending = |(family, id): &(Family, EventId)| {
            self.groups.get(&(group.clone(), *family)).is_some_and(|group| group.pending.contains_key(id))
        };
        let is_set = |timer: &crate::TimerKey| {
            let key = (group.clone(), timer.subject.clone(), timer.name.clone());
            self.timers.get(&key) == Some(&timer.due.as_millisecond())
        };
        if !commit.acks.iter().all(is_pending) || !commit.fired.iter().all(is_set) {
            return Err(CommitError::AlreadyHandled);
        }

        for (family, id) in &commit.acks {
            if let Some(group) = self.groups.get_mut(&(group.clone(), *family)) {
                group.pending.remove(id);
            }
        }
        for timer in &commit.fired {
            self.timers.remove(&(group.clone(), timer.subject.clone(), timer.name.clone()));
        }
        let ids = self.append_all(&commit.events, encoded, now);
        for change in &commit.rows {
            let view = self.rows.entry(change.view.clone()).or_default();
            match &change.row {
                Some(row) => drop(view.insert(change.key.clone(), row.clone())),
                None => drop(view.remove(&change.key)),
            }
        }
        for update in &commit.timers {
            match update {
                TimerUpdate::Set { subject, name, due } => {
                    self.timers.insert((group.clone(), subject.clone(), name.clone()), due.as_millisecond());
                }
                TimerUpdate::Cancel { subject, name } => {
                    self.timers.remove(&(group.clone(), subject.clone(), name.clone()));
                }
            }
        }
        for letter in &commit.dead_letters {
            self.dead_lettered += 1;
            self.dead_letters.push(DeadLetter {
                key: EventId { ms: 0, seq: self.dead_lettered, partition: self.partition },
                group: group.clone(),
                family: letter.family,
                id: letter.id,
                error: letter.error.clone(),
                at: now,
            });
        }
        if let Some(cursor) = &commit.cursor {
            self.cursors.insert(group.clone(), cursor.clone());
        }
        for change in &commit.views {
            match change {
                ViewChange::Serve { name, view } => drop(self.served.insert(name.clone(), view.clone())),
                ViewChange::Retire { view } => drop(self.rows.remove(view)),
            }
        }
        if let (Some(seq), Some(held)) = (commit.seq, self.held(&commit.lease)) {
            held.seq = seq;
            held.ids.clone_from(&ids);
        }
        Ok(ids)
    }
}

impl Stored {
    fn raw(&self, id: EventId, family: Family) -> RawEntry {
        let mut fields = vec![("k", self.fields.kind.clone().into()), ("s", self.fields.subject.clone().into())];
        fields.extend(self.cause.map(|cause| ("c", cause.to_string().into())));
        fields.push(("e", self.fields.envelope.clone().into()));
        let fields = fields.into_iter().map(|(name, value)| (Bytes::from_static(name.as_bytes()), value));
        RawEntry { id, family, fields: fields.collect() }
    }

    fn delivery(&self, id: EventId, family: Family, times: u32) -> Delivery {
        Delivery { id, family, event: self.raw(id, family).decode().event, times }
    }
}

fn fenced(lease: &Lease) -> Error {
    Error::Fenced { group: lease.group.clone(), partition: lease.partition }
}

fn later(now: Timestamp, ttl: Duration) -> Timestamp {
    hemostat_schema::Span::from(ttl).after(now)
}
