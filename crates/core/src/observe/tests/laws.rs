//! Laws that hold for every sequence of inputs.

use std::collections::BTreeMap;

use hemostat_schema::{
    container::Strain,
    observation::Severity,
    sample::{Disk, Storage},
};
use proptest::prelude::*;

use super::*;

/// What may happen to a container; the run is filled in later.
#[derive(Debug, Clone)]
enum Step {
    Start,
    Exit(i64, ExitBy),
    Pause,
    Unpause,
    Health(Health),
    Sample(f64, f64),
    Unmeasured,
    Strain(f64, u64),
    OutOfMemory,
    Stored(u64, u64, bool),
    Tick,
    Remove,
    Create(RestartPolicy, bool),
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let by = prop_oneof![
        Just((1, ExitBy::Crash)),
        Just((137, ExitBy::Oom)),
        Just((143, ExitBy::Operator)),
        Just((0, ExitBy::Itself)),
        Just((1, ExitBy::Unknown)),
    ];
    let health = prop_oneof![Just(Health::Healthy), Just(Health::Unhealthy), Just(Health::Starting)];
    let level = prop_oneof![Just(10.0), Just(78.0), Just(90.0), Just(99.0)];
    let restart =
        prop_oneof![Just(RestartPolicy::No), Just(RestartPolicy::Always), Just(RestartPolicy::OnFailure { max: 2 })];
    let step = prop_oneof![
        6 => Just(Step::Start),
        6 => by.prop_map(|(code, by)| Step::Exit(code, by)),
        1 => Just(Step::Pause),
        1 => Just(Step::Unpause),
        4 => health.prop_map(Step::Health),
        10 => (level.clone(), level).prop_map(|(cpu, memory)| Step::Sample(cpu, memory)),
        4 => (prop_oneof![Just(5.0), Just(23.0), Just(60.0)], prop_oneof![Just(5), Just(92), Just(99)])
            .prop_map(|(throttled, pids)| Step::Strain(throttled, pids)),
        1 => Just(Step::OutOfMemory),
        1 => Just(Step::Unmeasured),
        2 => (prop_oneof![Just(0), Just(50), Just(700)], prop_oneof![Just(40), Just(90), Just(600)], any::<bool>())
            .prop_map(|(kept, left, largest)| Step::Stored(kept, left, largest)),
        4 => Just(Step::Tick),
        1 => Just(Step::Remove),
        2 => (restart, any::<bool>()).prop_map(|(restart, check)| Step::Create(restart, check)),
    ];
    // Some steps are repeated for long, so that baselines are learnt.
    let repeated = prop_oneof![40 => Just(1_usize), 1 => Just(70)];
    let steps = prop::collection::vec((0_i64..20, step, repeated), 1..120);
    steps.prop_map(|steps| {
        let repeat = |(pause, step, times)| std::iter::repeat_n((if times > 1 { 5 } else { pause }, step), times);
        steps.into_iter().flat_map(repeat).collect()
    })
}

/// Runs `steps`; `each` checks after every step.
fn play(steps: Vec<(i64, Step)>, mut each: impl FnMut(&ObservedContainer, i64, &[NewEvent])) -> ObservedContainer {
    let mut observed = ObservedContainer { state: State::default(), policy: policy(), log: vec![] };
    let mut now = 0;
    for (pause, step) in steps {
        now += pause;
        let run = observed.state.facts().map(Facts::target);
        let input = match (step, run) {
            (Step::Create(restart_policy, check), None) => {
                let health = if check { Health::Starting } else { Health::None };
                ObservationInput::Facts(Box::new(Facts { started_at: Some(at(now)), ..with(restart_policy, health) }))
            }
            (Step::Start, Some(run)) => ObservationInput::Started(Run { started_at: Some(at(now)), ..run }),
            (Step::Exit(code, by), Some(run)) => ObservationInput::Exited(run, exit(now, code, by)),
            (Step::Pause, _) => ObservationInput::Paused,
            (Step::Unpause, _) => ObservationInput::Unpaused,
            (Step::Health(health), _) => ObservationInput::Health(health),
            (Step::Sample(cpu, memory), _) => ObservationInput::Sample(vitals(cpu, memory)),
            (Step::Strain(throttled, pids), _) => {
                let strain = Strain { throttled: Some(Percent::clamped(throttled)), ..Strain::default() };
                ObservationInput::Sample(Vitals { pids, pids_limit: Some(100), strain, ..vitals(10.0, 10.0) })
            }
            (Step::OutOfMemory, _) => ObservationInput::OutOfMemory,
            (Step::Unmeasured, _) => ObservationInput::Unmeasured,
            (Step::Stored(kept, left, largest), Some(target)) => ObservationInput::Stored {
                stored: Storage { target, writable: ByteCount(kept << 20), volumes: vec![] },
                disk: Some(Disk { path: "/".into(), size: ByteCount(1000 << 20), available: ByteCount(left << 20) }),
                largest,
            },
            (Step::Remove, _) => ObservationInput::Removed,
            (Step::Tick | Step::Start | Step::Exit(..) | Step::Create(..) | Step::Stored(..), _) => {
                ObservationInput::Tick
            }
        };
        let before = observed.log.len();
        observed.when(now, input);
        each(&observed, now, &observed.log[before..]);
    }
    observed
}

/// The symptoms that belong to no incident.
const UNUSUAL: [Symptom; 4] =
    [Symptom::CpuUnusual, Symptom::MemoryUnusual, Symptom::NetworkUnusual, Symptom::BlockUnusual];

/// The symptom that the event raises (true) or clears (false).
fn change(event: &NewEvent) -> Option<(Symptom, bool)> {
    match &event.event {
        Event::Observation(Observation::SymptomRaised(raised)) => Some((raised.symptom, true)),
        Event::Observation(Observation::SymptomCleared(cleared)) => Some((cleared.symptom, false)),
        _ => None,
    }
}

proptest! {
    #[test]
    fn each_symptom_is_raised_and_cleared_in_turn(steps in steps()) {
        let observed = play(steps, |_, _, _| {});
        let mut active: BTreeMap<Symptom, bool> = BTreeMap::new();
        for (symptom, raised) in observed.log.iter().filter_map(change) {
            prop_assert_ne!(active.insert(symptom, raised).unwrap_or(false), raised, "{} twice", symptom);
        }
        active.retain(|_, raised| *raised);
        prop_assert!(active.keys().eq(observed.state.active_symptoms().keys()));
    }

    #[test]
    fn the_incident_does_not_change_while_a_symptom_is_active(steps in steps()) {
        let observed = play(steps, |_, _, _| {});
        let (mut active, mut incident) = (0_u32, None);
        for event in &observed.log {
            let change = change(event);
            if change.is_some_and(|(symptom, _)| UNUSUAL.contains(&symptom)) {
                continue;
            }
            if active > 0 {
                prop_assert_eq!(&event.incident, &incident);
            }
            match change {
                Some((_, true)) => {
                    prop_assert!(event.incident.is_some());
                    incident = event.incident.clone();
                    active += 1;
                }
                Some((_, false)) => active -= 1,
                None => {}
            }
        }
    }

    #[test]
    fn a_symptom_of_low_severity_belongs_to_no_incident(steps in steps()) {
        play(steps, |_, _, events| {
            for event in events {
                let Some((symptom, raised)) = change(event) else { continue };
                assert_eq!(event.incident.is_none(), UNUSUAL.contains(&symptom), "{event:?}");
                if let (true, Event::Observation(Observation::SymptomRaised(emitted))) = (raised, &event.event) {
                    assert_eq!(emitted.severity == Severity::Low, UNUSUAL.contains(&symptom), "{event:?}");
                }
            }
        });
    }

    #[test]
    fn the_state_is_the_fold_of_the_emitted_events(steps in steps()) {
        let observed = play(steps, |_, _, _| {});
        let mut folded = State::default();
        for event in &observed.log {
            folded.evolve(event.at, event.incident.as_ref(), &event.event);
        }
        folded.signals = observed.state.signals.clone();
        prop_assert_eq!(&folded, &observed.state);
        let row: State = serde_json::from_value(serde_json::to_value(&observed.state).unwrap()).unwrap();
        folded.signals = super::super::signals::Signals::default();
        prop_assert_eq!(row, folded);
    }

    #[test]
    fn no_change_that_is_due_is_left_pending(steps in steps()) {
        play(steps, |observed, now, _| {
            assert!(observed.deadline().is_none_or(|due| due > at(now)), "{:?} at {now}: {:?}", observed.deadline(), observed.state);
        });
    }

    #[test]
    fn no_symptom_is_raised_by_a_stop_or_while_paused(steps in steps()) {
        play(steps, |observed, _, events| {
            let is_raised = events.iter().any(|event| matches!(change(event), Some((_, true))));
            let stopped = observed.state.facts().is_some_and(|facts| {
                facts.state == Life::Paused || facts.exit.is_some_and(|exit| exit.by == ExitBy::Operator)
            });
            assert!(!(is_raised && stopped), "{events:?}");
        });
    }
}
