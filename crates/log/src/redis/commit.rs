//! Encodes a commit as the arguments of the function `hemostat_commit`; the newest file of `migrations/` documents them.

use std::collections::{BTreeMap, HashMap};

use hemostat_schema::{Cause, EventId, Family, NewEvent, Subject, codec::Encoded};

use super::{connection::Arg, keys::Keys};
use crate::{Commit, Error, Lease, TimerUpdate, ViewChange, commit::DOING};

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

    let mut all_keys = vec![keys.lease(group), keys.clock(), keys.versions(), keys.timers(), keys.dead_letters()];
    all_keys.extend(Family::ALL.map(|family| keys.stream(family)));
    all_keys.extend([keys.cursors(), keys.views()]);
    all_keys.extend(views.iter().map(|view| keys.view(view)));

    let mut out = Arguments(Vec::with_capacity(33 + encoded.len() + 4 * commit.rows.len() + commit.acks.len()));
    out.text("hemostat_commit");
    out.number(all_keys.len());
    all_keys.into_iter().for_each(|key| out.text(key));
    out.text(group.clone());
    out.text(fence(&commit.lease));
    out.text(commit.seq.map(|seq| seq.to_string()).unwrap_or_default());

    out.number(commit.guards.len());
    for guard in &commit.guards {
        out.text(version_key(guard.family, &guard.subject));
        out.text(guard.expected_version.map(|id| id.entry()).unwrap_or_default());
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
    if !commit.events.is_empty() {
        let plan = plan(&commit.events, &encoded).map_err(|error| Error::Invalid {
            doing: DOING,
            reason: format!("the events cannot be packed: {error}"),
        })?;
        out.0.push(plan.into());
        out.0.extend(encoded.into_iter().map(|encoded| encoded.envelope.into()));
        let advancing = commit.events.iter().enumerate().filter(|(_, event)| event.event.advances_version());
        let versions: BTreeMap<(Family, &Subject), usize> =
            advancing.map(|(index, event)| ((event.event.family(), &event.subject), index)).collect();
        out.number(versions.len());
        for ((family, subject), index) in versions {
            out.text(version_key(family, subject));
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
}
