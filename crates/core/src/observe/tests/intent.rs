//! What people do to containers is no illness: the sequences of things that are seen when they do it.

use super::*;

/// What was told of symptoms.
fn symptoms(bed: &ObservedContainer) -> Vec<String> {
    bed.log.iter().filter(|event| event.event.name().starts_with("symptom")).map(told).collect()
}

/// The container made anew under its name at this second, with another id.
fn made(second: i64, health: Health) -> Facts {
    let id = format!("fedcba98765432{second:02}").parse().unwrap();
    Facts { id, created_at: at(second), started_at: None, state: Life::Created, ..with(RestartPolicy::No, health) }
}

/// It was made, and started a second later.
fn up(bed: &mut ObservedContainer, second: i64, health: Health) {
    let created = made(second, health);
    bed.when(second, ObservationInput::Facts(Box::new(created.clone())));
    let run = Target { started_at: Some(at(second + 1)), ..created.target() };
    bed.when(second + 1, ObservationInput::Started(run));
}

#[test]
fn people_who_stop_start_restart_remove_and_update_do_no_harm() {
    let down = |bed: &mut ObservedContainer, second: i64, code: i64| {
        bed.exited(second, code, ExitBy::Operator);
        bed.when(second + 1, ObservationInput::Removed);
    };
    let check = |name: &str, deeds: &dyn Fn(&mut ObservedContainer)| {
        let mut bed = ObservedContainer::given(with(RestartPolicy::UnlessStopped, Health::Healthy));
        deeds(&mut bed);
        for second in (500..900).step_by(10) {
            bed.when(second, ObservationInput::Tick);
        }
        assert_eq!(symptoms(&bed), [""; 0], "{name}: {:?}", bed.log.iter().map(told).collect::<Vec<_>>());
    };
    check("docker stop, by SIGTERM", &|bed| drop(bed.exited(10, 143, ExitBy::Operator)));
    check("docker stop, by SIGKILL in the end", &|bed| drop(bed.exited(20, 137, ExitBy::Operator)));
    check("docker restart", &|bed| {
        bed.exited(10, 143, ExitBy::Operator);
        bed.started(11);
        bed.when(20, ObservationInput::Health(Health::Healthy));
    });
    check("docker restart, six times in a minute", &|bed| {
        for n in 1..=6 {
            bed.exited(n * 10, 143, ExitBy::Operator);
            bed.started(n * 10 + 1);
        }
    });
    check("docker pause and unpause, of what was just turning ill", &|bed| {
        bed.when(10, ObservationInput::Paused);
        bed.when(12, ObservationInput::Health(Health::Unhealthy));
        bed.when(40, ObservationInput::Health(Health::Healthy));
        bed.when(60, ObservationInput::Unpaused);
    });
    check("docker compose down", &|bed| down(bed, 10, 143));
    check("docker compose down and up", &|bed| {
        down(bed, 10, 143);
        up(bed, 20, Health::Starting);
        bed.when(40, ObservationInput::Health(Health::Healthy));
    });
    check("docker compose up --force-recreate: create, stop, remove, rename, start", &|bed| {
        bed.exited(10, 137, ExitBy::Operator);
        bed.when(11, ObservationInput::Removed);
        up(bed, 11, Health::Starting);
        bed.when(25, ObservationInput::Health(Health::Healthy));
    });
    check("an update tool: stop, rename, create, start, remove", &|bed| {
        bed.exited(10, 143, ExitBy::Operator);
        // To core, a name that another container takes over is a removal.
        up(bed, 12, Health::Starting);
        bed.when(30, ObservationInput::Health(Health::Healthy));
    });
    check("an update whose first checks fail, and that recovers in its grace", &|bed| {
        down(bed, 10, 143);
        up(bed, 20, Health::Starting);
        bed.when(25, ObservationInput::Health(Health::Unhealthy));
        bed.when(45, ObservationInput::Health(Health::Healthy));
    });
    check("an update whose first start crashes, and that is started again in its grace", &|bed| {
        down(bed, 10, 143);
        up(bed, 20, Health::None);
        bed.exited(23, 1, ExitBy::Crash);
        bed.started(40);
    });
    check("docker rm -f of what was unhealthy for less than its time", &|bed| {
        bed.policy.container_defaults.unhealthy = Span::from_secs(60);
        bed.when(10, ObservationInput::Health(Health::Unhealthy));
        bed.exited(20, 137, ExitBy::Operator);
        bed.when(21, ObservationInput::Removed);
    });
}

#[test]
fn what_is_wrong_when_its_grace_is_over_is_told_then() {
    let check = |name: &str, raised: &str, at_second: i64, deeds: &dyn Fn(&mut ObservedContainer)| {
        let mut bed = ObservedContainer { state: State::default(), policy: policy(), log: vec![] };
        up(&mut bed, 0, Health::Starting);
        deeds(&mut bed);
        let first = bed.log.iter().find(|event| event.event.name() == "symptom_raised");
        assert_eq!(first.map(|event| (told(event), event.at)), Some((raised.into(), at(at_second))), "{name}");
    };
    let wait = |bed: &mut ObservedContainer| {
        while let Some(due) = bed.wakes() {
            bed.when(Span::between(at(0), due).as_millis() as i64 / 1000, ObservationInput::Tick);
            assert!(bed.log.len() < 50);
            if !bed.state.active_symptoms().is_empty() {
                break;
            }
        }
    };
    check("unhealthy", "raised unhealthy High", 30, &|bed| {
        bed.when(10, ObservationInput::Health(Health::Unhealthy));
        wait(bed);
    });
    check("unhealthy, later", "raised unhealthy High", 35, &|bed| {
        bed.when(35, ObservationInput::Health(Health::Unhealthy));
    });
    check("crashed", "raised exited High", 30, &|bed| {
        bed.exited(10, 1, ExitBy::Crash);
        wait(bed);
    });
    check("crashed, later", "raised exited High", 40, &|bed| drop(bed.exited(40, 1, ExitBy::Crash)));
    check("killed for want of memory: no grace helps", "raised oom killed Critical", 5, &|bed| {
        bed.exited(5, 137, ExitBy::Oom);
    });
    check("CPU", "raised cpu high High", 65, &|bed| {
        bed.policy.container_defaults.grace = Span::from_secs(65);
        bed.samples(5..=100, 90.0, 10.0);
    });
    check("a grace of its own", "raised unhealthy High", 120, &|bed| {
        let mut facts = bed.state.facts().unwrap().clone();
        facts.labels = [("hemostat.grace".to_owned(), "2m".to_owned())].into();
        bed.when(2, ObservationInput::Facts(Box::new(facts)));
        bed.when(10, ObservationInput::Health(Health::Unhealthy));
        wait(bed);
    });
}

#[test]
fn a_deploy_that_flaps_in_its_grace_is_told_only_when_it_still_does() {
    let flap = |last: i64| {
        let mut bed = ObservedContainer { state: State::default(), policy: policy(), log: vec![] };
        bed.policy.container_defaults.grace = Span::from_secs(100);
        bed.policy.sensitivity.flaps_within = Span::from_secs(60);
        up(&mut bed, 0, Health::Starting);
        bed.when(2, ObservationInput::Health(Health::Healthy));
        for second in (5..=last).step_by(5) {
            let health = if second % 2 == 1 { Health::Unhealthy } else { Health::Healthy };
            bed.when(second, ObservationInput::Health(health));
        }
        for second in last + 1..200 {
            bed.when(second, ObservationInput::Tick);
        }
        symptoms(&bed).iter().any(|told| told == "raised flapping High")
    };
    assert!(!flap(50));
    assert!(flap(90));
}

#[test]
fn what_starts_or_is_frozen_is_never_sick() {
    for health in [Health::Starting, Health::None] {
        let mut bed = ObservedContainer::given(with(RestartPolicy::No, health));
        assert_eq!(bed.when(6000, ObservationInput::Tick), [""; 0], "{health:?}");
        assert_eq!(bed.wakes(), None);
    }
    let mut bed = ObservedContainer::given(facts());
    bed.when(10, ObservationInput::Paused);
    for sight in [
        ObservationInput::Health(Health::Unhealthy),
        ObservationInput::Sample(vitals(100.0, 100.0)),
        ObservationInput::OutOfMemory,
        ObservationInput::Tick,
        ObservationInput::Facts(Box::new(Facts { state: Life::Paused, health: Health::Unhealthy, ..facts() })),
    ] {
        for second in [20, 60, 600] {
            bed.when(second, sight.clone());
        }
    }
    assert_eq!(symptoms(&bed), [""; 0]);
}
