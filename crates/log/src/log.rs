//! The contract of an event store.

use std::{collections::BTreeMap, fmt::Debug, ops::Bound, time::Duration};

use async_trait::async_trait;
use hemostat_schema::{EventId, Family, Partition};
use tokio::sync::watch;

use crate::{
    Backlog, Commit, CommitError, Confirmed, DeadLetter, Delivery, Durability, Entry, Error, Inspection, Lease,
    RawEntry, Reader, StoredTimer, Trimmed,
};

/// An event store: ordered histories, one for each partition, and what is folded from them.
///
/// Every call ends within the store's time limit, with an [`Error`] that says whether it is worth trying again.
#[async_trait]
pub trait Log: Send + Sync + Debug + 'static {
    /// How many partitions there are; never changes.
    fn partitions(&self) -> u16;

    /// Rings (its value changes) when something was appended to the partition, and when the connection came back. It
    /// may ring for nothing.
    fn append_signal(&self, partition: Partition) -> watch::Receiver<u64>;

    /// The id given last in the partition, or [`EventId::start`]. Every later event gets a greater one.
    async fn clock(&self, partition: Partition) -> Result<EventId, Error>;

    /// The first `limit` entries of `range` in `order`, merged by id over `families`; nothing that was appended after
    /// the call began, so that a page never has a hole that is filled later.
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

    /// As [`read`](Self::read), but as the entries stand in the store.
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

    /// All rows of a view, by key. Rows that change meanwhile are given as they were before or after.
    async fn all_rows(&self, partition: Partition, view: &str) -> Result<Vec<(String, Vec<u8>)>, Error>;

    /// All rows of a view, by key, as they stood at one instant.
    async fn snapshot(&self, partition: Partition, view: &str) -> Result<Vec<(String, Vec<u8>)>, Error>;

    /// Which view is served under which name (`containers` → `containers.1`), and which one a group is to fill
    /// (`containers.1+` → `containers.1~2`).
    async fn views(&self, partition: Partition) -> Result<BTreeMap<String, String>, Error>;

    /// Asks the holder of the group's lease to fill `view` and serve it instead.
    async fn want_view(&self, partition: Partition, group: &str, view: &str) -> Result<(), Error>;

    /// All timers of a group, the earliest first.
    async fn timers(&self, partition: Partition, group: &str) -> Result<Vec<StoredTimer>, Error>;

    /// Takes the lease for `ttl` when it is free, has run out or is `owner`'s own already; none when another holds it.
    /// A new epoch begins, and with it the producer's sequence.
    async fn acquire(
        &self,
        partition: Partition,
        group: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, Error>;

    /// Holds the lease for another `ttl` from now; false when it is lost.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, Error>;

    /// Makes sure that an event, and everything before it, is as safe as `durability` says, whoever committed it; waits
    /// for that no longer than `within`. Renews the lease for `ttl` on the way.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the lease is lost.
    async fn confirm(
        &self,
        lease: &Lease,
        ttl: Duration,
        event: (Family, EventId),
        durability: Durability,
        within: Duration,
    ) -> Result<Confirmed, Error>;

    /// Gives the lease back, so that the next one need not wait; nothing can be committed with it afterwards.
    async fn release(&self, lease: &Lease) -> Result<(), Error>;

    /// Takes the lease away from whoever holds it, who therefore begins afresh, or somebody else does.
    async fn recall(&self, partition: Partition, group: &str) -> Result<(), Error>;

    /// Says for `ttl` that `owner` can do the group's work. Gives all who said so and whose time is not over, sorted.
    async fn heartbeat(&self, group: &str, owner: &str, ttl: Duration) -> Result<Vec<String>, Error>;

    /// Takes back what [`heartbeat`](Self::attend) said.
    async fn deregister(&self, group: &str, owner: &str) -> Result<(), Error>;

    /// Everything that the group was handed and has not acknowledged, whoever had it; for [`Inbox`](crate::Inbox). The
    /// group begins with the first event where it is new.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the lease is lost.
    async fn pending(&self, lease: &Lease, families: &[Family]) -> Result<Backlog, Error>;

    /// New entries, at most `count` of each family, all looked at in one instant; for [`Inbox`](crate::Inbox), which
    /// puts them in order.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the lease or the reader's right is lost.
    async fn deliver(
        &self,
        lease: &Lease,
        reader: Reader,
        families: &[Family],
        count: usize,
    ) -> Result<Vec<Delivery>, Error>;

    /// How many entries the group has yet to acknowledge, for metrics: the store's estimate.
    async fn lag(&self, partition: Partition, group: &str, families: &[Family]) -> Result<u64, Error>;

    /// Does everything in `commit`, or nothing. Gives the ids of its events.
    ///
    /// A commit whose [`seq`](Commit::seq) was done before gives the ids that its events got then if it was the newest
    /// one, and no ids otherwise.
    async fn commit(&self, commit: &Commit) -> Result<Vec<EventId>, CommitError>;

    /// What groups gave up on, the newest first.
    async fn dead_letters(&self, partition: Partition, limit: usize) -> Result<Vec<DeadLetter>, Error>;

    /// Puts a parked delivery back into its group's backlog, deletes the rows `forget` (view and key) and takes the
    /// group's lease back, so that it is dealt with anew: all or nothing. None when there is no such parked delivery.
    ///
    /// # Errors
    /// [`Error::Invalid`] when its event is no longer in the stream.
    async fn redrive(
        &self,
        partition: Partition,
        key: EventId,
        forget: &[(String, String)],
    ) -> Result<Option<DeadLetter>, Error>;

    /// Deletes a parked delivery; its event stays. None when there is no such one.
    async fn discard(&self, partition: Partition, key: EventId) -> Result<Option<DeadLetter>, Error>;

    /// Up to and with which event the family's entries are no longer in the stream; none when all are.
    async fn trimmed(&self, partition: Partition, family: Family) -> Result<Option<EventId>, Error>;

    /// Deletes the family's entries that came before `before`, except for those that a group has yet to deal with, and
    /// everything after them.
    async fn trim(&self, partition: Partition, family: Family, before: EventId) -> Result<Trimmed, Error>;

    /// What the partition holds beside events and rows.
    async fn inspect(&self, partition: Partition) -> Result<Inspection, Error>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), Error>;
}

/// In which direction to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As it happened.
    OldestFirst,
    /// Backwards.
    NewestFirst,
}

/// A part of a partition's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub from: Bound<EventId>,
    /// Where it ends.
    pub to: Bound<EventId>,
}

impl Range {
    /// All of it.
    pub const ALL: Self = Self { from: Bound::Unbounded, to: Bound::Unbounded };

    /// What came after `id`.
    pub fn after(id: EventId) -> Self {
        Self { from: Bound::Excluded(id), ..Self::ALL }
    }

    /// What came before `id`.
    pub fn before(id: EventId) -> Self {
        Self { to: Bound::Excluded(id), ..Self::ALL }
    }

    /// Up to and with `id`, no further than before.
    #[must_use]
    pub fn up_to(self, id: EventId) -> Self {
        let to = match self.to {
            Bound::Included(to) | Bound::Excluded(to) if to <= id => self.to,
            _ => Bound::Included(id),
        };
        Self { to, ..self }
    }

    /// Whether nothing can lie in it.
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
