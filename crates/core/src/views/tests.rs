//! What the views show of typical histories.

use hemostat_schema::{
    NewEvent, Recorded, Span,
    action::{Authorised, GaveUp, Limits, Outcome, Proof, Proposed, Refusal, Refused, Remedy, Succeeded, Verified},
    alert::{Raised, Resolution, Resolved},
    container::{ExitBy, Facts, Health, RestartPolicy, Run, State},
    observation::{Cleared, Paused, Removed, Severity, Symptom, SymptomCleared},
};

use super::{Containers, Dedup, Incidents, Timeline, containers, incidents, story};
use crate::{
    Projection,
    testing::{
        self, at, cleared, event, exited, facts, health, id, incident, incident_event, raised, reached, run, seen,
        started, unhealthy,
    },
};

fn recorded(events: Vec<NewEvent>) -> Vec<Recorded> {
    (1..).zip(events).map(|(n, event)| event.recorded(id(n), &[])).collect()
}

fn row<P: Projection>(events: Vec<NewEvent>) -> Option<P::Row> {
    recorded(events).iter().fold(None, |row, event| match P::keys(event).first() {
        Some(key) => P::evolve(row, key, event),
        None => row,
    })
}

fn container(events: Vec<NewEvent>) -> containers::Row {
    row::<Containers>(events).expect("the container was seen")
}

fn incident_row(events: Vec<NewEvent>) -> incidents::Row {
    row::<Incidents>(events).expect("a symptom was raised")
}

fn and(mut events: Vec<NewEvent>, more: impl IntoIterator<Item = NewEvent>) -> Vec<NewEvent> {
    events.extend(more);
    events
}

fn authorised(second: i64) -> NewEvent {
    incident_event(
        second,
        Authorised {
            remedy: Remedy::Restart,
            target: run(0).into(),
            arguments: None,
            diagnosis: id(4),
            limits: Limits::of_attempt(1, 3),
            stop_timeout: None,
            dry_run: false,
            policy: None,
            trigger: None,
        },
    )
}

fn verified(second: i64, action: u64, outcome: Outcome) -> NewEvent {
    let (why, took) = ("its health check passes".into(), Span::from_secs(8));
    incident_event(
        second,
        Verified { action: id(action), remedy: Remedy::Restart, outcome, why, took, policy: None, trigger: None },
    )
}

fn refused(second: i64, refusal: Refusal) -> NewEvent {
    incident_event(second, Refused { remedy: Remedy::Restart, diagnosis: id(4), refusal, policy: None, trigger: None })
}

/// Seen (1), unhealthy (2, 3), diagnosed (4), authorised (5).
fn treated() -> Vec<NewEvent> {
    and(unhealthy(), [incident_event(11, reached(run(0))), authorised(12)])
}

#[test]
fn attention_says_why_a_container_is_or_is_not_being_healed() {
    let check = |events: Vec<NewEvent>, name: &str, sentence: &str| {
        let attention = container(events).attention();
        assert_eq!((attention.name(), attention.to_string().as_str()), (name, sentence));
    };
    let with = |facts: Facts| vec![seen(0, facts)];
    check(with(facts()), "healthy", "well; there is nothing to heal");
    check(
        with(Facts { health: Health::Starting, ..facts() }),
        "starting",
        "starting; its health check has no result yet",
    );
    check(
        with(Facts { state: State::Created, started_at: None, ..facts() }),
        "idle",
        "never started; there is nothing to heal",
    );
    check(
        and(with(facts()), [exited(5, run(0), ExitBy::Operator)]),
        "left_alone",
        "stopped by an operator at 2026-01-01T00:00:05Z; HemoStat leaves it alone",
    );
    check(
        and(with(facts()), [event(5, Paused { target: run(0) })]),
        "left_alone",
        "paused by an operator at 2026-01-01T00:00:05Z; HemoStat leaves it alone",
    );
    check(
        and(with(facts()), [exited(5, run(0), ExitBy::Itself)]),
        "idle",
        "finished by itself at 2026-01-01T00:00:05Z; there is nothing to heal",
    );
    check(
        and(with(Facts { restart_policy: RestartPolicy::Always, ..facts() }), [exited(5, run(0), ExitBy::Crash)]),
        "idle",
        "crashed with code 1 at 2026-01-01T00:00:05Z; Docker starts it again by its restart policy",
    );
    let unusual = |second| testing::unusual(second, Symptom::CpuUnusual, run(0));
    let is_unusual = "well, but its resource use is unusual (cpu unusual); there is nothing to heal";
    check(and(with(facts()), [unusual(5)]), "unusual", is_unusual);
    check(and(unhealthy(), [unusual(11)]), "sick", "sick (unhealthy, cpu unusual); HemoStat is deciding what to do");
    let well = [unusual(11), health(12, run(0), Health::Healthy), cleared(22, Symptom::Unhealthy)];
    check(and(unhealthy(), well), "unusual", is_unusual);
    check(unhealthy(), "sick", "sick (unhealthy); HemoStat is deciding what to do");
    check(
        and(unhealthy(), [incident_event(11, hemostat_schema::diagnosis::Reached { remedy: None, ..reached(run(0)) })]),
        "no_remedy",
        "sick; no remedy of HemoStat's would help: its health check fails",
    );
    check(
        treated(),
        "in_hand",
        "sick; restart under way since 2026-01-01T00:00:12Z, attempt 1 of 3; its outcome is not known yet",
    );
    check(
        and(
            unhealthy(),
            [incident_event(
                12,
                Proposed {
                    remedy: Remedy::Restart,
                    target: run(0).into(),
                    arguments: None,
                    diagnosis: id(4),
                    expires: at(3600),
                    policy: None,
                    trigger: None,
                },
            )],
        ),
        "waiting_for_approval",
        "sick; restart waits for a person's approval until 2026-01-01T01:00:00Z",
    );
    let relapsed = || and(treated(), [verified(20, 5, Outcome::Relapsed)]);
    check(
        and(relapsed(), [refused(20, Refusal::BackingOff { until: at(30) })]),
        "backing_off",
        "sick; the last attempt did not help, the next is due at 2026-01-01T00:00:30Z",
    );
    check(
        and(relapsed(), [incident_event(21, GaveUp { attempts: 3, until: at(3600), policy: None, trigger: None })]),
        "given_up",
        "sick; several attempts did not help, HemoStat has given up on it until 2026-01-01T01:00:00Z",
    );
    let because = |refusal| and(unhealthy(), [refused(12, refusal)]);
    check(
        because(Refusal::CoolingDown { until: at(3600) }),
        "cooling_down",
        "sick again too soon after its last incident; HemoStat does not act on it until 2026-01-01T01:00:00Z",
    );
    check(
        because(Refusal::Protected { why: "it is part of HemoStat".into() }),
        "protected",
        "sick, but protected (it is part of HemoStat); HemoStat does not touch it",
    );
    check(because(Refusal::Observing), "refused", "sick; restart refused because it is only observed (mode observe)");
    check(
        and(relapsed(), [cleared(30, Symptom::Unhealthy), health(30, run(0), Health::Healthy)]),
        "healthy",
        "well; there is nothing to heal",
    );
}

#[test]
fn a_removed_container_is_deleted_once_nothing_about_it_is_pending() {
    let removed = |second| event(second, Removed { target: run(0) });
    assert_eq!(row::<Containers>(vec![seen(0, facts()), removed(5)]), None);
    let pending = container(and(treated(), [removed(15)]));
    assert_eq!(pending.removed, Some(at(15)));
    let over = [
        removed(15),
        incident_event(16, SymptomCleared { symptom: Symptom::Unhealthy, why: Cleared::Removed, stood: Span::ZERO }),
        verified(17, 5, Outcome::Inconclusive),
    ];
    assert_eq!(row::<Containers>(and(treated(), over)), None);
}

#[test]
fn the_removal_of_another_container_of_the_same_name_changes_nothing() {
    let other = Run { id: "fedcba9876543210".parse().unwrap(), started_at: None };
    assert!(row::<Containers>(vec![seen(0, facts()), event(5, Removed { target: other })]).is_some());
}

#[test]
fn a_late_event_about_a_removed_container_does_not_bring_it_back() {
    let late = [event(5, Removed { target: run(0) }), cleared(6, Symptom::Unhealthy), refused(7, Refusal::Moot)];
    assert_eq!(row::<Containers>(and(vec![seen(0, facts())], late)), None);
}

#[test]
fn an_incident_ends_when_no_symptom_is_active_and_no_attempt_is_pending() {
    let check = |events: Vec<NewEvent>, state: incidents::State, ended: Option<i64>| {
        let row = incident_row(events);
        assert_eq!((row.state, row.ended), (state, ended.map(at)));
    };
    let over = |second, why| {
        incident_event(second, SymptomCleared { symptom: Symptom::Unhealthy, why, stood: Span::from_secs(1) })
    };
    let given_up = || {
        let gave_up = incident_event(21, GaveUp { attempts: 3, until: at(3600), policy: None, trigger: None });
        and(treated(), [verified(20, 5, Outcome::Relapsed), gave_up])
    };
    check(unhealthy(), incidents::State::Open, None);
    check(and(unhealthy(), [over(15, Cleared::Well)]), incidents::State::Passed, Some(15));
    check(and(unhealthy(), [over(15, Cleared::Stopped)]), incidents::State::Stopped, Some(15));
    check(and(unhealthy(), [over(15, Cleared::Removed)]), incidents::State::Removed, Some(15));
    check(and(treated(), [over(15, Cleared::Well)]), incidents::State::Open, None);
    let healed = || and(treated(), [over(15, Cleared::Well), verified(20, 5, Outcome::Recovered)]);
    check(healed(), incidents::State::Recovered, Some(20));
    check(and(healed(), [raised(25, Symptom::Unhealthy, run(0))]), incidents::State::Open, None);
    let resolved = Resolved {
        alert: id(6),
        how: Resolution::Healed,
        title: "api recovered".into(),
        text: String::new(),
        took: Span::from_secs(8),
    };
    check(and(healed(), [incident_event(30, resolved)]), incidents::State::Recovered, Some(20));
    check(given_up(), incidents::State::GivenUp, Some(21));
    check(and(given_up(), [authorised(3700)]), incidents::State::Open, None);
    check(and(given_up(), [over(40, Cleared::Well)]), incidents::State::Passed, Some(40));
}

#[test]
fn an_incident_keeps_its_first_and_last_events() {
    let long = and(unhealthy(), (0..400).map(|n| refused(20 + n, Refusal::Observing)));
    let row = incident_row(long);
    let ms: Vec<u64> = row.events.iter().map(|id| id.ms).collect();
    // Event 3 raised the symptom, event 403 is the last.
    assert_eq!(ms, (3..103).chain(304..404).collect::<Vec<_>>());
    assert_eq!(row.omitted, 201);
}

#[test]
fn an_incident_has_one_open_alert_until_it_is_resolved() {
    let alert = Raised { severity: Severity::High, title: "api is sick".into(), text: String::new() };
    let open = row::<Dedup>(vec![incident_event(12, alert.clone())]).map(|row| (row.alert, row.title));
    assert_eq!(open, Some((id(1), "api is sick".to_owned())));
    let resolved = Resolved {
        alert: id(1),
        how: Resolution::Healed,
        title: "api recovered".into(),
        text: String::new(),
        took: Span::from_secs(8),
    };
    assert_eq!(row::<Dedup>(vec![incident_event(12, alert), incident_event(20, resolved)]), None);
}

#[test]
fn a_timeline_has_the_last_hundred_lines() {
    let restarts = (0..150).map(started).collect();
    let row = row::<Timeline>(restarts).expect("something happened");
    assert_eq!(row.lines.len(), 100);
    assert_eq!(row.lines[0].at, at(50));
}

#[test]
fn every_step_of_a_healing_has_a_line() {
    let took = Span::from_millis(1_200);
    let (target, called_at) = (Some(run(13)), Some(at(12)));
    let succeeded =
        Succeeded { action: id(5), remedy: Remedy::Restart, target, called_at, took, proof: Proof::Answered };
    let healing = and(
        treated(),
        [
            incident_event(13, succeeded),
            health(14, run(13), Health::Healthy),
            cleared(15, Symptom::Unhealthy),
            verified(20, 5, Outcome::Recovered),
            refused(21, Refusal::CoolingDown { until: at(3600) }),
            incident_event(22, GaveUp { attempts: 3, until: at(3600), policy: None, trigger: None }),
        ],
    );
    let refusal = format!("restart of api refused: {}", Refusal::CoolingDown { until: at(3600) });
    let lines: Vec<String> = recorded(healing).iter().map(story::line).collect();
    assert_eq!(
        lines,
        [
            "api was found: api:1, running",
            "api turned unhealthy",
            "api is sick: unhealthy",
            "api diagnosed: its health check fails; restart would help (rule unhealthy, confidence 0.90)",
            "restart of api authorised, attempt 1 of 3",
            "restart of api done in 1.2 s",
            "api turned healthy",
            "api is no longer unhealthy, after 1.0 s",
            "api recovered after 8.0 s",
            refusal.as_str(),
            "HemoStat gave up on api after 3 attempts, until 2026-01-01T01:00:00Z",
        ]
    );
}

#[test]
fn counters_count() {
    let row = container(and(treated(), [verified(20, 5, Outcome::Recovered), started(21)]));
    let expected = containers::Counters { incidents: 1, attempts: 1, recovered: 1, refused: 0, starts: 1 };
    assert_eq!(row.counters, expected);
    assert_eq!(row.incident, Some(incident(10)), "a symptom is still active");
}

#[test]
fn an_incident_begins_with_its_cause() {
    let symptom = raised(10, Symptom::Unhealthy, run(0)).caused_by(hemostat_schema::Cause::Event(id(2)));
    let row = incident_row(vec![seen(0, facts()), health(10, run(0), Health::Unhealthy), symptom]);
    assert_eq!(row.events, [id(2), id(3)]);
}

#[test]
fn an_unusual_symptom_is_shown_and_is_no_incident() {
    let unusual = |second| testing::unusual(second, Symptom::CpuUnusual, run(0));
    let seen = container(vec![seen(0, facts()), unusual(5)]);
    assert_eq!((seen.symptoms.len(), seen.counters.incidents, seen.incident), (1, 0, None));
    let sick = container(and(unhealthy(), [unusual(11)]));
    assert_eq!((sick.symptoms.len(), sick.counters.incidents, sick.incident), (2, 1, Some(incident(10))));
    let well = container(and(unhealthy(), [unusual(11), cleared(22, Symptom::Unhealthy)]));
    assert_eq!((well.symptoms.len(), well.incident), (1, None));
}
