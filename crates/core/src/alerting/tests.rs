//! Which alerts are raised, and how often.

use super::*;
use crate::{
    decider::TimerChange,
    policy::AlertPolicy,
    testing::{self, at, cleared, given, id, incident, incident_event, reached, run},
};
use hemostat_schema::{
    action::{Authorised, Failed, GaveUp, Limits, Outcome, Refusal, Refused, Remedy, Verified},
    alert::Suppression,
    container::ExitBy,
    diagnosis::{Reached, Verdict},
    observation::{Severity, Symptom, SymptomCleared},
};

fn policy(enabled: bool, scope: AlertScope) -> Policy {
    Policy { alerts: AlertPolicy { enabled, scope }, ..Policy::default() }
}

fn raised() -> Raised {
    Raised { severity: Severity::High, title: "api on host is unhealthy".into(), text: String::new() }
}

fn gave_up() -> NewEvent {
    incident_event(60, GaveUp { attempts: 3, until: at(3660), policy: None, trigger: None })
}

fn refused(refusal: Refusal) -> NewEvent {
    incident_event(11, Refused { remedy: Remedy::Restart, diagnosis: id(4), refusal, policy: None, trigger: None })
}

/// Unhealthy, diagnosed (event 4) and its alert raised (event 5) by second 10.
fn alerted() -> Vec<NewEvent> {
    testing::unhealthy()
        .into_iter()
        .chain([
            incident_event(10, reached(run(0))),
            incident_event(10, raised()).caused_by(hemostat_schema::Cause::Event(id(4))),
        ])
        .collect()
}

fn suppressed(why: Suppression) -> Event {
    Suppressed { why, title: "api on host is unhealthy".into() }.into()
}

#[test]
fn the_first_diagnosis_of_an_incident_raises_an_alert_with_symptoms_and_cause() {
    let policy = Policy::default();
    let then = given::<Alerting>(&policy, testing::unhealthy()).when(incident_event(10, reached(run(0))), at(10));
    let text =
        "Symptoms: unhealthy.\nCause: its health check fails.\nNext: HemoStat tries a restart, if the limits allow it.";
    then.then([Raised { text: text.into(), ..raised() }.into()], &[]);
    assert_eq!(then.decision.events[0].incident, Some(incident(10)));
}

#[test]
fn a_duplicate_alert_is_suppressed_and_that_is_recorded_once() {
    let policy = Policy::default();
    let again = || incident_event(20, reached(run(0)));
    let first = given::<Alerting>(&policy, alerted()).when(again(), at(20));
    first.then([suppressed(Suppression::Duplicate)], &[]);
    let second = alerted().into_iter().chain([incident_event(20, suppressed(Suppression::Duplicate))]);
    given::<Alerting>(&policy, second).when(again(), at(30)).then_nothing();
}

#[test]
fn a_false_alarm_raises_no_alert_and_an_unclear_diagnosis_does() {
    let policy = Policy::default();
    let check = |verdict, remedy: Option<Remedy>, alerts: usize| {
        let diagnosis = Reached { verdict, remedy, ..reached(run(0)) };
        let then = given::<Alerting>(&policy, testing::unhealthy()).when(incident_event(10, diagnosis), at(10));
        assert_eq!(then.events().len(), alerts, "{verdict:?}");
    };
    check(Verdict::FalseAlarm, None, 0);
    check(Verdict::Unclear, None, 1);
    check(Verdict::Sick, None, 1);
}

#[test]
fn an_alert_is_escalated_once() {
    let policy = Policy::default();
    let then = given::<Alerting>(&policy, alerted()).when(gave_up(), at(60));
    let text = "HemoStat gave up after 3 unsuccessful attempts; it may try once more at 2026-01-01T01:01:00Z.\n\
                Symptoms: unhealthy.\nCause: its health check fails.\n\
                By hand: docker logs --tail 100 api; docker inspect api. \
                GET /containers/host%2Fapi shows the attempts so far and why HemoStat waits.";
    let title = "api on host needs you: it is unhealthy".to_owned();
    let escalated = Escalated { alert: id(5), title, text: text.into() };
    then.then([escalated.clone().into()], &[]);
    let escalated_before = alerted().into_iter().chain([incident_event(60, escalated)]);
    let again = given::<Alerting>(&policy, escalated_before).when(gave_up(), at(70));
    again.then([suppressed(Suppression::Duplicate)], &[]);
}

#[test]
fn only_a_refusal_that_leaves_the_container_to_people_escalates() {
    let policy = Policy::default();
    let check = |refusal: Refusal, escalates: bool| {
        let name = refusal.name();
        let then = given::<Alerting>(&policy, alerted()).when(refused(refusal), at(11));
        assert_eq!(
            matches!(then.events()[..], [Event::Alert(hemostat_schema::Alert::Escalated(_))]),
            escalates,
            "{name}"
        );
    };
    check(Refusal::Paused, true);
    check(Refusal::Observing, true);
    check(Refusal::NotPermitted, true);
    check(Refusal::CoolingDown { until: at(99) }, true);
    check(Refusal::Storm { sick: 11, limit: 10 }, true);
    check(Refusal::BackingOff { until: at(20) }, false);
    check(Refusal::OperatorStopped, false);
    check(Refusal::InHand, false);
    check(Refusal::Moot, false);
}

#[test]
fn with_scope_failures_only_failures_raise_alerts() {
    let policy = policy(true, AlertScope::Failures);
    given::<Alerting>(&policy, testing::unhealthy()).when(incident_event(10, reached(run(0))), at(10)).then_nothing();
    let ill_since = || testing::unhealthy().into_iter().chain([incident_event(10, reached(run(0)))]);
    let then = given::<Alerting>(&policy, ill_since()).when(gave_up(), at(60));
    assert!(matches!(then.events()[..], [Event::Alert(hemostat_schema::Alert::Raised(_))]), "{then:?}");

    // An alert that an event raised which needs a person is escalated already.
    let raised = incident_event(60, raised()).caused_by(hemostat_schema::Cause::Event(id(5)));
    let raised = given::<Alerting>(&policy, ill_since().chain([gave_up(), raised]));
    raised.when(refused(Refusal::Tripped { until: at(3660) }), at(61)).then([suppressed(Suppression::Duplicate)], &[]);
}

#[test]
fn disabled_alerts_are_recorded_once_per_incident() {
    let policy = policy(false, AlertScope::Incidents);
    let off = || suppressed(Suppression::Disabled);
    let then = given::<Alerting>(&policy, testing::unhealthy()).when(incident_event(10, reached(run(0))), at(10));
    then.then([off()], &[]);
    let events =
        testing::unhealthy().into_iter().chain([incident_event(10, reached(run(0))), incident_event(10, off())]);
    given::<Alerting>(&policy, events).when(gave_up(), at(60)).then_nothing();
}

#[test]
fn an_alert_is_resolved_when_its_symptoms_have_been_cleared_for_the_window() {
    let policy = Policy::default();
    let set_timer = TimerChange::Set { name: RESOLVE, due: at(100) };
    let passing = given::<Alerting>(&policy, alerted()).when(cleared(40, Symptom::Unhealthy), at(40));
    passing.then([], &[set_timer]);
    let over = || given::<Alerting>(&policy, alerted()).and([cleared(40, Symptom::Unhealthy)]);
    let resolved = Resolved {
        alert: id(5),
        how: Resolution::Passed,
        title: "api on host is well again".into(),
        text: "It recovered without a remedy.\nResolved 1 min 30 s after the alert was raised.".into(),
        took: Span::from_secs(90),
    };
    over().when_due(RESOLVE, at(100), at(100)).then([resolved.clone().into()], &[]);
    over().and([incident_event(100, resolved)]).when_due(RESOLVE, at(100), at(100)).then_nothing();
    let back = testing::raised(60, Symptom::Unhealthy, run(0));
    over().and([back]).when_due(RESOLVE, at(100), at(100)).then_nothing();
}

#[test]
fn an_alert_is_not_resolved_while_a_remedy_is_pending() {
    let policy = Policy::default();
    let (remedy, target, diagnosis) = (Remedy::Restart, run(0), id(4));
    let intent = Authorised {
        remedy,
        target: target.into(),
        arguments: None,
        diagnosis,
        limits: Limits::of_attempt(2, 3),
        stop_timeout: None,
        dry_run: false,
        policy: None,
        trigger: None,
    };
    let pending = || {
        given::<Alerting>(&policy, alerted()).and([incident_event(10, intent.clone()), cleared(30, Symptom::Unhealthy)])
    };
    pending().when_due(RESOLVE, at(200), at(200)).then_nothing();
    let (action, why) = (id(6), "its health check passes".into());
    let verdict = Verified {
        action,
        remedy: Remedy::Restart,
        outcome: Outcome::Recovered,
        why,
        took: Span::from_secs(90),
        policy: None,
        trigger: None,
    };
    let resolved = Resolved {
        alert: id(5),
        how: Resolution::Healed,
        title: "api on host was healed".into(),
        text: "HemoStat restarted it (attempt 2 of 3).\nResolved 1 min 30 s after the alert was raised.".into(),
        took: Span::from_secs(90),
    };
    pending().when(incident_event(100, verdict), at(100)).then([resolved.into()], &[]);
}

#[test]
fn an_alert_is_resolved_at_once_when_an_operator_stops_or_removes_the_container() {
    let policy = Policy::default();
    let (symptom, stood) = (Symptom::Unhealthy, Span::from_secs(30));
    for (why, how) in [(Cleared::Stopped, Resolution::Stopped), (Cleared::Removed, Resolution::Removed)] {
        let over = given::<Alerting>(&policy, alerted())
            .when(incident_event(40, SymptomCleared { symptom, why, stood }), at(40));
        match over.events().as_slice() {
            [Event::Alert(hemostat_schema::Alert::Resolved(resolved))] => assert_eq!(resolved.how, how),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_resolved_incident_whose_symptom_comes_back_raises_a_new_alert() {
    let policy = Policy::default();
    let (symptom, stood) = (Symptom::Unhealthy, Span::from_secs(30));
    let resolved = Resolved {
        alert: id(5),
        how: Resolution::Stopped,
        title: String::new(),
        text: String::new(),
        took: Span::from_secs(30),
    };
    let stopped = incident_event(40, SymptomCleared { symptom, why: Cleared::Stopped, stood });
    let back = testing::raised(50, Symptom::Unhealthy, run(0)).in_incident(Some(incident(10)));
    let again = given::<Alerting>(&policy, alerted()).and([stopped, incident_event(40, resolved), back]);
    let again = again.when(incident_event(50, reached(run(0))), at(50));
    assert!(matches!(again.events().as_slice(), [Event::Alert(hemostat_schema::Alert::Raised(_))]), "{again:?}");
}

#[test]
fn a_container_that_a_failed_remedy_left_stopped_was_not_stopped_by_an_operator() {
    let policy = Policy::default();
    let (remedy, target, diagnosis) = (Remedy::Restart, run(0), id(4));
    let intent = Authorised {
        remedy,
        target: target.into(),
        arguments: None,
        diagnosis,
        limits: Limits::of_attempt(1, 3),
        stop_timeout: None,
        dry_run: false,
        policy: None,
        trigger: None,
    };
    let (action, remedy) = (id(6), Remedy::Restart);
    let failed = Failed { action, remedy, error: "the port is taken".into(), took: Span::from_secs(9) };
    let ended = testing::exited(15, run(0), ExitBy::Operator);
    let (symptom, stood) = (Symptom::Unhealthy, Span::from_secs(30));
    let cleared = incident_event(40, SymptomCleared { symptom, why: Cleared::Stopped, stood });
    let given =
        given::<Alerting>(&policy, alerted()).and([incident_event(10, intent), ended, incident_event(20, failed)]);
    given.when(cleared, at(40)).then_nothing();
}

#[test]
fn an_unusual_symptom_raises_no_alert_and_keeps_none_open() {
    let policy = Policy::default();
    let unusual = |second| testing::unusual(second, Symptom::CpuUnusual, run(0));
    given::<Alerting>(&policy, [testing::seen(0, testing::facts())]).when(unusual(5), at(5)).then_nothing();
    // Nor does its diagnosis, which belongs to no incident.
    let diagnosis = testing::event(6, reached(run(0)));
    given::<Alerting>(&policy, [testing::seen(0, testing::facts()), unusual(5)]).when(diagnosis, at(6)).then_nothing();

    let over = given::<Alerting>(&policy, alerted()).and([unusual(20), cleared(40, Symptom::Unhealthy)]);
    let [resolved] = &over.when_due(RESOLVE, at(100), at(100)).events()[..] else {
        panic!("one alert was to be resolved")
    };
    assert_eq!(resolved.name(), "resolved");
}

#[test]
fn the_group_of_a_channel_says_which_channel_it_is() {
    for (channel, group) in [("slack", "deliver"), ("ops", "deliver:ops"), ("deliver", "deliver:deliver")] {
        assert_eq!(delivery_group(channel), group);
        assert_eq!(channel_of_group(group), Some(channel));
    }
    for other in ["raise", "delivery", "deliver.1"] {
        assert_eq!(channel_of_group(other), None, "{other}");
    }
}
