//! What operators do to containers raises no symptom: the sequences of inputs when they do it.

use super::*;

/// The emitted changes of symptoms.
fn symptoms(observed: &ObservedContainer) -> Vec<String> {
    observed.log.iter().filter(|event| event.event.name().starts_with("symptom")).map(emitted).collect()
}

/// A container created under the same name at this second, with another id.
fn created(second: i64, health: Health) -> Facts {
    let id = format!("fedcba98765432{second:02}").parse().unwrap();
    Facts { id, created_at: at(second), started_at: None, state: Life::Created, ..with(RestartPolicy::No, health) }
}

/// It is created, and started a second later.
fn up(observed: &mut ObservedContainer, second: i64, health: Health) {
    let facts = created(second, health);
    observed.when(second, ObservationInput::Facts(Box::new(facts.clone())));
    let run = Run { started_at: Some(at(second + 1)), ..facts.target() };
    observed.when(second + 1, ObservationInput::Started(run));
}

#[test]
fn operators_who_stop_start_restart_remove_and_update_raise_no_symptom() {
    let down = |observed: &mut ObservedContainer, second: i64, code: i64| {
        observed.exited(second, code, ExitBy::Operator);
        observed.when(second + 1, ObservationInput::Removed);
    };
    let check = |name: &str, steps: &dyn Fn(&mut ObservedContainer)| {
        let mut observed = ObservedContainer::given(with(RestartPolicy::UnlessStopped, Health::Healthy));
        steps(&mut observed);
        for second in (500..900).step_by(10) {
            observed.when(second, ObservationInput::Tick);
        }
        assert_eq!(symptoms(&observed), [""; 0], "{name}: {:?}", observed.log.iter().map(emitted).collect::<Vec<_>>());
    };
    check("docker stop, by SIGTERM", &|observed| drop(observed.exited(10, 143, ExitBy::Operator)));
    check("docker stop, by SIGKILL in the end", &|observed| drop(observed.exited(20, 137, ExitBy::Operator)));
    check("docker restart", &|observed| {
        observed.exited(10, 143, ExitBy::Operator);
        observed.started(11);
        observed.when(20, ObservationInput::Health(Health::Healthy));
    });
    check("docker restart, six times in a minute", &|observed| {
        for n in 1..=6 {
            observed.exited(n * 10, 143, ExitBy::Operator);
            observed.started(n * 10 + 1);
        }
    });
    check("docker pause and unpause, of a container that was just becoming unhealthy", &|observed| {
        observed.when(10, ObservationInput::Paused);
        observed.when(12, ObservationInput::Health(Health::Unhealthy));
        observed.when(40, ObservationInput::Health(Health::Healthy));
        observed.when(60, ObservationInput::Unpaused);
    });
    check("docker compose down", &|observed| down(observed, 10, 143));
    check("docker compose down and up", &|observed| {
        down(observed, 10, 143);
        up(observed, 20, Health::Starting);
        observed.when(40, ObservationInput::Health(Health::Healthy));
    });
    check("docker compose up --force-recreate: create, stop, remove, rename, start", &|observed| {
        observed.exited(10, 137, ExitBy::Operator);
        observed.when(11, ObservationInput::Removed);
        up(observed, 11, Health::Starting);
        observed.when(25, ObservationInput::Health(Health::Healthy));
    });
    check("an update tool: stop, rename, create, start, remove", &|observed| {
        observed.exited(10, 143, ExitBy::Operator);
        // Another container that takes over the name is a removal of the first.
        up(observed, 12, Health::Starting);
        observed.when(30, ObservationInput::Health(Health::Healthy));
    });
    check("an update whose first checks fail, and that recovers within the grace period", &|observed| {
        down(observed, 10, 143);
        up(observed, 20, Health::Starting);
        observed.when(25, ObservationInput::Health(Health::Unhealthy));
        observed.when(45, ObservationInput::Health(Health::Healthy));
    });
    check("an update whose first start crashes, and that is started again within the grace period", &|observed| {
        down(observed, 10, 143);
        up(observed, 20, Health::None);
        observed.exited(23, 1, ExitBy::Crash);
        observed.started(40);
    });
    check("docker rm -f of a container that was unhealthy for less than the required time", &|observed| {
        observed.policy.container_defaults.unhealthy = Span::from_secs(60);
        observed.when(10, ObservationInput::Health(Health::Unhealthy));
        observed.exited(20, 137, ExitBy::Operator);
        observed.when(21, ObservationInput::Removed);
    });
}

#[test]
fn a_fault_that_is_still_there_after_the_grace_period_is_raised_then() {
    let check = |name: &str, raised: &str, at_second: i64, steps: &dyn Fn(&mut ObservedContainer)| {
        let mut observed = ObservedContainer { state: State::default(), policy: policy(), log: vec![] };
        up(&mut observed, 0, Health::Starting);
        steps(&mut observed);
        let first = observed.log.iter().find(|event| event.event.name() == "symptom_raised");
        assert_eq!(first.map(|event| (emitted(event), event.at)), Some((raised.into(), at(at_second))), "{name}");
    };
    let wait = |observed: &mut ObservedContainer| {
        while let Some(due) = observed.deadline() {
            observed.when(Span::between(at(0), due).as_millis() as i64 / 1000, ObservationInput::Tick);
            assert!(observed.log.len() < 50);
            if !observed.state.active_symptoms().is_empty() {
                break;
            }
        }
    };
    check("unhealthy", "raised unhealthy High", 30, &|observed| {
        observed.when(10, ObservationInput::Health(Health::Unhealthy));
        wait(observed);
    });
    check("unhealthy, later", "raised unhealthy High", 35, &|observed| {
        observed.when(35, ObservationInput::Health(Health::Unhealthy));
    });
    check("crashed", "raised exited High", 30, &|observed| {
        observed.exited(10, 1, ExitBy::Crash);
        wait(observed);
    });
    check("crashed, later", "raised exited High", 40, &|observed| drop(observed.exited(40, 1, ExitBy::Crash)));
    check("killed for lack of memory: the grace period does not apply", "raised oom killed Critical", 5, &|observed| {
        observed.exited(5, 137, ExitBy::Oom);
    });
    check("CPU", "raised cpu high High", 65, &|observed| {
        observed.policy.container_defaults.grace = Span::from_secs(65);
        observed.samples(5..=100, 90.0, 10.0);
    });
    check("a grace period by label", "raised unhealthy High", 120, &|observed| {
        let mut facts = observed.state.facts().unwrap().clone();
        facts.labels = [("hemostat.grace".to_owned(), "2m".to_owned())].into();
        observed.when(2, ObservationInput::Facts(Box::new(facts)));
        observed.when(10, ObservationInput::Health(Health::Unhealthy));
        wait(observed);
    });
}

#[test]
fn flapping_within_the_grace_period_is_raised_only_if_it_goes_on() {
    let flap = |last: i64| {
        let mut observed = ObservedContainer { state: State::default(), policy: policy(), log: vec![] };
        observed.policy.container_defaults.grace = Span::from_secs(100);
        observed.policy.sensitivity.flaps_within = Span::from_secs(60);
        up(&mut observed, 0, Health::Starting);
        observed.when(2, ObservationInput::Health(Health::Healthy));
        for second in (5..=last).step_by(5) {
            let health = if second % 2 == 1 { Health::Unhealthy } else { Health::Healthy };
            observed.when(second, ObservationInput::Health(health));
        }
        for second in last + 1..200 {
            observed.when(second, ObservationInput::Tick);
        }
        symptoms(&observed).iter().any(|emitted| emitted == "raised flapping High")
    };
    assert!(!flap(50));
    assert!(flap(90));
}

#[test]
fn a_starting_or_paused_container_is_never_sick() {
    for health in [Health::Starting, Health::None] {
        let mut observed = ObservedContainer::given(with(RestartPolicy::No, health));
        assert_eq!(observed.when(6000, ObservationInput::Tick), [""; 0], "{health:?}");
        assert_eq!(observed.deadline(), None);
    }
    let mut observed = ObservedContainer::given(facts());
    observed.when(10, ObservationInput::Paused);
    for input in [
        ObservationInput::Health(Health::Unhealthy),
        ObservationInput::Sample(vitals(100.0, 100.0)),
        ObservationInput::OutOfMemory,
        ObservationInput::Tick,
        ObservationInput::Facts(Box::new(Facts { state: Life::Paused, health: Health::Unhealthy, ..facts() })),
    ] {
        for second in [20, 60, 600] {
            observed.when(second, input.clone());
        }
    }
    assert_eq!(symptoms(&observed), [""; 0]);
}
