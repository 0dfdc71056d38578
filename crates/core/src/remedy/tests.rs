//! The table of refusals, and what follows from each answer.

mod snapshot;

use super::*;
use crate::{
    decider::TimerChange,
    policy::ContainerPolicy,
    testing::{
        self, Then, at, cleared, event, exited, given, health, id, incident, incident_event, labelled, raised, reached,
        run, started,
    },
};
use hemostat_schema::{
    Confidence,
    action::{
        Approved, BreakerReset, Denied, Failed, Limits, Proof, Remedy as What, RemedyKind, Resumed, Succeeded, Verified,
    },
    container::{ExitBy, Facts, Health, Run},
    diagnosis::{Reached, Verdict},
    observation::{EngineLost, Paused, Symptom},
};

fn authorised(attempt: u32, diagnosis: u64, target: Run) -> Event {
    let diagnosis = id(diagnosis);
    let limits = Limits::of_attempt(attempt, 3);
    Authorised {
        remedy: What::Restart,
        target: target.into(),
        arguments: None,
        diagnosis,
        limits,
        stop_timeout: None,
        dry_run: false,
        policy: None,
        trigger: None,
    }
    .into()
}

/// The decision without the snapshot of the limits, which has tests of its own.
fn without_snapshot(mut then: Then) -> Then {
    for event in &mut then.decision.events {
        if let Event::Action(Action::Authorised(intent)) = &mut event.event {
            assert!(intent.limits.snapshot.take().is_some(), "every authorisation records where the limits stood");
        }
    }
    then
}

fn refused(diagnosis: u64, refusal: Refusal) -> Event {
    Refused { remedy: What::Restart, diagnosis: id(diagnosis), refusal, policy: None, trigger: None }.into()
}

fn retry(second: i64) -> TimerChange {
    TimerChange::Set { name: RETRY, due: at(second) }
}

const RETRY_CANCELLED: [TimerChange; 1] = [TimerChange::Cancel { name: RETRY }];

/// A restart that was authorised at this second (as the event `action`) and relapsed 5 s later in the new run.
fn unsuccessful(second: i64, action: u64, old: i64) -> Vec<NewEvent> {
    let new = second + 1;
    let remedy = What::Restart;
    let did = Succeeded {
        action: id(action),
        remedy: remedy.clone(),
        target: Some(run(new)),
        called_at: None,
        took: Span::ZERO,
        proof: Proof::Answered,
    };
    let why = "symptom unhealthy is still active".into();
    let verdict = Verified {
        action: id(action),
        remedy,
        outcome: Outcome::Relapsed,
        why,
        took: Span::from_secs(5),
        policy: None,
        trigger: None,
    };
    vec![
        incident_event(second, authorised(1, 4, run(old))),
        exited(second, run(old), ExitBy::Operator),
        started(new),
        incident_event(new, did),
        health(second + 5, run(new), Health::Unhealthy),
        incident_event(second + 5, verdict),
    ]
}

/// Three of those: events 5 to 22, the last verdict at second 65.
fn three_unsuccessful() -> Vec<NewEvent> {
    [unsuccessful(10, 5, 0), unsuccessful(25, 11, 11), unsuccessful(60, 17, 26)].concat()
}

fn sick() -> impl Iterator<Item = NewEvent> {
    testing::unhealthy().into_iter().chain([incident_event(10, reached(run(0)))])
}

#[test]
fn a_sure_diagnosis_of_a_sick_container_is_authorised() {
    let policy = Policy::default();
    let then = given::<Authorisation>(&policy, testing::unhealthy()).when(incident_event(10, reached(run(0))), at(10));
    let then = without_snapshot(then);
    then.then([authorised(1, 4, run(0))], &RETRY_CANCELLED);
    let authorised = &then.decision.events[0];
    assert_eq!((&authorised.incident, authorised.cause), (&Some(incident(10)), Some(Cause::Event(id(4)))));
}

#[test]
fn the_first_reason_in_order_is_the_refusal() {
    let storm = Policy { storm_threshold: 0, ..Policy::default() };
    let usual = Policy::default();
    let check = |policy: &Policy, facts: Facts, more: Vec<NewEvent>, diagnosis: Reached, late: i64, reason: Refusal| {
        let events = testing::unhealthy_with(facts).into_iter().chain(more);
        let then = given::<Authorisation>(policy, events).when(incident_event(10, diagnosis), at(10 + late));
        match then.events().as_slice() {
            [Event::Action(Action::Refused(refused))] => assert_eq!(refused.refusal, reason),
            other => panic!("expected {reason:?}, but: {other:?}"),
        }
    };
    let host = |event: Event| NewEvent::new(testing::host(), at(10), event);
    let paused = || host(hemostat_schema::action::Paused { by: "me".into(), reason: String::new() }.into());
    let lost = || host(EngineLost { error: "gone".into() }.into());
    let frozen = || event(10, Paused { target: run(0) });
    let with = |change: fn(&mut Reached)| {
        let mut reached = reached(run(0));
        change(&mut reached);
        reached
    };
    let asis = || with(|_| {});
    let (facts, none) = (testing::facts, Vec::new);
    let unsure = |confidence: f64| Refusal::Unsure {
        confidence: Confidence::clamped(confidence),
        threshold: Confidence::clamped(0.7),
    };
    let protected = |why: &str| Refusal::Protected { why: why.into() };

    check(&usual, labelled("hemostat.mode", "observe"), vec![paused()], asis(), 601, Refusal::Paused);
    let stale = Refusal::Stale { age: Span::from_secs(601), limit: Span::from_secs(600) };
    check(&usual, labelled("hemostat.mode", "observe"), none(), asis(), 601, stale);
    check(&usual, labelled("hemostat.enable", "false"), none(), asis(), 0, protected("its labels switch HemoStat off"));
    let observe = labelled("hemostat.mode", "observe");
    check(&usual, observe, vec![frozen()], asis(), 0, Refusal::Observing);
    let maintenance = labelled("hemostat.maintenance", "true");
    check(&usual, maintenance.clone(), vec![frozen()], asis(), 0, Refusal::OperatorStopped);
    let doubtful = || with(|reached| reached.confidence = Confidence::clamped(0.69));
    check(&usual, maintenance, none(), doubtful(), 0, Refusal::Maintenance { until: None });
    check(&usual, labelled("hemostat.actions", "start"), none(), doubtful(), 0, unsure(0.69));
    check(&usual, facts(), none(), with(|reached| reached.verdict = Verdict::Unclear), 0, unsure(0.9));
    check(&storm, labelled("hemostat.actions", "start"), none(), asis(), 0, Refusal::NotPermitted);
    check(&storm, labelled("hemostat.max_attempts", "0"), none(), asis(), 0, Refusal::NotPermitted);
    let in_hand = || vec![incident_event(10, authorised(1, 4, run(0)))];
    check(&storm, facts(), in_hand(), asis(), 0, Refusal::Storm { sick: 1, limit: 0 });
    check(&usual, facts(), in_hand(), with(|reached| reached.symptoms = vec![Symptom::CpuHigh]), 0, Refusal::InHand);
    check(&usual, facts(), none(), with(|reached| reached.symptoms = vec![Symptom::CpuHigh]), 0, Refusal::Moot);
    check(
        &usual,
        facts(),
        vec![lost()],
        asis(),
        0,
        Refusal::Unsupported { why: "its Docker engine does not answer".into() },
    );
}

#[test]
fn a_remedy_that_the_table_calls_unsupported_is_refused_whatever_the_policy_permits() {
    let all = RemedyKind::ALL.map(RemedyKind::name).join(",");
    for kind in RemedyKind::ALL {
        let remedy = kind.plain().unwrap_or_else(|| What::Exec { argv: vec!["true".into()] });
        let diagnosis = Reached { remedy: Some(remedy.clone()), ..reached(run(0)) };
        let then =
            given::<Authorisation>(&Policy::default(), testing::unhealthy_with(labelled("hemostat.actions", &all)))
                .when(incident_event(10, diagnosis), at(10));
        match (then.events().as_slice(), kind.info().unsupported) {
            ([Event::Action(Action::Authorised(authorised))], None) => assert_eq!(authorised.remedy, remedy),
            ([Event::Action(Action::Refused(refused))], Some(why)) => {
                assert_eq!((&refused.remedy, &refused.refusal), (&remedy, &Refusal::Unsupported { why: why.into() }));
            }
            other => panic!("{remedy:?}: {other:?}"),
        }
    }
}

#[test]
fn an_unusual_symptom_is_no_reason_to_act_and_does_not_count_for_a_storm() {
    let unusual = |second| testing::unusual(second, Symptom::CpuUnusual, run(0));
    let one_alone = Policy { storm_threshold: 1, ..Policy::default() };
    let of_another = NewEvent { subject: testing::container("db"), ..unusual(5) };
    let events = [of_another].into_iter().chain(testing::unhealthy()).chain([unusual(10)]);
    let then = given::<Authorisation>(&one_alone, events.clone()).when(incident_event(10, reached(run(0))), at(10));
    without_snapshot(then).then([authorised(1, 6, run(0))], &RETRY_CANCELLED);

    let diagnosis = Reached { symptoms: vec![Symptom::Unhealthy, Symptom::CpuUnusual], ..reached(run(0)) };
    let well = events.chain([health(11, run(0), Health::Healthy), cleared(12, Symptom::Unhealthy)]);
    let then = given::<Authorisation>(&one_alone, well).when(incident_event(13, diagnosis), at(13));
    then.then([refused(8, Refusal::Moot)], &[]);
}

#[test]
fn an_unusual_symptom_does_not_drop_the_requested_remedy() {
    let policy = Policy::default();
    let unusual = testing::unusual(12, Symptom::CpuUnusual, run(0));
    let until = at(40);
    let refusal = refused(4, Refusal::BackingOff { until });
    let events = sick().chain([incident_event(11, refusal), unusual]);
    let then = given::<Authorisation>(&policy, events).when_due(RETRY, until, until);
    without_snapshot(then).then([authorised(1, 4, run(0))], &RETRY_CANCELLED);
}

#[test]
fn no_remedy_for_a_container_that_was_never_seen() {
    let policy = Policy::default();
    let then = given::<Authorisation>(&policy, []).when(incident_event(10, reached(run(0))), at(10));
    let why = "HemoStat knows nothing about it".into();
    then.then(
        [refused(1, Refusal::Protected { why })],
        &[TimerChange::Set { name: RETRY, due: POLICY_RECHECK_AFTER.after(at(10)) }],
    );
}

#[test]
fn another_policy_decides_again_about_a_container_that_is_already_sick() {
    let now = Policy::default();
    let usual = || now.container_defaults.clone();
    let only = crate::policy::NamePatterns::new(["another"]).unwrap();
    let before = [
        Policy { container_defaults: ContainerPolicy { mode: Mode::Observe, ..usual() }, ..now.clone() },
        Policy { container_defaults: ContainerPolicy { max_attempts: 0, ..usual() }, ..now.clone() },
        Policy { min_confidence: Confidence::clamped(1.0), ..now.clone() },
        Policy { only, ..now.clone() },
    ];
    for policy in before {
        let then =
            given::<Authorisation>(&policy, testing::unhealthy()).when(incident_event(10, reached(run(0))), at(10));
        let due = POLICY_RECHECK_AFTER.after(at(10));
        assert_eq!(then.decision.timers, [TimerChange::Set { name: RETRY, due }], "{:?}", then.events());
        // The runtime fires every timer early when the policy changes.
        let refusal = then.decision.events;
        assert_eq!(refusal.len(), 1);
        let then = given::<Authorisation>(&now, sick().chain(refusal)).when_due(RETRY, due, at(300));
        without_snapshot(then).then([authorised(1, 4, run(0))], &RETRY_CANCELLED);
    }
}

#[test]
fn no_remedy_for_a_container_that_is_recovering() {
    let policy = Policy::default();
    let events = testing::unhealthy().into_iter().chain([health(12, run(0), Health::Healthy)]);
    given::<Authorisation>(&policy, events)
        .when(incident_event(13, reached(run(0))), at(13))
        .then([refused(5, Refusal::Moot)], &[retry(43)]);
}

#[test]
fn the_next_attempt_waits_for_the_backoff_and_needs_no_new_diagnosis() {
    let policy = Policy::default();
    let mut events: Vec<_> = sick().chain(unsuccessful(10, 5, 0)).collect();
    let verdict = events.pop().unwrap();
    let until = at(25);
    given::<Authorisation>(&policy, events.clone()).when(verdict.clone(), at(15)).then([], &[retry(25)]);
    events.push(verdict);
    let again = given::<Authorisation>(&policy, events.clone()).when(incident_event(16, reached(run(11))), at(16));
    again.then([refused(11, Refusal::BackingOff { until })], &[retry(25)]);
    without_snapshot(given::<Authorisation>(&policy, events).when_due(RETRY, until, until))
        .then([authorised(2, 4, run(11))], &RETRY_CANCELLED);
}

#[test]
fn a_refusal_is_recorded_once() {
    let policy = Policy::default();
    let until = at(25);
    let events =
        sick().chain(unsuccessful(10, 5, 0)).chain([incident_event(16, refused(4, Refusal::BackingOff { until }))]);
    given::<Authorisation>(&policy, events).when(incident_event(17, reached(run(11))), at(17)).then([], &[retry(25)]);
}

#[test]
fn the_third_unsuccessful_attempt_trips_the_breaker_and_one_passes_after_the_hold() {
    let policy = Policy::default();
    let until = at(3665);
    let gave_up = GaveUp { attempts: 3, until, policy: None, trigger: None };
    let mut events: Vec<_> = sick().chain(three_unsuccessful()).collect();
    let verdict = events.pop().unwrap();
    let tripping = given::<Authorisation>(&policy, events.clone()).when(verdict.clone(), at(65));
    tripping.then([gave_up.clone().into()], &[retry(3665)]);

    events.extend([verdict, incident_event(65, gave_up)]);
    let now = given::<Authorisation>(&policy, events.clone()).when(incident_event(70, reached(run(61))), at(70));
    now.then([refused(24, Refusal::Tripped { until })], &[retry(3665)]);

    let sampled = || health(3660, run(61), Health::Unhealthy);
    let probe = given::<Authorisation>(&policy, events.clone()).and([sampled()]).when_due(RETRY, until, until);
    without_snapshot(probe).then([authorised(1, 4, run(61))], &RETRY_CANCELLED);

    let reset = given::<Authorisation>(&policy, events).when(event(100, BreakerReset { by: "me".into() }), at(100));
    without_snapshot(reset).then([authorised(1, 4, run(61))], &RETRY_CANCELLED);
}

#[test]
fn a_failed_attempt_counts() {
    let policy = Policy::default();
    let failed = Failed { action: id(5), remedy: What::Restart, error: "no".into(), took: Span::ZERO };
    let events = sick().chain([incident_event(10, authorised(1, 4, run(0)))]);
    given::<Authorisation>(&policy, events).when(incident_event(20, failed), at(20)).then([], &[retry(30)]);
}

#[test]
fn a_new_incident_within_the_cooldown_is_refused() {
    let policy = Policy::default();
    let verdict = |outcome| Verified {
        action: id(5),
        remedy: What::Restart,
        outcome,
        why: String::new(),
        took: Span::from_secs(60),
        policy: None,
        trigger: None,
    };
    let other = |event: NewEvent| event.in_incident(Some(incident(500)));
    let events = sick().chain([
        incident_event(10, authorised(1, 4, run(0))),
        cleared(30, Symptom::Unhealthy),
        incident_event(70, verdict(Outcome::Recovered)),
        other(raised(500, Symptom::Unhealthy, run(0))),
    ]);
    let then = given::<Authorisation>(&policy, events).when(other(incident_event(500, reached(run(0)))), at(500));
    then.then([refused(9, Refusal::CoolingDown { until: at(3670) })], &[retry(3670)]);
}

#[test]
fn a_timer_that_is_late_after_an_outage_restarts_nothing_at_once() {
    let policy = Policy::default();
    let stale = Refusal::Stale { age: Span::from_secs(7180), limit: Span::from_secs(600) };
    given::<Authorisation>(&policy, sick())
        .when_due(RETRY, at(20), at(7200))
        .then([refused(4, Refusal::Stale { age: Span::from_secs(7190), limit: Span::from_secs(600) })], &[retry(7260)]);
    let observed = sick().chain([health(7195, run(0), Health::Unhealthy)]);
    given::<Authorisation>(&policy, observed)
        .when_due(RETRY, at(20), at(7200))
        .then([refused(4, stale)], &[retry(7260)]);
    let still_sick = sick().chain([health(7195, run(0), Health::Unhealthy)]);
    without_snapshot(given::<Authorisation>(&policy, still_sick).when_due(RETRY, at(7260), at(7260)))
        .then([authorised(1, 4, run(0))], &RETRY_CANCELLED);
}

#[test]
fn the_exit_of_hemostats_own_restart_is_no_stop_by_an_operator() {
    let open = || sick().chain([incident_event(10, authorised(1, 4, run(0)))]);
    let is_halted = |events: Vec<NewEvent>| {
        let log: Vec<_> =
            events.into_iter().enumerate().map(|(n, event)| event.recorded(id(n as u64 + 1), &[])).collect();
        let (states, _) = testing::fold::<Authorisation>(&log);
        states[&testing::subject()].condition.operator_halt.is_some()
    };
    assert!(!is_halted(open().chain([exited(11, run(0), ExitBy::Operator)]).collect()));
    assert!(is_halted(sick().chain([exited(11, run(0), ExitBy::Operator)]).collect()));
    let after = [exited(11, run(0), ExitBy::Operator), started(12), exited(20, run(12), ExitBy::Operator)];
    assert!(is_halted(open().chain(after).collect()));
}

#[test]
fn a_remedy_is_proposed_once_and_every_limit_is_checked_again_on_approval() {
    let policy = Policy::default();
    let facts = || labelled("hemostat.mode", "approve");
    let ask = || Proposed {
        remedy: What::Restart,
        target: run(0).into(),
        arguments: None,
        diagnosis: id(4),
        expires: at(3610),
        policy: None,
        trigger: None,
    };
    let expiry = TimerChange::Set { name: EXPIRY, due: at(3610) };
    let ill_since = || testing::unhealthy_with(facts()).into_iter();
    let first = given::<Authorisation>(&policy, ill_since()).when(incident_event(10, reached(run(0))), at(10));
    first.then([ask().into()], &[RETRY_CANCELLED[0].clone(), expiry]);

    let asked = || {
        given::<Authorisation>(
            &policy,
            ill_since().chain([incident_event(10, reached(run(0))), incident_event(10, ask())]),
        )
    };
    asked().when(incident_event(20, reached(run(0))), at(20)).then_nothing();
    let yes = || event(30, Approved { proposal: id(5), by: "me".into() });
    let done = [RETRY_CANCELLED[0].clone(), TimerChange::Cancel { name: EXPIRY }];
    without_snapshot(asked().when(yes(), at(30))).then([authorised(1, 4, run(0))], &done);

    let moot = asked().and([exited(25, run(0), ExitBy::Crash), started(26)]).when(yes(), at(30));
    moot.then([refused(4, Refusal::Moot)], &[retry(60)]);
    let paused = asked().and([event(25, Paused { target: run(0) })]).when(yes(), at(30));
    paused.then([refused(4, Refusal::OperatorStopped)], &[]);

    asked().when_due(EXPIRY, at(3610), at(3610)).then(
        [Expired { proposal: id(5), policy: None, trigger: None }.into()],
        &[TimerChange::Cancel { name: EXPIRY }],
    );
    let denied = asked().and([event(30, Denied { proposal: id(5), by: "me".into() })]);
    denied.when(incident_event(40, reached(run(0))), at(40)).then_nothing();
}

#[test]
fn a_proposal_is_withdrawn_when_its_symptoms_are_cleared() {
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
    let asked = given::<Authorisation>(&policy, sick().chain([incident_event(10, ask)]));
    let cancelled = |name| TimerChange::Cancel { name };
    asked.when(cleared(40, Symptom::Unhealthy), at(40)).then(
        [Expired { proposal: id(5), policy: None, trigger: None }.into()],
        &[cancelled(EXPIRY), cancelled(RETRY), cancelled(EXPIRY)],
    );
}

#[test]
fn after_a_pause_the_sick_containers_are_evaluated_again() {
    let policy = Policy::default();
    let host = |event: Event| NewEvent::new(testing::host(), at(9), event);
    let paused = host(hemostat_schema::action::Paused { by: "me".into(), reason: String::new() }.into());
    let events = || [paused.clone()].into_iter().chain(testing::unhealthy());
    let then = given::<Authorisation>(&policy, events()).when(incident_event(10, reached(run(0))), at(10));
    then.then([refused(5, Refusal::Paused)], &[retry(40)]);
    let resumed = host(Resumed { by: "me".into() }.into());
    let events = events().chain([incident_event(10, reached(run(0))), resumed]);
    without_snapshot(given::<Authorisation>(&policy, events).when_due(RETRY, at(40), at(40)))
        .then([authorised(1, 5, run(0))], &RETRY_CANCELLED);
}

#[test]
fn successful_attempts_count_in_the_window_too() {
    let policy = Policy::default();
    let helped = |second: i64, action: u64| {
        let (action, remedy, outcome) = (id(action), What::Restart, Outcome::Recovered);
        let verdict = Verified {
            action,
            remedy,
            outcome,
            why: String::new(),
            took: Span::from_secs(60),
            policy: None,
            trigger: None,
        };
        [incident_event(second, authorised(1, 4, run(0))), incident_event(second + 60, verdict)]
    };
    let events = sick().chain([helped(10, 5), helped(80, 7), helped(150, 9)].concat());
    let then = given::<Authorisation>(&policy, events).when(incident_event(220, reached(run(0))), at(220));
    then.then([refused(11, Refusal::BackingOff { until: at(3610) })], &[retry(3610)]);
}

#[test]
fn an_intent_that_is_not_durable_is_tried_again_after_the_backoff_and_counts_as_no_attempt() {
    let policy = Policy::default();
    let intent = |second| incident_event(second, authorised(1, 4, run(0)));
    let not_executed = |action, second| {
        let refusal = Refusal::NotDurable { action: id(action), wanted: "replicas:1".into(), replicas: 0 };
        incident_event(second, refused(4, refusal))
    };
    let first = || given::<Authorisation>(&policy, sick()).and([intent(10)]);
    first().when(not_executed(5, 12), at(12)).then([], &[retry(22)]);
    let once = || first().and([not_executed(5, 12)]);
    without_snapshot(once().when_due(RETRY, at(22), at(22))).then([authorised(1, 4, run(0))], &RETRY_CANCELLED);
    once().and([intent(22)]).when(not_executed(7, 24), at(24)).then([], &[retry(44)]);
    // However often it happens, HemoStat does not give up on the container for it.
    let often = (0..5).flat_map(|n| [intent(100 + n), not_executed(9 + 2 * n as u64, 100 + n)]);
    let often = once().and([intent(22), not_executed(7, 24)]).and(often);
    without_snapshot(often.when_due(RETRY, at(500), at(500))).then([authorised(1, 4, run(0))], &RETRY_CANCELLED);
}
