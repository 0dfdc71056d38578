//! What holds whatever happens to a container.

use std::collections::BTreeMap;

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
        4 => Just(Step::Tick),
        1 => Just(Step::Remove),
        2 => (restart, any::<bool>()).prop_map(|(restart, check)| Step::Create(restart, check)),
    ];
    prop::collection::vec((0_i64..20, step), 1..120)
}

/// Everything that `steps` put on the log, and the state after; `each` looks at every moment.
fn live(steps: Vec<(i64, Step)>, mut each: impl FnMut(&Bed, i64, &[NewEvent])) -> Bed {
    let mut bed = Bed { state: State::default(), policy: policy(), log: vec![] };
    let mut now = 0;
    for (pause, step) in steps {
        now += pause;
        let run = bed.state.facts().map(Facts::target);
        let sight = match (step, run) {
            (Step::Create(restart_policy, check), None) => {
                let health = if check { Health::Starting } else { Health::None };
                Sight::Facts(Box::new(Facts { started_at: Some(at(now)), ..with(restart_policy, health) }))
            }
            (Step::Start, Some(run)) => Sight::Started(Target { started_at: Some(at(now)), ..run }),
            (Step::Exit(code, by), Some(run)) => Sight::Exited(run, exit(now, code, by)),
            (Step::Freeze, _) => Sight::Frozen,
            (Step::Thaw, _) => Sight::Thawed,
            (Step::Health(health), _) => Sight::Health(health),
            (Step::Sample(cpu, memory), _) => Sight::Sample(vitals(cpu, memory)),
            (Step::Remove, _) => Sight::Removed,
            (Step::Tick | Step::Start | Step::Exit(..) | Step::Create(..), _) => Sight::Tick,
        };
        let before = bed.log.len();
        bed.when(now, sight);
        each(&bed, now, &bed.log[before..]);
    }
    bed
}

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
        prop_assert!(standing.keys().eq(bed.state.standing().keys()));
    }

    #[test]
    fn the_incident_does_not_change_while_a_symptom_stands(steps in steps()) {
        let bed = live(steps, |_, _, _| {});
        let (mut standing, mut incident) = (0_u32, None);
        for event in &bed.log {
            if standing > 0 {
                prop_assert_eq!(&event.incident, &incident);
            }
            match turn(event) {
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
    fn the_state_is_the_fold_of_what_went_on_the_log(steps in steps()) {
        let bed = live(steps, |_, _, _| {});
        let mut folded = State::default();
        for event in &bed.log {
            let Event::Observation(seen) = &event.event else { panic!("not an observation: {event:?}") };
            folded.evolve(event.at, event.incident.as_ref(), seen);
        }
        folded.levels = bed.state.levels.clone();
        prop_assert_eq!(&folded, &bed.state);
        let row: State = serde_json::from_value(serde_json::to_value(&bed.state).unwrap()).unwrap();
        folded.levels = super::super::level::Levels::default();
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
