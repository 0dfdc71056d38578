//! A commit as the arguments of the function `hemostat_commit`; their layout is told in `migrations/0001_log.lua`.

use std::collections::BTreeMap;

use hemostat_schema::{Cause, EventId, Family, Subject};

use super::{connection::Arg, keys::Keys};
use crate::{Commit, Error, Lease, TimerUpdate, ViewChange};

/// Where the streams, and where the rows of views stand among the keys, counted from 1 as Lua does.
const FIRST_STREAM: usize = 6;
const FIRST_VIEW: usize = FIRST_STREAM + Family::ALL.len() + 2;

/// The keys and arguments of `commit`, ready for FCALL.
pub(super) fn arguments(commit: &Commit) -> Result<Vec<Arg>, Error> {
    let encoded = commit.encode()?;
    let (keys, group) = (Keys(commit.lease.partition), &commit.lease.group);
    let retired = commit.views.iter().filter_map(|change| match change {
        ViewChange::Retire { view } => Some(view.as_str()),
        ViewChange::Serve { .. } => None,
    });
    let mut views: Vec<&str> = commit.rows.iter().map(|change| change.view.as_str()).chain(retired).collect();
    views.sort_unstable();
    views.dedup();

    let mut all_keys = vec![keys.lease(group), keys.clock(), keys.heads(), keys.timers(), keys.parked()];
    all_keys.extend(Family::ALL.map(|family| keys.stream(family)));
    all_keys.extend([keys.cursors(), keys.views()]);
    all_keys.extend(views.iter().map(|view| keys.view(view)));

    let mut out = Arguments(Vec::with_capacity(32 + 5 * encoded.len() + 4 * commit.rows.len() + commit.acks.len()));
    out.text("hemostat_commit");
    out.number(all_keys.len());
    all_keys.into_iter().for_each(|key| out.text(key));
    out.text(group.clone());
    out.text(fence(&commit.lease));
    out.text(commit.seq.map(|seq| seq.to_string()).unwrap_or_default());

    out.number(commit.guards.len());
    for guard in &commit.guards {
        out.text(head(guard.family, &guard.subject));
        out.text(guard.head.map(|id| id.entry()).unwrap_or_default());
    }

    let mut acks: BTreeMap<Family, Vec<EventId>> = BTreeMap::new();
    commit.acks.iter().for_each(|(family, id)| acks.entry(*family).or_default().push(*id));
    out.number(acks.len());
    for (family, mut ids) in acks {
        ids.sort_unstable();
        ids.dedup();
        out.number(stream(family));
        out.number(ids.len());
        ids.iter().for_each(|id| out.text(id.entry()));
    }

    out.number(commit.fired.len());
    for timer in &commit.fired {
        out.text(member(group, &timer.subject, &timer.name));
        out.text(timer.due.as_millisecond().to_string());
    }

    out.number(encoded.len());
    for (event, encoded) in commit.events.iter().zip(encoded) {
        out.number(stream(event.event.family()));
        out.text(encoded.kind);
        out.text(encoded.subject);
        out.text(match event.cause {
            None => String::new(),
            Some(Cause::Event(id)) => id.to_string(),
            Some(Cause::Sibling(index)) => format!("={index}"),
        });
        out.0.push(encoded.envelope.into());
    }
    if !commit.events.is_empty() {
        let moving = commit.events.iter().enumerate().filter(|(_, event)| event.event.moves_head());
        let heads: BTreeMap<(Family, &Subject), usize> =
            moving.map(|(index, event)| ((event.event.family(), &event.subject), index)).collect();
        out.number(heads.len());
        for ((family, subject), index) in heads {
            out.text(head(family, subject));
            out.number(index);
        }
    }

    out.number(commit.rows.len());
    for change in &commit.rows {
        out.number(place(&views, &change.view));
        out.text(change.key.clone());
        out.text(if change.row.is_some() { "1" } else { "0" });
        out.0.push(change.row.clone().unwrap_or_default().into());
    }

    out.number(commit.timers.len());
    for update in &commit.timers {
        let (subject, name, due) = match update {
            TimerUpdate::Set { subject, name, due } => (subject, name, due.as_millisecond().to_string()),
            TimerUpdate::Cancel { subject, name } => (subject, name, String::new()),
        };
        out.text(member(group, subject, name));
        out.text(due);
    }

    out.number(commit.parked.len());
    for park in &commit.parked {
        out.text(park.family.name());
        out.text(park.id.entry());
        out.text(park.error.clone());
    }

    out.number(usize::from(commit.cursor.is_some()));
    if let Some(cursor) = &commit.cursor {
        out.text(cursor.text());
    }

    out.number(commit.views.len());
    for change in &commit.views {
        match change {
            ViewChange::Serve { name, view } => {
                out.text(name.clone());
                out.text(view.clone());
            }
            ViewChange::Retire { view } => {
                out.text("");
                out.number(place(&views, view));
            }
        }
    }
    Ok(out.0)
}

/// Where the rows of `view` stand among the keys.
fn place(views: &[&str], view: &str) -> usize {
    FIRST_VIEW + views.binary_search(&view).unwrap_or_default()
}

/// What proves that the lease is still held.
pub(super) fn fence(lease: &Lease) -> String {
    format!("{}|{}", lease.epoch, lease.owner)
}

/// The ids of `count` events, the first of which got `first`: the function gives them without a gap.
pub(super) fn ids_from(first: EventId, count: usize) -> Vec<EventId> {
    (first.seq..).take(count).map(|seq| EventId { seq, ..first }).collect()
}

/// How a timer is named in the partition's sorted set.
pub(super) fn member(group: &str, subject: &Subject, name: &str) -> String {
    format!("{group}|{subject}|{name}")
}

fn head(family: Family, subject: &Subject) -> String {
    format!("{family}/{subject}")
}

fn stream(family: Family) -> usize {
    FIRST_STREAM + Family::ALL.iter().position(|one| *one == family).unwrap_or_default()
}

struct Arguments(Vec<Arg>);

impl Arguments {
    fn text(&mut self, text: impl Into<String>) {
        self.0.push(text.into().into());
    }

    fn number(&mut self, number: usize) {
        self.text(number.to_string());
    }
}
