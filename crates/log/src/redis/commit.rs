//! Encodes commits and appends as the arguments of the functions `hemostat_commit` and `hemostat_append`; the newest file of
//! `migrations/` documents them.

use std::collections::{BTreeMap, HashMap};

use hemostat_schema::{Cause, EventId, Family, NewEvent, Partition, Subject, codec::Encoded};

use super::{connection::Arg, keys::Keys};
use crate::{
    Append, Commit, DeadLetter, Error, Guard, Lease, Settle, Settlement, TimerUpdate, ViewChange, append::REMEMBERED,
    commit::DOING,
};

/// Positions of the streams and of the rows of views among the keys, counted from 1 as Lua does.
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

    let mut all_keys = first_keys(keys, keys.lease(group));
    all_keys.extend(views.iter().map(|view| keys.view(view)));

    let mut out = Arguments(Vec::with_capacity(33 + encoded.len() + 4 * commit.rows.len() + commit.acks.len()));
    out.text("hemostat_commit");
    out.number(all_keys.len());
    all_keys.into_iter().for_each(|key| out.text(key));
    out.text(group.clone());
    out.text(fence(&commit.lease));
    out.text(commit.seq.map(|seq| seq.to_string()).unwrap_or_default());

    out.guards(&commit.guards);

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

    out.events(&commit.events, encoded)?;

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

    out.number(commit.dead_letters.len());
    for letter in &commit.dead_letters {
        out.text(letter.family.name());
        out.text(letter.id.entry());
        out.text(letter.error.clone());
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

/// The keys and arguments of `append`, ready for FCALL. `letter` is the dead letter that it settles; none if there is none, or
/// if it is gone.
pub(super) fn append_arguments(append: &Append, letter: Option<&DeadLetter>) -> Result<Vec<Arg>, Error> {
    let encoded = append.encode()?;
    let keys = Keys(append.partition);
    let mut all_keys = first_keys(keys, keys.appended(&append.key));
    let mut settlement = vec![];
    if let Some(Settlement { letter: key, how }) = &append.settlement {
        settlement.push(key.entry());
        // The function finds no dead letter that is gone, whatever should happen to it.
        match (how, letter) {
            (Settle::Discard, _) | (_, None) => settlement.push("discard".to_owned()),
            (Settle::Redeliver { forget }, Some(letter)) => {
                all_keys.push(keys.lease(&letter.group));
                let (stream, lease) = (stream(letter.family).to_string(), all_keys.len().to_string());
                settlement.extend(["deliver".to_owned(), letter.group.clone(), stream, letter.id.entry(), lease]);
                settlement.push(forget.len().to_string());
                for (view, row) in forget {
                    all_keys.push(keys.view(view));
                    settlement.extend([all_keys.len().to_string(), row.clone()]);
                }
            }
            (Settle::Rebuild { view }, Some(letter)) => {
                all_keys.push(keys.lease(&letter.group));
                let lease = all_keys.len().to_string();
                settlement.extend(["rebuild".to_owned(), letter.group.clone(), lease, view.clone()]);
            }
        }
    } else {
        settlement.push(String::new());
    }

    let mut out = Arguments(Vec::with_capacity(20 + all_keys.len() + settlement.len() + encoded.len()));
    out.text("hemostat_append");
    out.number(all_keys.len());
    all_keys.into_iter().for_each(|key| out.text(key));
    out.text(REMEMBERED.as_secs().to_string());
    out.guards(&append.guards);
    settlement.into_iter().for_each(|argument| out.text(argument));
    out.events(&append.events, encoded)?;
    Ok(out.0)
}

/// What was appended once, as the function stores it: `1764000000000-3 2`.
pub(super) fn appended(text: &str, partition: Partition) -> Option<Vec<EventId>> {
    let (first, count) = text.split_once(' ')?;
    let count = count.parse().ok()?;
    if count == 0 {
        return Some(vec![]);
    }
    Some(ids_from(EventId::from_entry(partition, first).ok()?, count))
}

/// The keys that come first in every call: `own`, then what all of them share.
fn first_keys(keys: Keys, own: String) -> Vec<String> {
    let mut all = vec![own, keys.clock(), keys.versions(), keys.timers(), keys.dead_letters()];
    all.extend(Family::ALL.map(|family| keys.stream(family)));
    all.extend([keys.cursors(), keys.views()]);
    all
}

/// The position of the rows of `view` among the keys.
fn place(views: &[&str], view: &str) -> usize {
    FIRST_VIEW + views.binary_search(&view).unwrap_or_default()
}

/// The fencing token of the lease: epoch and owner.
pub(super) fn fence(lease: &Lease) -> String {
    format!("{}|{}", lease.epoch, lease.owner)
}

/// The ids of `count` events after the first got `first`: the function assigns them without a gap.
pub(super) fn ids_from(first: EventId, count: usize) -> Vec<EventId> {
    (first.seq..).take(count).map(|seq| EventId { seq, ..first }).collect()
}

/// The member of a timer in the partition's sorted set.
pub(super) fn member(group: &str, subject: &Subject, name: &str) -> String {
    format!("{group}|{subject}|{name}")
}

fn version_key(family: Family, subject: &Subject) -> String {
    format!("{family}/{subject}")
}

fn stream(family: Family) -> usize {
    FIRST_STREAM + Family::ALL.iter().position(|one| *one == family).unwrap_or_default()
}

/// The kinds, subjects and causes of the events as one MessagePack argument, in which each distinct text occurs once.
fn plan(events: &[NewEvent], encoded: &[Encoded]) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut texts = Texts::default();
    let mut numbers = Vec::with_capacity(4 * events.len());
    for (event, encoded) in events.iter().zip(encoded) {
        numbers.push(index(stream(event.event.family())));
        numbers.push(texts.place(&encoded.kind));
        numbers.push(texts.place(&encoded.subject));
        numbers.push(match event.cause {
            None => 0,
            Some(Cause::Event(id)) => texts.place(&id.to_string()),
            Some(Cause::Sibling(sibling)) => -1 - index(sibling),
        });
    }
    rmp_serde::to_vec(&(texts.all, numbers))
}

/// Distinct texts and their positions, counted from 1.
#[derive(Default)]
struct Texts {
    all: Vec<String>,
    places: HashMap<String, i64>,
}

impl Texts {
    fn place(&mut self, text: &str) -> i64 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        self.all.push(text.to_owned());
        let place = index(self.all.len());
        self.places.insert(text.to_owned(), place);
        place
    }
}

fn index(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

struct Arguments(Vec<Arg>);

impl Arguments {
    fn text(&mut self, text: impl Into<String>) {
        self.0.push(text.into().into());
    }

    fn number(&mut self, number: usize) {
        self.text(number.to_string());
    }

    fn guards(&mut self, guards: &[Guard]) {
        self.number(guards.len());
        for guard in guards {
            self.text(version_key(guard.family, &guard.subject));
            self.text(guard.expected_version.map(|id| id.entry()).unwrap_or_default());
        }
    }

    fn events(&mut self, events: &[NewEvent], encoded: Vec<Encoded>) -> Result<(), Error> {
        self.number(encoded.len());
        if events.is_empty() {
            return Ok(());
        }
        let plan = plan(events, &encoded).map_err(|error| Error::Invalid {
            doing: DOING,
            reason: format!("the events cannot be packed: {error}"),
        })?;
        self.0.push(plan.into());
        self.0.extend(encoded.into_iter().map(|encoded| encoded.envelope.into()));
        let advancing = events.iter().enumerate().filter(|(_, event)| event.event.advances_version());
        let versions: BTreeMap<(Family, &Subject), usize> =
            advancing.map(|(index, event)| ((event.event.family(), &event.subject), index)).collect();
        self.number(versions.len());
        for ((family, subject), index) in versions {
            self.text(version_key(family, subject));
            self.number(index);
        }
        Ok(())
    }
}
