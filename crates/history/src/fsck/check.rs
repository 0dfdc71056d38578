//! The judgement, pure: what was inspected and what history says go in, what is not sound comes out.

use std::collections::BTreeSet;

use hemostat_log::{GroupState, Inspection, StreamState};
use hemostat_schema::{EventId, Family, Partition, Subject};

use super::{Finding, Known, MOST, Seen};

/// What is not sound in a partition.
pub fn check(partition: Partition, inspection: &Inspection, known: &Known, seen: &Seen) -> Vec<Finding> {
    let mut found = Found { partition, inspection, known, seen, findings: vec![] };
    found.streams();
    found.versions();
    found.timers();
    found.leases();
    found.cursors();
    found.parked();
    found.views();
    found.archive();
    found.findings
}

struct Found<'a> {
    partition: Partition,
    inspection: &'a Inspection,
    known: &'a Known,
    seen: &'a Seen,
    findings: Vec<Finding>,
}

const RESTORE: &str = "restore the partition from a backup of Redis; nothing that HemoStat does leads to this";
const VERIFY: &str = "run `hemostat verify`: it names the event that was changed, deleted or added";

impl Found<'_> {
    fn say(&mut self, place: impl Into<String>, what: impl Into<String>, advice: impl Into<String>) {
        let place = format!("hemostat:{{{}}}:{}", self.partition, place.into());
        self.findings.push(Finding { partition: self.partition, place, what: what.into(), advice: advice.into() });
    }

    fn is_beyond(&self, id: EventId) -> bool {
        self.inspection.clock.is_none_or(|clock| clock < id)
    }

    fn streams(&mut self) {
        if self.inspection.clock.is_none() {
            self.say("clock", "the partition has no clock, or it is no id", RESTORE);
        }
        for family in Family::ALL {
            match self.inspection.streams.get(&family) {
                Some(stream) => self.stream(family, stream),
                None => self.say(family.stream(), "the stream is not there", "run `hemostat migrate`"),
            }
        }
        for (family, id, why) in &self.seen.misplaced {
            self.say(family.stream(), format!("entry {id} does not belong there: {why}"), VERIFY);
        }
    }

    fn stream(&mut self, family: Family, stream: &StreamState) {
        let name = family.stream();
        if let Some(last) = stream.last.filter(|last| self.is_beyond(*last)) {
            let what = format!("its last entry, {last}, is later than the clock: it was not put there by a commit");
            self.say(name, what, VERIFY);
        }
        let trimmed = self.inspection.trimmed.get(&family);
        if let (Some(first), Some(trimmed)) = (stream.first, trimmed)
            && first <= *trimmed
        {
            let what = format!("its first entry, {first}, is recorded as trimmed (up to {trimmed})");
            self.say(name, what, "run the archivist once more: it trims again");
        }
        for group in &stream.groups {
            self.group(name, trimmed.copied(), group);
        }
    }

    fn group(&mut self, stream: &str, trimmed: Option<EventId>, group: &GroupState) {
        let place = format!("{stream}, group {}", group.name);
        if !self.known.groups.contains(&group.name) {
            self.say(
                place,
                "no role of this version reads by this group; while it is there nothing that it has not read is trimmed",
                format!("if no older HemoStat runs, remove it: XGROUP DESTROY hemostat:{{{}}}:{stream} {}", self.partition, group.name),
            );
            return;
        }
        if self.is_beyond(group.delivered) {
            let what = format!("it was handed {}, which is later than the clock", group.delivered);
            self.say(place.clone(), what, RESTORE);
        }
        let gone: Vec<&EventId> = group.pending.iter().filter(|id| !self.seen.there.contains(id)).collect();
        if let Some(first) = gone.first() {
            let why = match trimmed.is_some_and(|trimmed| **first <= trimmed) {
                true => "was trimmed",
                false => "is not on the log",
            };
            let what = format!("{} of its pending entries are gone: the first, {first}, {why}", gone.len());
            self.say(place, what, format!("{VERIFY}; restart the role that reads by {}: it forgets them", group.name));
        }
    }

    fn versions(&mut self) {
        let versions: BTreeSet<&str> = self.inspection.versions.iter().map(|(key, _)| key.as_str()).collect();
        let mut wrong: Vec<(String, String)> = vec![];
        for (key, head) in &self.inspection.versions {
            let last = self.seen.versions.get(key);
            let Ok(head) = EventId::from_entry(self.partition, head) else {
                wrong.push((key.clone(), format!("{head:?} is no id")));
                continue;
            };
            match last {
                Some(last) if *last == head => {}
                Some(last) => wrong.push((key.clone(), format!("it is {head}, and the last event is {last}"))),
                None if self.is_gone(key, head) => {}
                None => wrong.push((key.clone(), format!("there is no event at {head}"))),
            }
        }
        let missing = self.seen.versions.iter().filter(|(key, _)| !versions.contains(key.as_str()));
        wrong.extend(missing.map(|(key, last)| (key.clone(), format!("there is none, and the last event is {last}"))));
        for (key, what) in wrong.into_iter().take(MOST) {
            self.say(
                format!("heads, {key}"),
                what,
                "decisions about it are refused until its next event sets the head; `hemostat verify` names events that are gone",
            );
        }
    }

    /// Whether the head's event may have been trimmed, with no archive to look into.
    fn is_gone(&self, key: &str, head: EventId) -> bool {
        let family = key.split('/').next().and_then(|family| family.parse::<Family>().ok());
        let trimmed = family.and_then(|family| self.inspection.trimmed.get(&family));
        self.seen.sealed.is_none() && trimmed.is_some_and(|trimmed| head <= *trimmed)
    }

    fn timers(&mut self) {
        for (timer, due) in &self.inspection.timers {
            let mut parts = timer.splitn(3, '|');
            let (group, subject, name) = (parts.next(), parts.next(), parts.next());
            let what = match (group, subject, name) {
                (Some(group), _, Some(_)) if !self.known.deciders.contains(group) => {
                    format!("no group {group} of this version has timers")
                }
                (Some(_), Some(subject), Some(_)) if subject.parse::<Subject>().is_err() => {
                    format!("{subject:?} is no subject")
                }
                (_, _, Some(_)) if due.parse::<f64>().is_err() => format!("{due:?} is no time"),
                (Some(_), Some(_), Some(_)) => continue,
                _ => "it is not group|subject|name".to_owned(),
            };
            let advice = format!("it never rings; remove it: ZREM hemostat:{{{}}}:timers '{timer}'", self.partition);
            self.say(format!("timers, {timer}"), what, advice);
        }
    }

    fn leases(&mut self) {
        for lease in &self.inspection.leases {
            if lease.epoch == 0 {
                self.say(
                    format!("lease:{}", lease.group),
                    "it has no epoch, so a worker that was fenced off could commit",
                    "stop every HemoStat, remove the key and start again",
                );
            }
        }
    }

    fn cursors(&mut self) {
        for (group, cursor) in &self.inspection.cursors {
            let place = format!("cursors, {group}");
            if self.is_beyond(cursor.at) {
                self.say(place.clone(), format!("it is at {}, which is later than the clock", cursor.at), RESTORE);
            }
            // Rows were read after the cursor, so they may be further on.
            if let Some(position) = self.seen.positions.get(group).filter(|position| **position < cursor.at) {
                let what = format!("it is at {}, and its rows go up to {position} only", cursor.at);
                self.say(place, what, format!("run `hemostat rebuild {}`", name_of(group)));
            }
        }
    }

    fn parked(&mut self) {
        for parked in self.inspection.dead_letters.iter().take(MOST) {
            let gone = !self.seen.there.contains(&parked.id);
            let trimmed = self.inspection.trimmed.get(&parked.family).is_some_and(|trimmed| parked.id <= *trimmed);
            if gone && !trimmed {
                self.say(
                    format!("parked, {}", parked.key),
                    format!("{} has put {} aside, which is not on the log", parked.group, parked.id),
                    format!("run `hemostat parked discard {}`", parked.key),
                );
            }
        }
    }

    fn views(&mut self) {
        let served: BTreeSet<&str> = self.inspection.served.values().map(String::as_str).collect();
        for view in &self.inspection.views {
            let known =
                self.known.views.contains(view) || self.known.readers.contains(view) || served.contains(view.as_str());
            if !known {
                self.say(
                    format!("view:{view}"),
                    "nothing of this version reads it: it is left over",
                    format!("if no older HemoStat runs, remove it: UNLINK hemostat:{{{}}}:view:{view}", self.partition),
                );
            }
        }
    }

    fn archive(&mut self) {
        let Some(sealed) = &self.seen.sealed else { return };
        for (family, trimmed) in &self.inspection.trimmed {
            let upto = sealed.get(family);
            if upto.is_none_or(|upto| upto < trimmed) {
                let upto = upto.map_or("is empty".to_owned(), |upto| format!("ends at {upto}"));
                self.say(
                    family.stream(),
                    format!("it was trimmed up to {trimmed}, but the archive {upto}: what lies between is in neither"),
                    "check that archive.url names the archive that was written; restore the missing segments",
                );
            }
        }
    }
}

/// What a person calls the view that a group keeps.
fn name_of(group: &str) -> &str {
    group.split_once('.').map_or(group, |(name, _)| name)
}
