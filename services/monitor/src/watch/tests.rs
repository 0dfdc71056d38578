//! Sequences of Docker's events, as they were recorded, and what they add up to.

use hemostat_schema::{
    ByteCount, Event, Observation, Span,
    container::{Exit, Health, Limits, RestartPolicy},
    observation::Symptom,
};

use super::{inspections::SECOND_LOOK, *};
use crate::{ending, facts::Inspected};

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
fn who_ended_a_run_follows_from_what_came_before() {
    type Steps<'a> = &'a [(i64, What)];
    let cases: [(Steps<'_>, i64, &[&str]); 6] = [
        // docker stop, of a program that obeys and of one that does not
        (&[(10, signal(15)), (1000, died(0))], 0, &["exited 0 Operator"]),
        (&[(10, signal(15)), (10_010, signal(9)), (10_020, died(137))], 137, &["exited 137 Operator"]),
        // the program itself
        (&[(10, died(3))], 3, &["exited 3 Crash", "raised exited"]),
        (&[(10, died(0))], 0, &["exited 0 Itself"]),
        // the kernel
        (&[(10, What::OutOfMemory), (20, died(137))], 137, &["exited 137 Oom", "raised oom killed"]),
        // a reload long ago
        (&[(10, signal(1)), (60_000, died(3))], 3, &["exited 3 Crash", "raised exited"]),
    ];
    for (steps, code, expected) in cases {
        let mut bench = Bench::watching();
        for (ms, what) in steps {
            bench.hear(*ms, *what);
        }
        bench.answer(Some(exited(0, steps.last().unwrap().0, code)));
        bench.hear(70_000, What::Stopped);
        // What `docker stop` adds after an end that it did not bring about is a matter of its own.
        assert_eq!(bench.story(), expected, "{steps:?}");
    }
}

#[test]
fn an_out_of_memory_that_only_the_inspection_knows_counts() {
    let mut bench = Bench::watching();
    bench.hear(20, died(137));
    bench.answer(Some(Inspected { out_of_memory: true, ..exited(0, 20, 137) }));
    assert_eq!(bench.story(), ["exited 137 Oom", "raised oom killed"]);
}

#[test]
fn an_end_is_told_without_an_inspection_unless_memory_may_have_run_out() {
    let limited = |inspected: Inspected| {
        let limits = Limits { memory: Some(ByteCount(1 << 30)), ..inspected.facts.limits };
        Inspected { facts: Facts { limits, ..inspected.facts }, ..inspected }
    };
    for (is_limited, before, code, told) in [
        (false, None, 3, &["exited 3 Crash", "raised exited"][..]),
        (false, None, 0, &["exited 0 Itself"]),
        (false, None, 137, &[]),
        (false, Some(signal(9)), 137, &["exited 137 Operator"]),
        (false, Some(What::OutOfMemory), 137, &["exited 137 Oom", "raised oom killed"]),
        (true, None, 0, &["exited 0 Itself"]),
        (true, None, 3, &[]),
        (true, Some(signal(15)), 3, &["exited 3 Operator"]),
    ] {
        let mut bench = Bench::empty();
        bench.watch.listed(&[ID.parse().unwrap()], 0, at(0));
        bench.collect();
        bench.answer(Some(if is_limited { limited(running(0)) } else { running(0) }));
        bench.told.clear();
        for what in before.into_iter().chain([died(code)]) {
            bench.hear(10, what);
        }
        assert_eq!(bench.story(), told, "{is_limited} {before:?} {code}");
        bench.answer(Some(exited(0, 10, code)));
        let ends = bench.told.iter().filter(|told| matches!(told, Observation::Exited(_))).count();
        assert_eq!(ends, 1, "{is_limited} {before:?} {code}");
    }
}

#[test]
fn what_waits_for_nobody_is_not_heard_twice_by_whoever_takes_over() {
    let mut bench = Bench::watching();
    let other = |started: i64| {
        let facts = Facts { id: OTHER.parse().unwrap(), ..running(started).facts };
        Inspected { name: "db-1".parse().unwrap(), facts, ..running(started) }
    };
    bench.hear_of(OTHER, "db-1", 1, What::Created);
    bench.answer(Some(other(2)));
    bench.told.clear();
    // One waits for its inspection, and the other goes through a whole life meanwhile.
    let missed = [
        (ID, "api-1", 10, died(137)),
        (OTHER, "db-1", 20, What::Health(Health::Unhealthy)),
        (OTHER, "db-1", 21, What::Health(Health::Healthy)),
        (OTHER, "db-1", 30, signal(15)),
        (OTHER, "db-1", 40, died(0)),
        (OTHER, "db-1", 50, What::Started),
        (ID, "api-1", 55, What::Started),
    ];
    for (id, name, ms, what) in missed {
        bench.hear_of(id, name, ms, what);
    }
    let first = bench.asks.pop_front();
    bench.answer(Some(other(49)));
    bench.answer(Some(other(49)));
    assert!(first.is_some() && bench.asks.is_empty(), "only the first waits");
    assert_eq!(bench.since(), Some(10));

    let mut next = bench.next();
    for (id, name, ms, what) in missed {
        next.hear_of(id, name, ms, what);
    }
    next.hear_of(OTHER, "db-1", 60, died(3));
    assert_eq!(next.story(), ["exited 3 Crash", "raised exited"], "the signal was for the run before");
    next.told.clear();
    next.answer(Some(running(54)));
    next.asks.rotate_left(1);
    next.answer(Some(running(54)));
    assert_eq!(next.story(), ["exited 137 Unknown", "started"]);
}

#[test]
fn an_end_that_comes_late_ends_no_run_that_began_after_it() {
    let mut bench = Bench::watching();
    // Nobody told of the new run, so it was found by looking twice; then the events come after all.
    for _ in 0..2 {
        bench.watch.listed(&[ID.parse().unwrap()], bench.watch.mark(), at(0));
        bench.collect();
        bench.answer(Some(running(20)));
        bench.asks.clear();
    }
    assert_eq!(bench.story(), ["started", "health_changed"]);
    bench.told.clear();
    bench.hear(10, died(3));
    bench.answer(Some(running(20)));
    assert_eq!(bench.story(), [""; 0]);
}

#[test]
fn a_restart_is_an_end_by_an_operator_and_a_new_run() {
    let mut bench = Bench::watching();
    for (ms, what) in [(10, signal(15)), (1046, died(0)), (1098, What::Stopped), (1365, What::Started)] {
        bench.hear(ms, what);
    }
    // Both inspections are answered late, when the new run is under way.
    bench.answer(Some(running(1363)));
    assert_eq!(bench.asks.len(), 1);
    bench.answer(Some(running(1363)));
    assert_eq!(bench.story(), ["exited 0 Operator", "started"]);
    let Some(Observation::Started(started)) = bench.told.last() else { panic!("{:?}", bench.told) };
    assert_eq!(started.target.started_at, Some(at(1363)));
    assert!(bench.asks.is_empty());
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
fn a_container_that_is_removed_as_it_ends_still_has_its_end_told() {
    let mut bench = Bench::watching();
    bench.hear(10, died(3));
    bench.hear(20, What::Destroyed);
    bench.answer(None);
    let story = bench.story();
    assert_eq!(&story[..2], ["exited 3 Crash", "raised exited"]);
    assert!(story.contains(&"removed".to_owned()), "{story:?}");
    let rows = bench.watch.take();
    assert!(rows.events.is_empty());
}

#[test]
fn a_container_that_is_stopped_between_two_runs_is_left_alone() {
    let mut bench = Bench::watching();
    let looping = |inspected: Inspected| {
        let facts = Facts { restart_policy: RestartPolicy::Always, ..inspected.facts };
        Inspected { facts, ..inspected }
    };
    bench.hear(5, What::Changed);
    bench.answer(Some(looping(running(0))));
    bench.told.clear();
    bench.hear(10, died(3));
    let between = looping(exited(0, 11, 3));
    bench.answer(Some(Inspected {
        facts: Facts { state: Life::Restarting, ..between.facts.clone() },
        ..between.clone()
    }));
    bench.hear(20, What::Stopped);
    bench.answer(Some(between));
    assert_eq!(bench.story(), ["exited 3 Crash", "seen"]);
    let facts = bench.watch.states.values().find_map(|state| state.facts()).unwrap();
    assert_eq!(facts.exit, Some(Exit { at: at(10), code: 3, by: ExitBy::Operator }));
}

#[test]
fn an_ordinary_stop_tells_its_end_and_nothing_more() {
    let mut bench = Bench::watching();
    for (ms, what) in [(10, signal(15)), (1046, died(0))] {
        bench.hear(ms, what);
    }
    bench.answer(Some(exited(0, 1040, 0)));
    bench.hear(1098, What::Stopped);
    assert_eq!(bench.story(), ["exited 0 Operator"]);
    assert!(bench.asks.is_empty());
}

#[test]
fn an_end_that_only_an_inspection_shows_is_looked_at_twice() {
    // The engine's event is on its way: it says that an operator did it.
    let mut bench = Bench::watching();
    bench.watch.listed(&[ID.parse().unwrap()], bench.watch.mark(), at(0));
    bench.collect();
    bench.answer(Some(exited(0, 10, 1)));
    assert_eq!(bench.asks.front().map(|ask| ask.after), Some(SECOND_LOOK));
    let second_look = bench.asks.pop_front().unwrap();
    bench.hear(5, signal(15));
    bench.hear(10, died(1));
    bench.answer(Some(exited(0, 10, 1)));
    bench.watch.answered(&second_look, Some(exited(0, 10, 1)), at(1000));
    bench.collect();
    assert_eq!(bench.story(), ["exited 1 Operator"]);

    // No event comes: it was missed.
    let mut bench = Bench::watching();
    bench.watch.listed(&[ID.parse().unwrap()], bench.watch.mark(), at(0));
    bench.collect();
    bench.answer(Some(exited(0, 10, 1)));
    bench.answer(Some(exited(0, 10, 1)));
    assert_eq!(bench.story(), ["exited 1 Crash", "raised exited"]);
}

#[test]
fn an_end_that_was_missed_is_no_crash_where_a_signal_could_have_done_it() {
    for code in [130, 137, 143] {
        let mut bench = Bench::watching();
        bench.watch.listed(&[ID.parse().unwrap()], bench.watch.mark(), at(0));
        bench.collect();
        bench.answer(Some(exited(0, 10, code)));
        bench.answer(Some(exited(0, 10, code)));
        assert_eq!(bench.story(), [format!("exited {code} Unknown")]);
    }
}

#[test]
fn an_old_failure_is_not_dug_up() {
    let mut bench = Bench::empty();
    bench.watch.listed(&[ID.parse().unwrap()], 0, at(0));
    bench.collect();
    bench.answer(Some(exited(-90_000, -80_000, 3)));
    assert_eq!(bench.story(), ["seen"]);
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

#[test]
fn what_is_kept_is_taken_up_again() {
    let mut bench = Bench::watching();
    bench.hear(5, What::Health(Health::Unhealthy));
    let mut next = bench.next();
    next.watch.listed(&[ID.parse().unwrap()], 0, at(10));
    next.collect();
    let unhealthy = Facts { health: Health::Unhealthy, ..running(0).facts };
    next.answer(Some(Inspected { facts: unhealthy, ..running(0) }));
    assert_eq!(next.story(), Vec::<String>::new());
    next.hear(20, What::Health(Health::Healthy));
    assert_eq!(next.story(), ["health_changed"]);
}

#[test]
fn a_signal_that_another_process_heard_is_not_taken_for_a_crash() {
    let mut before = Bench::watching();
    before.hear(5, signal(9));
    let mut next = before.next();
    next.hear(10, died(137));
    next.answer(Some(exited(0, 10, 137)));
    assert_eq!(next.story(), ["exited 137 Unknown"]);
    // Of the next run it heard everything, so it knows that nobody ended that one.
    next.hear(20, What::Started);
    next.answer(Some(running(20)));
    next.hear(1_000, died(137));
    next.answer(Some(exited(20, 1_000, 137)));
    assert!(next.story().contains(&"exited 137 Crash".to_owned()), "{:?}", next.story());
}

#[test]
fn what_it_used_lately_is_remembered_also_when_it_was_started_anew() {
    let mut bench = Bench::watching();
    let (id, name): (ContainerId, ContainerName) = (ID.parse().unwrap(), "api-1".parse().unwrap());
    let sample = |n: i64| RawSample {
        at: at(n * 5000),
        cpu_total_ns: u64::try_from(n).unwrap() * 1_000_000,
        system_cpu_ns: None,
        online_cpus: 2,
        memory_usage: u64::try_from(n).unwrap(),
        inactive_file: None,
        total_inactive_file: None,
        memory_limit: 100,
        host_memory: 100,
        network_rx: 0,
        network_tx: 0,
        block_read: 0,
        block_write: 0,
        pids: 1,
        pids_limit: None,
        throttling: None,
        pressure: hemostat_core::vitals::Pressure::default(),
    };
    let used = |bench: &Bench| -> Vec<u64> {
        bench.watch.samples(&name).iter().map(|sample| sample.vitals.memory_used.0).collect()
    };
    for n in 0..20 {
        bench.watch.sampled(&id, sample(n));
    }
    assert_eq!(used(&bench), (8..20).collect::<Vec<_>>());
    bench.hear(100_000, What::Died { code: 1 });
    bench.answer(Some(exited(0, 100_000, 1)));
    assert_eq!(bench.watch.running(), []);
    assert_eq!(used(&bench).len(), 12);
}

#[test]
fn what_is_kept_on_disk_is_told_when_it_has_changed_and_remembered_always() {
    const MIB: u64 = 1 << 20;
    let mut bench = Bench::watching();
    let name: ContainerName = "api-1".parse().unwrap();
    let usage = |bytes| {
        let of = |id: &str| Usage { id: id.parse().unwrap(), writable: ByteCount(bytes), volumes: vec![] };
        vec![of(ID), of(OTHER)]
    };
    let disk = DiskMeasured { path: "/var/lib/docker".into(), size: ByteCount(100), available: ByteCount(40) };
    for (bytes, stored) in [(100 * MIB, 1), (100 * MIB + 1, 0), (200 * MIB, 1)] {
        bench.watch.measured(usage(bytes), Some(disk.clone()), at(1));
        assert!(bench.watch.take_measured(at(1)) && !bench.watch.take_measured(at(1)));
        bench.collect();
        let told = std::mem::take(&mut bench.told);
        let count = |wanted: fn(&Observation) -> bool| told.iter().filter(|it| wanted(it)).count();
        assert_eq!(count(|it| matches!(it, Observation::Stored(_))), stored, "{told:?}");
        assert_eq!(count(|it| matches!(it, Observation::DiskMeasured(_))), 1);
        assert_eq!(bench.watch.stored(&name).map(|stored| stored.writable), Some(ByteCount(bytes)));
    }
    assert_eq!(bench.watch.disk(), Some(&disk));
}

#[test]
fn a_process_is_known_as_long_as_its_run_lasts() {
    let mut bench = Bench::watching();
    let process = |bench: &Bench| bench.watch.running().into_iter().next().map(|running| running.process);
    assert_eq!(process(&bench), Some(Some(MainProcess { pid: 7, in_host_network: false })));
    bench.hear(100, died(137));
    assert_eq!(process(&bench), Some(Some(MainProcess { pid: 7, in_host_network: false })), "not known to be over yet");
    bench.answer(Some(exited(0, 100, 137)));
    assert_eq!(process(&bench), None);
}
