//! Sequences of Docker's events, as they were recorded, and what they add up to.

use hemostat_schema::{
    ByteCount, Event, Observation, Span,
    container::{Exit, Health, Limits, RestartPolicy},
    observation::Symptom,
};

use super::{inspections::SECOND_LOOK, *};
use crate::{ending, facts::Inspected};

mod ends;
mod figures;
mod takeover;

const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";
const OTHER: &str = "5159c58bdfaa18c4530fc0a7ad2900069766b7f1b48f3d9065e494549e028a7d";

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_462_698_000 + ms).unwrap()
}

/// A running container, as it is inspected, started at this millisecond.
fn running(started: i64) -> Inspected {
    let facts = Facts {
        id: ID.parse().unwrap(),
        created_at: at(-60_000),
        started_at: Some(at(started)),
        ..hemostat_core::testing::facts()
    };
    let process = Some(MainProcess { pid: 7, in_host_network: false });
    Inspected { name: "api-1".parse().unwrap(), facts, stop_signal: 15, out_of_memory: false, process }
}

/// The same container, exited with `code`.
fn exited(started: i64, ended: i64, code: i64) -> Inspected {
    let base = running(started);
    let exit = Some(Exit { at: at(ended), code, by: ending::guessed(code, false, false) });
    Inspected { facts: Facts { state: Life::Exited, exit, ..base.facts }, process: None, ..base }
}

struct Bench {
    watch: Watch,
    asks: VecDeque<Ask>,
    told: Vec<Observation>,
}

impl Bench {
    fn empty() -> Self {
        let policy = Arc::new(Policy::default());
        let watch = Watch::new("host".parse().unwrap(), policy, None, Progress::default(), BTreeMap::new());
        Self { watch, asks: VecDeque::new(), told: vec![] }
    }

    /// A watch that knows a running container.
    fn watching() -> Self {
        let mut bench = Self::empty();
        bench.watch.listed(&[ID.parse().unwrap()], 0, at(0));
        bench.collect();
        bench.answer_at(0, Some(running(0)));
        bench.told.clear();
        bench
    }

    fn collect(&mut self) {
        let outcome = self.watch.take();
        self.asks.extend(outcome.asks);
        self.told.extend(outcome.events.into_iter().map(|event| match event.event {
            Event::Observation(observation) => observation,
            other => panic!("{other:?}"),
        }));
    }

    fn hear(&mut self, ms: i64, what: What) {
        self.hear_of(ID, "api-1", ms, what);
    }

    fn hear_of(&mut self, id: &str, name: &str, ms: i64, what: What) {
        let (id, name) = (id.parse().unwrap(), name.parse().unwrap());
        self.watch.happened(Happening { at: at(ms), id, name, what });
        self.collect();
    }

    /// From which millisecond on events would be heard by whoever took over.
    fn since(&self) -> Option<i64> {
        self.watch.progress().since().map(|since| since.as_millisecond() - at(0).as_millisecond())
    }

    /// Another process, which takes over.
    fn next(&self) -> Self {
        let mut next = Self::empty();
        let (progress, states) = (self.watch.progress().clone(), self.watch.states.clone());
        next.watch = Watch::new("host".parse().unwrap(), Arc::new(Policy::default()), None, progress, states);
        next
    }

    /// Answers the oldest question.
    fn answer(&mut self, answer: Option<Inspected>) {
        self.answer_at(100_000, answer);
    }

    fn answer_at(&mut self, ms: i64, answer: Option<Inspected>) {
        let ask = self.asks.pop_front().expect("something was asked");
        self.watch.answered(&ask, answer, at(ms));
        self.collect();
    }

    /// The names of what was told, and who ended the runs.
    fn story(&self) -> Vec<String> {
        let line = |told: &Observation| match told {
            Observation::Exited(exited) => format!("exited {} {:?}", exited.exit.code, exited.exit.by),
            Observation::SymptomRaised(raised) => format!("raised {}", raised.symptom),
            other => other.name().to_owned(),
        };
        self.told.iter().map(line).collect()
    }
}

fn signal(signal: i32) -> What {
    What::Signalled { signal }
}

fn died(code: i64) -> What {
    What::Died { code }
}

#[test]
fn a_container_is_seen_once_however_often_it_is_listed() {
    let mut bench = Bench::empty();
    for _ in 0..3 {
        bench.watch.listed(&[ID.parse().unwrap()], bench.watch.mark(), at(0));
        bench.collect();
        bench.answer(Some(running(0)));
    }
    assert_eq!(bench.story(), ["seen"]);
}

#[test]
fn a_health_flip_waits_for_nothing() {
    let mut bench = Bench::watching();
    bench.hear(5, What::Health(Health::Unhealthy));
    assert_eq!(bench.story(), ["health_changed", "raised unhealthy"]);
    assert!(bench.asks.is_empty());
    assert_eq!(bench.since(), Some(5));
}

#[test]
fn a_child_that_the_kernel_killed_is_told_unless_the_run_ends_of_it() {
    let mut bench = Bench::watching();
    bench.hear(10, What::OutOfMemory);
    assert_eq!(bench.watch.next_wake(), Some(at(2_010)));
    bench.watch.tick(at(2_010));
    bench.collect();
    assert_eq!(bench.story(), ["raised oom child"]);

    // It is its own end, however long the engine takes to say so.
    let mut bench = Bench::watching();
    bench.hear(10, What::OutOfMemory);
    bench.hear(20, died(137));
    assert_eq!(bench.story(), ["exited 137 Oom", "raised oom killed"]);
    bench.watch.tick(at(20_000));
    bench.collect();
    bench.answer(Some(exited(0, 20, 137)));
    assert_eq!(bench.story(), ["exited 137 Oom", "raised oom killed"]);
}

#[test]
fn nothing_falls_due_while_an_inspection_is_awaited() {
    let mut bench = Bench::watching();
    bench.hear(10, What::OutOfMemory);
    bench.hear(20, What::Changed);
    assert_eq!(bench.watch.next_wake(), None);
    bench.watch.tick(at(20_000));
    bench.collect();
    assert_eq!(bench.story(), [""; 0]);
    bench.answer(Some(running(0)));
    assert_eq!(bench.watch.next_wake(), Some(at(2_010)));
}

#[test]
fn events_of_a_container_wait_behind_its_inspection_and_others_do_not() {
    let mut bench = Bench::watching();
    bench.hear_of(OTHER, "db-1", 0, What::Created);
    let other = Facts { id: OTHER.parse().unwrap(), ..running(0).facts };
    bench.answer(Some(Inspected { name: "db-1".parse().unwrap(), facts: other, ..running(0) }));
    bench.told.clear();

    bench.hear(10, died(3));
    bench.hear(20, What::Started);
    bench.hear(30, What::Health(Health::Unhealthy));
    assert_eq!(bench.story(), ["exited 3 Crash", "raised exited"], "of which run it was the end is known");
    assert_eq!(bench.since(), Some(10), "an event that waits must be heard again after a crash");
    bench.told.clear();
    bench.hear_of(OTHER, "db-1", 40, What::Health(Health::Unhealthy));
    assert_eq!(bench.story(), ["health_changed", "raised unhealthy"]);
    bench.told.clear();

    bench.answer(Some(running(19)));
    bench.answer(Some(running(19)));
    assert_eq!(bench.story(), ["started", "health_changed", "raised unhealthy"]);
    assert_eq!(bench.since(), Some(40));
}

#[test]
fn a_container_that_is_no_longer_listed_is_gone() {
    let mut bench = Bench::watching();
    bench.watch.listed(&[], bench.watch.mark(), at(10));
    bench.collect();
    assert_eq!(bench.story(), ["removed"]);
    // One that appeared after the list was made is not.
    let mut bench = Bench::watching();
    let mark = bench.watch.mark();
    bench.hear(5, What::Health(Health::Starting));
    bench.watch.listed(&[], mark, at(10));
    bench.collect();
    assert_eq!(bench.story(), ["health_changed"]);
}

#[test]
fn a_renamed_container_leaves_its_old_name() {
    let mut bench = Bench::watching();
    bench.hear_of(ID, "api-2", 10, What::Changed);
    bench.answer(Some(Inspected { name: "api-2".parse().unwrap(), ..running(0) }));
    assert_eq!(bench.story(), ["removed", "seen"]);
    bench.hear_of(ID, "api-2", 20, What::Paused);
    assert_eq!(bench.story(), ["removed", "seen", "paused"]);
}

#[test]
fn a_recreated_container_goes_on_under_its_name() {
    let mut bench = Bench::watching();
    // As Compose does it: rename the old one away, make the new one, stop and remove the old one.
    bench.hear_of(ID, "old_api-1", 10, What::Changed);
    bench.answer(Some(Inspected { name: "old_api-1".parse().unwrap(), ..running(0) }));
    bench.hear_of(OTHER, "api-1", 20, What::Created);
    let next = Facts { id: OTHER.parse().unwrap(), ..running(15).facts };
    bench.answer(Some(Inspected { facts: next, ..running(15) }));
    bench.told.clear();
    bench.hear_of(ID, "old_api-1", 30, signal(15));
    bench.hear_of(ID, "old_api-1", 40, died(0));
    bench.answer(Some(Inspected { name: "old_api-1".parse().unwrap(), ..exited(0, 40, 0) }));
    bench.hear_of(ID, "old_api-1", 50, What::Destroyed);
    assert_eq!(bench.story(), ["exited 0 Operator", "removed"]);
    let names: Vec<_> = bench.watch.states.keys().map(ToString::to_string).collect();
    assert!(names.contains(&"api-1".to_owned()), "{names:?}");
}

#[test]
fn the_engine_is_lost_and_found_once_per_change() {
    let mut bench = Bench::empty();
    let engine = EngineFound { version: "20.10".into(), api_version: "1.41".into(), cpus: 2, memory: ByteCount(1) };
    let about = About { engine, now: at(0), root: None };
    bench.watch.engine_found(&about, at(0));
    bench.watch.engine_found(&about, at(1));
    bench.watch.engine_lost("nobody answers", at(2));
    bench.watch.engine_lost("nobody answers", at(3));
    bench.watch.engine_found(&about, at(4));
    bench.collect();
    assert_eq!(bench.story(), ["engine_found", "engine_lost", "engine_found"]);
}

#[test]
fn a_symptom_that_is_over_is_cleared_when_its_time_has_come() {
    let mut bench = Bench::watching();
    bench.hear(1_000, What::Health(Health::Unhealthy));
    bench.hear(2_000, What::Health(Health::Healthy));
    let due = bench.watch.next_wake().expect("well for a while, then cleared");
    assert_eq!(due, Policy::default().clear_after.after(at(2_000)));
    bench.watch.tick(Span::from_millis(1).before(due));
    bench.collect();
    assert_eq!(bench.story().len(), 3);
    bench.watch.tick(due);
    bench.collect();
    assert_eq!(bench.story()[3], "symptom_cleared");
    assert_eq!(bench.watch.next_wake(), None);
    assert!(bench.watch.states.values().all(|state| !state.standing().contains_key(&Symptom::Unhealthy)));
}
