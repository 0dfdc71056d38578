use hemostat_core::testing::{at, id, incident, reached, run, subject};
use hemostat_schema::{
    Confidence, DecidedOn, Diagnosis,
    action::Remedy,
    diagnosis::{Method, Trouble, Usage, Verdict},
};

use super::*;

/// The id of the question that is answered.
const QUESTION: u64 = 7;

/// What every diagnosis that answers the question was decided on.
fn trigger() -> Option<DecidedOn> {
    Some(DecidedOn::Event(id(QUESTION)))
}

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

/// The events recorded `waited` seconds after the question.
fn events_of(part: Part, opinion: &Opinion, waited: i64) -> Vec<NewEvent> {
    let sought = sought(part);
    let event =
        NewEvent::new(subject(), at(100), sought.clone()).in_incident(Some(incident(90))).recorded(id(QUESTION), &[]);
    let (now, limit) = (at(100 + waited), Span::from_secs(20));
    let events = Outcome { event: &event, sought: &sought, opinion, now, limit }.events();
    for event in &events {
        assert_eq!((&event.subject, &event.incident), (&subject(), &Some(incident(90))));
        assert_eq!(event.cause, Some(Cause::Event(id(QUESTION))));
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

fn answered(reached: Reached) -> Opinion {
    Opinion { usage: reached.usage.unwrap(), outcome: Ok(reached) }
}

fn unanswered() -> Opinion {
    let usage = Usage { requests: 2, took: Span::from_secs(20), ..Usage::default() };
    Opinion { outcome: Err(CallError::new(Trouble::TimedOut, "it did not answer within 20 s")), usage }
}

#[test]
fn the_opinion_of_a_deciding_model_is_the_diagnosis() {
    let events = events_of(Part::Decides, &answered(opinion()), 3);
    assert_eq!(events.len(), 1);
    let diagnosis = Reached { trigger: trigger(), ..opinion() };
    assert_eq!((&events[0].event, events[0].at), (&diagnosis.into(), at(103)));
}

#[test]
fn if_the_model_fails_the_diagnosis_of_the_rules_stands_and_says_why() {
    let events = events_of(Part::Decides, &unanswered(), 20);
    let [failed, stands] = events.as_slice() else { panic!("{events:?}") };
    let Event::Diagnosis(Diagnosis::Failed(failed)) = &failed.event else { panic!("{failed:?}") };
    assert_eq!(
        (failed.trouble, failed.took, failed.usage),
        (Trouble::TimedOut, Span::from_secs(20), Some(unanswered().usage))
    );
    let Event::Diagnosis(Diagnosis::Reached(fallback)) = &stands.event else { panic!("{stands:?}") };
    assert!(
        fallback.why.ends_with("(by rules: gpt gave no diagnosis, it did not answer within 20 s)"),
        "{}",
        fallback.why
    );
    let rules = sought(Part::Decides).fallback;
    assert_eq!(*fallback, Reached { why: fallback.why.clone(), trigger: trigger(), ..rules });
    assert_eq!(stands.at, at(120));
}

#[test]
fn a_question_handled_too_late_gets_a_fallback_as_old_as_itself() {
    for (waited, concluded) in [(20, 120), (40, 140), (41, 100), (4000, 100)] {
        let events = events_of(Part::Decides, &unanswered(), waited);
        assert_eq!((events[0].at, events[1].at), (at(100 + waited), at(concluded)), "{waited} s");
    }
}

#[test]
fn a_shadowing_model_never_decides() {
    let events = events_of(Part::Shadows, &unanswered(), 20);
    assert!(matches!(&events[..], [NewEvent { event: Event::Diagnosis(Diagnosis::Failed(_)), .. }]), "{events:?}");
    for (opinion, agrees) in [
        (opinion(), true),
        (Reached { remedy: None, ..opinion() }, false),
        (Reached { verdict: Verdict::Unclear, ..opinion() }, false),
    ] {
        let events = events_of(Part::Shadows, &answered(opinion.clone()), 3);
        let rules = sought(Part::Shadows).fallback;
        assert_eq!(events.len(), 1);
        let opinion = Reached { trigger: trigger(), ..opinion };
        assert_eq!(events[0].event, Opined { opinion, rules, agrees }.into());
    }
}
