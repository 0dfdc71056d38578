//! Takeover: another process continues from the checkpoint.

use super::*;

#[test]
fn processed_events_are_not_applied_twice_after_a_takeover() {
    let mut fixture = Fixture::with_running_container();
    let other = |started: i64| {
        let facts = Facts { id: OTHER.parse().unwrap(), ..running(started).facts };
        Inspected { name: "db-1".parse().unwrap(), facts, ..running(started) }
    };
    fixture.docker_event_of(OTHER, "db-1", 1, DockerEventKind::Created);
    fixture.answer(Some(other(2)));
    fixture.observations.clear();
    // One event waits for its inspection while the other container starts, stops and starts again.
    let missed = [
        (ID, "api-1", 10, died(137)),
        (OTHER, "db-1", 20, DockerEventKind::Health(Health::Unhealthy)),
        (OTHER, "db-1", 21, DockerEventKind::Health(Health::Healthy)),
        (OTHER, "db-1", 30, signal(15)),
        (OTHER, "db-1", 40, died(0)),
        (OTHER, "db-1", 50, DockerEventKind::Started),
        (ID, "api-1", 55, DockerEventKind::Started),
    ];
    for (id, name, ms, what) in missed {
        fixture.docker_event_of(id, name, ms, what);
    }
    let first = fixture.requests.pop_front();
    fixture.answer(Some(other(49)));
    fixture.answer(Some(other(49)));
    assert!(first.is_some() && fixture.requests.is_empty(), "only the first waits");
    assert_eq!(fixture.since(), Some(10));

    let mut next = fixture.take_over();
    for (id, name, ms, what) in missed {
        next.docker_event_of(id, name, ms, what);
    }
    next.docker_event_of(OTHER, "db-1", 60, died(3));
    assert_eq!(next.summary(), ["exited 3 Crash", "raised exited"], "the signal was for the run before");
    next.observations.clear();
    next.answer(Some(running(54)));
    next.requests.rotate_left(1);
    next.answer(Some(running(54)));
    assert_eq!(next.summary(), ["exited 137 Unknown", "started"]);
}

#[test]
fn a_symptom_in_the_checkpoint_is_not_raised_again() {
    let mut fixture = Fixture::with_running_container();
    fixture.engine_event(5, DockerEventKind::Health(Health::Unhealthy));
    let mut next = fixture.take_over();
    next.state.apply_list(&[ID.parse().unwrap()], 0, at(10));
    next.collect();
    let unhealthy = Facts { health: Health::Unhealthy, ..running(0).facts };
    next.answer(Some(Inspected { facts: unhealthy, ..running(0) }));
    assert_eq!(next.summary(), Vec::<String>::new());
    next.engine_event(20, DockerEventKind::Health(Health::Healthy));
    assert_eq!(next.summary(), ["health_changed"]);
}

#[test]
fn an_end_after_a_signal_that_another_process_saw_is_not_a_crash() {
    let mut before = Fixture::with_running_container();
    before.engine_event(5, signal(9));
    let mut next = before.take_over();
    next.engine_event(10, died(137));
    next.answer(Some(exited(0, 10, 137)));
    assert_eq!(next.summary(), ["exited 137 Unknown"]);
    // It saw all events of the next run, so it knows that no signal ended that one.
    next.engine_event(20, DockerEventKind::Started);
    next.answer(Some(running(20)));
    next.engine_event(1_000, died(137));
    next.answer(Some(exited(20, 1_000, 137)));
    assert!(next.summary().contains(&"exited 137 Crash".to_owned()), "{:?}", next.summary());
}

#[test]
fn events_after_the_engines_clock_was_set_back_are_applied() {
    let mut before = Fixture::with_running_container();
    before.engine_event(60_000, DockerEventKind::Health(Health::Unhealthy));
    before.engine_event(61_000, DockerEventKind::Health(Health::Healthy));
    let about = |ms| {
        let engine = EngineFound { version: "20".into(), api_version: "1.41".into(), cpus: 2, memory: ByteCount(1) };
        EngineInfo { engine, now: at(ms), root: None }
    };
    for (clock, expected) in [(62_000, &["engine_found"][..]), (30_000, &["engine_found", "health_changed"])] {
        let mut next = before.take_over();
        next.state.engine_found(&about(clock), at(0));
        next.engine_event(31_000, DockerEventKind::Health(Health::Unhealthy));
        assert_eq!(next.summary(), expected, "the engine's clock says {clock}");
    }
}
