//! Maintenance of the log in Redis: trim, list and discard dead letters, inspect.

use std::collections::BTreeMap;

use hemostat_schema::{EventId, Family, InvalidId, Partition};

use super::{
    RedisLog,
    connection::Arg,
    reply::{Reply, corrupt},
};
use crate::{Cursor, DeadLetter, Error, GroupState, Inspection, LeaseState, MAX_PENDING, StreamState, Trimmed};

/// Maximum dead letters in an inspection.
const MAX_DEAD_LETTERS: usize = 10_000;

impl RedisLog {
    /// Dead letters of a part of their stream, the newest first.
    pub(super) async fn dead_letters_in(
        &self,
        partition: Partition,
        to: &str,
        from: &str,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, Error> {
        const DOING: &str = "read the dead letters";
        let key = self.keys(partition)?.dead_letters().into();
        let args = vec![key, to.to_owned().into(), from.to_owned().into(), "COUNT".into(), limit.to_string().into()];
        let mut dead_letters = vec![];
        for entry in self.shared.call(DOING, "XREVRANGE", args).await?.list(DOING)? {
            let [key, fields] = entry.exactly(DOING)?;
            let key = key.id(partition, DOING)?;
            let mut fields = fields.fields(DOING)?;
            let mut take = |name: &str| fields.remove(name).unwrap_or(Reply::Nil).text(DOING);
            let unreadable = |error: InvalidId| corrupt(DOING, error.to_string());
            dead_letters.push(DeadLetter {
                key,
                group: take("g")?,
                family: take("f")?.parse().map_err(unreadable)?,
                id: EventId::from_entry(partition, &take("i")?).map_err(unreadable)?,
                error: take("e")?,
                at: key.appended_at(),
            });
        }
        Ok(dead_letters)
    }

    pub(super) async fn one_dead_letter(&self, key: EventId) -> Result<Option<DeadLetter>, Error> {
        Ok(self.dead_letters_in(key.partition, &key.entry(), &key.entry(), 1).await?.pop())
    }

    pub(super) async fn discard_dead_letter(
        &self,
        partition: Partition,
        key: EventId,
    ) -> Result<Option<DeadLetter>, Error> {
        const DOING: &str = "discard a dead letter";
        let Some(delivery) = self.one_dead_letter(EventId { partition, ..key }).await? else { return Ok(None) };
        let args = vec![self.keys(partition)?.dead_letters().into(), key.entry().into()];
        let deleted = self.shared.call(DOING, "XDEL", args).await?.number(DOING)?;
        Ok((deleted == 1).then_some(delivery))
    }

    pub(super) async fn trim_stream(
        &self,
        partition: Partition,
        family: Family,
        before: EventId,
    ) -> Result<Trimmed, Error> {
        const DOING: &str = "trim the log";
        let keys = self.keys(partition)?;
        let all = vec![keys.stream(family), keys.cursors(), keys.trimmed()];
        let args = vec![before.entry(), family.name().to_owned()];
        let [removed, held_by] = self.fcall(DOING, "hemostat_trim", all, args).await?.exactly(DOING)?;
        let held_by = held_by.text(DOING)?;
        Ok(Trimmed { removed: removed.number(DOING)?, held_by: (!held_by.is_empty()).then_some(held_by) })
    }

    pub(super) async fn inspect_partition(&self, partition: Partition) -> Result<Inspection, Error> {
        const DOING: &str = "inspect the log";
        let keys = self.keys(partition)?;
        let mut all = vec![keys.clock(), keys.versions(), keys.timers(), keys.cursors(), keys.views(), keys.trimmed()];
        all.extend(Family::ALL.map(|family| keys.stream(family)));
        let answer = self.fcall(DOING, "hemostat_inspect", all, vec![MAX_PENDING.to_string()]).await?;
        let [clock, versions, timers, cursors, served, trimmed, streams] = answer.exactly(DOING)?;

        let cursor = |(group, text): (String, String)| {
            let cursor = Cursor::parse(partition, &text);
            Ok((group, cursor.ok_or_else(|| corrupt(DOING, format!("the cursor {text:?}")))?))
        };
        let bound = |(family, id): (String, String)| {
            let family = family.parse().map_err(|error: InvalidId| corrupt(DOING, error.to_string()))?;
            let id = EventId::from_entry(partition, &id).map_err(|error| corrupt(DOING, error.to_string()))?;
            Ok((family, id))
        };
        let streams = streams.list(DOING)?.into_iter().map(|stream| stream_state(stream, partition, DOING));
        let (leases, views) = self.leases_and_views(partition).await?;
        Ok(Inspection {
            clock: match clock {
                Reply::Nil => None,
                clock => Some(clock.id(partition, DOING)?),
            },
            streams: streams.collect::<Result<_, Error>>()?,
            versions: texts(versions, DOING)?,
            timers: texts(timers, DOING)?,
            cursors: texts(cursors, DOING)?.into_iter().map(cursor).collect::<Result<_, Error>>()?,
            served: texts(served, DOING)?.into_iter().collect(),
            trimmed: texts(trimmed, DOING)?.into_iter().map(bound).collect::<Result<_, Error>>()?,
            dead_letters: self.dead_letters_in(partition, "+", "-", MAX_DEAD_LETTERS).await?,
            leases,
            views,
        })
    }

    /// The leases and views, found by the names of their keys.
    async fn leases_and_views(&self, partition: Partition) -> Result<(Vec<LeaseState>, Vec<String>), Error> {
        const DOING: &str = "list leases and views";
        let keys = self.keys(partition)?;
        let (lease, view) = (keys.lease(""), keys.view(""));
        let (mut leases, mut views, mut cursor) = (BTreeMap::new(), vec![], "0".to_owned());
        loop {
            // In a pattern brackets are special; the braces of the hash tag are not.
            let args = vec![cursor, format!("{}*", keys.prefix())];
            let step = self.fcall(DOING, "hemostat_names", vec![keys.clock()], args).await?;
            let [next, names] = step.exactly(DOING)?;
            for name in names.list(DOING)? {
                let name = name.text(DOING)?;
                if let Some(group) = name.strip_prefix(&lease) {
                    let held = self.shared.call(DOING, "HGETALL", vec![Arg::from(name.clone())]).await?;
                    leases.insert(group.to_owned(), lease_state(group, texts(held, DOING)?, DOING)?);
                } else if let Some(view) = name.strip_prefix(&view) {
                    views.push(view.to_owned());
                }
            }
            cursor = next.text(DOING)?;
            if cursor == "0" {
                views.sort_unstable();
                views.dedup();
                return Ok((leases.into_values().collect(), views));
            }
        }
    }
}

fn texts(reply: Reply, doing: &'static str) -> Result<Vec<(String, String)>, Error> {
    let text = |(name, value): (Reply, Reply)| Ok((name.text(doing)?, value.text(doing)?));
    reply.pairs(doing)?.into_iter().map(text).collect()
}

/// An entry id; none if the text is empty.
fn id(reply: Reply, partition: Partition, doing: &'static str) -> Result<Option<EventId>, Error> {
    match reply {
        Reply::Data(text) if text.is_empty() => Ok(None),
        text => text.id(partition, doing).map(Some),
    }
}

fn stream_state(reply: Reply, partition: Partition, doing: &'static str) -> Result<(Family, StreamState), Error> {
    let [index, length, first, last, groups] = reply.exactly(doing)?;
    let index = usize::try_from(index.number(doing)?).unwrap_or(usize::MAX);
    let family = index.checked_sub(1).and_then(|index| Family::ALL.get(index)).copied();
    let group = |reply: Reply| {
        let [name, delivered, pending] = reply.exactly(doing)?;
        let pending = pending.list(doing)?.into_iter().map(|id| id.id(partition, doing));
        let pending = pending.collect::<Result<_, Error>>()?;
        Ok(GroupState { name: name.text(doing)?, delivered: delivered.id(partition, doing)?, pending })
    };
    let state = StreamState {
        length: length.number(doing)?,
        first: id(first, partition, doing)?,
        last: id(last, partition, doing)?,
        groups: groups.list(doing)?.into_iter().map(group).collect::<Result<_, Error>>()?,
    };
    Ok((family.ok_or_else(|| corrupt(doing, format!("a stream number {index}")))?, state))
}

fn lease_state(group: &str, fields: Vec<(String, String)>, doing: &'static str) -> Result<LeaseState, Error> {
    let fields: BTreeMap<String, String> = fields.into_iter().collect();
    let number = |name: &str| {
        let text = fields.get(name).map_or("0", String::as_str);
        text.parse().map_err(|_| corrupt(doing, format!("{text:?} as {name} of the lease of {group}")))
    };
    Ok(LeaseState {
        group: group.to_owned(),
        owner: fields.get("owner").filter(|owner| !owner.is_empty()).cloned(),
        epoch: number("epoch")?,
    })
}
