//! The contract of an event store.

use std::{collections::BTreeMap, fmt::Debug, ops::Bound, time::Duration};

use async_trait::async_trait;
use hemostat_schema::{EventId, Family, Partition};
use tokio::sync::watch;

use crate::{
    Append, Appended, Backlog, Commit, CommitError, Confirmed, DeadLetter, Delivery, Durability, Entry, Error,
    Heartbeat, Inspection, Lease, RawEntry, Reader, Sessions, StoredTimer, Trimmed,
};

/// An event store: one ordered log per partition, and the read models, timers and leases of its consumer groups.
///
/// Every call ends within the store's time limit, with an [`Error`] that says whether a retry may help.
#[async_trait]
pub trait Log: Send + Sync + Debug + 'static {
    /// The number of partitions; never changes.
    fn partitions(&self) -> u16;

    /// Changes when entries were appended to the partition, and when the connection came back. Spurious changes are
    /// possible.
    fn append_signal(&self, partition: Partition) -> watch::Receiver<u64>;

    /// The last id assigned in the partition, or [`EventId::start`]. Every later event gets a greater one.
    async fn clock(&self, partition: Partition) -> Result<EventId, Error>;

    /// The first `limit` entries of `range` in `order`, merged by id over `families`. Excludes entries appended after the
    /// call began, so a page never has a gap that is filled later.
    async fn read(
        &self,
        partition: Partition,
        families: &[Family],
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let raw = self.raw(partition, families, range, order, limit).await?;
        Ok(raw.iter().map(RawEntry::decode).collect())
    }

    /// As [`read`](Self::read), undecoded.
    async fn raw(
        &self,
        partition: Partition,
        families: &[Family],
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<RawEntry>, Error>;

    /// One entry, whatever its family.
    async fn get(&self, id: EventId) -> Result<Option<Entry>, Error>;

    /// Rows of a view (with its version, such as `containers.1`), in the order of `keys`.
    async fn rows(&self, partition: Partition, view: &str, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error>;

    /// All rows of a view, by key; not an atomic snapshot.
    async fn all_rows(&self, partition: Partition, view: &str) -> Result<Vec<(String, Vec<u8>)>, Error>;

    /// All rows of a view, by key, as an atomic snapshot.
    async fn snapshot(&self, partition: Partition, view: &str) -> Result<Vec<(String, Vec<u8>)>, Error>;

    /// The served view of each name (`containers` → `containers.1`), and the requested view of each group
    /// (`containers.1+` → `containers.1~2`).
    async fn views(&self, partition: Partition) -> Result<BTreeMap<String, String>, Error>;

    /// Requests that the holder of the group's lease builds `view` and then serves it.
    async fn request_view(&self, partition: Partition, group: &str, view: &str) -> Result<(), Error>;

    /// All timers of a group, the earliest first.
    async fn timers(&self, partition: Partition, group: &str) -> Result<Vec<StoredTimer>, Error>;

    /// Acquires the lease if it is free, its owner's session ended, or `owner` holds it already; none if another process
    /// holds it. Starts a new epoch (fencing token) and a new producer sequence. The session of `owner` lives for at least
    /// `ttl` from now.
    async fn acquire(
        &self,
        partition: Partition,
        group: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, Error>;

    /// The heartbeat of a process: renews its session, and with it all of its leases. Returns for each lease whether it is
    /// still held, and the live sessions.
    async fn heartbeat(&self, heartbeat: &Heartbeat<'_>) -> Result<(Vec<bool>, Sessions), Error>;

    /// The live sessions of the partition and the requested handoffs; writes nothing.
    async fn sessions(&self, partition: Partition) -> Result<Sessions, Error>;

    /// Publishes a request for a handoff to the members of a group, for `ttl`.
    async fn request_handoff(&self, partition: Partition, request: &str, ttl: Duration) -> Result<(), Error>;

    /// Withdraws a request for a handoff.
    async fn withdraw_handoff(&self, partition: Partition, request: &str) -> Result<(), Error>;

    /// Waits up to `within` until an event and everything before it, whoever committed it, is as durable as `durability`
    /// demands. Renews the session of the lease's owner for `ttl`.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the lease is lost.
    async fn confirm(
        &self,
        lease: &Lease,
        ttl: Duration,
        event: (Family, EventId),
        durability: Durability,
        within: Duration,
    ) -> Result<Confirmed, Error>;

    /// Releases the lease, so that the next holder need not wait for its expiry; nothing can be committed with it afterwards.
    async fn release(&self, lease: &Lease) -> Result<(), Error>;

    /// Revokes the lease of the current holder, so that a process acquires it and starts again from the log.
    async fn revoke(&self, partition: Partition, group: &str) -> Result<(), Error>;

    /// The consumer groups of a stream.
    async fn groups(&self, partition: Partition, family: Family) -> Result<Vec<String>, Error>;

    /// Creates the lease's group where it does not exist yet: it will not be delivered anything up to `after`.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the lease is lost.
    async fn start_group(&self, lease: &Lease, families: &[Family], after: EventId) -> Result<(), Error>;

    /// Deletes the lease's group, its position and its pending entries, so that it no longer holds back trimming. Its
    /// timers are those of a commit.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the lease is lost.
    async fn drop_group(&self, lease: &Lease, families: &[Family]) -> Result<(), Error>;

    /// All pending entries of the group (delivered and not acknowledged), whichever process had them; for
    /// [`Inbox`](crate::Inbox). A new group starts at the first event.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the lease is lost.
    async fn pending(&self, lease: &Lease, families: &[Family]) -> Result<Backlog, Error>;

    /// New entries, at most `count` of each family, all read at one instant; for [`Inbox`](crate::Inbox), which orders
    /// them.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the lease is lost or the reader's token is old.
    async fn deliver(
        &self,
        lease: &Lease,
        reader: Reader,
        families: &[Family],
        count: usize,
    ) -> Result<Vec<Delivery>, Error>;

    /// How many entries the group has not acknowledged yet, for metrics: the store's estimate.
    async fn lag(&self, partition: Partition, group: &str, families: &[Family]) -> Result<u64, Error>;

    /// Applies `commit` atomically. Returns the ids of its events.
    ///
    /// Idempotent by [`seq`](Commit::seq): if that sequence was committed before, nothing is applied; the call returns the
    /// ids assigned then if it was the newest sequence, and no ids otherwise.
    async fn commit(&self, commit: &Commit) -> Result<Vec<EventId>, CommitError>;

    /// Applies `append` atomically, without a lease, at most once per key: if something was appended with its key before,
    /// nothing is applied, and the call returns the ids of then, whatever else `append` contains.
    ///
    /// # Errors
    /// Never [`CommitError::Fenced`]. [`Error::Invalid`] if a dead letter cannot be redelivered, because its event is no longer
    /// in the stream.
    async fn append_once(&self, append: &Append) -> Result<Appended, CommitError>;

    /// The ids of what was appended with this key; none if nothing was, or so long ago that the key is forgotten.
    async fn appended(&self, partition: Partition, key: &str) -> Result<Option<Vec<EventId>>, Error>;

    /// The dead letters of all groups, the newest first.
    async fn dead_letters(&self, partition: Partition, limit: usize) -> Result<Vec<DeadLetter>, Error>;

    /// Deletes a dead letter; its event stays. None if there is no such dead letter.
    async fn discard(&self, partition: Partition, key: EventId) -> Result<Option<DeadLetter>, Error>;

    /// The last trimmed entry of the family; none if nothing was trimmed.
    async fn trimmed(&self, partition: Partition, family: Family) -> Result<Option<EventId>, Error>;

    /// Deletes the family's entries before `before`, but none that a group has not handled yet, nor any entry after such
    /// a one.
    async fn trim(&self, partition: Partition, family: Family, before: EventId) -> Result<Trimmed, Error>;

    /// The state of the partition besides events and rows.
    async fn inspect(&self, partition: Partition) -> Result<Inspection, Error>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), Error>;
}

/// The direction of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Ascending ids.
    OldestFirst,
    /// Descending ids.
    NewestFirst,
}

/// A range of ids in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub from: Bound<EventId>,
    /// Where it ends.
    pub to: Bound<EventId>,
}

impl Range {
    /// Everything.
    pub const ALL: Self = Self { from: Bound::Unbounded, to: Bound::Unbounded };

    /// Everything after `id`.
    pub fn after(id: EventId) -> Self {
        Self { from: Bound::Excluded(id), ..Self::ALL }
    }

    /// Everything before `id`.
    pub fn before(id: EventId) -> Self {
        Self { to: Bound::Excluded(id), ..Self::ALL }
    }

    /// The same, but not beyond `id`.
    #[must_use]
    pub fn up_to(self, id: EventId) -> Self {
        let to = match self.to {
            Bound::Included(to) | Bound::Excluded(to) if to <= id => self.to,
            _ => Bound::Included(id),
        };
        Self { to, ..self }
    }

    /// Whether it can contain no id.
    pub fn is_empty(&self) -> bool {
        match (self.from, self.to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
            (_, Bound::Excluded(to)) => to == EventId::start(to.partition),
            (Bound::Excluded(from), _) => from == EventId::end(from.partition),
            (Bound::Unbounded | Bound::Included(_), Bound::Unbounded) | (Bound::Unbounded, Bound::Included(_)) => false,
        }
    }
}

impl Default for Range {
    fn default() -> Self {
        Self::ALL
    }
}
