//! Each kind of damage is found and named; a consistent partition has no findings.

use bytes::Bytes;
use hemostat_log::{Cursor, DeadLetter, LeaseState, RawEntry};
use hemostat_schema::{Event, Timestamp};

use super::*;

const P: Partition = Partition(0);

fn id(ms: u64) -> EventId {
    EventId { partition: P, ms, seq: 0 }
}

/// A busy partition without inconsistencies.
fn consistent() -> (Inspection, ScannedHistory) {
    use hemostat_log::{GroupState, StreamState};
    let group = |name: &str| GroupState { name: name.into(), delivered: id(9), pending: vec![id(7)] };
    let stream = StreamState { length: 3, first: Some(id(5)), last: Some(id(9)), groups: vec![group("execute")] };
    let streams = Family::ALL.map(|family| (family, stream.clone())).into();
    let inspection = Inspection {
        clock: Some(id(9)),
        streams,
        versions: vec![("action/h/a".into(), "9-0".into())],
        timers: vec![("judge|h/a|verdict".into(), "20".into())],
        cursors: [("containers.1".to_owned(), Cursor { at: id(8), families: vec![Family::Action] })].into(),
        served: [("containers.1".to_owned(), "containers.1~2".to_owned())].into(),
        trimmed: [(Family::Action, id(4))].into(),
        dead_letters: vec![DeadLetter {
            key: id(3),
            group: "judge".into(),
            family: Family::Action,
            id: id(7),
            error: "it panicked".into(),
            at: Timestamp::UNIX_EPOCH,
        }],
        leases: vec![LeaseState { group: "judge".into(), owner: None, epoch: 1 }],
        views: vec!["judge.1".into(), "judge-shared.1".into(), "containers.1~2".into(), "notary.1".into()],
    };
    let scanned = ScannedHistory {
        versions: [("action/h/a".to_owned(), id(9))].into(),
        existing: [id(7)].into(),
        misplaced: vec![],
        offsets: [("containers.1".to_owned(), id(9))].into(),
        sealed: Some([(Family::Action, id(4))].into()),
    };
    (inspection, scanned)
}

#[test]
fn a_consistent_partition_has_no_findings() {
    let (inspection, scanned) = consistent();
    assert_eq!(check(P, &inspection, &KnownNames::of_this_version(), &scanned), []);
}

#[test]
fn each_kind_of_damage_is_found_alone() {
    type Damage = fn(&mut Inspection, &mut ScannedHistory);
    let damages: [(&str, &str, Damage); 18] = [
        ("clock", "no clock", |found, _| {
            found.clock = None;
            found.streams.values_mut().for_each(|stream| (stream.last, stream.groups) = (None, vec![]));
            found.cursors.clear();
        }),
        ("alerts", "does not exist", |found, _| drop(found.streams.remove(&Family::Alert))),
        ("actions", "later than the clock", |found, _| {
            found.streams.get_mut(&Family::Action).unwrap().last = Some(id(10));
        }),
        ("actions", "recorded as trimmed", |found, scanned| {
            found.trimmed.insert(Family::Action, id(5));
            scanned.sealed = None;
        }),
        ("actions", "does not belong", |_, scanned| {
            scanned.misplaced.push((Family::Action, id(6), "its kind is \"x\"".into()))
        }),
        ("actions, group execute", "later than the clock", |found, _| {
            found.streams.get_mut(&Family::Action).unwrap().groups[0].delivered = id(11);
        }),
        ("actions, group execute", "are gone", |found, _| {
            found.streams.get_mut(&Family::Action).unwrap().groups[0].pending.push(id(8));
        }),
        ("actions, group dedup.0", "no role of this version", |found, _| {
            found.streams.get_mut(&Family::Action).unwrap().groups[0].name = "dedup.0".into();
        }),
        ("heads, action/h/a", "the last event is", |found, _| found.versions[0].1 = "8-0".into()),
        ("heads, action/h/a", "is no id", |found, _| found.versions[0].1 = "soon".into()),
        ("heads, action/h/b", "there is no event", |found, _| found.versions.push(("action/h/b".into(), "3-0".into()))),
        ("heads, action/h/a", "there is none", |found, _| found.versions.clear()),
        ("timers, judge|h/a/b|verdict", "no subject", |found, _| found.timers[0].0 = "judge|h/a/b|verdict".into()),
        ("timers, doctor|h/a|verdict", "no group doctor", |found, _| found.timers[0].0 = "doctor|h/a|verdict".into()),
        ("lease:judge", "no epoch", |found, _| found.leases[0].epoch = 0),
        ("cursors, containers.1", "the offset of its rows", |_, scanned| {
            scanned.offsets.insert("containers.1".into(), id(7));
        }),
        ("view:containers.0", "earlier one left it", |found, _| found.views.push("containers.0".into())),
        ("actions", "are in neither", |_, scanned| scanned.sealed = Some([(Family::Action, id(3))].into())),
    ];
    for (place, what, damage) in damages {
        let (mut inspection, mut scanned) = consistent();
        damage(&mut inspection, &mut scanned);
        let findings = check(P, &inspection, &KnownNames::of_this_version(), &scanned);
        let [finding] = &findings[..] else { panic!("{place}, {what}: not one finding but {findings:#?}") };
        assert_eq!(finding.place, format!("hemostat:{{0}}:{place}"));
        assert!(finding.what.contains(what), "{finding}");
        assert!(!finding.advice.is_empty());
    }
}

#[test]
fn a_dead_letter_whose_event_is_gone_can_be_discarded() {
    let (mut inspection, scanned) = consistent();
    inspection.dead_letters[0].id = id(6);
    let findings = check(P, &inspection, &KnownNames::of_this_version(), &scanned);
    assert!(findings[0].advice.contains("dead-letters discard 0.3-0"), "{findings:?}");
}

#[test]
fn a_version_whose_event_was_discarded_without_an_archive_is_no_finding() {
    let (mut inspection, mut scanned) = consistent();
    (inspection.versions[0].1, scanned.sealed) = ("4-0".into(), None);
    scanned.versions.clear();
    assert_eq!(check(P, &inspection, &KnownNames::of_this_version(), &scanned), []);
}

/// An entry of this kind, as it stands in the stream, about `h/a`.
fn entry(ms: u64, family: Family, kind: &str) -> RawEntry {
    let fields = [("k", kind), ("s", "h/a"), ("e", "")];
    let fields = fields.map(|(name, value)| (Bytes::from(name), Bytes::from(value.to_owned())));
    RawEntry { id: id(ms), family, fields: fields.into() }
}

#[test]
fn measurements_do_not_advance_a_subjects_version_and_every_other_kind_does() {
    let measurements = [
        "observation.sampled",
        "observation.stored",
        "observation.disk_measured",
        "sample.container",
        "sample.storage",
        "sample.disk",
    ];
    let kinds = Event::kinds().map(|info| (info.family, info.kind(), info.version));
    // Kinds of a later version of HemoStat advance the version, unless the kind is a known measurement.
    let later = [("observation.smelled", 1), ("observation.seen", 99), ("observation.stored", 99)];
    let later = later.map(|(kind, version)| (Family::Observation, kind.to_owned(), version));
    for (family, kind, version) in kinds.chain(later) {
        let mut scanned = ScannedHistory::default();
        scanned.take(&entry(5, family, &format!("{kind}.{version}")), &BTreeSet::new());
        let advances = family != Family::Sample && !measurements.contains(&kind.as_str());
        assert_eq!(scanned.versions.contains_key(&format!("{family}/h/a")), advances, "{kind}.{version}");
        assert_eq!(scanned.misplaced, []);
    }
}

#[test]
fn processes_that_decide_by_different_policies_are_a_finding() {
    use hemostat_runtime::session::{Announcement, LiveProcess};
    let process = |owner: &str, policy: Option<&str>| LiveProcess {
        owner: owner.to_owned(),
        says: Announcement { policy: policy.map(str::to_owned), ..Announcement::default() },
    };
    let found = |live: &[LiveProcess]| differing_policies(Partition(0), live).map(|finding| finding.what);
    let (one, same) = (process("a", Some("44136fa355b3678a")), process("b", Some("44136fa355b3678a")));
    assert_eq!(found(&[one.clone(), same, process("projector", None)]), None);
    let differs = "they differ: a 44136fa355b3678a, c 0000000000000001";
    assert_eq!(found(&[one, process("c", Some("0000000000000001"))]).as_deref(), Some(differs));
}
