//! Scripts of commands, and the events that a real engine emits for them.

use super::{
    container::{Health, Status},
    outcome::Outcome,
    *,
};
use crate::{
    failure::{Failure, FailureKind},
    spec::{ContainerSpec, HealthCheck, RestartPolicy, StopBehaviour},
};

const START: i64 = 1_795_462_698_000_000_000;

fn at(millis: u64) -> UnixNanos {
    UnixNanos::from_nanos(START) + Duration::from_millis(millis)
}

/// A command on the container `api`.
#[derive(Debug, Clone)]
enum Do {
    Start,
    Stop(u64),
    Restart,
    Kill(i32),
    Pause,
    Unpause,
    Remove,
    Rename,
    Inject(Failure),
    ClearFailures,
}
use Do::{ClearFailures, Inject, Kill, Pause, Remove, Rename, Start, Stop, Unpause};

fn run(spec: ContainerSpec, script: &[(u64, Do)], until: u64) -> (EngineState, Vec<String>) {
    let mut engine = EngineState::new(7);
    engine.create("api", spec, at(0)).unwrap();
    for (millis, what) in script {
        let now = at(*millis);
        let answer = match what {
            Start => engine.start("api", now),
            Stop(grace) => engine.stop("api", Some(Duration::from_millis(*grace)), now),
            Do::Restart => engine.restart("api", None, now),
            Kill(signal) => engine.kill("api", *signal, now),
            Pause => engine.pause("api", now),
            Unpause => engine.unpause("api", now),
            Remove => engine.remove("api", true, now),
            Rename => engine.rename("api", "api-old", now),
            Inject(failure) => engine.inject("api", *failure, now).map(|()| Outcome::Done),
            ClearFailures => engine.clear_failures("api", now).map(|()| Outcome::Done),
        };
        answer.unwrap();
    }
    engine.advance(at(until));
    let told = engine.take_updates().events;
    let shown = told.iter().filter(|event| !event.action.starts_with("exec_"));
    let told = shown.map(|event| {
        let millis = event.at.since(at(0)).as_millis();
        let more: String = event.more.iter().map(|(_, value)| format!("({value})")).collect();
        format!("{millis} {}{more}", event.action)
    });
    let told = told.collect();
    (engine, told)
}

fn check(spec: ContainerSpec, script: &[(u64, Do)], until: u64, expected: &[&str]) -> EngineState {
    let (engine, told) = run(spec, script, until);
    assert_eq!(told, expected);
    engine
}

fn plain() -> ContainerSpec {
    ContainerSpec::default()
}

fn checked() -> ContainerSpec {
    plain().checked_every(Duration::from_millis(500))
}

fn exits(code: u8, after: u64) -> Failure {
    Failure::of(FailureKind::Exits { code }).after(Duration::from_millis(after))
}

#[test]
fn a_stop_emits_kill_die_and_stop() {
    let engine = check(
        plain(),
        &[(0, Start), (1000, Stop(9000))],
        2000,
        &["0 create", "0 start", "1000 kill(15)", "1050 die(0)", "1050 stop"],
    );
    assert_eq!(engine.container("api").unwrap().status, Status::Exited);
}

#[test]
fn a_container_that_ignores_the_stop_signal_is_killed_after_the_grace_period() {
    let script = [(0, Start), (1, Inject(Failure::of(FailureKind::IgnoresStop))), (1000, Stop(2000))];
    check(
        plain(),
        &script,
        9000,
        &["0 create", "0 start", "1000 kill(15)", "3000 kill(9)", "3005 die(137)", "3005 stop"],
    );
    let slow = ContainerSpec { on_stop: StopBehaviour { after: Duration::from_secs(60), code: 0 }, ..plain() };
    check(
        slow,
        &[(0, Start), (1000, Stop(2000))],
        9000,
        &["0 create", "0 start", "1000 kill(15)", "3000 kill(9)", "3005 die(137)", "3005 stop"],
    );
}

#[test]
fn a_restart_is_a_stop_and_a_start_and_ends_failures() {
    let script = [(0, Start), (700, Inject(Failure::of(FailureKind::Unhealthy))), (2000, Do::Restart)];
    let engine = check(
        checked(),
        &script,
        2600,
        &[
            "0 create",
            "0 start",
            "500 health_status: healthy",
            "1000 health_status: unhealthy",
            "2000 kill(15)",
            "2050 die(0)",
            "2050 stop",
            "2050 start",
            "2050 restart",
            "2550 health_status: healthy",
        ],
    );
    assert_eq!(engine.container("api").unwrap().restarts, 0);
    check(plain(), &[(5, Do::Restart)], 100, &["0 create", "5 start", "5 restart"]);
}

#[test]
fn a_persistent_failure_begins_again() {
    let unhealthy = Failure::of(FailureKind::Unhealthy).after(Duration::from_millis(700)).persistent();
    check(
        checked().failing(unhealthy),
        &[(0, Start), (1600, Do::Restart)],
        2700,
        &[
            "0 create",
            "0 start",
            "500 health_status: healthy",
            "1000 health_status: unhealthy",
            "1600 kill(15)",
            "1650 die(0)",
            "1650 stop",
            "1650 start",
            "1650 restart",
            "2150 health_status: healthy",
            "2650 health_status: unhealthy",
        ],
    );
}

#[test]
fn retries_failures_in_a_row_make_it_unhealthy_and_one_success_healthy() {
    let every = |retries, start_period| ContainerSpec {
        check: Some(HealthCheck {
            interval: Duration::from_millis(500),
            retries,
            start_period: Duration::from_millis(start_period),
            ..HealthCheck::default()
        }),
        ..plain()
    };
    let unhealthy =
        || [(0, Start), (1, Inject(Failure::of(FailureKind::Unhealthy).lasting(Duration::from_millis(2700))))];
    check(
        every(3, 0),
        &unhealthy(),
        4000,
        &["0 create", "0 start", "1500 health_status: unhealthy", "3000 health_status: healthy"],
    );
    // Within the start period failures do not count.
    check(
        every(3, 1200),
        &unhealthy(),
        4000,
        &["0 create", "0 start", "2500 health_status: unhealthy", "3000 health_status: healthy"],
    );
}

#[test]
fn a_crash_loop_backs_off_and_stops_at_the_maximum() {
    let looping = plain().failing(exits(3, 50).persistent());
    let engine = check(
        looping.clone().restart(RestartPolicy::OnFailure(3)),
        &[(0, Start)],
        9000,
        &[
            "0 create",
            "0 start",
            "50 die(3)",
            "150 start",
            "200 die(3)",
            "400 start",
            "450 die(3)",
            "850 start",
            "900 die(3)",
        ],
    );
    let api = engine.container("api").unwrap();
    assert_eq!((api.status, api.restarts, api.exit_code), (Status::Exited, 3, 3));
    let (engine, told) = run(looping.restart(RestartPolicy::Always), &[(0, Start)], 600_000);
    let starts = told.iter().filter(|event| event.ends_with(" start")).count();
    assert!((16..=20).contains(&starts), "the backoff grows to a minute: {starts}");
    assert_eq!(engine.container("api").unwrap().status, Status::Restarting);
}

#[test]
fn a_run_of_ten_seconds_resets_the_backoff() {
    let slow_loop = plain().failing(exits(1, 11_000).persistent()).restart(RestartPolicy::UnlessStopped);
    check(
        slow_loop,
        &[(0, Start)],
        34_000,
        &[
            "0 create",
            "0 start",
            "11000 die(1)",
            "11100 start",
            "22100 die(1)",
            "22200 start",
            "33200 die(1)",
            "33300 start",
        ],
    );
}

#[test]
fn a_run_that_succeeds_is_restarted_only_if_the_policy_says_so() {
    for (policy, restarted) in [
        (RestartPolicy::No, false),
        (RestartPolicy::OnFailure(0), false),
        (RestartPolicy::Always, true),
        (RestartPolicy::UnlessStopped, true),
    ] {
        let (_, told) = run(plain().restart(policy), &[(0, Start), (10, Inject(exits(0, 0)))], 1000);
        let starts = told.iter().filter(|event| event.ends_with(" start")).count();
        assert_eq!(starts == 2, restarted, "{policy:?}: {told:?}");
    }
}

#[test]
fn a_container_that_a_user_stopped_or_killed_is_not_restarted() {
    for end in [Stop(5000), Kill(9), Kill(15)] {
        let (engine, told) = run(plain().restart(RestartPolicy::Always), &[(0, Start), (100, end)], 9000);
        assert_eq!(engine.container("api").unwrap().status, Status::Exited, "{told:?}");
    }
    // Between two runs there is no process to kill.
    let looping = plain().failing(exits(3, 50).persistent()).restart(RestartPolicy::Always);
    check(
        looping,
        &[(0, Start), (250, Stop(5000))],
        9000,
        &["0 create", "0 start", "50 die(3)", "150 start", "200 die(3)", "250 stop"],
    );
}

#[test]
fn a_signal_that_ends_nothing_only_emits_an_event() {
    let script = [(0, Start), (10, Kill(1))];
    let engine = check(plain(), &script, 9000, &["0 create", "0 start", "10 kill(1)"]);
    assert_eq!(engine.container("api").unwrap().status, Status::Running);
    let sigquit = ContainerSpec { stop_signal: Some("SIGQUIT".to_owned()), ..plain() };
    check(sigquit, &[(0, Start), (10, Stop(1000))], 90, &["0 create", "0 start", "10 kill(3)", "60 die(0)", "60 stop"]);
}

#[test]
fn the_oom_killer_kills_at_the_limit() {
    let small = || ContainerSpec { memory: Some(64 << 20), restart: RestartPolicy::UnlessStopped, ..plain() };
    // 15 MiB at rest, so 49 MiB are left.
    let leak = Failure::of(FailureKind::LeaksMemory { bytes_per_minute: 49 << 20 });
    let engine = check(
        small(),
        &[(0, Start), (1000, Inject(leak))],
        61_500,
        &["0 create", "0 start", "61000 oom", "61000 die(137)", "61100 start"],
    );
    let api = engine.container("api").unwrap();
    assert_eq!((api.status, api.out_of_memory, api.restarts), (Status::Running, false, 1));
    let at_once = Failure::of(FailureKind::HoldsMemory { bytes: 64 << 20 });
    let (engine, _) =
        run(ContainerSpec { restart: RestartPolicy::No, ..small() }, &[(0, Start), (10, Inject(at_once))], 20);
    assert!(engine.container("api").unwrap().out_of_memory);
    let (_, told) = run(plain(), &[(0, Start), (0, Inject(Failure::of(FailureKind::OutOfMemory)))], 5000);
    assert_eq!(told.last().map(String::as_str), Some("1941 die(137)"));
}

#[test]
fn after_an_oom_kill_of_a_child_the_container_keeps_running() {
    let script = [(0, Start), (5, Inject(Failure::of(FailureKind::ChildOutOfMemory)))];
    let engine = check(plain(), &script, 9000, &["0 create", "0 start", "5 oom"]);
    assert_eq!(engine.container("api").unwrap().status, Status::Running);
}

#[test]
fn a_paused_container_is_unhealthy_without_an_event_and_checked_again_afterwards() {
    let script = [(0, Start), (700, Pause), (2000, Unpause)];
    let engine = check(
        checked(),
        &script,
        2600,
        &[
            "0 create",
            "0 start",
            "500 health_status: healthy",
            "700 pause",
            "2000 unpause",
            "2500 health_status: healthy",
        ],
    );
    assert_eq!(engine.container("api").unwrap().health(), Some(Health::Healthy));
    let (engine, _) = run(checked(), &[(0, Start), (700, Pause)], 1000);
    assert_eq!(engine.container("api").unwrap().health(), Some(Health::Unhealthy));
}

#[test]
fn flapping_alternates() {
    let flaps = Failure::of(FailureKind::Flapping { every: Duration::from_millis(1000) });
    check(
        checked(),
        &[(0, Start), (600, Inject(flaps))],
        4100,
        &[
            "0 create",
            "0 start",
            "500 health_status: healthy",
            "1000 health_status: unhealthy",
            "2000 health_status: healthy",
            "3000 health_status: unhealthy",
            "4000 health_status: healthy",
        ],
    );
}

#[test]
fn a_running_container_is_removed_by_force_only() {
    check(
        plain(),
        &[(0, Start), (10, Remove)],
        1000,
        &["0 create", "0 start", "10 kill(9)", "15 die(137)", "15 destroy"],
    );
    let (mut engine, _) = run(plain(), &[(0, Start)], 10);
    assert!(matches!(engine.remove("api", false, at(20)), Err(Refusal::StillRunning(_))));
}

#[test]
fn a_name_is_unique_and_can_be_reused() {
    let (mut engine, told) = run(plain(), &[(0, Start), (10, Rename)], 20);
    assert_eq!(told, ["0 create", "0 start", "10 rename(/api)"]);
    assert!(engine.container("api").is_err());
    engine.create("api", plain(), at(30)).unwrap();
    assert!(matches!(engine.create("api", plain(), at(30)), Err(Refusal::NameTaken { .. })));
    assert!(matches!(engine.create("a b", plain(), at(30)), Err(Refusal::Invalid(_))));
    let id = engine.container("api-old").unwrap().id;
    assert_eq!(engine.container(&id.as_str()[..12]).unwrap().id, id);
    assert_eq!(engine.container(id.as_str()).unwrap().id, id);
}

#[test]
fn clearing_failures_ends_all() {
    let script = [(0, Start), (600, Inject(Failure::of(FailureKind::Unhealthy))), (1200, ClearFailures)];
    check(
        checked(),
        &script,
        2000,
        &[
            "0 create",
            "0 start",
            "500 health_status: healthy",
            "1000 health_status: unhealthy",
            "1500 health_status: healthy",
        ],
    );
}

#[test]
fn operations_complete_when_their_effect_is_there() {
    let mut engine = EngineState::new(1);
    engine.create("api", plain(), at(0)).unwrap();
    engine.start("api", at(0)).unwrap();
    assert_eq!(engine.start("api", at(1)).unwrap(), Outcome::NoChange);
    let Outcome::Pending(first) = engine.stop("api", None, at(10)).unwrap() else { panic!("it takes time") };
    let Outcome::Pending(second) = engine.restart("api", None, at(20)).unwrap() else { panic!("it takes time") };
    engine.take_updates();
    engine.advance(at(40));
    assert_eq!(engine.take_updates().done, []);
    engine.advance(at(100));
    assert_eq!(engine.take_updates().done, [first, second]);
    // The stop became the first half of the restart.
    assert_eq!(engine.container("api").unwrap().status, Status::Running);
    assert!(matches!(engine.kill("nobody", 9, at(200)), Err(Refusal::Unknown(_))));
}

#[test]
fn the_same_seed_and_script_lead_to_the_same_state() {
    let told = |seed| {
        let mut engine = EngineState::new(seed);
        let flaps = Failure::of(FailureKind::Flapping { every: Duration::from_millis(700) });
        for n in 0..20 {
            engine.create(&format!("c-{n}"), checked().failing(flaps.persistent()), at(n)).unwrap();
            engine.start(&format!("c-{n}"), at(n * 3)).unwrap();
        }
        engine.advance(at(10_000));
        let events = engine.take_updates().events;
        events.iter().map(|event| event.line()).collect::<Vec<_>>()
    };
    assert_eq!(told(1), told(1));
    assert_ne!(told(1), told(2));
}

mod laws {
    use proptest::prelude::*;

    use super::*;

    fn step() -> impl Strategy<Value = Do> {
        prop_oneof![
            Just(Start),
            (0..3000_u64).prop_map(Stop),
            Just(Do::Restart),
            prop_oneof![Just(Kill(9)), Just(Kill(15)), Just(Kill(1))],
            Just(Pause),
            Just(Unpause),
            (0..400_u64, any::<u8>(), any::<bool>()).prop_map(|(after, code, persistent)| {
                let exits = exits(code, after);
                Inject(if persistent { exits.persistent() } else { exits })
            }),
            Just(Inject(Failure::of(FailureKind::OutOfMemory))),
            Just(Inject(Failure::of(FailureKind::Unhealthy))),
            Just(Inject(Failure::of(FailureKind::IgnoresStop))),
            Just(ClearFailures),
        ]
    }

    proptest! {
        /// Whatever commands are run, a run begins only while none is in progress, ends only while one is, and every
        /// operation completes.
        #[test]
        fn runs_never_overlap_and_every_operation_completes(
            script in proptest::collection::vec((0..800_u64, step()), 0..40),
            policy in prop_oneof![Just(RestartPolicy::No), Just(RestartPolicy::Always), Just(RestartPolicy::OnFailure(2))],
        ) {
            let mut engine = EngineState::new(3);
            engine.create("api", checked().restart(policy), at(0)).unwrap();
            let (mut now, mut open) = (0, vec![]);
            for (pause, what) in script {
                now += pause;
                let now = at(now);
                let answer = match what {
                    Start => engine.start("api", now),
                    Stop(grace) => engine.stop("api", Some(Duration::from_millis(grace)), now),
                    Do::Restart => engine.restart("api", None, now),
                    Kill(signal) => engine.kill("api", signal, now),
                    Pause => engine.pause("api", now),
                    Unpause => engine.unpause("api", now),
                    Inject(failure) => engine.inject("api", failure, now).map(|()| Outcome::Done),
                    ClearFailures => engine.clear_failures("api", now).map(|()| Outcome::Done),
                    Remove | Rename => Ok(Outcome::Done),
                };
                if let Ok(Outcome::Pending(operation)) = answer {
                    open.push(operation);
                }
            }
            engine.advance(at(now + 120_000));
            let updates = engine.take_updates();
            let mut runs = false;
            let mut last = None;
            for event in &updates.events {
                prop_assert!(last < Some(event.at), "events are ordered and have distinct times");
                last = Some(event.at);
                match &*event.action {
                    "start" => {
                        prop_assert!(!runs, "two runs at once");
                        runs = true;
                    }
                    "die" => {
                        prop_assert!(runs, "an end without a run");
                        runs = false;
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(runs, engine.container("api").unwrap().is_up());
            open.retain(|operation| !updates.done.contains(operation));
            prop_assert!(open.is_empty(), "{:?} are still pending", open);
        }
    }
}
