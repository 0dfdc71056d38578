//! The log in Redis: Streams for the events, one Redis Function for the commit (`migrations/`).
//!
//! Three kinds of connections: one to each server, shared by all commands, none of which may block it; one for each
//! partition whose append signal is subscribed to; and a small pool for reading history in bulk.

mod append_signal;
mod bulk;
mod commit;
mod confirm;
mod connection;
mod keys;
mod migrations;
mod packed;
mod reply;
mod server;
mod shared;
mod topology;
mod upkeep;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hemostat_schema::{EventId, Family, Partition, Timestamp};
use tokio::{sync::watch, task::JoinSet};

pub use self::migrations::{Applied, Plan, Step, migrate, plan};
use self::{
    connection::Arg,
    keys::Keys,
    packed::{entries, listed},
    reply::{Reply, corrupt},
    shared::Shared,
};
use crate::{
    Append, Appended, Backlog, Commit, CommitError, Confirmed, DeadLetter, Delivery, Durability, Entry, Error, Guard,
    Heartbeat, Inspection, Lease, Log, Options, Order, Range, RawEntry, Reader, Session, Sessions, StoredTimer,
    Trimmed, commit::DOING as COMMIT,
};

/// A read of at least this many entries uses a bulk connection.
const PAGE: usize = 500;

/// The greatest number that a command accepts.
const MOST: usize = i64::MAX as usize;

/// The log in Redis.
#[derive(Debug)]
pub struct RedisLog {
    shared: Arc<Shared>,
    partitions: u16,
    append_signals: Mutex<AppendSignals>,
}

/// The subscribed append signals; their tasks end with the log.
#[derive(Debug, Default)]
struct AppendSignals {
    senders: HashMap<Partition, watch::Sender<u64>>,
    tasks: JoinSet<()>,
}

impl RedisLog {
    /// Connects to a log that was migrated (see [`migrate`]).
    ///
    /// # Errors
    /// When the server cannot be reached or used, or the log is not at this program's level (see [`Error`]).
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let shared = Shared::new(options.clone(), migrations::restore);
        server::check(&shared).await?;
        let partitions = migrations::check(&shared).await?;
        Ok(Self { shared: Arc::new(shared), partitions, append_signals: Mutex::default() })
    }

    /// The address without credentials, for messages.
    pub fn server(&self) -> String {
        self.shared.server()
    }

    fn keys(&self, partition: Partition) -> Result<Keys, Error> {
        if partition.0 < self.partitions {
            Ok(Keys(partition))
        } else {
            Err(Error::NoPartition { partition, partitions: self.partitions })
        }
    }

    async fn fcall(
        &self,
        doing: &'static str,
        function: &'static str,
        keys: Vec<String>,
        args: impl IntoIterator<Item = String>,
    ) -> Result<Reply, Error> {
        let head = [Arg::from(function), keys.len().to_string().into()];
        let args = head.into_iter().chain(keys.into_iter().map(Arg::from)).chain(args.into_iter().map(Arg::from));
        self.shared.call(doing, "FCALL", args.collect()).await
    }

    /// The first entries of `range` in `order` of each stream, up to where all of them are complete.
    async fn streams(
        &self,
        partition: Partition,
        families: &[Family],
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<RawEntry>, Error> {
        const DOING: &str = "read the log";
        let bound = |bound: Bound<EventId>, open: &str| match bound {
            Bound::Unbounded => open.to_owned(),
            Bound::Included(id) => id.entry(),
            Bound::Excluded(id) => format!("({}", id.entry()),
        };
        let (from, to) = (bound(range.from, "-"), bound(range.to, "+"));
        let (command, first, last) = match order {
            Order::OldestFirst => ("XRANGE", from, to),
            Order::NewestFirst => ("XREVRANGE", to, from),
        };
        let keys = self.keys(partition)?;
        if let [family] = families {
            // A single stream is consistent without the function, which costs the server several times as much.
            let args = [keys.stream(*family), first, last, "COUNT".to_owned(), limit.min(MOST).to_string()];
            let args = args.map(Arg::from);
            if limit >= PAGE
                && let Ok(found) = self.shared.page(command, &args, partition, *family).await
            {
                return Ok(found);
            }
            let answer = self.shared.call(DOING, command, args.into()).await?;
            return listed(answer, partition, *family, DOING);
        }
        let streams = families.iter().map(|family| keys.stream(*family)).collect();
        let args = [command.to_owned(), first, last, limit.to_string()];
        let mut found = vec![];
        let answer = self.fcall(DOING, "hemostat_read", streams, args).await?.list(DOING)?;
        for (family, packed) in families.iter().zip(answer) {
            found.extend(entries(packed, partition, *family, DOING)?);
        }
        Ok(found)
    }
}

impl RedisLog {
    /// # Errors
    /// [`Error::Fenced`] if the lease is lost.
    async fn check_lease(&self, lease: &Lease) -> Result<(), Error> {
        const DOING: &str = "check a lease";
        let args = vec![self.keys(lease.partition)?.lease(&lease.group).into(), "epoch".into(), "owner".into()];
        let [epoch, owner] = self.shared.call(DOING, "HMGET", args).await?.exactly(DOING)?;
        let is_held = epoch.data(DOING)?.as_deref() == Some(lease.epoch.to_string().as_bytes())
            && owner.data(DOING)?.as_deref() == Some(lease.owner.as_bytes());
        let lost = || Error::Fenced { group: lease.group.clone(), partition: lease.partition };
        if is_held { Ok(()) } else { Err(lost()) }
    }
}

/// Whether the server refused the fencing token.
fn is_stale(error: &Error) -> bool {
    matches!(error, Error::Refused { reply, .. } if reply.starts_with("STALE"))
}

fn fenced(error: Error, lease: &Lease) -> Error {
    if is_stale(&error) { Error::Fenced { group: lease.group.clone(), partition: lease.partition } } else { error }
}

/// The live sessions and the requested handoffs.
fn sessions(reply: Reply, doing: &'static str) -> Result<Sessions, Error> {
    let [live, handoffs] = reply.exactly(doing)?;
    let session = |(owner, says): (Reply, Reply)| Ok(Session { owner: owner.text(doing)?, says: says.text(doing)? });
    let mut live = live.pairs(doing)?.into_iter().map(session).collect::<Result<Vec<_>, Error>>()?;
    let handoffs = handoffs.list(doing)?.into_iter().map(|request| request.text(doing));
    let mut handoffs = handoffs.collect::<Result<Vec<_>, Error>>()?;
    live.sort_unstable();
    handoffs.sort_unstable();
    Ok(Sessions { live, handoffs })
}

fn millis(ttl: Duration) -> String {
    ttl.as_millis().to_string()
}

#[async_trait]
impl Log for RedisLog {
    fn partitions(&self) -> u16 {
        self.partitions
    }

    fn append_signal(&self, partition: Partition) -> watch::Receiver<u64> {
        let mut append_signals = self.append_signals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(append_signal) = append_signals.senders.get(&partition) {
            return append_signal.subscribe();
        }
        let append_signal = watch::Sender::new(0);
        let heard = append_signal.subscribe();
        append_signals.senders.insert(partition, append_signal.clone());
        if partition.0 < self.partitions {
            append_signals.tasks.spawn(append_signal::run(Arc::clone(&self.shared), partition, append_signal));
        }
        heard
    }

    async fn clock(&self, partition: Partition) -> Result<EventId, Error> {
        const DOING: &str = "read the clock";
        let reply = self.shared.call(DOING, "GET", vec![self.keys(partition)?.clock().into()]).await?;
        reply.clock(partition, DOING)
    }

    async fn raw(
        &self,
        partition: Partition,
        families: &[Family],
        range: Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<RawEntry>, Error> {
        if range.is_empty() || limit == 0 {
            return Ok(vec![]);
        }
        let mut found = self.streams(partition, families, range, order, limit).await?;
        // The stable sort is faster here: it detects sorted runs.
        found.sort_by_key(|entry| entry.id);
        found.dedup_by_key(|entry| entry.id);
        if order == Order::NewestFirst {
            found.reverse();
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn get(&self, id: EventId) -> Result<Option<Entry>, Error> {
        let only = Range { from: Bound::Included(id), to: Bound::Included(id) };
        let found = self.streams(id.partition, &Family::ALL, only, Order::OldestFirst, 1).await?;
        Ok(found.first().map(RawEntry::decode))
    }

    async fn rows(&self, partition: Partition, view: &str, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        const DOING: &str = "read rows";
        if keys.is_empty() {
            return Ok(vec![]);
        }
        let mut args = vec![self.keys(partition)?.view(view).into()];
        args.extend(keys.iter().map(|key| Arg::from(key.clone())));
        let rows = self.shared.call(DOING, "HMGET", args).await?.list(DOING)?;
        rows.into_iter().map(|row| Ok(row.data(DOING)?.map(Vec::from))).collect()
    }

    async fn all_rows(&self, partition: Partition, view: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        const DOING: &str = "read all rows";
        let key = Arg::from(self.keys(partition)?.view(view));
        let (mut rows, mut cursor) = (BTreeMap::new(), "0".to_owned());
        loop {
            let args = vec![key.clone(), cursor.into(), "COUNT".into(), "500".into()];
            let [next, page] = self.shared.call(DOING, "HSCAN", args).await?.exactly(DOING)?;
            for (key, row) in page.pairs(DOING)? {
                rows.insert(key.text(DOING)?, Vec::from(row.data(DOING)?.unwrap_or_default()));
            }
            cursor = next.text(DOING)?;
            if cursor == "0" {
                return Ok(rows.into_iter().collect());
            }
        }
    }

    async fn snapshot(&self, partition: Partition, view: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        const DOING: &str = "read all rows at once";
        let rows = self.shared.call(DOING, "HGETALL", vec![self.keys(partition)?.view(view).into()]).await?;
        let row = |(key, row): (Reply, Reply)| Ok((key.text(DOING)?, Vec::from(row.data(DOING)?.unwrap_or_default())));
        let mut rows: Vec<(String, Vec<u8>)> = rows.pairs(DOING)?.into_iter().map(row).collect::<Result<_, Error>>()?;
        rows.sort_unstable();
        Ok(rows)
    }

    async fn views(&self, partition: Partition) -> Result<BTreeMap<String, String>, Error> {
        const DOING: &str = "read the served views";
        let views = self.shared.call(DOING, "HGETALL", vec![self.keys(partition)?.views().into()]).await?;
        views.fields(DOING)?.into_iter().map(|(name, view)| Ok((name, view.text(DOING)?))).collect()
    }

    async fn request_view(&self, partition: Partition, group: &str, view: &str) -> Result<(), Error> {
        let args = vec![self.keys(partition)?.views().into(), format!("{group}+").into(), view.to_owned().into()];
        self.shared.call("request a view", "HSET", args).await?;
        self.revoke(partition, group).await
    }

    async fn timers(&self, partition: Partition, group: &str) -> Result<Vec<StoredTimer>, Error> {
        const DOING: &str = "read timers";
        let args = vec![self.keys(partition)?.timers().into(), "0".into(), "-1".into(), "WITHSCORES".into()];
        let mut timers = vec![];
        for (member, due) in self.shared.call(DOING, "ZRANGE", args).await?.pairs(DOING)? {
            let (member, due) = (member.text(DOING)?, due.text(DOING)?);
            let of_group = member.strip_prefix(group).and_then(|rest| rest.strip_prefix('|'));
            let Some((subject, name)) = of_group.and_then(|rest| rest.rsplit_once('|')) else { continue };
            let timer = || {
                let due = Timestamp::from_millisecond(due.parse().ok()?).ok()?;
                Some(StoredTimer { subject: subject.parse().ok()?, name: name.to_owned(), due })
            };
            timers.push(timer().ok_or_else(|| corrupt(DOING, format!("the timer {member:?} due at {due}")))?);
        }
        Ok(timers)
    }

    async fn acquire(
        &self,
        partition: Partition,
        group: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, Error> {
        const DOING: &str = "acquire a lease";
        let keys = self.keys(partition)?;
        let keys = vec![keys.lease(group), keys.sessions()];
        match self.fcall(DOING, "hemostat_acquire", keys, [owner.to_owned(), millis(ttl)]).await? {
            Reply::Nil => Ok(None),
            epoch => {
                let epoch = epoch.number(DOING)?;
                Ok(Some(Lease { partition, group: group.to_owned(), owner: owner.to_owned(), epoch }))
            }
        }
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat<'_>) -> Result<(Vec<bool>, Sessions), Error> {
        const DOING: &str = "send a heartbeat";
        let Heartbeat { partition, owner, says, leases, ttl } = *heartbeat;
        let keys = self.keys(partition)?;
        let mut all = vec![keys.sessions(), keys.processes(), keys.handoffs()];
        all.extend(leases.iter().map(|lease| keys.lease(&lease.group)));
        let mut args = vec![owner.to_owned(), millis(ttl), says.to_owned()];
        args.extend(leases.iter().map(commit::fence));
        let [held, live] = self.fcall(DOING, "hemostat_heartbeat", all, args).await?.exactly(DOING)?;
        let held = held.list(DOING)?.into_iter().map(|held| Ok(held.number(DOING)? == 1));
        Ok((held.collect::<Result<_, Error>>()?, sessions(live, DOING)?))
    }

    async fn sessions(&self, partition: Partition) -> Result<Sessions, Error> {
        const DOING: &str = "list sessions";
        let keys = self.keys(partition)?;
        let all = vec![keys.sessions(), keys.processes(), keys.handoffs()];
        sessions(self.fcall(DOING, "hemostat_sessions", all, []).await?, DOING)
    }

    async fn request_handoff(&self, partition: Partition, request: &str, ttl: Duration) -> Result<(), Error> {
        let keys = vec![self.keys(partition)?.handoffs()];
        self.fcall("request a handoff", "hemostat_request_handoff", keys, [request.to_owned(), millis(ttl)])
            .await
            .map(drop)
    }

    async fn withdraw_handoff(&self, partition: Partition, request: &str) -> Result<(), Error> {
        let args = vec![self.keys(partition)?.handoffs().into(), request.to_owned().into()];
        self.shared.call("withdraw a handoff", "ZREM", args).await.map(drop)
    }

    async fn confirm(
        &self,
        lease: &Lease,
        ttl: Duration,
        event: (Family, EventId),
        durability: Durability,
        within: Duration,
    ) -> Result<Confirmed, Error> {
        self.confirm_durability(lease, ttl, event, durability, within).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let keys = vec![self.keys(lease.partition)?.lease(&lease.group)];
        self.fcall("release a lease", "hemostat_release", keys, [commit::fence(lease)]).await.map(drop)
    }

    async fn revoke(&self, partition: Partition, group: &str) -> Result<(), Error> {
        let keys = vec![self.keys(partition)?.lease(group)];
        self.fcall("revoke a lease", "hemostat_recall", keys, []).await.map(drop)
    }

    async fn groups(&self, partition: Partition, family: Family) -> Result<Vec<String>, Error> {
        const DOING: &str = "list consumer groups";
        let stream = Arg::from(self.keys(partition)?.stream(family));
        let groups = self.shared.call(DOING, "XINFO", vec!["GROUPS".into(), stream]).await?.list(DOING)?;
        groups.into_iter().map(|info| info.fields(DOING)?.remove("name").unwrap_or(Reply::Nil).text(DOING)).collect()
    }

    async fn start_group(&self, lease: &Lease, families: &[Family], after: EventId) -> Result<(), Error> {
        const DOING: &str = "start a consumer group";
        self.check_lease(lease).await?;
        for family in families {
            let stream = Arg::from(self.keys(lease.partition)?.stream(*family));
            let args = vec!["CREATE".into(), stream, lease.group.clone().into(), after.entry().into()];
            match self.shared.call(DOING, "XGROUP", args).await {
                Err(Error::Refused { reply, .. }) if reply.starts_with("BUSYGROUP") => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    async fn drop_group(&self, lease: &Lease, families: &[Family]) -> Result<(), Error> {
        self.check_lease(lease).await?;
        for family in families {
            let stream = Arg::from(self.keys(lease.partition)?.stream(*family));
            let args = vec!["DESTROY".into(), stream, lease.group.clone().into()];
            self.shared.call("delete a consumer group", "XGROUP", args).await?;
        }
        Ok(())
    }

    async fn pending(&self, lease: &Lease, families: &[Family]) -> Result<Backlog, Error> {
        const DOING: &str = "read the backlog";
        let keys = self.keys(lease.partition)?;
        let all = std::iter::once(keys.lease(&lease.group)).chain(families.iter().map(|family| keys.stream(*family)));
        let args = [commit::fence(lease), lease.group.clone(), lease.owner.clone()];
        let answer = self.fcall(DOING, "hemostat_open", all.collect(), args).await;
        let mut answer = answer.map_err(|error| fenced(error, lease))?.list(DOING)?.into_iter();
        let reader = Reader(answer.next().unwrap_or(Reply::Nil).number(DOING)?);
        let mut deliveries = vec![];
        for (family, backlog) in families.iter().zip(answer) {
            let [found, times] = backlog.exactly(DOING)?;
            let found = entries(found, lease.partition, *family, DOING)?;
            for (entry, times) in found.into_iter().zip(times.list(DOING)?) {
                let times = u32::try_from(times.number(DOING)?).unwrap_or(u32::MAX);
                let event = entry.decode().event;
                deliveries.push(Delivery { id: entry.id, family: *family, event, times });
            }
        }
        deliveries.sort_unstable_by_key(|delivery| delivery.id);
        Ok(Backlog { reader, deliveries })
    }

    async fn deliver(
        &self,
        lease: &Lease,
        reader: Reader,
        families: &[Family],
        count: usize,
    ) -> Result<Vec<Delivery>, Error> {
        const DOING: &str = "read new events";
        let keys = self.keys(lease.partition)?;
        let all = std::iter::once(keys.lease(&lease.group)).chain(families.iter().map(|family| keys.stream(*family)));
        let (fence, reader, count) = (commit::fence(lease), reader.0.to_string(), count.to_string());
        let args = [fence, reader, lease.group.clone(), lease.owner.clone(), count];
        let answer = self.fcall(DOING, "hemostat_deliver", all.collect(), args).await;
        let mut deliveries = vec![];
        for stream in answer.map_err(|error| fenced(error, lease))?.list(DOING)? {
            let [key, found] = stream.exactly(DOING)?;
            let key = key.text(DOING)?;
            let family = families.iter().copied().find(|family| keys.stream(*family) == key);
            let family = family.ok_or_else(|| corrupt(DOING, format!("entries of {key}, which was not requested")))?;
            let found = entries(found, lease.partition, family, DOING)?;
            deliveries.extend(found.iter().map(RawEntry::decode).map(|Entry { id, family, event }| Delivery {
                id,
                family,
                event,
                times: 1,
            }));
        }
        Ok(deliveries)
    }

    async fn lag(&self, partition: Partition, group: &str, families: &[Family]) -> Result<u64, Error> {
        const DOING: &str = "measure the lag";
        let mut lag = 0;
        for family in families {
            let stream = Arg::from(self.keys(partition)?.stream(*family));
            let groups = self.shared.call(DOING, "XINFO", vec!["GROUPS".into(), stream.clone()]).await?;
            let mut found = None;
            for info in groups.list(DOING)? {
                let mut info = info.fields(DOING)?;
                if info.remove("name") == Some(Reply::Data(group.to_owned().into())) {
                    // After a deletion inside the stream Redis does not know the lag and replies nil.
                    let mut number = |name: &str| info.remove(name).map_or(0, |n| n.number(DOING).unwrap_or(0));
                    found = Some(number("pending") + number("lag"));
                }
            }
            lag += match found {
                Some(found) => found,
                None => self.shared.call(DOING, "XLEN", vec![stream]).await?.number(DOING)?,
            };
        }
        Ok(lag)
    }

    async fn commit(&self, commit: &Commit) -> Result<Vec<EventId>, CommitError> {
        let partition = commit.lease.partition;
        self.keys(partition)?;
        let answer = self.shared.call(COMMIT, "FCALL", commit::arguments(commit)?).await;
        let first = match answer.map_err(|error| refused(error, &commit.guards))? {
            // The sequence was committed before: the function returns the first id, if it was the newest sequence.
            Reply::List(again) => again.into_iter().nth(1).unwrap_or(Reply::Nil),
            first => first,
        };
        match first {
            Reply::Data(first) if first.is_empty() => Ok(vec![]),
            first => Ok(commit::ids_from(first.id(partition, COMMIT)?, commit.events.len())),
        }
    }

    async fn append_once(&self, append: &Append) -> Result<Appended, CommitError> {
        let partition = append.partition;
        self.keys(partition)?;
        let letter = match &append.settlement {
            Some(settlement) => self.one_dead_letter(settlement.letter).await?,
            None => None,
        };
        let arguments = commit::append_arguments(append, letter.as_ref())?;
        let answer = self.shared.call(COMMIT, "FCALL", arguments).await.map_err(|error| match (&error, &letter) {
            (Error::Refused { reply, .. }, Some(letter)) if reply.starts_with("GONE") => letter.event_is_gone().into(),
            _ => refused(error, &append.guards),
        })?;
        let [which, done] = answer.exactly(COMMIT)?;
        Ok(Appended { first_time: which.text(COMMIT)? == "first", ids: appended(done, partition)? })
    }

    async fn appended(&self, partition: Partition, key: &str) -> Result<Option<Vec<EventId>>, Error> {
        let args = vec![self.keys(partition)?.appended(key).into()];
        match self.shared.call("look up a key", "GET", args).await? {
            Reply::Nil => Ok(None),
            done => appended(done, partition).map(Some),
        }
    }

    async fn dead_letters(&self, partition: Partition, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.dead_letters_in(partition, "+", "-", limit).await
    }

    async fn discard(&self, partition: Partition, key: EventId) -> Result<Option<DeadLetter>, Error> {
        self.discard_dead_letter(partition, key).await
    }

    async fn trimmed(&self, partition: Partition, family: Family) -> Result<Option<EventId>, Error> {
        const DOING: &str = "read up to where the log is trimmed";
        let args = vec![self.keys(partition)?.trimmed().into(), family.name().into()];
        match self.shared.call(DOING, "HGET", args).await? {
            Reply::Nil => Ok(None),
            last => last.id(partition, DOING).map(Some),
        }
    }

    async fn trim(&self, partition: Partition, family: Family, before: EventId) -> Result<Trimmed, Error> {
        self.trim_stream(partition, family, before).await
    }

    async fn inspect(&self, partition: Partition) -> Result<Inspection, Error> {
        self.inspect_partition(partition).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.shared.call("reach Redis", "PING", vec![]).await.map(drop)
    }
}

/// Why the function refused.
fn refused(error: Error, guards: &[Guard]) -> CommitError {
    let Error::Refused { reply, .. } = &error else { return error.into() };
    if reply.starts_with("STALE") {
        return CommitError::Fenced;
    }
    // NOGROUP: the group does not exist, so it has no pending entry.
    if reply.starts_with("LOST") || reply.starts_with("NOGROUP") {
        return CommitError::AlreadyHandled;
    }
    let Some(index) = reply.strip_prefix("CONFLICT ") else { return error.into() };
    match index.split(' ').next().and_then(|index| guards.get(index.parse::<usize>().ok()?)) {
        Some(guard) => CommitError::Conflict(guard.subject.clone()),
        None => corrupt(COMMIT, format!("the reply {reply:?}")).into(),
    }
}

fn appended(done: Reply, partition: Partition) -> Result<Vec<EventId>, Error> {
    let text = done.text(COMMIT)?;
    commit::appended(&text, partition).ok_or_else(|| corrupt(COMMIT, format!("{text:?} as what was appended")))
}
