//! The laws of safety, proven over random histories of a small host: whatever befalls the containers, whatever operators do
//! meanwhile, in whichever order workers get on, and also when HemoStat is away for an hour.

mod old_versions;
mod simulated_host;

use std::{collections::BTreeMap, fmt::Debug};

use hemostat_core::{Decider, Policy, alerting::Alerting, judge::Judge, remedy::Authorisation, testing::fold};
use hemostat_diagnosis::Triage;
use hemostat_schema::{
    Action, Alert, Diagnosis, Event, EventId, IncidentId, Observation, Recorded, Span, Subject, Timestamp,
    action::{Authorised, Outcome, Refusal},
    container::ExitBy,
    diagnosis::Verdict,
};
use proptest::prelude::*;
use simulated_host::{Op, SimulatedHost, op};

/// The events of one container.
type History<'a> = Vec<&'a Recorded>;

fn histories(log: &[Recorded]) -> BTreeMap<&Subject, History<'_>> {
    let mut histories = BTreeMap::<_, History<'_>>::new();
    for event in log {
        histories.entry(&event.subject).or_default().push(event);
    }
    histories
}

fn action(event: &Recorded) -> Option<&Action> {
    match event.event()? {
        Event::Action(action) => Some(action),
        _ => None,
    }
}

fn authorised(event: &Recorded) -> Option<&Authorised> {
    match action(event)? {
        Action::Authorised(intent) => Some(intent),
        _ => None,
    }
}

/// Never two authorised actions in progress for one container, and each has exactly one outcome.
fn one_action_at_a_time(history: &History<'_>) {
    let mut open: Option<EventId> = None;
    for event in history {
        let ended = match action(event) {
            Some(Action::Authorised(_)) => {
                assert_eq!(open, None, "{} was authorised while another action was in progress", event.id);
                open = Some(event.id);
                continue;
            }
            Some(Action::Failed(failed)) => failed.action,
            Some(Action::Verified(verdict)) => verdict.action,
            _ => continue,
        };
        assert_eq!(open.take(), Some(ended), "{} is the outcome of an action that is not in progress", event.id);
    }
    assert_eq!(open, None, "an action has no outcome");
}

/// Never more attempts in a rolling window than allowed, unless an operator reset the breaker.
fn attempts_within_the_limit(history: &History<'_>, policy: &Policy) {
    let mut attempts: Vec<Timestamp> = vec![];
    for event in history {
        match action(event) {
            Some(Action::BreakerReset(_)) => attempts.clear(),
            Some(Action::Authorised(intent)) => {
                attempts.retain(|at| event.at < policy.attempt_window.after(*at));
                attempts.push(event.at);
                assert!(attempts.len() <= intent.limits.of as usize, "{} attempts at {}", attempts.len(), event.id);
            }
            _ => {}
        }
    }
}

/// No authorisation for a new incident within the cooldown of the last one, and none while the breaker is tripped.
fn cooldowns_are_kept(history: &History<'_>, cooldown: Span) {
    let mut cooling: Option<(Timestamp, Option<&IncidentId>)> = None;
    let mut tripped: Option<Timestamp> = None;
    for event in history {
        match action(event) {
            Some(Action::BreakerReset(_)) => (cooling, tripped) = (None, None),
            Some(Action::Verified(verdict)) if verdict.outcome == Outcome::Recovered => {
                cooling = Some((event.at, event.incident.as_ref()));
            }
            Some(Action::GaveUp(gave_up)) => {
                cooling = Some((event.at, event.incident.as_ref()));
                tripped = Some(gave_up.until);
            }
            Some(Action::Authorised(_)) => {
                let same = cooling.is_none_or(|(_, incident)| incident == event.incident.as_ref());
                let elapsed = cooling.is_none_or(|(since, _)| cooldown.after(since) <= event.at);
                assert!(same || elapsed, "{} is within a cooldown", event.id);
                assert!(tripped.is_none_or(|until| until <= event.at), "{} is while tripped", event.id);
            }
            _ => {}
        }
    }
}

/// No action on a container that an operator stopped or paused, and none without a diagnosis of this incident.
fn operators_are_respected(history: &History<'_>) {
    let (mut halted, mut open) = (false, None);
    let mut diagnosed: Option<&IncidentId> = None;
    for event in history {
        match event.event() {
            Some(Event::Observation(Observation::Exited(exited))) => {
                halted = exited.exit.by == ExitBy::Operator && open != Some(&exited.target);
            }
            Some(Event::Observation(Observation::Paused(_))) => halted = true,
            Some(Event::Observation(Observation::Started(_) | Observation::Unpaused(_) | Observation::Seen(_))) => {
                halted = false;
            }
            Some(Event::Diagnosis(Diagnosis::Reached(_))) => diagnosed = event.incident.as_ref(),
            Some(Event::Action(Action::Authorised(intent))) => {
                assert!(!halted, "{} undoes what an operator did", event.id);
                assert_eq!(diagnosed, event.incident.as_ref());
                open = intent.target.run();
            }
            Some(Event::Action(Action::Failed(_) | Action::Verified(_))) => open = None,
            _ => {}
        }
    }
}

/// A refusal is recorded once for each incident and attempt; but an operator who approves gets an answer each time.
fn no_refusal_is_repeated(history: &History<'_>) {
    let (mut told, mut answers) = (vec![], vec![]);
    for event in history {
        match action(event) {
            Some(Action::Authorised(_) | Action::BreakerReset(_)) => told.clear(),
            Some(Action::Approved(_)) => answers.push(Some(event.id)),
            Some(Action::Refused(refused)) if !answers.contains(&event.cause) => {
                let reason = (&event.incident, refused.refusal.name(), refused.refusal.until());
                assert!(!told.contains(&reason), "{} repeats {reason:?}", event.id);
                told.push(reason);
            }
            _ => {}
        }
    }
}

/// One alert for each incident with a diagnosis, and one resolution; another only if a symptom was raised again after the
/// resolution, as can happen when an operator stops the container for a moment.
fn each_incident_has_one_alert(history: &History<'_>) {
    #[derive(Default)]
    struct AlertState {
        diagnosed: bool,
        raised: bool,
        open: bool,
        escalated: bool,
        symptom_again: bool,
    }
    let mut incidents = BTreeMap::<&IncidentId, AlertState>::new();
    for event in history {
        let Some(incident) = &event.incident else { continue };
        let alert = incidents.entry(incident).or_default();
        match event.event() {
            Some(Event::Observation(Observation::SymptomRaised(_))) => alert.symptom_again = !alert.open,
            Some(Event::Diagnosis(Diagnosis::Reached(reached))) => {
                alert.diagnosed |= reached.verdict != Verdict::FalseAlarm;
            }
            Some(Event::Alert(Alert::Raised(_))) => {
                assert!(!alert.open && alert.symptom_again, "{} alerts {incident} again", event.id);
                *alert = AlertState {
                    diagnosed: alert.diagnosed,
                    raised: true,
                    open: true,
                    escalated: false,
                    symptom_again: false,
                };
            }
            Some(Event::Alert(Alert::Escalated(_))) => {
                assert!(alert.open && !alert.escalated, "{} escalates {incident} again", event.id);
                alert.escalated = true;
            }
            Some(Event::Alert(Alert::Resolved(_))) => {
                assert!(alert.open, "{} resolves what is not open", event.id);
                alert.open = false;
            }
            _ => {}
        }
    }
    for (incident, alert) in incidents {
        assert_eq!(alert.raised, alert.diagnosed, "{incident} has a diagnosis or an alert, but not both");
        assert!(!alert.open, "{incident} was never resolved");
    }
}

/// Folding an event again changes nothing.
fn folds_are_idempotent<D: Decider>(log: &[Recorded])
where
    D::State: Debug,
{
    let once = fold::<D>(log);
    let stuttered = log.iter().enumerate().flat_map(|(n, event)| [event, event, &log[n / 2]]);
    assert!(once == fold::<D>(stuttered), "{} counts an event twice", D::GROUP);
}

fn play(policy: Policy, ops: Vec<Op>) -> SimulatedHost {
    let mut host = SimulatedHost::open(policy);
    ops.into_iter().for_each(|op| host.play(op));
    host.close();
    host
}

fn check(host: &SimulatedHost) {
    let log = host.simulation.log();
    for (subject, history) in histories(log) {
        let cooldown =
            if subject.short() == "brief" { Span::from_secs(600) } else { host.policy.container_defaults.cooldown };
        one_action_at_a_time(&history);
        attempts_within_the_limit(&history, &host.policy);
        cooldowns_are_kept(&history, cooldown);
        operators_are_respected(&history);
        no_refusal_is_repeated(&history);
        each_incident_has_one_alert(&history);
    }
    folds_are_idempotent::<Triage>(log);
    folds_are_idempotent::<Authorisation>(log);
    folds_are_idempotent::<Judge>(log);
    folds_are_idempotent::<Alerting>(log);
}

fn short_cooldowns() -> Policy {
    let mut policy =
        Policy { storm_threshold: 2, breaker_hold: Span::from_secs(300), ..hemostat_core::testing::policy() };
    policy.container_defaults.cooldown = Span::from_secs(120);
    policy.attempt_window = Span::from_secs(900);
    policy
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_laws_hold_with_the_defaults(ops in prop::collection::vec(op(), 1..50)) {
        check(&play(hemostat_core::testing::policy(), ops));
    }

    #[test]
    fn the_laws_hold_with_short_cooldowns_and_storms(ops in prop::collection::vec(op(), 1..50)) {
        check(&play(short_cooldowns(), ops));
    }

    #[test]
    fn the_laws_hold_while_diagnoses_wait_for_examinations(ops in prop::collection::vec(op(), 1..50)) {
        check(&play(Policy::default(), ops));
    }
}

/// The histories contain what the laws are about.
#[test]
fn a_long_history_has_every_outcome_of_an_attempt() {
    use simulated_host::Response::{CannotBeTouched, Crashes, Recovers, StaysUnhealthy};
    let mut ops = vec![];
    for response in [Recovers, StaysUnhealthy, CannotBeTouched, Crashes] {
        ops.extend([
            Op::RespondsBy(0, response),
            Op::TurnUnhealthy(0),
            Op::Pass(6000),
            Op::TurnHealthy(0),
            Op::Start(0),
            Op::Pass(4000),
        ]);
    }
    ops.extend([Op::TurnUnhealthy(2), Op::Pass(20), Op::Answer(2, true), Op::Pass(300)]);
    // A second symptom before the remedy for the first is executed.
    ops.extend([Op::TurnUnhealthy(1), Op::Steps(vec![0; 30]), Op::Crash(1), Op::Pass(300)]);
    let host = play(hemostat_core::testing::policy(), ops);
    check(&host);
    let kinds: Vec<String> = host.simulation.log().iter().map(Recorded::kind).collect();
    for kind in ["action.gave_up", "action.failed", "action.refused", "action.proposed", "alert.escalated"] {
        assert!(kinds.iter().any(|seen| seen == kind), "{kind} is missing");
    }
    let in_hand = |event: &Recorded| match action(event) {
        Some(Action::Refused(refused)) => refused.refusal == Refusal::InHand,
        _ => false,
    };
    assert!(host.simulation.log().iter().any(in_hand), "no remedy was refused because another was in progress");
    let attempts = host.simulation.log().iter().filter(|event| authorised(event).is_some()).count();
    assert!(attempts >= 8, "{attempts} attempts");
}

fn count(host: &SimulatedHost, kind: &str) -> usize {
    host.simulation.log().iter().filter(|event| event.kind() == kind).count()
}

#[test]
fn an_hour_of_polls_of_one_sick_container_is_one_alert_raised_and_one_resolved() {
    let ops = [Op::RespondsBy(0, simulated_host::Response::StaysUnhealthy), Op::TurnUnhealthy(0), Op::Pass(3600)];
    let host = play(hemostat_core::testing::policy(), ops.into());
    let told = ["observation.symptom_raised", "action.gave_up", "alert.raised", "alert.resolved"];
    assert_eq!(told.map(|kind| count(&host, kind)), [1, 1, 1, 1]);
    check(&host);
}

#[test]
fn three_containers_sick_in_the_same_second_are_three_alerts() {
    let host = play(
        hemostat_core::testing::policy(),
        vec![Op::TurnUnhealthy(0), Op::TurnUnhealthy(1), Op::TurnUnhealthy(2), Op::Pass(10)],
    );
    assert_eq!((count(&host, "alert.raised"), count(&host, "alert.resolved")), (3, 3));
}
