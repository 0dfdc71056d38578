//! What holds whatever happens to a container.

use std::collections::BTreeMap;

use hemostat_schema::{
    container::Strain,
    observation::{DiskMeasured, Severity, Stored},
};
use proptest::prelude::*;

use super::*;

/// What may happen to a container, without saying to which run.
#[derive(Debug, Clone)]
enum Step {
    Start,
    Exit(i64, ExitBy),
    Freeze,
    Thaw,
    Health(Health),
    Sample(f64, f64),
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
        1 => Just(Step::Freeze),
        1 => Just(Step::Thaw),
        4 => health.prop_map(Step::Health),
        10 => (level.clone(), level).prop_map(|(cpu, memory)| Step::Sample(cpu, memory)),
        4 => (prop_oneof![Just(5.0), Just(23.0), Just(60.0)], prop_oneof![Just(5), Just(92), Just(99)])
            .prop_map(|(throttled, pids)| Step::Strain(throttled, pids)),
        1 => Just(Step::OutOfMemory),
        2 => (prop_oneof![Just(0), Just(50), Just(700)], prop_oneof![Just(40), Just(90), Just(600)], any::<bool>())
            .prop_map(|(kept, left, largest)| Step::Stored(kept, left, largest)),
        4 => Just(Step::Tick),
        1 => Just(Step::Remove),
        2 => (restart, any::<bool>()).prop_map(|(restart, check)| Step::Create(restart, check)),
    ];
    // Now and then the same for long, so that what is usual is learnt.
    let repeated = prop_oneof![40 => Just(1_usize), 1 => Just(70)];
    let steps = prop::collection::vec((0_i64..20, step, repeated), 1..120);
    steps.prop_map(|steps| {
        let repeat = |(pause, step, times)| std::iter::repeat_n((if times > 1 { 5 } else { pause }, step), times);
        steps.into_iter().flat_map(repeat).collect()
    })
}

/// Everything that `steps` put on the log, and the state after; `each` looks at every moment.
fn live(steps: Vec<(i64, Step)>, mut each: impl FnMut(&ObservedContainer, i64, &[NewEvent])) -> ObservedContainer {
    let mut bed = ObservedContainer { state: State::default(), policy: policy(), log: vec![] };
    let mut now = 0;
    for (pause, step) in steps {
        now += pause;
        let run = bed.state.facts().map(Facts::target);
        let sight = match (step, run) {
            (Step::Create(restart_policy, check), None) => {
                let health = if check { Health::Starting } else { Health::None };
                ObservationInput::Facts(Box::new(Facts { started_at: Some(at(now)), ..with(restart_policy, health) }))
            }
            (Step::Start, Some(run)) => ObservationInput::Started(Target { started_at: Some(at(now)), ..run }),
            (Step::Exit(code, by), Some(run)) => ObservationInput::Exited(run, exit(now, code, by)),
            (Step::Freeze, _) => ObservationInput::Paused,
            (Step::Thaw, _) => ObservationInput::Unpaused,
            (Step::Health(health), _) => ObservationInput::Health(health),
            (Step::Sample(cpu, memory), _) => ObservationInput::Sample(vitals(cpu, memory)),
            (Step::Strain(throttled, pids), _) => {
                let strain = Strain { throttled: Some(Percent::clamped(throttled)), ..Strain::default() };
                ObservationInput::Sample(Vitals { pids, pids_limit: Some(100), strain, ..vitals(10.0, 10.0) })
            }
            (Step::OutOfMemory, _) => ObservationInput::OutOfMemory,
            (Step::Stored(kept, left, largest), Some(target)) => ObservationInput::Stored {
                stored: Stored { target, writable: ByteCount(kept << 20), volumes: vec![] },
                disk: Some(DiskMeasured {
                    path: "/".into(),
                    size: ByteCount(1000 << 20),
                    available: ByteCount(left << 20),
                }),
                largest,
            },
            (Step::Remove, _) => ObservationInput::Removed,
            (Step::Tick | Step::Start | Step::Exit(..) | Step::Create(..) | Step::Stored(..), _) => {
                ObservationInput::Tick
            }
        };
        let before = bed.log.len();
        bed.when(now, sight);
        each(&bed, now, &bed.log[before..]);
    }
    bed
}

/// The symptoms that are no illnesses.
const UNUSUAL: [Symptom; 4] =
    [Symptom::CpuUnusual, Symptom::MemoryUnusual, Symptom::NetworkUnusual, Symptom::BlockUnusual];

/// The symptom that the event raises (true) or clears (false).
fn turn(event: &NewEvent) -> Option<(Symptom, bool)> {
    match &event.event {
        Event::Observation(Observation::SymptomRaised(raised)) => Some((raised.symptom, true)),
        Event::Observation(Observation::SymptomCleared(cleared)) => Some((cleared.symptom, false)),
        _ => None,
    }
}

proptest! {
    #[test]
    fn each_symptom_is_raised_and_cleared_by_turns(steps in steps()) {
        let bed = live(steps, |_, _, _| {});
        let mut standing: BTreeMap<Symptom, bool> = BTreeMap::new();
        for (symptom, raised) in bed.log.iter().filter_map(turn) {
            prop_assert_ne!(standing.insert(symptom, raised).unwrap_or(false), raised, "{} twice", symptom);
        }
        standing.retain(|_, raised| *raised);
        prop_assert!(standing.keys().eq(bed.state.active_symptoms().keys()));
    }

    #[test]
    fn the_incident_does_not_change_while_a_symptom_stands(steps in steps()) {
        let bed = live(steps, |_, _, _| {});
        let (mut standing, mut incident) = (0_u32, None);
        for event in &bed.log {
            let turn = turn(event);
            if turn.is_some_and(|(symptom, _)| UNUSUAL.contains(&symptom)) {
                continue;
            }
            if standing > 0 {
                prop_assert_eq!(&event.incident, &incident);
            }
            match turn {
                Some((_, true)) => {
                    prop_assert!(event.incident.is_some());
                    incident = event.incident.clone();
                    standing += 1;
                }
                Some((_, false)) => standing -= 1,
                None => {}
            }
        }
    }

    #[test]
    fn what_is_merely_worth_knowing_belongs_to_no_incident(steps in steps()) {
        live(steps, |_, _, events| {
            for event in events {
                let Some((symptom, raised)) = turn(event) else { continue };
                assert_eq!(event.incident.is_none(), UNUSUAL.contains(&symptom), "{event:?}");
                if let (true, Event::Observation(Observation::SymptomRaised(told))) = (raised, &event.event) {
                    assert_eq!(told.severity == Severity::Low, UNUSUAL.contains(&symptom), "{event:?}");
                }
            }
        });
    }

    #[test]
    fn the_state_is_the_fold_of_what_went_on_the_log(steps in steps()) {
        let bed = live(steps, |_, _, _| {});
        let mut folded = State::default();
        for event in &bed.log {
            let Event::Observation(seen) = &event.event else { panic!("not an observation: {event:?}") };
            folded.evolve(event.at, event.incident.as_ref(), seen);
        }
        folded.signals = bed.state.signals.clone();
        prop_assert_eq!(&folded, &bed.state);
        let row: State = serde_json::from_value(serde_json::to_value(&bed.state).unwrap()).unwrap();
        folded.signals = super::super::signals::Signals::default();
        prop_assert_eq!(row, folded);
    }

    #[test]
    fn nothing_that_is_due_is_left_behind(steps in steps()) {
        live(steps, |bed, now, _| {
            assert!(bed.wakes().is_none_or(|due| due > at(now)), "{:?} at {now}: {:?}", bed.wakes(), bed.state);
        });
    }

    #[test]
    fn nobody_falls_ill_by_being_stopped_and_nothing_is_sick_while_frozen(steps in steps()) {
        live(steps, |bed, _, events| {
            let falls_ill = events.iter().any(|event| matches!(turn(event), Some((_, true))));
            let stopped = bed.state.facts().is_some_and(|facts| {
                facts.state == Life::Paused || facts.exit.is_some_and(|exit| exit.by == ExitBy::Operator)
            });
            assert!(!(falls_ill && stopped), "{events:?}");
        });
    }
}
