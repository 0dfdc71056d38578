//! The laws of safety, proven over random histories of a small ward: whatever befalls the patients, whatever operators do
//! meanwhile, in whichever order workers get on, and also when HemoStat is away for an hour.

mod old;
mod ward;

use std::{collections::BTreeMap, fmt::Debug};

use hemostat_core::{Decider, Policy, alerting::Alerting, judge::Judge, remedy::Remedy, testing::fold};
use hemostat_diagnosis::Triage;
use hemostat_schema::{
    Action, Alert, Diagnosis, Event, EventId, IncidentId, Observation, Recorded, Span, Subject, Timestamp,
    action::{Authorised, Outcome, Refusal},
    container::ExitBy,
    diagnosis::Verdict,
};
use proptest::prelude::*;
use ward::{Op, Ward, op};

/// What has happened to one container, for laws to look at.
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

/// Never two authorities open for one container, and each gets exactly one end.
fn one_at_a_time(history: &History<'_>) {
    let mut open: Option<EventId> = None;
    for event in history {
        let ended = match action(event) {
            Some(Action::Authorised(_)) => {
                assert_eq!(open, None, "{} was authorised while another was open", event.id);
                open = Some(event.id);
                continue;
            }
            Some(Action::Failed(failed)) => failed.action,
            Some(Action::Verified(verdict)) => verdict.action,
            _ => continue,
        };
        assert_eq!(open.take(), Some(ended), "{} ends what is not open", event.id);
    }
    assert_eq!(open, None, "it was never judged");
}

/// Never more attempts in a rolling window than allowed, unless an operator wanted a fresh start.
fn within_the_limit(history: &History<'_>, policy: &Policy) {
    let mut attempts: Vec<Timestamp> = vec![];
    for event in history {
        match action(event) {
            Some(Action::BreakerReset(_)) => attempts.clear(),
            Some(Action::Authorised(intent)) => {
                attempts.retain(|at| event.at < policy.window.after(*at));
                attempts.push(event.at);
                assert!(attempts.len() <= intent.limits.of as usize, "{} attempts at {}", attempts.len(), event.id);
            }
            _ => {}
        }
    }
}

/// No authority for a new incident within the cooldown of the last one, and none while the breaker is tripped.
fn rests_are_kept(history: &History<'_>, cooldown: Span) {
    let mut rest: Option<(Timestamp, Option<&IncidentId>)> = None;
    let mut tripped: Option<Timestamp> = None;
    for event in history {
        match action(event) {
            Some(Action::BreakerReset(_)) => (rest, tripped) = (None, None),
            Some(Action::Verified(verdict)) if verdict.outcome == Outcome::Recovered => {
                rest = Some((event.at, event.incident.as_ref()));
            }
            Some(Action::GaveUp(gave_up)) => {
                rest = Some((event.at, event.incident.as_ref()));
                tripped = Some(gave_up.until);
            }
            Some(Action::Authorised(_)) => {
                let same = rest.is_none_or(|(_, incident)| incident == event.incident.as_ref());
                let rested = rest.is_none_or(|(since, _)| cooldown.after(since) <= event.at);
                assert!(same || rested, "{} is within a cooldown", event.id);
                assert!(tripped.is_none_or(|until| until <= event.at), "{} is while tripped", event.id);
            }
            _ => {}
        }
    }
}

/// Nothing is done to what an operator stopped or froze, and nothing without a diagnosis of this incident.
fn wishes_are_respected(history: &History<'_>) {
    let (mut halted, mut open) = (false, None);
    let mut diagnosed: Option<&IncidentId> = None;
    for event in history {
        match event.event() {
            Some(Event::Observation(Observation::Exited(exited))) => {
                halted = exited.exit.by == ExitBy::Operator && open != Some(&exited.target);
            }
            Some(Event::Observation(Observation::Frozen(_))) => halted = true,
            Some(Event::Observation(Observation::Started(_) | Observation::Thawed(_) | Observation::Seen(_))) => {
                halted = false;
            }
            Some(Event::Diagnosis(Diagnosis::Reached(_))) => diagnosed = event.incident.as_ref(),
            Some(Event::Action(Action::Authorised(intent))) => {
                assert!(!halted, "{} undoes what an operator did", event.id);
                assert_eq!(diagnosed, event.incident.as_ref());
                open = Some(&intent.target);
            }
            Some(Event::Action(Action::Failed(_) | Action::Verified(_))) => open = None,
            _ => {}
        }
    }
}

/// A reason is told once for each incident and attempt; but a person who says yes gets an answer each time.
fn no_reason_is_told_twice(history: &History<'_>) {
    let (mut told, mut answers) = (vec![], vec![]);
    for event in history {
        match action(event) {
            Some(Action::Authorised(_) | Action::BreakerReset(_)) => told.clear(),
            Some(Action::Approved(_)) => answers.push(Some(event.id)),
            Some(Action::Refused(refused)) if !answers.contains(&event.cause) => {
                let reason = (&event.incident, refused.refusal.name(), refused.refusal.until());
                assert!(!told.contains(&reason), "{} says again {reason:?}", event.id);
                told.push(reason);
            }
            _ => {}
        }
    }
}

/// One alert for each incident that was diagnosed, and one end of it; another only when the container fell ill again after
/// the end was told, as it can when an operator stops it for a moment.
fn each_incident_is_told_once(history: &History<'_>) {
    #[derive(Default)]
    struct Told {
        diagnosed: bool,
        raised: bool,
        open: bool,
        escalated: bool,
        ill_again: bool,
    }
    let mut incidents = BTreeMap::<&IncidentId, Told>::new();
    for event in history {
        let Some(incident) = &event.incident else { continue };
        let told = incidents.entry(incident).or_default();
        match event.event() {
            Some(Event::Observation(Observation::SymptomRaised(_))) => told.ill_again = !told.open,
            Some(Event::Diagnosis(Diagnosis::Reached(reached))) => {
                told.diagnosed |= reached.verdict != Verdict::FalseAlarm;
            }
            Some(Event::Alert(Alert::Raised(_))) => {
                assert!(!told.open && told.ill_again, "{} tells {incident} again", event.id);
                *told =
                    Told { diagnosed: told.diagnosed, raised: true, open: true, escalated: false, ill_again: false };
            }
            Some(Event::Alert(Alert::Escalated(_))) => {
                assert!(told.open && !told.escalated, "{} escalates {incident} again", event.id);
                told.escalated = true;
            }
            Some(Event::Alert(Alert::Resolved(_))) => {
                assert!(told.open, "{} resolves what is not open", event.id);
                told.open = false;
            }
            _ => {}
        }
    }
    for (incident, told) in incidents {
        assert_eq!(told.raised, told.diagnosed, "{incident} was diagnosed, or told, and not both");
        assert!(!told.open, "{incident} was never resolved");
    }
}

/// Folding what was folded already changes nothing.
fn folds_take_each_event_once<D: Decider>(log: &[Recorded])
where
    D::State: Debug,
{
    let once = fold::<D>(log);
    let stuttered = log.iter().enumerate().flat_map(|(n, event)| [event, event, &log[n / 2]]);
    assert!(once == fold::<D>(stuttered), "{} counts an event twice", D::GROUP);
}

fn play(policy: Policy, ops: Vec<Op>) -> Ward {
    let mut ward = Ward::open(policy);
    ops.into_iter().for_each(|op| ward.play(op));
    ward.close();
    ward
}

fn check(ward: &Ward) {
    let log = ward.simulation.log();
    for (subject, history) in histories(log) {
        let cooldown = if subject.short() == "brief" { Span::from_secs(600) } else { ward.policy.care.cooldown };
        one_at_a_time(&history);
        within_the_limit(&history, &ward.policy);
        rests_are_kept(&history, cooldown);
        wishes_are_respected(&history);
        no_reason_is_told_twice(&history);
        each_incident_is_told_once(&history);
    }
    folds_take_each_event_once::<Triage>(log);
    folds_take_each_event_once::<Remedy>(log);
    folds_take_each_event_once::<Judge>(log);
    folds_take_each_event_once::<Alerting>(log);
}

fn short_rests() -> Policy {
    let mut policy = Policy { storm: 2, hold: Span::from_secs(300), ..Policy::default() };
    policy.care.cooldown = Span::from_secs(120);
    policy.window = Span::from_secs(900);
    policy
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_laws_hold_with_the_defaults(ops in prop::collection::vec(op(), 1..50)) {
        check(&play(Policy::default(), ops));
    }

    #[test]
    fn the_laws_hold_with_short_rests_and_storms(ops in prop::collection::vec(op(), 1..50)) {
        check(&play(short_rests(), ops));
    }

    #[test]
    fn the_laws_hold_while_diagnoses_wait_for_examinations(ops in prop::collection::vec(op(), 1..50)) {
        check(&play(Policy { examine_within: Span::from_secs(5), ..Policy::default() }, ops));
    }
}

/// The random histories are not empty of what the laws are about.
#[test]
fn a_long_history_holds_every_end_that_an_attempt_can_have() {
    use ward::Nature::{Crashing, Curable, Stubborn, Untouchable};
    let mut ops = vec![];
    for nature in [Curable, Stubborn, Untouchable, Crashing] {
        ops.extend([Op::Nature(0, nature), Op::Sicken(0), Op::Pass(6000), Op::Mend(0), Op::Start(0), Op::Pass(4000)]);
    }
    ops.extend([Op::Sicken(2), Op::Pass(20), Op::Answer(2, true), Op::Pass(300)]);
    // A second illness before the remedy for the first is carried out.
    ops.extend([Op::Sicken(1), Op::Steps(vec![0; 30]), Op::Crash(1), Op::Pass(300)]);
    let ward = play(Policy::default(), ops);
    check(&ward);
    let kinds: Vec<String> = ward.simulation.log().iter().map(Recorded::kind).collect();
    for kind in ["action.gave_up", "action.failed", "action.refused", "action.proposed", "alert.escalated"] {
        assert!(kinds.iter().any(|seen| seen == kind), "{kind} is missing");
    }
    let in_hand = |event: &Recorded| match action(event) {
        Some(Action::Refused(refused)) => refused.refusal == Refusal::InHand,
        _ => false,
    };
    assert!(ward.simulation.log().iter().any(in_hand), "nothing was asked for while a remedy was in hand");
    let attempts = ward.simulation.log().iter().filter(|event| authorised(event).is_some()).count();
    assert!(attempts >= 8, "{attempts} attempts");
}

fn count(ward: &Ward, kind: &str) -> usize {
    ward.simulation.log().iter().filter(|event| event.kind() == kind).count()
}

#[test]
fn an_hour_of_polls_of_one_sick_container_is_one_alert_raised_and_one_resolved() {
    let ops = [Op::Nature(0, ward::Nature::Stubborn), Op::Sicken(0), Op::Pass(3600)];
    let ward = play(Policy::default(), ops.into());
    let told = ["observation.symptom_raised", "action.gave_up", "alert.raised", "alert.resolved"];
    assert_eq!(told.map(|kind| count(&ward, kind)), [1, 1, 1, 1]);
    check(&ward);
}

#[test]
fn three_containers_sick_in_the_same_second_are_three_alerts() {
    let ward = play(Policy::default(), vec![Op::Sicken(0), Op::Sicken(1), Op::Sicken(2), Op::Pass(10)]);
    assert_eq!((count(&ward, "alert.raised"), count(&ward, "alert.resolved")), (3, 3));
}
