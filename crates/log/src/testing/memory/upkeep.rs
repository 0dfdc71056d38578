//! Maintenance of a partition in memory: trim, redrive dead letters, inspect.

use hemostat_schema::{EventId, Family};

use super::partition::History;
use crate::{CommitError, DeadLetter, GroupState, Inspection, LeaseState, Settle, Settlement, StreamState, Trimmed};

impl History {
    pub fn revoke(&mut self, group: &str) {
        if let Some(held) = self.leases.get_mut(group) {
            held.owner = None;
        }
    }

    pub fn settle(&mut self, settlement: &Settlement) -> Result<(), CommitError> {
        let letter = self.dead_letters.iter().find(|letter| letter.key == settlement.letter).cloned();
        let letter = letter.ok_or(CommitError::AlreadyHandled)?;
        match &settlement.how {
            Settle::Redeliver { forget } => {
                if let Some(group) = self.groups.get_mut(&(letter.group.clone(), letter.family)) {
                    if !self.streams.get(&letter.family).is_some_and(|stream| stream.contains_key(&letter.id)) {
                        return Err(letter.event_is_gone().into());
                    }
                    group.pending.insert(letter.id, 1);
                }
                for (view, row) in forget {
                    if let Some(rows) = self.rows.get_mut(view) {
                        rows.remove(row);
                    }
                }
                self.revoke(&letter.group);
                self.discard(letter.key);
            }
            Settle::Rebuild { view } => {
                self.served.insert(format!("{}+", letter.group), view.clone());
                self.revoke(&letter.group);
            }
            Settle::Discard => drop(self.discard(letter.key)),
        }
        Ok(())
    }

    pub fn discard(&mut self, key: EventId) -> Option<DeadLetter> {
        let index = self.dead_letters.iter().position(|letter| letter.key == key)?;
        Some(self.dead_letters.remove(index))
    }

    pub fn trimmed(&self, family: Family) -> Option<EventId> {
        self.trimmed.get(&family).copied()
    }

    pub fn trim(&mut self, family: Family, before: EventId) -> Trimmed {
        let next = |id: EventId| EventId { seq: id.seq + 1, ..id };
        let groups = self.groups.iter().filter(|((_, of), _)| *of == family).map(|((name, _), group)| {
            let first_pending = group.pending.keys().next().copied();
            (first_pending.unwrap_or(next(group.delivered)).min(next(group.delivered)), name)
        });
        let cursors = self.cursors.iter().filter(|(_, cursor)| cursor.families.contains(&family));
        let cursors = cursors.map(|(name, cursor)| (next(cursor.at), name));
        let held = groups.chain(cursors).min().filter(|(bound, _)| *bound < before);
        let (before, held_by) = held.map_or((before, None), |(bound, name)| (bound, Some(name.clone())));
        let stream = self.streams.entry(family).or_default();
        let kept = stream.split_off(&before);
        let gone = std::mem::replace(stream, kept);
        self.trimmed.extend(gone.last_key_value().map(|(last, _)| (family, *last)));
        Trimmed { removed: u64::try_from(gone.len()).unwrap_or(u64::MAX), held_by }
    }

    pub fn inspect(&self) -> Inspection {
        let groups_of = |family: Family| {
            let groups = self.groups.iter().filter(move |((_, of), _)| *of == family);
            groups.map(|((name, _), group)| GroupState {
                name: name.clone(),
                delivered: group.delivered,
                pending: group.pending.keys().copied().collect(),
            })
        };
        let stream = |(family, stream): (&Family, &std::collections::BTreeMap<EventId, _>)| {
            let state = StreamState {
                length: u64::try_from(stream.len()).unwrap_or(u64::MAX),
                first: stream.first_key_value().map(|(id, _)| *id),
                last: stream.last_key_value().map(|(id, _)| *id),
                groups: groups_of(*family).collect(),
            };
            (*family, state)
        };
        let lease = |(group, held): (&String, &super::partition::Held)| LeaseState {
            group: group.clone(),
            owner: held.owner.clone(),
            epoch: held.epoch,
        };
        let timers = self.timers.iter();
        let views = self.rows.iter().filter(|(_, rows)| !rows.is_empty()).map(|(view, _)| view.clone());
        let mut inspection = Inspection {
            clock: Some(self.clock),
            streams: self.streams.iter().map(stream).collect(),
            versions: self
                .versions
                .iter()
                .map(|((family, subject), id)| (format!("{family}/{subject}"), id.entry()))
                .collect(),
            timers: timers
                .map(|((group, subject, name), due)| (format!("{group}|{subject}|{name}"), due.to_string()))
                .collect(),
            cursors: self.cursors.clone(),
            served: self.served.clone(),
            trimmed: self.trimmed.clone(),
            dead_letters: self.dead_letters.iter().rev().cloned().collect(),
            leases: self.leases.iter().map(lease).collect(),
            views: views.collect(),
        };
        inspection.views.sort_unstable();
        inspection.leases.sort_unstable_by(|a, b| a.group.cmp(&b.group));
        inspection
    }
}
