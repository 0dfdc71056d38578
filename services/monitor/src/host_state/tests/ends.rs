//! The end of a run, and who ended it.

use super::*;

#[test]
fn who_ended_a_run_follows_from_earlier_events() {
    type Steps<'a> = &'a [(i64, DockerEventKind)];
    let cases: [(Steps<'_>, i64, &[&str]); 6] = [
        // docker stop, of a program that obeys and of one that does not
        (&[(10, signal(15)), (1000, died(0))], 0, &["exited 0 Operator"]),
        (&[(10, signal(15)), (10_010, signal(9)), (10_020, died(137))], 137, &["exited 137 Operator"]),
        // the program itself
        (&[(10, died(3))], 3, &["exited 3 Crash", "raised exited"]),
        (&[(10, died(0))], 0, &["exited 0 Itself"]),
        // the kernel
        (&[(10, DockerEventKind::OutOfMemory), (20, died(137))], 137, &["exited 137 Oom", "raised oom killed"]),
        // a reload long ago
        (&[(10, signal(1)), (60_000, died(3))], 3, &["exited 3 Crash", "raised exited"]),
    ];
    for (steps, code, expected) in cases {
        let mut fixture = Fixture::with_running_container();
        for (ms, what) in steps {
            fixture.engine_event(*ms, *what);
        }
        fixture.answer(Some(exited(0, steps.last().unwrap().0, code)));
        fixture.engine_event(70_000, DockerEventKind::Stopped);
        // The `stop` event after the end changes nothing here.
        assert_eq!(fixture.summary(), expected, "{steps:?}");
    }
}

#[test]
fn an_oom_kill_that_only_the_inspection_shows_counts() {
    let mut fixture = Fixture::with_running_container();
    fixture.engine_event(20, died(137));
    fixture.answer(Some(Inspected { out_of_memory: true, ..exited(0, 20, 137) }));
    assert_eq!(fixture.summary(), ["exited 137 Oom", "raised oom killed"]);
}

#[test]
fn an_end_is_reported_without_an_inspection_unless_it_may_be_an_oom_kill() {
    let limited = |inspected: Inspected| {
        let limits = Limits { memory: Some(ByteCount(1 << 30)), ..inspected.facts.limits };
        Inspected { facts: Facts { limits, ..inspected.facts }, ..inspected }
    };
    for (is_limited, before, code, expected) in [
        (false, None, 3, &["exited 3 Crash", "raised exited"][..]),
        (false, None, 0, &["exited 0 Itself"]),
        (false, None, 137, &[]),
        (false, Some(signal(9)), 137, &["exited 137 Operator"]),
        (false, Some(DockerEventKind::OutOfMemory), 137, &["exited 137 Oom", "raised oom killed"]),
        (true, None, 0, &["exited 0 Itself"]),
        (true, None, 3, &[]),
        (true, Some(signal(15)), 3, &["exited 3 Operator"]),
    ] {
        let mut fixture = Fixture::empty();
        fixture.state.apply_list(&[ID.parse().unwrap()], 0, at(0));
        fixture.collect();
        fixture.answer(Some(if is_limited { limited(running(0)) } else { running(0) }));
        fixture.observations.clear();
        for what in before.into_iter().chain([died(code)]) {
            fixture.engine_event(10, what);
        }
        assert_eq!(fixture.summary(), expected, "{is_limited} {before:?} {code}");
        fixture.answer(Some(exited(0, 10, code)));
        let ends = fixture.observations.iter().filter(|it| matches!(it, Observation::Exited(_))).count();
        assert_eq!(ends, 1, "{is_limited} {before:?} {code}");
    }
}

#[test]
fn a_late_end_event_does_not_end_a_newer_run() {
    let mut fixture = Fixture::with_running_container();
    // The new run was found by two inspections, without an event; then the events arrive.
    for _ in 0..2 {
        fixture.state.apply_list(&[ID.parse().unwrap()], fixture.state.list_sequence(), at(0));
        fixture.collect();
        fixture.answer(Some(running(20)));
        fixture.requests.clear();
    }
    assert_eq!(fixture.summary(), ["started", "health_changed"]);
    fixture.observations.clear();
    fixture.engine_event(10, died(3));
    fixture.answer(Some(running(20)));
    assert_eq!(fixture.summary(), [""; 0]);
}

#[test]
fn a_restart_is_an_end_by_an_operator_and_a_new_run() {
    let mut fixture = Fixture::with_running_container();
    for (ms, what) in
        [(10, signal(15)), (1046, died(0)), (1098, DockerEventKind::Stopped), (1365, DockerEventKind::Started)]
    {
        fixture.engine_event(ms, what);
    }
    // Both inspections are answered after the new run began.
    fixture.answer(Some(running(1363)));
    assert_eq!(fixture.requests.len(), 1);
    fixture.answer(Some(running(1363)));
    assert_eq!(fixture.summary(), ["exited 0 Operator", "started"]);
    let Some(Observation::Started(started)) = fixture.observations.last() else { panic!("{:?}", fixture.observations) };
    assert_eq!(started.target.started_at, Some(at(1363)));
    assert!(fixture.requests.is_empty());
}

#[test]
fn the_end_of_a_container_that_is_removed_at_once_is_reported() {
    let mut fixture = Fixture::with_running_container();
    fixture.engine_event(10, died(3));
    fixture.engine_event(20, DockerEventKind::Destroyed);
    fixture.answer(None);
    let story = fixture.summary();
    assert_eq!(&story[..2], ["exited 3 Crash", "raised exited"]);
    assert!(story.contains(&"removed".to_owned()), "{story:?}");
    let rows = fixture.state.take_changes();
    assert!(rows.events.is_empty());
}

#[test]
fn a_stop_between_two_runs_counts_as_an_operators() {
    let mut fixture = Fixture::with_running_container();
    let looping = |inspected: Inspected| {
        let facts = Facts { restart_policy: RestartPolicy::Always, ..inspected.facts };
        Inspected { facts, ..inspected }
    };
    fixture.engine_event(5, DockerEventKind::Changed);
    fixture.answer(Some(looping(running(0))));
    fixture.observations.clear();
    fixture.engine_event(10, died(3));
    let between = looping(exited(0, 11, 3));
    fixture.answer(Some(Inspected {
        facts: Facts { state: Life::Restarting, ..between.facts.clone() },
        ..between.clone()
    }));
    fixture.engine_event(20, DockerEventKind::Stopped);
    fixture.answer(Some(between));
    assert_eq!(fixture.summary(), ["exited 3 Crash", "seen"]);
    let facts = fixture.state.states.values().find_map(|state| state.facts()).unwrap();
    assert_eq!(facts.exit, Some(Exit { at: at(10), code: 3, by: ExitBy::Operator }));
}

#[test]
fn an_ordinary_stop_reports_one_end() {
    let mut fixture = Fixture::with_running_container();
    for (ms, what) in [(10, signal(15)), (1046, died(0))] {
        fixture.engine_event(ms, what);
    }
    fixture.answer(Some(exited(0, 1040, 0)));
    fixture.engine_event(1098, DockerEventKind::Stopped);
    assert_eq!(fixture.summary(), ["exited 0 Operator"]);
    assert!(fixture.requests.is_empty());
}

#[test]
fn an_end_without_an_event_is_reported_after_a_second_inspection() {
    // The event is still under way: it says that an operator ended the run.
    let mut fixture = Fixture::with_running_container();
    fixture.state.apply_list(&[ID.parse().unwrap()], fixture.state.list_sequence(), at(0));
    fixture.collect();
    fixture.answer(Some(exited(0, 10, 1)));
    assert_eq!(fixture.requests.front().map(|request| request.delay), Some(RECHECK_DELAY));
    let recheck = fixture.requests.pop_front().unwrap();
    fixture.engine_event(5, signal(15));
    fixture.engine_event(10, died(1));
    fixture.answer(Some(exited(0, 10, 1)));
    fixture.state.apply_inspection(&recheck, Some(exited(0, 10, 1)), at(1000));
    fixture.collect();
    assert_eq!(fixture.summary(), ["exited 1 Operator"]);

    // No event arrives: it was missed.
    let mut fixture = Fixture::with_running_container();
    fixture.state.apply_list(&[ID.parse().unwrap()], fixture.state.list_sequence(), at(0));
    fixture.collect();
    fixture.answer(Some(exited(0, 10, 1)));
    fixture.answer(Some(exited(0, 10, 1)));
    assert_eq!(fixture.summary(), ["exited 1 Crash", "raised exited"]);
}

#[test]
fn a_missed_end_is_no_crash_if_a_signal_explains_the_exit_code() {
    for code in [130, 137, 143] {
        let mut fixture = Fixture::with_running_container();
        fixture.state.apply_list(&[ID.parse().unwrap()], fixture.state.list_sequence(), at(0));
        fixture.collect();
        fixture.answer(Some(exited(0, 10, code)));
        fixture.answer(Some(exited(0, 10, code)));
        assert_eq!(fixture.summary(), [format!("exited {code} Unknown")]);
    }
}

#[test]
fn a_container_that_failed_before_it_was_first_seen_raises_nothing() {
    let mut fixture = Fixture::empty();
    fixture.state.apply_list(&[ID.parse().unwrap()], 0, at(0));
    fixture.collect();
    fixture.answer(Some(exited(-90_000, -80_000, 3)));
    assert_eq!(fixture.summary(), ["seen"]);
}
