//! What another process goes on with.

use super::*;

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
fn what_happens_after_the_engines_clock_was_set_back_is_heard() {
    let mut before = Bench::watching();
    before.hear(60_000, What::Health(Health::Unhealthy));
    before.hear(61_000, What::Health(Health::Healthy));
    let about = |ms| {
        let engine = EngineFound { version: "20".into(), api_version: "1.41".into(), cpus: 2, memory: ByteCount(1) };
        About { engine, now: at(ms), root: None }
    };
    for (clock, told) in [(62_000, &["engine_found"][..]), (30_000, &["engine_found", "health_changed"])] {
        let mut next = before.next();
        next.watch.engine_found(&about(clock), at(0));
        next.hear(31_000, What::Health(Health::Unhealthy));
        assert_eq!(next.story(), told, "the engine's clock says {clock}");
    }
}
