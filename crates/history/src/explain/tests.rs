//! Stories of recorded sequences of events.

use hemostat_core::testing;
use hemostat_schema::{
    Cause, DecidedOn, Event, EventId, NewEvent, Recorded, Span,
    action::{
        Authorised, Limits, LimitsSnapshot, Mode, Outcome, Passage, Proof, Refusal, Refused, Remedy, Succeeded,
        Verified,
    },
    alert::{Delivered, Raised},
    observation::{Severity, Symptom},
};

use super::*;
use crate::Policies;

/// These events, with the ids 1, 2, 3, …
fn recorded(events: Vec<NewEvent>) -> Vec<Recorded> {
    (1..).zip(events).map(|(n, event)| event.recorded(testing::id(n), &[])).collect()
}

fn because(event: NewEvent, cause: u64) -> NewEvent {
    event.caused_by(Cause::Event(testing::id(cause)))
}

fn snapshot() -> LimitsSnapshot {
    LimitsSnapshot {
        mode: Mode::Auto,
        confidence: hemostat_schema::Confidence::clamped(0.8),
        threshold: hemostat_schema::Confidence::clamped(0.7),
        age: Span::from_millis(20),
        stale_after: Span::from_secs(600),
        sick: 1,
        storm: 10,
        window: Span::from_secs(3600),
        backoff: Some(testing::at(15)),
        cooldown: None,
        breaker: Passage::Probing,
    }
}

fn authorised(snapshot: Option<LimitsSnapshot>) -> Event {
    Authorised {
        remedy: Remedy::Restart,
        target: testing::run(0).into(),
        arguments: None,
        diagnosis: testing::id(4),
        limits: Limits { attempt: 2, of: 3, snapshot },
        stop_timeout: None,
        dry_run: false,
        policy: None,
        trigger: None,
    }
    .into()
}

/// An illness that was healed, with an alert meanwhile.
fn healed() -> Vec<Recorded> {
    let long = Span::from_secs(2);
    let (restart, action) = (Remedy::Restart, testing::id(5));
    let proof = Proof::Answered;
    let done = Succeeded { action, remedy: restart.clone(), target: None, called_at: None, took: long, proof };
    let verdict = Verified {
        action,
        remedy: restart,
        outcome: Outcome::Recovered,
        why: "its health check passes".into(),
        took: long,
        policy: None,
        trigger: None,
    };
    let raised = Raised { severity: Severity::High, title: "api is unhealthy".into(), text: "so".into() };
    let delivered = Delivered { alert: testing::id(6), channel: "slack".into(), attempts: 1, took: long };
    let mut events = testing::unhealthy();
    events[2] = because(events[2].clone(), 2);
    events.extend([
        because(testing::incident_event(11, testing::reached(testing::run(0))), 3),
        because(testing::incident_event(11, authorised(Some(snapshot()))), 4),
        because(testing::incident_event(11, raised), 4),
        because(testing::incident_event(13, done), 5),
        because(testing::incident_event(14, delivered), 6),
        testing::cleared(20, Symptom::Unhealthy),
        testing::incident_event(25, verdict),
    ]);
    recorded(events)
}

fn story(events: &[Recorded]) -> Story {
    Story::of(events, |_| true, vec![], &Policies::of(events)).unwrap()
}

fn details(story: &Story, part: Part) -> Vec<(&'static str, &str)> {
    let scenes = story.scenes.iter().filter(|scene| scene.part == part);
    scenes.flat_map(|scene| &scene.details).map(|detail| (detail.name, detail.text.as_str())).collect()
}

#[test]
fn a_story_names_the_part_of_each_event_and_what_led_to_it() {
    let story = story(&healed());
    let scenes: Vec<(Part, &str, Vec<usize>)> =
        story.scenes.iter().map(|scene| (scene.part, scene.line.as_str(), scene.because_of.clone())).collect();
    assert_eq!(
        scenes,
        [
            (Part::Observed, "api was found: api:1, running", vec![]),
            (Part::Observed, "api turned unhealthy", vec![]),
            (Part::Observed, "api is sick: unhealthy", vec![2]),
            (
                Part::Diagnosed,
                "api diagnosed: its health check fails; restart would help (rule unhealthy, confidence 0.90)",
                vec![3]
            ),
            (Part::Decided, "restart of api authorised, attempt 2 of 3", vec![4]),
            (Part::Alerted, "alert: api is unhealthy", vec![4]),
            (Part::Executed, "restart of api done in 2.0 s", vec![5]),
            (Part::Alerted, "alert about api delivered to slack", vec![6]),
            (Part::Outcome, "api is no longer unhealthy, after 1.0 s", vec![]),
            // A verdict is triggered by a timer and has no cause, but names the action that it judges.
            (Part::Outcome, "api recovered after 2.0 s", vec![5]),
        ]
    );
    assert_eq!(story.ending, "api was healed after 1 attempt, in 15 s");
    assert_eq!((story.incident, story.ended), (Some(testing::incident(10)), Some(testing::at(25))));
}

#[test]
fn the_details_of_an_authorisation_show_each_limit_as_recorded() {
    let healed = story(&healed());
    assert_eq!(
        details(&healed, Part::Decided),
        [
            ("mode", "auto"),
            ("confidence", "0.80, 0.70 is needed"),
            ("attempts", "2 of 3 within 1 h"),
            ("backoff", "over since 2026-01-01T00:00:15Z"),
            ("cooldown", "none, there was no recent illness"),
            ("breaker", "probing: HemoStat had given up, this is the one attempt after the hold"),
            ("storm", "1 of the host's containers sick, up to 10 is no storm"),
            ("age", "20 ms, up to 10 min is fresh"),
        ]
    );
    let old = recorded(vec![testing::incident_event(1, authorised(None))]);
    assert_eq!(
        details(&story(&old), Part::Decided),
        [("attempts", "2 of 3"), ("the others", "not recorded: an earlier version of HemoStat authorised it")]
    );
}

#[test]
fn the_ending_of_an_open_incident_is_the_refusal_of_its_remedy() {
    let refused =
        |refusal| Refused { remedy: Remedy::Restart, diagnosis: testing::id(4), refusal, policy: None, trigger: None };
    for (refusal, shown) in [
        (
            Refusal::CoolingDown { until: testing::at(3600) },
            vec![("limit", "cooling down"), ("until", "2026-01-01T01:00:00Z")],
        ),
        (Refusal::Paused, vec![("limit", "paused")]),
    ] {
        let ending = format!("api is still sick; HemoStat does not act: {refusal}");
        let mut events = testing::unhealthy();
        events.push(testing::incident_event(11, testing::reached(testing::run(0))));
        events.push(testing::incident_event(11, refused(refusal)));
        let story = story(&recorded(events));
        assert_eq!((&story.ending, details(&story, Part::Decided)), (&ending, shown));
        assert_eq!(story.ended, None);
    }
}

#[test]
fn the_chain_of_an_event_is_what_led_to_it_and_what_followed() {
    let events = healed();
    let numbers = |id: u64| chain(&events, testing::id(id)).iter().map(|id: &EventId| id.ms).collect::<Vec<_>>();
    assert_eq!(numbers(5), [2, 3, 4, 5, 7, 10], "the restart: not the alert, which followed from the diagnosis");
    assert_eq!(numbers(8), [2, 3, 4, 6, 8], "the delivery");
    assert_eq!(numbers(2), [2, 3, 4, 5, 6, 7, 8, 10], "the first cause");
    assert_eq!(numbers(1), [1]);
}

#[test]
fn the_story_of_one_event_still_says_how_its_incident_ended() {
    let events = healed();
    let only = [testing::id(5)];
    let story = Story::of(&events, |event| only.contains(&event.id), vec![], &Policies::default()).unwrap();
    assert_eq!((story.scenes.len(), story.ending.as_str()), (1, "api was healed after 1 attempt, in 15 s"));
}

#[test]
fn without_events_there_is_no_story() {
    assert_eq!(Story::of(&[], |_| true, vec![], &Policies::default()), None);
}

#[test]
fn a_decision_names_its_policy_how_that_had_changed_and_what_it_was_decided_on() {
    let policies = [Span::from_secs(3600), Span::from_secs(60)].map(|cooldown| {
        let mut policy = hemostat_core::Policy::default();
        policy.container_defaults.cooldown = cooldown;
        policy
    });
    let recorded_as = |policy: &hemostat_core::Policy| hemostat_schema::action::PolicyChanged {
        hash: policy.hash(),
        policy: policy.to_value(),
        was: None,
        origin: "hemostat.toml".into(),
        by: "me".into(),
    };
    let system = |second, policy| NewEvent::new(Subject::system(), testing::at(second), recorded_as(policy));
    let until = testing::at(3600);
    let refused = Refused {
        remedy: Remedy::Restart,
        diagnosis: testing::id(1),
        refusal: Refusal::CoolingDown { until },
        policy: None,
        trigger: None,
    };
    let timer = DecidedOn::Timer { name: "retry".into(), due: until };
    let decided = |event: Event, policy: &hemostat_core::Policy, on: &DecidedOn| {
        testing::incident_event(11, event.decided(Some(policy.hash()), on))
    };
    let events = recorded(vec![
        system(0, &policies[0]),
        decided(refused.into(), &policies[0], &DecidedOn::Event(testing::id(1))),
        system(12, &policies[1]),
        decided(authorised(None), &policies[1], &timer),
    ]);
    let story = Story::of(&events, |event| !event.subject.is_system(), vec![], &Policies::of(&events)).unwrap();
    let shown: Vec<String> =
        details(&story, Part::Decided).iter().map(|(name, text)| format!("{name}: {text}")).collect();
    let [first, second] = policies.map(|policy| policy.hash());
    assert_eq!(
        shown[2..],
        [
            format!("policy: {first}, from hemostat.toml, since 1970-01-01T00:00:00Z"),
            format!("at present: policy {second}: container_defaults.cooldown 1h → 1m"),
            "decided on: event 0.1-0".to_owned(),
            "attempts: 2 of 3".to_owned(),
            "the others: not recorded: an earlier version of HemoStat authorised it".to_owned(),
            format!("policy: {second}, from hemostat.toml, since 1970-01-01T00:00:00Z"),
            "changed: container_defaults.cooldown 1h → 1m".to_owned(),
            "decided on: timer retry, due 2026-01-01T01:00:00Z".to_owned(),
        ]
    );
}
