//! The check itself, pure: an inspection and the scanned history go in, findings come out.

use std::collections::BTreeSet;

use hemostat_core::alerting::channel_of_group;
use hemostat_log::{GroupState, Inspection, StreamState};
use hemostat_schema::{EventId, Family, Partition, Subject};

use super::facts::{Finding, KnownNames, MAX_FINDINGS, ScannedHistory};

/// The inconsistencies of a partition.
pub fn check(
    partition: Partition,
    inspection: &Inspection,
    known: &KnownNames,
    scanned: &ScannedHistory,
) -> Vec<Finding> {
    let mut checker = Checker { partition, inspection, known, scanned, findings: vec![] };
    checker.streams();
    checker.versions();
    checker.timers();
    checker.leases();
    checker.cursors();
    checker.dead_letters();
    checker.views();
    checker.archive();
    checker.findings
}

struct Checker<'a> {
    partition: Partition,
    inspection: &'a Inspection,
    known: &'a KnownNames,
    scanned: &'a ScannedHistory,
    findings: Vec<Finding>,
}

const RESTORE: &str = "restore the partition from a backup of Redis; HemoStat itself never causes this";
const VERIFY: &str = "run `hemostat verify`: it names the event that was changed, deleted or added";

impl Checker<'_> {
    fn say(&mut self, place: impl Into<String>, what: impl Into<String>, advice: impl Into<String>) {
        let place = format!("hemostat:{{{}}}:{}", self.partition, place.into());
        self.findings.push(Finding { partition: self.partition, place, what: what.into(), advice: advice.into() });
    }

    fn is_beyond(&self, id: EventId) -> bool {
        self.inspection.clock.is_none_or(|clock| clock < id)
    }

    fn streams(&mut self) {
        if self.inspection.clock.is_none() {
            self.say("clock", "the partition has no clock, or its value is no event id", RESTORE);
        }
        for family in Family::ALL {
            match self.inspection.streams.get(&family) {
                Some(stream) => self.stream(family, stream),
                None => self.say(family.stream(), "the stream does not exist", "run `hemostat migrate`"),
            }
        }
        for (family, id, why) in &self.scanned.misplaced {
            self.say(family.stream(), format!("entry {id} does not belong there: {why}"), VERIFY);
        }
    }

    fn stream(&mut self, family: Family, stream: &StreamState) {
        let name = family.stream();
        if let Some(last) = stream.last.filter(|last| self.is_beyond(*last)) {
            let what = format!("its last entry, {last}, is later than the clock: no commit appended it");
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
        if !self.known.groups.contains(&group.name) && channel_of_group(&group.name).is_none() {
            self.say(
                place,
                "no role of this version uses this group; entries that the group has not read are never trimmed",
                format!(
                    "if no older HemoStat runs, remove it: XGROUP DESTROY hemostat:{{{}}}:{stream} {}",
                    self.partition, group.name
                ),
            );
            return;
        }
        if self.is_beyond(group.delivered) {
            let what = format!("its last delivery, {}, is later than the clock", group.delivered);
            self.say(place.clone(), what, RESTORE);
        }
        let gone: Vec<&EventId> = group.pending.iter().filter(|id| !self.scanned.existing.contains(id)).collect();
        if let Some(first) = gone.first() {
            let why =
                if trimmed.is_some_and(|trimmed| **first <= trimmed) { "was trimmed" } else { "is not on the log" };
            let what = format!("{} of its pending entries are gone: the first, {first}, {why}", gone.len());
            self.say(place, what, format!("{VERIFY}; restart the role of the group {}: it drops them", group.name));
        }
    }

    fn versions(&mut self) {
        let versions: BTreeSet<&str> = self.inspection.versions.iter().map(|(key, _)| key.as_str()).collect();
        let mut wrong: Vec<(String, String)> = vec![];
        for (key, version) in &self.inspection.versions {
            let last = self.scanned.versions.get(key);
            let Ok(version) = EventId::from_entry(self.partition, version) else {
                wrong.push((key.clone(), format!("{version:?} is no id")));
                continue;
            };
            match last {
                Some(last) if *last == version => {}
                Some(last) => wrong.push((key.clone(), format!("it is {version}, and the last event is {last}"))),
                None if self.is_gone(key, version) => {}
                None => wrong.push((key.clone(), format!("there is no event at {version}"))),
            }
        }
        let missing = self.scanned.versions.iter().filter(|(key, _)| !versions.contains(key.as_str()));
        wrong.extend(missing.map(|(key, last)| (key.clone(), format!("there is none, and the last event is {last}"))));
        for (key, what) in wrong.into_iter().take(MAX_FINDINGS) {
            self.say(
                format!("heads, {key}"),
                what,
                "commits about it conflict until its next event sets its version; `hemostat verify` names events that are gone",
            );
        }
    }

    /// Whether the event may have been trimmed, without an archive that would still have it.
    fn is_gone(&self, key: &str, version: EventId) -> bool {
        let family = key.split('/').next().and_then(|family| family.parse::<Family>().ok());
        let trimmed = family.and_then(|family| self.inspection.trimmed.get(&family));
        self.scanned.sealed.is_none() && trimmed.is_some_and(|trimmed| version <= *trimmed)
    }

    fn timers(&mut self) {
        for (timer, due) in &self.inspection.timers {
            let mut parts = timer.splitn(3, '|');
            let (group, subject, name) = (parts.next(), parts.next(), parts.next());
            let what = match (group, subject, name) {
                (Some(group), _, Some(_))
                    if !self.known.deciders.contains(group) && channel_of_group(group).is_none() =>
                {
                    format!("no group {group} of this version has timers")
                }
                (Some(_), Some(subject), Some(_)) if subject.parse::<Subject>().is_err() => {
                    format!("{subject:?} is no subject")
                }
                (_, _, Some(_)) if due.parse::<f64>().is_err() => format!("{due:?} is no time"),
                (Some(_), Some(_), Some(_)) => continue,
                _ => "it is not of the form group|subject|name".to_owned(),
            };
            let advice = format!("it never fires; remove it: ZREM hemostat:{{{}}}:timers '{timer}'", self.partition);
            self.say(format!("timers, {timer}"), what, advice);
        }
    }

    fn leases(&mut self) {
        for lease in &self.inspection.leases {
            if lease.epoch == 0 {
                self.say(
                    format!("lease:{}", lease.group),
                    "it has no epoch (fencing token), so a former holder could commit",
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
            // The rows were read after the cursor, so their offset may be later.
            if let Some(offset) = self.scanned.offsets.get(group).filter(|offset| **offset < cursor.at) {
                let what = format!("it is at {}, and the offset of its rows is {offset}", cursor.at);
                self.say(place, what, format!("run `hemostat rebuild {}`", name_of(group)));
            }
        }
    }

    fn dead_letters(&mut self) {
        for letter in self.inspection.dead_letters.iter().take(MAX_FINDINGS) {
            let is_gone = !self.scanned.existing.contains(&letter.id);
            let is_trimmed = self.inspection.trimmed.get(&letter.family).is_some_and(|trimmed| letter.id <= *trimmed);
            if is_gone && !is_trimmed {
                self.say(
                    format!("parked, {}", letter.key),
                    format!("a dead letter of {}, whose event {} is not on the log", letter.group, letter.id),
                    format!("run `hemostat dead-letters discard {}`", letter.key),
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
                    "this version does not use it: an earlier one left it",
                    format!("if no older HemoStat runs, remove it: UNLINK hemostat:{{{}}}:view:{view}", self.partition),
                );
            }
        }
    }

    fn archive(&mut self) {
        let Some(sealed) = &self.scanned.sealed else { return };
        for (family, trimmed) in &self.inspection.trimmed {
            let upto = sealed.get(family);
            if upto.is_none_or(|upto| upto < trimmed) {
                let upto = upto.map_or("is empty".to_owned(), |upto| format!("ends at {upto}"));
                self.say(
                    family.stream(),
                    format!(
                        "it was trimmed up to {trimmed}, but the archive {upto}: the events between are in neither"
                    ),
                    "check that archive.url names the archive that was written; restore the missing segments",
                );
            }
        }
    }
}

/// The name of the view that a group maintains, as on the command line.
fn name_of(group: &str) -> &str {
    group.split_once('.').map_or(group, |(name, _)| name)
}
