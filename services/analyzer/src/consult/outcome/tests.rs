use hemostat_core::testing::{at, id, incident, reached, run, subject};
use hemostat_schema::{
    Confidence, Diagnosis,
    action::Remedy,
    diagnosis::{Method, Trouble, Usage, Verdict},
};

use super::*;

fn sought(part: Part) -> OpinionSought {
    OpinionSought {
        provider: "openai".into(),
        model: "gpt".into(),
        part,
        fallback: reached(run(0)),
        evidence: vec![],
        remedies: vec![Remedy::Restart],
        fingerprint: "00".into(),
    }
}

/// What is told `waited` seconds after the question.
fn told(part: Part, opinion: &Opinion, waited: i64) -> Vec<NewEvent> {
    let sought = sought(part);
    let event = NewEvent::new(subject(), at(100), sought.clone()).in_incident(Some(incident(90))).recorded(id(7), &[]);
    let (now, limit) = (at(100 + waited), Span::from_secs(20));
    let events = Outcome { event: &event, sought: &sought, opinion, now, limit }.events();
    for event in &events {
        assert_eq!((&event.subject, &event.incident), (&subject(), &Some(incident(90))));
        assert_eq!(event.cause, Some(Cause::Event(id(7))));
    }
    events
}

fn opinion() -> Reached {
    Reached {
        method: Method::Model { provider: "openai".into(), model: "gpt".into() },
        usage: Some(Usage { requests: 1, ..Usage::default() }),
        confidence: Confidence::clamped(0.9),
        ..reached(run(0))
    }
}

fn said(reached: Reached) -> Opinion {
    Opinion { usage: reached.usage.unwrap(), outcome: Ok(reached) }
}

fn silent() -> Opinion {
    let usage = Usage { requests: 2, took: Span::from_secs(20), ..Usage::default() };
    Opinion { outcome: Err(Snag::new(Trouble::TimedOut, "it did not answer within 20 s")), usage }
}

#[test]
fn a_model_that_decides_has_reached_a_diagnosis() {
    let events = told(Part::Decides, &said(opinion()), 3);
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0].event, events[0].at), (&opinion().into(), at(103)));
}

#[test]
fn where_it_fails_the_rules_answer_stands_and_says_why() {
    let events = told(Part::Decides, &silent(), 20);
    let [failed, stands] = events.as_slice() else { panic!("{events:?}") };
    let Event::Diagnosis(Diagnosis::Failed(failed)) = &failed.event else { panic!("{failed:?}") };
    assert_eq!(
        (failed.trouble, failed.took, failed.usage),
        (Trouble::TimedOut, Span::from_secs(20), Some(silent().usage))
    );
    let Event::Diagnosis(Diagnosis::Reached(fallback)) = &stands.event else { panic!("{stands:?}") };
    assert!(
        fallback.why.ends_with("(the rules': gpt has no diagnosis, it did not answer within 20 s)"),
        "{}",
        fallback.why
    );
    let rules = sought(Part::Decides).fallback;
    assert_eq!(*fallback, Reached { why: fallback.why.clone(), ..rules });
    assert_eq!(stands.at, at(120));
}

#[test]
fn what_nobody_came_to_ask_is_as_old_as_the_question() {
    for (waited, concluded) in [(20, 120), (40, 140), (41, 100), (4000, 100)] {
        let events = told(Part::Decides, &silent(), waited);
        assert_eq!((events[0].at, events[1].at), (at(100 + waited), at(concluded)), "{waited} s");
    }
}

#[test]
fn a_model_that_shadows_never_decides() {
    let events = told(Part::Shadows, &silent(), 20);
    assert!(matches!(&events[..], [NewEvent { event: Event::Diagnosis(Diagnosis::Failed(_)), .. }]), "{events:?}");
    for (opinion, agrees) in [
        (opinion(), true),
        (Reached { remedy: None, ..opinion() }, false),
        (Reached { verdict: Verdict::Unclear, ..opinion() }, false),
    ] {
        let events = told(Part::Shadows, &said(opinion.clone()), 3);
        let rules = sought(Part::Shadows).fallback;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].event, Opined { opinion, rules, agrees }.into());
    }
}
