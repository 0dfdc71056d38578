//! What comes in bursts: health that flaps, and children that the kernel kills.

use super::*;

/// Health that changes every 10 s from second 10 on, so many times; what was told besides.
fn flaps(bed: &mut ObservedContainer, times: i64) -> Vec<(i64, String)> {
    let mut told = vec![];
    for n in 1..=times {
        let health = if n % 2 == 1 { Health::Unhealthy } else { Health::Healthy };
        told.extend(bed.when(n * 10, ObservationInput::Health(health)).into_iter().map(|told| (n * 10, told)));
    }
    told.retain(|(_, told)| told.ends_with("High") || told.starts_with("cleared"));
    told
}

#[test]
fn health_that_changes_its_mind_six_times_within_its_time_flaps() {
    let mut bed = ObservedContainer::given(facts());
    let expected = [(10, "raised unhealthy High".to_owned()), (60, "raised flapping High".to_owned())];
    assert_eq!(flaps(&mut bed, 10), expected);
    let Some(Evidence::Flips { count, within }) = bed.log.iter().find_map(|event| match &event.event {
        Event::Observation(Observation::SymptomRaised(raised)) if raised.symptom == Symptom::Flapping => {
            Some(raised.evidence.clone())
        }
        _ => None,
    }) else {
        panic!("not told: {:?}", bed.log)
    };
    assert_eq!((count, within), (6, Span::from_secs(600)));
    assert_eq!(bed.when(110, ObservationInput::Tick), ["cleared unhealthy Well"]);
    assert_eq!(bed.wakes(), Some(at(400)));
    assert_eq!(bed.when(400, ObservationInput::Tick), ["cleared flapping Well"]);
    assert_eq!(bed.wakes(), None);
}

#[test]
fn slow_changes_of_mind_are_no_flapping() {
    let mut bed = ObservedContainer::given(facts());
    for n in 1..=40 {
        let health = if n % 2 == 1 { Health::Unhealthy } else { Health::Healthy };
        let told = bed.when(n * 130, ObservationInput::Health(health));
        assert!(!told.iter().any(|told| told.contains("flapping")), "{n}: {told:?}");
        bed.when(n * 130 + 60, ObservationInput::Tick);
    }
}

#[test]
fn a_restart_is_no_change_of_mind() {
    let mut bed = ObservedContainer::given(with(RestartPolicy::Always, Health::Healthy));
    for n in 1..=9 {
        bed.when(n * 50, ObservationInput::Health(Health::Unhealthy));
        bed.exited(n * 50 + 2, 143, ExitBy::Operator);
        bed.started(n * 50 + 3);
        let told = bed.when(n * 50 + 10, ObservationInput::Health(Health::Healthy));
        assert_eq!(told, ["Starting to Healthy"], "{n}");
    }
    assert!(!bed.state.active_symptoms().contains_key(&Symptom::Flapping));
}

#[test]
fn flapping_that_ends_ill_is_over_and_the_illness_stays() {
    let mut bed = ObservedContainer::given(facts());
    flaps(&mut bed, 7);
    assert_eq!(bed.when(369, ObservationInput::Tick), [""; 0]);
    assert_eq!(bed.when(370, ObservationInput::Tick), ["cleared flapping Well"]);
    assert!(bed.state.active_symptoms().contains_key(&Symptom::Unhealthy));
}

#[test]
fn a_child_that_was_killed_is_told_when_the_run_has_survived_it() {
    let mut bed = ObservedContainer::given(facts());
    assert_eq!(bed.when(10, ObservationInput::OutOfMemory), [""; 0]);
    assert_eq!(bed.wakes(), Some(at(12)));
    assert_eq!(bed.when(11, ObservationInput::OutOfMemory), [""; 0]);
    assert_eq!(bed.when(12, ObservationInput::Tick), ["raised oom child High"]);
    let Some(Event::Observation(Observation::SymptomRaised(raised))) = bed.log.last().map(|event| &event.event) else {
        panic!("not told: {:?}", bed.log);
    };
    let killed = Evidence::Killed { count: 2, within: Span::from_secs(120) };
    assert_eq!((raised.since, &raised.evidence), (at(10), &killed));
    assert_eq!(bed.when(40, ObservationInput::OutOfMemory), [""; 0]);
    assert_eq!(bed.wakes(), Some(at(100)));
    assert_eq!(bed.when(100, ObservationInput::Tick), ["cleared oom child Well"]);
    assert_eq!(bed.wakes(), None);
    bed.when(200, ObservationInput::OutOfMemory);
    assert_eq!(bed.when(202, ObservationInput::Tick), ["raised oom child High"]);
}

#[test]
fn a_child_whose_loss_is_over_when_its_container_thaws_is_not_told() {
    for (thawed, told) in [(60, &["unpaused", "raised oom child High"][..]), (80, &["unpaused"])] {
        let mut bed = ObservedContainer::given(facts());
        bed.when(10, ObservationInput::OutOfMemory);
        bed.when(11, ObservationInput::Paused);
        assert_eq!(bed.when(thawed, ObservationInput::Unpaused), told);
        assert!(bed.wakes().is_none_or(|due| due > at(thawed)), "{:?}", bed.wakes());
    }
}

#[test]
fn a_run_that_ends_of_it_was_killed_itself() {
    let check = |restart_policy, code, expected: &[&str]| {
        let mut bed = ObservedContainer::given(with(restart_policy, Health::None));
        assert_eq!(bed.when(10, ObservationInput::OutOfMemory), [""; 0]);
        assert_eq!(bed.exited(10, code, ExitBy::Oom), expected, "{restart_policy:?} {code}");
        if restart_policy == RestartPolicy::Always {
            assert_eq!(bed.started(11), ["started"]);
        }
        assert_eq!(bed.when(15, ObservationInput::Tick), [""; 0], "{restart_policy:?} {code}");
    };
    check(RestartPolicy::No, 137, &["exited", "raised oom killed Critical"]);
    check(RestartPolicy::No, 0, &["exited", "raised oom killed Critical"]);
    check(RestartPolicy::Always, 137, &["exited"]);
    // As if nothing had been: Docker starts it again, and nobody would know.
    check(RestartPolicy::Always, 0, &["exited", "raised oom child High"]);
}

#[test]
fn a_container_that_does_not_run_loses_no_children() {
    let mut bed = ObservedContainer::given(with(RestartPolicy::No, Health::None));
    bed.exited(10, 0, ExitBy::Itself);
    assert_eq!(bed.when(11, ObservationInput::OutOfMemory), [""; 0]);
    assert_eq!(bed.when(60, ObservationInput::Tick), [""; 0]);
}
