//! Symptoms of bursts: a flapping health check, and processes that the kernel kills.

use super::*;

/// The health check flips every 10 s from second 10 on, this many times; the symptoms that change.
fn flaps(observed: &mut ObservedContainer, times: i64) -> Vec<(i64, String)> {
    let mut emitted = vec![];
    for n in 1..=times {
        let health = if n % 2 == 1 { Health::Unhealthy } else { Health::Healthy };
        emitted.extend(
            observed.when(n * 10, ObservationInput::Health(health)).into_iter().map(|emitted| (n * 10, emitted)),
        );
    }
    emitted.retain(|(_, emitted)| emitted.ends_with("High") || emitted.starts_with("cleared"));
    emitted
}

#[test]
fn six_flips_within_the_time_are_flapping() {
    let mut observed = ObservedContainer::given(facts());
    let expected = [(10, "raised unhealthy High".to_owned()), (60, "raised flapping High".to_owned())];
    assert_eq!(flaps(&mut observed, 10), expected);
    let Some(Evidence::Flips { count, within }) = observed.log.iter().find_map(|event| match &event.event {
        Event::Observation(Observation::SymptomRaised(raised)) if raised.symptom == Symptom::Flapping => {
            Some(raised.evidence.clone())
        }
        _ => None,
    }) else {
        panic!("not told: {:?}", observed.log)
    };
    assert_eq!((count, within), (6, Span::from_secs(600)));
    assert_eq!(observed.when(110, ObservationInput::Tick), ["cleared unhealthy Well"]);
    assert_eq!(observed.deadline(), Some(at(400)));
    assert_eq!(observed.when(400, ObservationInput::Tick), ["cleared flapping Well"]);
    assert_eq!(observed.deadline(), None);
}

#[test]
fn slow_flips_are_no_flapping() {
    let mut observed = ObservedContainer::given(facts());
    for n in 1..=40 {
        let health = if n % 2 == 1 { Health::Unhealthy } else { Health::Healthy };
        let emitted = observed.when(n * 130, ObservationInput::Health(health));
        assert!(!emitted.iter().any(|emitted| emitted.contains("flapping")), "{n}: {emitted:?}");
        observed.when(n * 130 + 60, ObservationInput::Tick);
    }
}

#[test]
fn a_change_across_a_restart_is_no_flip() {
    let mut observed = ObservedContainer::given(with(RestartPolicy::Always, Health::Healthy));
    for n in 1..=9 {
        observed.when(n * 50, ObservationInput::Health(Health::Unhealthy));
        observed.exited(n * 50 + 2, 143, ExitBy::Operator);
        observed.started(n * 50 + 3);
        let emitted = observed.when(n * 50 + 10, ObservationInput::Health(Health::Healthy));
        assert_eq!(emitted, ["Starting to Healthy"], "{n}");
    }
    assert!(!observed.state.active_symptoms().contains_key(&Symptom::Flapping));
}

#[test]
fn flapping_that_ends_unhealthy_is_cleared_and_unhealthy_stays() {
    let mut observed = ObservedContainer::given(facts());
    flaps(&mut observed, 7);
    assert_eq!(observed.when(369, ObservationInput::Tick), [""; 0]);
    assert_eq!(observed.when(370, ObservationInput::Tick), ["cleared flapping Well"]);
    assert!(observed.state.active_symptoms().contains_key(&Symptom::Unhealthy));
}

#[test]
fn a_killed_process_is_raised_once_the_run_has_survived_it() {
    let mut observed = ObservedContainer::given(facts());
    assert_eq!(observed.when(10, ObservationInput::OutOfMemory), [""; 0]);
    assert_eq!(observed.deadline(), Some(at(12)));
    assert_eq!(observed.when(11, ObservationInput::OutOfMemory), [""; 0]);
    assert_eq!(observed.when(12, ObservationInput::Tick), ["raised oom child High"]);
    let Some(Event::Observation(Observation::SymptomRaised(raised))) = observed.log.last().map(|event| &event.event)
    else {
        panic!("not told: {:?}", observed.log);
    };
    let killed = Evidence::Killed { count: 2, within: Span::from_secs(120) };
    assert_eq!((raised.since, &raised.evidence), (at(10), &killed));
    assert_eq!(observed.when(40, ObservationInput::OutOfMemory), [""; 0]);
    assert_eq!(observed.deadline(), Some(at(100)));
    assert_eq!(observed.when(100, ObservationInput::Tick), ["cleared oom child Well"]);
    assert_eq!(observed.deadline(), None);
    observed.when(200, ObservationInput::OutOfMemory);
    assert_eq!(observed.when(202, ObservationInput::Tick), ["raised oom child High"]);
}

#[test]
fn a_killed_process_is_not_raised_if_it_is_over_when_the_container_is_unpaused() {
    for (unpaused, emitted) in [(60, &["unpaused", "raised oom child High"][..]), (80, &["unpaused"])] {
        let mut observed = ObservedContainer::given(facts());
        observed.when(10, ObservationInput::OutOfMemory);
        observed.when(11, ObservationInput::Paused);
        assert_eq!(observed.when(unpaused, ObservationInput::Unpaused), emitted);
        assert!(observed.deadline().is_none_or(|due| due > at(unpaused)), "{:?}", observed.deadline());
    }
}

#[test]
fn a_run_that_ends_at_once_was_itself_killed() {
    let check = |restart_policy, code, expected: &[&str]| {
        let mut observed = ObservedContainer::given(with(restart_policy, Health::None));
        assert_eq!(observed.when(10, ObservationInput::OutOfMemory), [""; 0]);
        assert_eq!(observed.exited(10, code, ExitBy::Oom), expected, "{restart_policy:?} {code}");
        if restart_policy == RestartPolicy::Always {
            assert_eq!(observed.started(11), ["started"]);
        }
        assert_eq!(observed.when(15, ObservationInput::Tick), [""; 0], "{restart_policy:?} {code}");
    };
    check(RestartPolicy::No, 137, &["exited", "raised oom killed Critical"]);
    check(RestartPolicy::No, 0, &["exited", "raised oom killed Critical"]);
    check(RestartPolicy::Always, 137, &["exited"]);
    // With code 0: Docker starts it again, and nothing else shows the kill.
    check(RestartPolicy::Always, 0, &["exited", "raised oom child High"]);
}

#[test]
fn a_kill_in_a_container_that_does_not_run_is_ignored() {
    let mut observed = ObservedContainer::given(with(RestartPolicy::No, Health::None));
    observed.exited(10, 0, ExitBy::Itself);
    assert_eq!(observed.when(11, ObservationInput::OutOfMemory), [""; 0]);
    assert_eq!(observed.when(60, ObservationInput::Tick), [""; 0]);
}
