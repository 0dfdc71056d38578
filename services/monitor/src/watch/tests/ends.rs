//! How the end of a run is told, and whose doing it was.

use super::*;

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
