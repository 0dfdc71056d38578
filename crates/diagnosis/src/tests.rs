//! Given these symptoms, when one of them is raised, then this is the diagnosis.

use hemostat_schema::{
    ByteCount, Diagnosis, Event, EventId, NewEvent, Percent, Recorded, Span,
    action::{Outcome, Remedy, Verified},
    container::{Exit, ExitBy, Facts, Health, Limits, RestartPolicy, Run, State},
    diagnosis::{
        Part, Reached, Verdict,
        Verdict::{Sick, Unclear},
    },
    observation::{
        Cleared, Evidence, Exited, Paused, Removed, Sampled, Seen, Severity, Symptom, SymptomCleared, SymptomRaised,
        SymptomWorsened, Trend,
    },
};

use crate::{case_history::CaseHistory, conclude::rule_of, host_health::HostHealth, rules::SETTLING, triage::Triage};
use hemostat_core::testing::{
    Then, at, cleared, event, exited, facts, given, health, id, incident_event, labelled, raised, run, seen, started,
    vitals,
};
use hemostat_core::{Decider, Decision, Policy, Trigger, policy::Opinion};

pub(crate) mod case_builder;
mod contraindications;
mod jobs;
mod rules;
mod waiting;

fn exit(second: i64, code: i64, by: ExitBy) -> Exit {
    Exit { at: at(second), code, by }
}

fn down(code: i64, by: ExitBy) -> Facts {
    Facts { state: State::Exited, exit: Some(exit(10, code, by)), ..facts() }
}

fn symptom(symptom: Symptom, severity: Severity, evidence: Evidence) -> SymptomRaised {
    SymptomRaised { symptom, severity, since: at(10), target: run(0), evidence }
}

fn level(of: Symptom, severity: Severity, value: f64, trend: Trend) -> SymptomRaised {
    let threshold = Percent::clamped(if of == Symptom::CpuHigh { 85.0 } else { 80.0 });
    let held = Span::from_secs(60);
    symptom(of, severity, Evidence::Level { value: Percent::clamped(value), threshold, held, trend })
}

fn ended(of: Symptom, code: i64, by: ExitBy) -> SymptomRaised {
    symptom(of, Severity::High, Evidence::Exit { exit: exit(10, code, by) })
}

fn failing() -> SymptomRaised {
    symptom(Symptom::Unhealthy, Severity::High, Evidence::Health { held: Span::ZERO })
}

fn looping() -> SymptomRaised {
    let last = Some(exit(9, 1, ExitBy::Crash));
    symptom(Symptom::RestartLoop, Severity::High, Evidence::Restarts { count: 5, within: Span::from_secs(600), last })
}

fn used(second: i64, cpu: f64, memory: f64) -> NewEvent {
    event(second, Sampled { vitals: vitals(cpu, memory, 1) })
}

fn verified(outcome: Outcome) -> Verified {
    let action = EventId { ms: 0, ..id(1) };
    Verified {
        action,
        remedy: Remedy::Restart,
        outcome,
        why: "so it is".into(),
        took: Span::from_secs(60),
        policy: None,
        trigger: None,
    }
}

/// The only event that follows, a diagnosis.
#[track_caller]
fn only(then: &Then) -> Reached {
    match then.events().as_slice() {
        [Event::Diagnosis(Diagnosis::Reached(reached))] => reached.clone(),
        events => panic!("not one diagnosis: {events:?}"),
    }
}

/// The diagnosis of a container with these facts and symptoms when the last symptom is raised.
#[track_caller]
fn diagnosed(facts: Facts, mut symptoms: Vec<SymptomRaised>) -> Reached {
    let last = symptoms.pop().expect("a table's row has a symptom");
    let history =
        std::iter::once(seen(0, facts)).chain(symptoms.into_iter().map(|symptom| incident_event(10, symptom)));
    only(&given::<Triage>(&hemostat_core::testing::policy(), history).when(incident_event(10, last), at(10)))
}

#[test]
fn the_first_rule_that_applies_gives_the_diagnosis() {
    use Severity::{Critical, High};
    use Symptom::{CpuHigh, Exited, MemoryHigh, OomKilled};
    use Trend::{Falling, Rising, Steady, Unknown};
    let check = |facts: Facts, symptoms: Vec<SymptomRaised>, expected: (&str, Verdict, Option<Remedy>, f64)| {
        let mut names: Vec<Symptom> = symptoms.iter().map(|symptom| symptom.symptom).collect();
        names.sort();
        let reached = diagnosed(facts.clone(), symptoms);
        let found = (rule_of(&reached), reached.verdict, reached.remedy.clone(), reached.confidence.get());
        assert_eq!(found, expected, "{reached:?}");
        assert_eq!((&reached.symptoms, &reached.target), (&names, &facts.target()));
    };
    let sick = Facts { health: Health::Unhealthy, ..facts() };
    let (start, restart) = (Some(Remedy::Start), Some(Remedy::Restart));

    check(
        down(137, ExitBy::Oom),
        vec![ended(OomKilled, 137, ExitBy::Oom)],
        ("out_of_memory", Sick, start.clone(), 0.9),
    );
    check(down(1, ExitBy::Crash), vec![ended(Exited, 1, ExitBy::Crash)], ("crashed", Sick, start.clone(), 0.9));
    check(
        down(1, ExitBy::Crash),
        vec![looping(), ended(Exited, 1, ExitBy::Crash)],
        ("crashed", Sick, start.clone(), 0.9),
    );
    check(down(1, ExitBy::Crash), vec![failing(), ended(Exited, 1, ExitBy::Crash)], ("crashed", Sick, start, 0.9));
    check(facts(), vec![looping()], ("restart_loop", Sick, None, 0.8));
    check(sick.clone(), vec![failing(), looping()], ("restart_loop", Sick, None, 0.8));
    check(facts(), vec![level(MemoryHigh, Critical, 97.0, Steady)], ("at_the_limit", Sick, restart.clone(), 0.85));
    check(facts(), vec![level(CpuHigh, Critical, 99.0, Falling)], ("at_the_limit", Sick, restart.clone(), 0.85));
    check(sick.clone(), vec![failing()], ("unhealthy", Sick, restart.clone(), 0.8));
    check(
        sick.clone(),
        vec![level(CpuHigh, Critical, 99.0, Steady), failing()],
        ("at_the_limit", Sick, restart.clone(), 0.85),
    );
    check(sick, vec![level(CpuHigh, High, 86.0, Steady), failing()], ("unhealthy", Sick, restart.clone(), 0.8));
    check(facts(), vec![level(MemoryHigh, High, 85.0, Rising)], ("memory_rising", Sick, restart.clone(), 0.8));
    for trend in [Rising, Steady, Unknown] {
        check(facts(), vec![level(CpuHigh, High, 92.0, trend)], ("cpu_stuck", Sick, restart.clone(), 0.75));
    }
    for trend in [Steady, Unknown] {
        check(facts(), vec![level(MemoryHigh, High, 85.0, trend)], ("memory_full", Sick, restart.clone(), 0.75));
    }
    let both = vec![level(CpuHigh, High, 86.0, Steady), level(MemoryHigh, High, 85.0, Steady)];
    check(facts(), both, ("memory_full", Sick, restart, 0.75));
    check(facts(), vec![level(CpuHigh, High, 90.0, Rising)], ("easing", Unclear, None, 0.5));
    check(facts(), vec![level(CpuHigh, High, 92.0, Falling)], ("easing", Unclear, None, 0.5));
    check(facts(), vec![level(MemoryHigh, High, 85.0, Falling)], ("easing", Unclear, None, 0.5));
    check(facts(), vec![ended(Exited, 1, ExitBy::Crash)], ("settling", Unclear, None, 0.5));
    check(facts(), vec![failing()], ("settling", Unclear, None, 0.5));
}

#[test]
fn findings_are_sentences_with_figures() {
    let limited = Limits { cpus: Some(0.5), memory: Some(ByteCount(64 << 20)) };
    let check = |facts: Facts, symptom: SymptomRaised, cause: &str, why: &str| {
        let reached = diagnosed(Facts { limits: limited, ..facts }, vec![symptom]);
        assert_eq!((reached.root_cause.as_str(), reached.why.as_str()), (cause, why));
    };
    check(
        down(137, ExitBy::Oom),
        ended(Symptom::OomKilled, 137, ExitBy::Oom),
        "the kernel killed it because it ran out of memory (its limit is 64.0 MiB)",
        "it has been down since 2026-01-01T00:00:10Z, and Docker does not start it again, because its \
         restart policy is \"no\"",
    );
    check(
        Facts { restart_policy: RestartPolicy::OnFailure { max: 3 }, ..down(139, ExitBy::Crash) },
        ended(Symptom::Exited, 139, ExitBy::Crash),
        "it ended with exit code 139 (SIGSEGV: a memory fault)",
        "it has been down since 2026-01-01T00:00:10Z, and Docker does not start it again, because its \
         restart policy allows 3 restarts, which are used up",
    );
    check(
        facts(),
        looping(),
        "Docker restarted it 5 times within 10 min; it last ended with exit code 1",
        "one more restart would not help, because Docker already restarts it: look at its log",
    );
    check(
        facts(),
        level(Symptom::MemoryHigh, Severity::High, 85.04, Trend::Rising),
        "its memory is at 85.0 % of its limit of 64.0 MiB, rising; it has been above 80.0 % for 1 min",
        "memory that keeps rising looks like a leak and reaches the limit",
    );
    check(
        facts(),
        level(Symptom::CpuHigh, Severity::Critical, 100.0, Trend::Steady),
        "its CPU is at 100.0 % of its limit of 0.5 CPUs, steady; it has been above 85.0 % for 1 min",
        "it was above 95 % for the whole window, so it has no room left to work",
    );
}

#[test]
fn a_diagnosis_belongs_to_its_incident() {
    let history = [seen(0, facts()), health(10, run(0), Health::Unhealthy)];
    let then = given::<Triage>(&hemostat_core::testing::policy(), history)
        .when(raised(10, Symptom::Unhealthy, run(0)), at(11));
    assert_eq!(then.decision.events[0].incident, Some(hemostat_core::testing::incident(10)));
}

#[test]
fn symptoms_at_the_same_moment_get_one_diagnosis() {
    let policy = hemostat_core::testing::policy();
    let sick = || Facts { health: Health::Unhealthy, ..facts() };
    let first = incident_event(10, level(Symptom::CpuHigh, Severity::High, 99.0, Trend::Steady));
    let reached = diagnosed(sick(), vec![level(Symptom::CpuHigh, Severity::High, 99.0, Trend::Steady), failing()]);
    let log: Vec<Recorded> = [seen(0, sick()), first, incident_event(10, failing()), incident_event(11, reached)]
        .into_iter()
        .zip(1..)
        .map(|(event, n)| event.recorded(id(n), &[]))
        .collect();
    let mut history = CaseHistory::default();
    for event in &log {
        Triage::evolve(&mut history, &mut HostHealth::default(), event);
    }
    for trigger in &log[1..3] {
        let decision = Triage::decide(&history, &HostHealth::default(), &Trigger::Event(trigger), &policy, at(11));
        assert_eq!(decision, Decision::nothing());
    }
}

#[test]
fn a_symptom_that_worsens_gets_a_new_diagnosis() {
    let (policy, memory) = (hemostat_core::testing::policy(), Symptom::MemoryHigh);
    let high = level(memory, Severity::High, 85.0, Trend::Falling);
    let worse = level(memory, Severity::Critical, 97.0, Trend::Steady);
    let worsened =
        SymptomWorsened { symptom: memory, severity: worse.severity, target: run(0), evidence: worse.evidence };
    let then = given::<Triage>(&policy, [seen(0, facts()), incident_event(10, high)])
        .when(incident_event(70, worsened), at(70));
    assert_eq!(rule_of(&only(&then)), "at_the_limit");
}

#[test]
fn after_a_remedy_that_did_not_help_the_case_is_evaluated_again() {
    let policy = hemostat_core::testing::policy();
    let check = |facts: Facts, since: Vec<NewEvent>, outcome: Outcome, expected: Option<(&str, Run)>| {
        let sick = [seen(0, facts), health(10, run(0), Health::Unhealthy), incident_event(10, failing())];
        let then = given::<Triage>(&policy, sick).and(since).when(incident_event(90, verified(outcome)), at(90));
        match expected {
            Some((name, target)) => {
                let reached = only(&then);
                assert_eq!((rule_of(&reached), reached.target.clone()), (name, target));
                assert_eq!(reached.why.contains("the last restart did not help"), outcome == Outcome::Relapsed);
            }
            None => then.then_nothing(),
        }
    };
    let ill_again = || vec![started(30), health(60, run(30), Health::Unhealthy)];
    check(facts(), ill_again(), Outcome::Relapsed, Some(("unhealthy", run(30))));
    check(facts(), ill_again(), Outcome::Inconclusive, Some(("unhealthy", run(30))));
    check(facts(), ill_again(), Outcome::Recovered, None);
    check(facts(), vec![started(30)], Outcome::Inconclusive, Some(("settling", run(30))));
    check(facts(), vec![started(30), cleared(60, Symptom::Unhealthy)], Outcome::Relapsed, None);
}

#[test]
fn a_level_after_a_restart_is_judged_by_the_samples_of_that_run() {
    let policy = hemostat_core::testing::policy();
    let check = |since: Vec<NewEvent>, expected: &str| {
        let high = level(Symptom::MemoryHigh, Severity::Critical, 97.0, Trend::Rising);
        let then = given::<Triage>(&policy, [seen(0, facts()), incident_event(10, high)])
            .and(since)
            .when(incident_event(90, verified(Outcome::Relapsed)), at(90));
        assert_eq!(rule_of(&only(&then)), expected);
    };
    check(vec![], "at_the_limit");
    check(vec![used(80, 1.0, 90.0)], "easing");
    check(vec![used(20, 1.0, 98.0), started(30)], "settling");
    let again = || vec![started(30), health(40, run(30), Health::Healthy)];
    check([again(), vec![used(80, 1.0, 96.0)]].concat(), "at_the_limit");
    check([again(), vec![used(80, 1.0, 85.0)]].concat(), "memory_full");
    check([again(), vec![used(80, 1.0, 30.0)]].concat(), "easing");
    check(vec![started(30), used(80, 1.0, 96.0)], "settling");
}

#[test]
fn after_settling_triage_diagnoses_again_only_on_new_evidence() {
    let policy = hemostat_core::testing::policy();
    let waiting = || {
        let crash = ended(Symptom::Exited, 1, ExitBy::Crash);
        let reached = diagnosed(facts(), vec![crash.clone()]);
        assert_eq!(rule_of(&reached), SETTLING);
        given::<Triage>(&policy, [seen(0, facts()), incident_event(10, crash), incident_event(10, reached)])
    };
    waiting().when(health(20, run(0), Health::Starting), at(20)).then_nothing();
    waiting().when(used(20, 1.0, 1.0), at(20)).then_nothing();
    let crashed = waiting().when(exited(20, run(0), ExitBy::Crash), at(20));
    assert_eq!(rule_of(&only(&crashed)), "crashed");
}

#[test]
fn a_settled_diagnosis_is_not_repeated() {
    let policy = hemostat_core::testing::policy();
    let history = || [seen(0, facts()), health(10, run(0), Health::Unhealthy), incident_event(10, failing())];
    let reached = diagnosed(Facts { health: Health::Unhealthy, ..facts() }, vec![failing()]);
    let told = || given::<Triage>(&policy, history()).and([incident_event(10, reached.clone())]);
    told().when(health(20, run(0), Health::Healthy), at(20)).then_nothing();
    told().when(health(25, run(0), Health::Unhealthy), at(25)).then_nothing();
    told().when(exited(30, run(0), ExitBy::Crash), at(30)).then_nothing();
}

#[test]
fn when_one_symptom_clears_the_remaining_ones_may_get_another_diagnosis() {
    let policy = hemostat_core::testing::policy();
    let sick = Facts { health: Health::Unhealthy, ..facts() };
    let check = |first: SymptomRaised, expected: Option<&str>| {
        let over = cleared(60, first.symptom);
        let reached = diagnosed(sick.clone(), vec![failing(), first.clone()]);
        let history = [
            seen(0, sick.clone()),
            incident_event(10, failing()),
            incident_event(10, first),
            incident_event(10, reached),
        ];
        let then = given::<Triage>(&policy, history).when(over, at(60));
        match expected {
            Some(expected) => assert_eq!(rule_of(&only(&then)), expected),
            None => then.then_nothing(),
        }
    };
    check(looping(), Some("unhealthy"));
    check(level(Symptom::CpuHigh, Severity::Critical, 99.0, Trend::Steady), Some("unhealthy"));
    check(level(Symptom::CpuHigh, Severity::High, 88.0, Trend::Steady), None);
}

#[test]
fn containers_that_are_excluded_or_halted_get_no_diagnosis() {
    let policy = Policy {
        exclude: hemostat_core::policy::NamePatterns::new(["api"]).unwrap(),
        ..hemostat_core::testing::policy()
    };
    let sick = |facts: Facts| vec![seen(0, facts), health(10, run(0), Health::Unhealthy)];
    let check = |policy: &Policy, history: Vec<NewEvent>| {
        given::<Triage>(policy, history).when(incident_event(10, failing()), at(11)).then_nothing();
    };
    check(&policy, sick(facts()));
    check(&hemostat_core::testing::policy(), vec![]);
    check(&hemostat_core::testing::policy(), sick(labelled("hemostat.enable", "false")));
    check(&hemostat_core::testing::policy(), sick(labelled(hemostat_core::policy::ROLE_LABEL, "monitor")));
    check(&hemostat_core::testing::policy(), [sick(facts()), vec![exited(10, run(0), ExitBy::Operator)]].concat());
    check(&hemostat_core::testing::policy(), [sick(facts()), vec![event(10, Paused { target: run(0) })]].concat());
    check(&hemostat_core::testing::policy(), [sick(facts()), vec![event(10, Removed { target: run(0) })]].concat());
}

#[test]
fn a_cleared_symptom_gets_no_diagnosis() {
    let over = SymptomCleared { symptom: Symptom::Unhealthy, why: Cleared::Well, stood: Span::ZERO };
    let log: Vec<Recorded> =
        [event(0, Seen { facts: facts() }), incident_event(10, failing()), incident_event(20, over)]
            .into_iter()
            .zip(1..)
            .map(|(event, n)| event.recorded(id(n), &[]))
            .collect();
    let mut history = CaseHistory::default();
    for event in &log {
        Triage::evolve(&mut history, &mut HostHealth::default(), event);
    }
    let decision = Triage::decide(
        &history,
        &HostHealth::default(),
        &Trigger::Event(&log[1]),
        &hemostat_core::testing::policy(),
        at(21),
    );
    assert_eq!(decision, Decision::nothing());
}

#[test]
fn an_event_that_is_delivered_again_changes_nothing() {
    let log = [
        seen(0, facts()),
        incident_event(10, failing()),
        event(20, Exited { target: run(0), exit: exit(20, 1, ExitBy::Crash) }),
    ];
    let (mut once, mut twice) = (CaseHistory::default(), CaseHistory::default());
    for (event, n) in log.into_iter().zip(1..) {
        let event = event.recorded(id(n), &[]);
        Triage::evolve(&mut once, &mut HostHealth::default(), &event);
        Triage::evolve(&mut twice, &mut HostHealth::default(), &event);
        Triage::evolve(&mut twice, &mut HostHealth::default(), &event);
    }
    assert_eq!(once, twice);
}

#[test]
fn rows_keep_the_field_names_under_which_they_were_stored() {
    let names = |value: serde_json::Value| {
        value.as_object().expect("a row is a map").keys().map(String::to_owned).collect::<Vec<_>>()
    };
    let history = serde_json::to_value(CaseHistory::default()).unwrap();
    let stored = ["asked", "condition", "examined", "illness", "last", "once", "past", "tried", "vitals", "was_well"];
    assert_eq!(names(history), stored);
    let past = crate::PastIncident { at: at(0), symptoms: vec![], root_cause: None, attempt: None };
    assert_eq!(names(serde_json::to_value(past).unwrap()), ["at", "root_cause", "symptoms", "tried"]);
    let mut host = HostHealth::default();
    host.update(&"db".parse().unwrap(), Some(&down(1, ExitBy::Crash)), at(0));
    assert_eq!(names(serde_json::to_value(host).unwrap()["db"].take()), ["exit", "health", "state", "well"]);
}
