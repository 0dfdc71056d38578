//! How long triage waits for an examination, and when it asks a model.

use hemostat_schema::{
    action::{Authorised, Limits},
    diagnosis::{Method, OpinionSought},
    examination::Examined,
};

use super::{
    case_builder::{CaseBuilder, ended},
    *,
};
use crate::triage::{AGAIN, EXAMINATION};
use hemostat_core::decider::TimerChange;
use hemostat_core::policy::Model;
use hemostat_core::testing::Given;

const WITHIN: Span = Span::from_secs(5);

fn waits() -> Policy {
    Policy { examine_within: WITHIN, ..Policy::default() }
}

fn sick() -> Vec<NewEvent> {
    vec![seen(0, facts()), health(10, run(0), Health::Unhealthy)]
}

/// An examination of this run.
fn found(second: i64, run: Run, output: &str) -> NewEvent {
    let builder: CaseBuilder = ended(1, 1, ExitBy::Crash).printed(1, &[output]);
    incident_event(second, Examined { target: run, ..builder.examined.unwrap() })
}

fn asked(policy: &Policy) -> Given<'_, Triage> {
    given::<Triage>(policy, sick()).and([incident_event(10, failing())])
}

fn due(second: i64) -> TimerChange {
    TimerChange::Set { name: EXAMINATION, due: at(second) }
}

const CANCEL: TimerChange = TimerChange::Cancel { name: EXAMINATION };

#[test]
fn a_diagnosis_waits_for_the_examination_of_the_current_run() {
    let policy = waits();
    given::<Triage>(&policy, sick()).when(incident_event(10, failing()), at(11)).then([], &[due(15)]);
    let then = asked(&policy).when(found(12, run(0), "certificate has expired"), at(12));
    let reached = only(&then);
    assert_eq!((rule_of(&reached), reached.examination), ("elsewhere", Some(id(4))));
    assert_eq!(then.decision.timers, [CANCEL]);
    // Of another run.
    asked(&policy).when(found(12, run(-5), "certificate has expired"), at(12)).then_nothing();
    // A second symptom waits for as long as the first.
    let cpu = level(Symptom::CpuHigh, Severity::High, 99.0, Trend::Steady);
    asked(&policy).when(incident_event(13, cpu), at(13)).then([], &[due(15)]);
    // An examination from before the symptom does not count.
    let early = given::<Triage>(&policy, sick()).and([found(9, run(0), "certificate has expired")]);
    early.when(incident_event(10, failing()), at(11)).then([], &[due(15)]);
}

#[test]
fn a_case_without_a_remedy_is_evaluated_again_when_its_examination_changes() {
    let policy = waits();
    let expired = found(12, run(0), "certificate has expired");
    let reached = only(&asked(&policy).when(expired.clone(), at(12)));
    assert_eq!((rule_of(&reached), &reached.remedy), ("elsewhere", &None));
    let later = || asked(&policy).and([expired.clone(), incident_event(12, reached.clone())]);
    later().when(found(400, run(0), "certificate has expired"), at(400)).then_nothing();
    let otherwise = only(&later().when(found(400, run(0), "good morning"), at(400)));
    assert_eq!((rule_of(&otherwise), &otherwise.remedy), ("unhealthy", &Some(Remedy::Restart)));
    // With a remedy in the diagnosis the case is not evaluated again.
    let healed = later().and([found(400, run(0), "good morning"), incident_event(400, otherwise)]);
    healed.when(found(500, run(0), "certificate has expired"), at(500)).then_nothing();
}

#[test]
fn the_wait_for_an_examination_has_a_time_out() {
    let policy = waits();
    let late = asked(&policy).when_due(EXAMINATION, at(15), at(15));
    let reached = only(&late);
    assert_eq!((rule_of(&reached), reached.examination), ("unhealthy", None));
    assert!(reached.why.ends_with("; no examination came within 5.0 s"), "{}", reached.why);
    // HemoStat was away.
    let late = given::<Triage>(&policy, sick()).when(incident_event(10, failing()), at(100));
    assert_eq!(rule_of(&only(&late)), "unhealthy");
    // It has been answered.
    let reached = only(&late);
    asked(&policy).and([incident_event(14, reached.clone())]).when_due(EXAMINATION, at(15), at(15)).then_nothing();
    // It is over.
    asked(&policy).and([cleared(14, Symptom::Unhealthy)]).when_due(EXAMINATION, at(15), at(15)).then_nothing();
    // A late examination may add evidence.
    let answered = || asked(&policy).and([incident_event(15, reached.clone())]);
    let more = answered().when(found(20, run(0), "certificate has expired"), at(20));
    assert_eq!(rule_of(&only(&more)), "elsewhere");
    answered().when(found(20, run(0), "all is well"), at(20)).then_nothing();
}

#[test]
fn without_a_wait_triage_diagnoses_at_once() {
    let policy = hemostat_core::testing::policy();
    let then = given::<Triage>(&policy, sick()).when(incident_event(10, failing()), at(11));
    assert!(then.decision.timers.is_empty());
    assert!(!only(&then).why.contains("examination"));
}

#[test]
fn a_symptom_of_low_severity_gets_no_diagnosis() {
    let evidence = Evidence::Unusual { value: 9.0, expected: 1.0, deviation: 0.1, held: WITHIN };
    let odd = symptom(Symptom::CpuUnusual, Severity::Low, evidence);
    for policy in [hemostat_core::testing::policy(), waits()] {
        given::<Triage>(&policy, [seen(0, facts())]).when(incident_event(10, odd.clone()), at(10)).then_nothing();
    }
}

#[test]
fn a_rule_that_waits_is_evaluated_again() {
    let policy = waits();
    let late = "Health check exceeded timeout (3s)";
    let slow = |second| {
        let builder = ended(1, 1, ExitBy::Crash).checked(-1, late).used(&[(95.0, 1.0, 1)]);
        incident_event(second, Examined { target: run(0), ..builder.examined.unwrap() })
    };
    let then = asked(&policy).when(slow(12), at(12));
    let reached = only(&then);
    let again = TimerChange::Set { name: AGAIN, due: at(310) };
    assert_eq!(
        (rule_of(&reached), reached.verdict, &then.decision.timers[..]),
        ("slow", Unclear, &[CANCEL, again][..])
    );
    let told = || asked(&policy).and([slow(12), incident_event(12, reached.clone())]);
    let then = told().when_due(AGAIN, at(310), at(310));
    assert_eq!((rule_of(&only(&then)), only(&then).remedy), ("slow", Some(Remedy::Restart)));
    let early = told().when_due(AGAIN, at(100), at(100));
    early.then([], &[TimerChange::Set { name: AGAIN, due: at(310) }]);
    told().and([cleared(200, Symptom::Unhealthy)]).when_due(AGAIN, at(310), at(310)).then_nothing();
}

#[test]
fn a_dependent_is_evaluated_again_when_its_dependency_recovers() {
    let policy = waits();
    let builder = ended(1, 1, ExitBy::Crash).relative(
        "db",
        hemostat_schema::examination::Relation::Dependency,
        State::Exited,
        Health::None,
        5,
    );
    let examined = incident_event(12, Examined { target: run(0), ..builder.examined.unwrap() });
    let db = |second: i64, state| NewEvent {
        subject: hemostat_core::testing::container("db"),
        ..seen(second, Facts { state, exit: None, ..facts() })
    };
    let asked = || given::<Triage>(&policy, [db(5, State::Exited)]).and(sick()).and([incident_event(10, failing())]);
    let then = asked().when(examined.clone(), at(12));
    let reached = only(&then);
    assert_eq!((rule_of(&reached), reached.remedy.as_ref()), ("dependency_down", None));
    let again = |second| TimerChange::Set { name: AGAIN, due: at(second) };
    assert!(then.decision.timers.contains(&again(72)));
    let told = || asked().and([examined.clone(), incident_event(12, reached.clone())]);
    told().when_due(AGAIN, at(72), at(72)).then([], &[again(132)]);
    told().and([db(70, State::Running)]).when_due(AGAIN, at(72), at(72)).then([], &[again(132)]);
    let well = told().and([db(70, State::Running)]).when_due(AGAIN, at(132), at(132));
    assert_eq!((rule_of(&only(&well)), only(&well).remedy), ("left_behind", Some(Remedy::Restart)));
}

fn model() -> Model {
    Model { provider: "openai".into(), name: "gpt".into() }
}

fn sought(then: &Then) -> Vec<OpinionSought> {
    let sought = |event: &Event| match event {
        Event::Diagnosis(Diagnosis::OpinionSought(sought)) => Some(sought.clone()),
        _ => None,
    };
    then.events().iter().filter_map(sought).collect()
}

#[test]
fn a_model_that_decides_is_asked_with_the_rules_diagnosis_as_fallback() {
    let policy = Policy { opinion: Opinion::Decides(model()), ..hemostat_core::testing::policy() };
    let then = given::<Triage>(&policy, sick()).when(incident_event(10, failing()), at(10));
    let [question] = &sought(&then)[..] else { panic!("{then:?}") };
    assert_eq!(then.events().len(), 1);
    assert_eq!((question.part, rule_of(&question.fallback)), (Part::Decides, "unhealthy"));
    assert_eq!(question.remedies, [Remedy::Restart]);
    assert_eq!(then.decision.events[0].incident, Some(hemostat_core::testing::incident(10)));
    // While the model's answer is pending, it is not asked again.
    let asked =
        || given::<Triage>(&policy, sick()).and([incident_event(10, failing()), incident_event(10, question.clone())]);
    let cpu = level(Symptom::CpuHigh, Severity::High, 99.0, Trend::Steady);
    asked().when(cleared(20, Symptom::CpuHigh), at(20)).then_nothing();
    // Whatever the model answers, it is asked again only about a diagnosis that the rules have not given yet.
    let method = Method::Model { provider: "openai".into(), model: "gpt".into() };
    let answer = Reached { remedy: None, method, ..question.fallback.clone() };
    let answered = || asked().and([incident_event(12, answer.clone())]);
    answered().when(cleared(20, Symptom::CpuHigh), at(20)).then_nothing();
    assert_eq!(sought(&answered().when(incident_event(30, cpu), at(30))).len(), 1);
    // It is not asked while a run settles.
    let waiting = given::<Triage>(&policy, [seen(0, facts())]).when(incident_event(10, failing()), at(10));
    assert_eq!(rule_of(&only(&waiting)), SETTLING);
}

#[test]
fn a_model_that_shadows_changes_nothing() {
    let policy = Policy { opinion: Opinion::Shadows(model()), ..hemostat_core::testing::policy() };
    let then = given::<Triage>(&policy, sick()).when(incident_event(10, failing()), at(10));
    let alone = given::<Triage>(&hemostat_core::testing::policy(), sick()).when(incident_event(10, failing()), at(10));
    assert_eq!(then.events()[..1], alone.events()[..]);
    let [question] = &sought(&then)[..] else { panic!("{then:?}") };
    assert_eq!((question.part, &question.fallback), (Part::Shadows, &only(&alone)));
}

#[test]
fn past_incidents_and_their_remedies_are_remembered() {
    let policy = Policy { opinion: Opinion::Shadows(model()), ..hemostat_core::testing::policy() };
    let intent = Authorised {
        remedy: Remedy::Restart,
        target: run(0).into(),
        arguments: None,
        diagnosis: id(4),
        limits: Limits::of_attempt(1, 3),
        stop_timeout: None,
        dry_run: false,
        policy: None,
        trigger: None,
    };
    let reached =
        only(&given::<Triage>(&hemostat_core::testing::policy(), sick()).when(incident_event(10, failing()), at(10)));
    let mut verdict = verified(Outcome::Recovered);
    verdict.action = id(5);
    let past = [
        incident_event(10, failing()),
        incident_event(10, reached),
        incident_event(11, intent),
        started(12),
        health(20, run(12), Health::Healthy),
        cleared(30, Symptom::Unhealthy),
        incident_event(72, verdict),
        health(500, run(12), Health::Unhealthy),
    ];
    let again = SymptomRaised { since: at(500), target: run(12), ..failing() };
    let then = given::<Triage>(&policy, sick()).and(past).when(incident_event(500, again), at(500));
    let question = &sought(&then)[0];
    let past = question.evidence.iter().find(|exhibit| exhibit.id == "past").expect("it was ill before");
    assert_eq!(past.text, "over 7 min 50 s ago: unhealthy; its health check fails; restart helped");
}
