//! An authorisation records where each limit stood: the numbers that a refusal would have been based on.

use super::*;
use hemostat_schema::action::{LimitsSnapshot, Mode, Passage};

/// The limits that an authorisation records.
fn limits(then: &Then) -> &Limits {
    match &then.decision.events[..] {
        [NewEvent { event: Event::Action(Action::Authorised(intent)), .. }] => &intent.limits,
        events => panic!("not one authorisation but {events:?}"),
    }
}

/// The first attempt at a container without earlier incidents, evaluated at once, under the default policy.
fn first() -> LimitsSnapshot {
    LimitsSnapshot {
        mode: Mode::Auto,
        confidence: Confidence::clamped(0.9),
        threshold: Confidence::clamped(0.7),
        age: Span::ZERO,
        stale_after: Span::from_secs(600),
        sick: 1,
        storm: 10,
        window: Span::from_secs(3600),
        backoff: None,
        cooldown: None,
        breaker: Passage::Passing,
    }
}

#[test]
fn the_first_attempt_has_all_the_leeway_there_is() {
    let policy = Policy::default();
    let then = given::<Authorisation>(&policy, testing::unhealthy()).when(incident_event(10, reached(run(0))), at(12));
    let snapshot = LimitsSnapshot { age: Span::from_secs(2), ..first() };
    assert_eq!(limits(&then), &Limits { attempt: 1, of: 3, snapshot: Some(snapshot) });
}

#[test]
fn an_attempt_after_one_in_vain_says_until_when_it_had_to_wait() {
    let policy = Policy::default();
    let events = sick().chain(unsuccessful(10, 5, 0));
    let then = given::<Authorisation>(&policy, events).when_due(RETRY, at(25), at(26));
    let snapshot = LimitsSnapshot { backoff: Some(at(25)), age: Span::from_secs(11), ..first() };
    assert_eq!(limits(&then), &Limits { attempt: 2, of: 3, snapshot: Some(snapshot) });
}

#[test]
fn an_attempt_after_the_hold_is_a_probe_and_tells_of_the_rest_after_giving_up() {
    let policy = Policy::default();
    let gave_up = incident_event(65, GaveUp { attempts: 3, until: at(3665), policy: None, trigger: None });
    let events = sick().chain(three_unsuccessful()).chain([gave_up, health(3660, run(61), Health::Unhealthy)]);
    let then = given::<Authorisation>(&policy, events).when_due(RETRY, at(3665), at(3665));
    let snapshot = LimitsSnapshot {
        age: Span::from_secs(5),
        backoff: Some(at(105)),
        cooldown: Some(at(3665)),
        breaker: Passage::Probing,
        ..first()
    };
    assert_eq!(limits(&then), &Limits { attempt: 1, of: 3, snapshot: Some(snapshot) });
}

#[test]
fn what_a_person_allowed_is_told_by_the_mode() {
    let policy = Policy::default();
    let ask = Proposed {
        remedy: What::Restart,
        target: run(0).into(),
        arguments: None,
        diagnosis: id(4),
        expires: at(3610),
        policy: None,
        trigger: None,
    };
    let ill_since = testing::unhealthy_with(labelled("hemostat.mode", "approve"));
    let asked =
        given::<Authorisation>(&policy, ill_since).and([incident_event(10, reached(run(0))), incident_event(10, ask)]);
    let then = asked.when(event(30, Approved { proposal: id(5), by: "me".into() }), at(30));
    let snapshot = LimitsSnapshot { mode: Mode::Approve, age: Span::from_secs(20), ..first() };
    assert_eq!(limits(&then), &Limits { attempt: 1, of: 3, snapshot: Some(snapshot) });
}
