//! Verdicts: what is observed after a remedy, and the outcome.

use super::*;
use crate::{
    decider::TimerChange,
    testing::{self, at, cleared, event, exited, given, health, host, id, incident_event, run, started},
};
use hemostat_schema::{
    action::{Authorised, Failed, Limits, Proof, Refusal, Refused, Remedy, Succeeded},
    observation::{EngineLost, Paused, Removed},
};

fn verdict_due(second: i64) -> TimerChange {
    TimerChange::Set { name: VERDICT, due: at(second) }
}

fn authorised(dry_run: bool) -> NewEvent {
    authorised_remedy(Remedy::Restart, dry_run)
}

fn authorised_remedy(remedy: Remedy, dry_run: bool) -> NewEvent {
    let (target, diagnosis) = (run(0), id(9));
    incident_event(
        10,
        Authorised {
            remedy,
            target: target.into(),
            arguments: None,
            diagnosis,
            limits: Limits::of_attempt(1, 3),
            stop_timeout: None,
            dry_run,
            policy: None,
            trigger: None,
        },
    )
}

fn succeeded() -> NewEvent {
    let (action, remedy, took, proof) = (id(4), Remedy::Restart, Span::from_secs(1), Proof::Answered);
    incident_event(12, Succeeded { action, remedy, target: Some(run(12)), called_at: Some(at(11)), took, proof })
}

/// Unhealthy, authorised (event 4), stopped, started again and done at second 12; the window is over at 72.
fn treated() -> Vec<NewEvent> {
    let mut events = testing::unhealthy();
    events.extend([authorised(false), exited(11, run(0), ExitBy::Operator), started(12), succeeded()]);
    events
}

#[track_caller]
fn judged(decision: &Decision, outcome: Outcome, why: &str) {
    let [event] = decision.events.as_slice() else { panic!("one verdict was due: {decision:?}") };
    let Event::Action(Action::Verified(verdict)) = &event.event else { panic!("no verdict: {event:?}") };
    assert_eq!((verdict.outcome, verdict.why.as_str(), verdict.action), (outcome, why, id(4)));
    assert_eq!(event.incident, Some(testing::incident(10)));
    assert_eq!(decision.timers, [TimerChange::Cancel { name: VERDICT }]);
}

#[test]
fn the_window_starts_when_the_remedy_was_carried_out() {
    let policy = Policy::default();
    let before = testing::unhealthy();
    given::<Judge>(&policy, before.clone()).when(authorised(false), at(10)).then([], &[verdict_due(910)]);
    let mut done = treated();
    let outcome = done.pop().unwrap();
    given::<Judge>(&policy, done).when(outcome, at(12)).then([], &[verdict_due(72)]);
    let failed = Failed { action: id(4), remedy: Remedy::Restart, error: "no".into(), took: Span::ZERO };
    let failed = given::<Judge>(&policy, before).and([authorised(false), incident_event(11, failed)]);
    failed.when_due(VERDICT, at(910), at(910)).then_nothing();
    let refusal = Refusal::NotDurable { action: id(4), wanted: "replicas:1".into(), replicas: 0 };
    let not_executed = Refused { remedy: Remedy::Restart, diagnosis: id(9), refusal, policy: None, trigger: None };
    let not_executed =
        given::<Judge>(&policy, testing::unhealthy()).and([authorised(false), incident_event(12, not_executed)]);
    not_executed.when_due(VERDICT, at(910), at(910)).then_nothing();
}

#[test]
fn the_verdict_at_the_end_of_the_window_is_what_was_observed() {
    let policy = Policy::default();
    let check = |more: Vec<NewEvent>, outcome, why| {
        let then = given::<Judge>(&policy, treated()).and(more).when_due(VERDICT, at(72), at(72));
        judged(&then.decision, outcome, why);
    };
    let healthy = || health(20, run(12), Health::Healthy);
    let over = || cleared(30, Symptom::Unhealthy);
    check(vec![healthy(), over()], Outcome::Recovered, "its health check passes");
    let without_check = testing::seen(
        20,
        hemostat_schema::container::Facts { health: Health::None, started_at: Some(at(12)), ..testing::facts() },
    );
    check(vec![without_check, over()], Outcome::Recovered, "it runs without symptoms");
    check(
        vec![healthy(), over(), exited(40, run(12), ExitBy::Operator)],
        Outcome::Inconclusive,
        "an operator stopped it",
    );
    check(vec![healthy(), event(40, Paused { target: run(12) })], Outcome::Inconclusive, "an operator paused it");
    check(vec![event(40, Removed { target: run(12) })], Outcome::Inconclusive, "the container was removed");
}

#[test]
fn a_relapse_is_judged_at_once() {
    let policy = Policy::default();
    let unhealthy = || health(30, run(12), Health::Unhealthy);
    let then = given::<Judge>(&policy, treated()).when(unhealthy(), at(30));
    judged(&then.decision, Outcome::Relapsed, "its health check fails again");
    let then = given::<Judge>(&policy, treated()).when(exited(30, run(12), ExitBy::Crash), at(30));
    judged(&then.decision, Outcome::Relapsed, "it ended again (exit code 1)");

    let mut early = treated();
    let outcome = early.pop().unwrap();
    early.push(exited(12, run(12), ExitBy::Oom));
    let then = given::<Judge>(&policy, early).when(outcome, at(12));
    judged(&then.decision, Outcome::Relapsed, "it ended again (exit code 137)");
}

#[test]
fn what_happens_in_the_earlier_run_is_no_relapse() {
    let policy = Policy::default();
    given::<Judge>(&policy, treated()).when(health(13, run(0), Health::Unhealthy), at(13)).then_nothing();
    let mut under_way = testing::unhealthy();
    under_way.extend([authorised(false), exited(11, run(0), ExitBy::Operator)]);
    given::<Judge>(&policy, under_way).when(started(12), at(12)).then_nothing();
}

#[test]
fn a_container_that_may_still_recover_is_looked_at_again_for_at_most_three_windows() {
    let policy = Policy::default();
    let starting = || given::<Judge>(&policy, treated()).and([cleared(30, Symptom::Unhealthy)]);
    starting().when_due(VERDICT, at(72), at(72)).then([], &[verdict_due(132)]);
    starting().when_due(VERDICT, at(132), at(132)).then([], &[verdict_due(192)]);
    let last = starting().when_due(VERDICT, at(192), at(192));
    judged(&last.decision, Outcome::Inconclusive, "its health check has no result yet");

    let nearly = || given::<Judge>(&policy, treated()).and([health(70, run(12), Health::Healthy)]);
    nearly().when_due(VERDICT, at(72), at(72)).then([], &[verdict_due(132)]);
    let over = nearly().when(cleared(80, Symptom::Unhealthy), at(80));
    judged(&over.decision, Outcome::Recovered, "its health check passes");
    let last = nearly().when_due(VERDICT, at(192), at(192));
    judged(&last.decision, Outcome::Relapsed, "symptom unhealthy was not cleared in time");
}

#[test]
fn without_docker_or_observations_the_outcome_is_inconclusive() {
    let policy = Policy::default();
    let lost = || NewEvent::new(host(), at(40), EngineLost { error: "gone".into() });
    let away = || given::<Judge>(&policy, treated()).and([lost()]);
    away().when_due(VERDICT, at(72), at(72)).then([], &[verdict_due(132)]);
    let last = away().when_due(VERDICT, at(192), at(192));
    judged(&last.decision, Outcome::Inconclusive, "its Docker engine does not answer");

    let mut blind = testing::unhealthy();
    blind.extend([authorised(false), succeeded()]);
    let then = given::<Judge>(&policy, blind).when_due(VERDICT, at(72), at(72));
    judged(&then.decision, Outcome::Inconclusive, "it was not observed after the remedy");
}

#[test]
fn an_action_without_a_result_is_judged_inconclusive() {
    let policy = Policy::default();
    let lost = || given::<Judge>(&policy, testing::unhealthy()).and([authorised(false)]);
    let then = lost().when_due(VERDICT, at(910), at(910));
    judged(&then.decision, Outcome::Inconclusive, "no result of the remedy was recorded");
    // After an outage the responder gets its time first.
    lost().when_due(VERDICT, at(910), at(5000)).then([], &[verdict_due(5900)]);
}

#[test]
fn a_dry_run_is_judged_by_observation() {
    let policy = Policy::default();
    let mut dry = testing::unhealthy();
    dry.extend([authorised(true), succeeded(), health(40, run(0), Health::Healthy), cleared(50, Symptom::Unhealthy)]);
    let then = given::<Judge>(&policy, dry.clone()).when_due(VERDICT, at(72), at(72));
    judged(&then.decision, Outcome::Recovered, "its health check passes");
    dry.truncate(5);
    dry.push(event(
        13,
        hemostat_schema::observation::Seen {
            facts: hemostat_schema::container::Facts { health: Health::Unhealthy, ..testing::facts() },
        },
    ));
    let then = given::<Judge>(&policy, dry).when_due(VERDICT, at(72), at(72));
    judged(&then.decision, Outcome::Relapsed, "symptom unhealthy is still active");
}

#[test]
fn a_symptom_that_a_new_run_cannot_change_does_not_count_against_a_restart() {
    let policy = Policy::default();
    let check = |symptom: Symptom, outcome: Outcome, why: &str| {
        let well = [
            testing::raised(9, symptom, run(0)),
            health(20, run(12), Health::Healthy),
            cleared(30, Symptom::Unhealthy),
        ];
        let then = given::<Judge>(&policy, treated()).and(well).when_due(VERDICT, at(192), at(192));
        judged(&then.decision, outcome, why);
    };
    let passes = "its health check passes";
    for symptom in [
        Symptom::RestartLoop,
        Symptom::Flapping,
        Symptom::OomChild,
        Symptom::CpuThrottled,
        Symptom::Pressure,
        Symptom::DiskFilling,
    ] {
        check(symptom, Outcome::Recovered, passes);
    }
    check(Symptom::PidsHigh, Outcome::Relapsed, "symptom pids high was not cleared in time");
    check(Symptom::MemoryLeak, Outcome::Relapsed, "symptom memory leak was not cleared in time");

    let unusual = testing::unusual(20, Symptom::CpuUnusual, run(12));
    let well = [unusual, health(20, run(12), Health::Healthy), cleared(30, Symptom::Unhealthy)];
    let then = given::<Judge>(&policy, treated()).and(well).when_due(VERDICT, at(72), at(72));
    judged(&then.decision, Outcome::Recovered, passes);
}

#[test]
fn a_remedy_is_judged_by_the_run_that_it_leads_to() {
    let policy = Policy::default();
    let check = |remedy: Remedy, more: Vec<NewEvent>, outcome: Outcome, why: &str| {
        let mut events = testing::unhealthy();
        events.extend([authorised_remedy(remedy, false), succeeded()]);
        let then = given::<Judge>(&policy, events).and(more).when_due(VERDICT, at(192), at(192));
        judged(&then.decision, outcome, why);
    };
    let ended = || exited(11, run(0), ExitBy::Operator);
    check(Remedy::Stop, vec![ended()], Outcome::Recovered, "it stays stopped");
    check(Remedy::Stop, vec![ended(), started(20)], Outcome::Relapsed, "it runs again");

    let well = || vec![health(20, run(0), Health::Healthy), cleared(30, Symptom::Unhealthy)];
    let short = |symptom| [well(), vec![testing::raised(9, symptom, run(0))]].concat();
    let passes = "its health check passes";
    check(Remedy::Scale, well(), Outcome::Recovered, passes);
    check(Remedy::Scale, short(Symptom::DiskFilling), Outcome::Recovered, passes);
    check(Remedy::Cleanup, short(Symptom::Pressure), Outcome::Recovered, passes);
    let throttled = "symptom cpu throttled was not cleared in time";
    check(Remedy::Scale, short(Symptom::CpuThrottled), Outcome::Relapsed, throttled);
    check(Remedy::Cleanup, short(Symptom::DiskFilling), Outcome::Relapsed, "symptom disk filling is still active");
}

#[test]
fn only_a_remedy_that_leaves_the_run_as_it_is_is_judged_by_that_run() {
    let policy = Policy::default();
    for remedy in [Remedy::Restart, Remedy::Start, Remedy::Stop, Remedy::Scale, Remedy::Cleanup] {
        let mut events = testing::unhealthy();
        events.extend([authorised_remedy(remedy.clone(), false), succeeded()]);
        let then = given::<Judge>(&policy, events).when(exited(30, run(0), ExitBy::Crash), at(30));
        match remedy.info().on_run {
            OnRun::Keeps => judged(&then.decision, Outcome::Relapsed, "it ended again (exit code 1)"),
            OnRun::Replaces | OnRun::Begins | OnRun::Ends => then.then_nothing(),
        }
    }
}

#[test]
fn a_symptom_of_resource_use_shows_if_the_last_sample_of_the_new_run_has_it() {
    use hemostat_schema::observation::Sampled;
    let policy = Policy::default();
    let sampled = |pids: u64| {
        let vitals = Vitals { pids_limit: Some(100), ..testing::vitals(0.0, 0.0, pids) };
        event(60, Sampled { vitals })
    };
    let judge = |pids: u64| {
        let crowded = [
            testing::raised(9, Symptom::PidsHigh, run(0)),
            health(20, run(12), Health::Healthy),
            cleared(30, Symptom::Unhealthy),
            sampled(pids),
        ];
        given::<Judge>(&policy, treated()).and(crowded).when_due(VERDICT, at(72), at(72))
    };
    judged(&judge(95).decision, Outcome::Relapsed, "symptom pids high is still active");
    judge(20).then([], &[verdict_due(132)]);
}
