//! Scripts, and the events that a real engine gives for them.

use super::*;
use crate::{Check, Ends, Illness, Kind, Restart, Spec};

const START: i64 = 1_795_462_698_000_000_000;

fn at(millis: u64) -> Moment {
    Moment::from_nanos(START) + Duration::from_millis(millis)
}

/// What is done to the container `api`, and when (in milliseconds).
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
    FallIll(Illness),
    Cure,
}
use Do::{Cure, FallIll, Kill, Pause, Remove, Rename, Start, Stop, Unpause};

fn run(spec: Spec, script: &[(u64, Do)], until: u64) -> (World, Vec<String>) {
    let mut world = World::new(7);
    world.create("api", spec, at(0)).unwrap();
    for (millis, what) in script {
        let now = at(*millis);
        let answer = match what {
            Start => world.start("api", now),
            Stop(patience) => world.stop("api", Some(Duration::from_millis(*patience)), now),
            Do::Restart => world.restart("api", None, now),
            Kill(signal) => world.kill("api", *signal, now),
            Pause => world.pause("api", now),
            Unpause => world.unpause("api", now),
            Remove => world.remove("api", true, now),
            Rename => world.rename("api", "api-old", now),
            FallIll(illness) => world.fall_ill("api", *illness, now).map(|()| Answer::Done),
            Cure => world.cure("api", now).map(|()| Answer::Done),
        };
        answer.unwrap();
    }
    world.advance(at(until));
    let told = world.take_news().events;
    let lives = told.iter().filter(|event| !event.action.starts_with("exec_"));
    let told = lives.map(|event| {
        let millis = event.at.since(at(0)).as_millis();
        let more: String = event.more.iter().map(|(_, value)| format!("({value})")).collect();
        format!("{millis} {}{more}", event.action)
    });
    let told = told.collect();
    (world, told)
}

fn check(spec: Spec, script: &[(u64, Do)], until: u64, expected: &[&str]) -> World {
    let (world, told) = run(spec, script, until);
    assert_eq!(told, expected);
    world
}

fn plain() -> Spec {
    Spec::default()
}

fn checked() -> Spec {
    plain().checked_every(Duration::from_millis(500))
}

fn exits(code: u8, after: u64) -> Illness {
    Illness::of(Kind::Exits { code }).after(Duration::from_millis(after))
}

#[test]
fn a_stop_is_a_kill_a_death_and_a_stop() {
    let world = check(
        plain(),
        &[(0, Start), (1000, Stop(9000))],
        2000,
        &["0 create", "0 start", "1000 kill(15)", "1050 die(0)", "1050 stop"],
    );
    assert_eq!(world.container("api").unwrap().life, Life::Exited);
}

#[test]
fn one_who_does_not_hear_is_killed_when_patience_ends() {
    let script = [(0, Start), (1, FallIll(Illness::of(Kind::Deaf))), (1000, Stop(2000))];
    check(
        plain(),
        &script,
        9000,
        &["0 create", "0 start", "1000 kill(15)", "3000 kill(9)", "3005 die(137)", "3005 stop"],
    );
    let slow = Spec { ends: Ends { after: Duration::from_secs(60), code: 0 }, ..plain() };
    check(
        slow,
        &[(0, Start), (1000, Stop(2000))],
        9000,
        &["0 create", "0 start", "1000 kill(15)", "3000 kill(9)", "3005 die(137)", "3005 stop"],
    );
}

#[test]
fn a_restart_is_a_stop_and_a_start_and_cures() {
    let script = [(0, Start), (700, FallIll(Illness::of(Kind::Unhealthy))), (2000, Do::Restart)];
    let world = check(
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
    assert_eq!(world.container("api").unwrap().restarts, 0);
    check(plain(), &[(5, Do::Restart)], 100, &["0 create", "5 start", "5 restart"]);
}

#[test]
fn a_chronic_illness_comes_back() {
    let unhealthy = Illness::of(Kind::Unhealthy).after(Duration::from_millis(700)).chronic();
    check(
        checked().inborn(unhealthy),
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
fn so_many_failures_in_a_row_make_it_unhealthy_and_one_success_healthy() {
    let every = |retries, start_period| Spec {
        check: Some(Check {
            interval: Duration::from_millis(500),
            retries,
            start_period: Duration::from_millis(start_period),
            ..Check::default()
        }),
        ..plain()
    };
    let ill = || [(0, Start), (1, FallIll(Illness::of(Kind::Unhealthy).lasting(Duration::from_millis(2700))))];
    check(
        every(3, 0),
        &ill(),
        4000,
        &["0 create", "0 start", "1500 health_status: unhealthy", "3000 health_status: healthy"],
    );
    // Within the start period failures do not count.
    check(
        every(3, 1200),
        &ill(),
        4000,
        &["0 create", "0 start", "2500 health_status: unhealthy", "3000 health_status: healthy"],
    );
}

#[test]
fn a_crash_loop_backs_off_and_gives_up_after_so_many_times() {
    let looping = plain().inborn(exits(3, 50).chronic());
    let world = check(
        looping.clone().restart(Restart::OnFailure(3)),
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
    let api = world.container("api").unwrap();
    assert_eq!((api.life, api.restarts, api.exit_code), (Life::Exited, 3, 3));
    let (world, told) = run(looping.restart(Restart::Always), &[(0, Start)], 600_000);
    let starts = told.iter().filter(|event| event.ends_with(" start")).count();
    assert!((16..=20).contains(&starts), "a minute between two at last: {starts}");
    assert_eq!(world.container("api").unwrap().life, Life::Restarting);
}

#[test]
fn who_runs_for_ten_seconds_is_restarted_at_once_again() {
    let slow_loop = plain().inborn(exits(1, 11_000).chronic()).restart(Restart::UnlessStopped);
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
fn a_success_is_restarted_only_where_the_policy_says_so() {
    for (policy, restarted) in
        [(Restart::No, false), (Restart::OnFailure(0), false), (Restart::Always, true), (Restart::UnlessStopped, true)]
    {
        let (_, told) = run(plain().restart(policy), &[(0, Start), (10, FallIll(exits(0, 0)))], 1000);
        let starts = told.iter().filter(|event| event.ends_with(" start")).count();
        assert_eq!(starts == 2, restarted, "{policy:?}: {told:?}");
    }
}

#[test]
fn nobody_who_was_stopped_or_killed_by_hand_is_restarted() {
    for end in [Stop(5000), Kill(9), Kill(15)] {
        let (world, told) = run(plain().restart(Restart::Always), &[(0, Start), (100, end)], 9000);
        assert_eq!(world.container("api").unwrap().life, Life::Exited, "{told:?}");
    }
    // Between two runs there is nobody to kill.
    let looping = plain().inborn(exits(3, 50).chronic()).restart(Restart::Always);
    check(
        looping,
        &[(0, Start), (250, Stop(5000))],
        9000,
        &["0 create", "0 start", "50 die(3)", "150 start", "200 die(3)", "250 stop"],
    );
}

#[test]
fn a_signal_that_ends_nothing_is_only_told() {
    let script = [(0, Start), (10, Kill(1))];
    let world = check(plain(), &script, 9000, &["0 create", "0 start", "10 kill(1)"]);
    assert_eq!(world.container("api").unwrap().life, Life::Running);
    let own = Spec { stop_signal: Some("SIGQUIT".to_owned()), ..plain() };
    check(own, &[(0, Start), (10, Stop(1000))], 90, &["0 create", "0 start", "10 kill(3)", "60 die(0)", "60 stop"]);
}

#[test]
fn the_kernel_kills_at_the_limit() {
    let small = || Spec { memory: Some(64 << 20), restart: Restart::UnlessStopped, ..plain() };
    // 15 MiB at rest, so 49 MiB are left.
    let leak = Illness::of(Kind::Leak { bytes_per_minute: 49 << 20 });
    let world = check(
        small(),
        &[(0, Start), (1000, FallIll(leak))],
        61_500,
        &["0 create", "0 start", "61000 oom", "61000 die(137)", "61100 start"],
    );
    let api = world.container("api").unwrap();
    assert_eq!((api.life, api.out_of_memory, api.restarts), (Life::Running, false, 1));
    let at_once = Illness::of(Kind::Holds { bytes: 64 << 20 });
    let (world, _) = run(Spec { restart: Restart::No, ..small() }, &[(0, Start), (10, FallIll(at_once))], 20);
    assert!(world.container("api").unwrap().out_of_memory);
    let (_, told) = run(plain(), &[(0, Start), (0, FallIll(Illness::of(Kind::OutOfMemory)))], 5000);
    assert_eq!(told.last().map(String::as_str), Some("1941 die(137)"));
}

#[test]
fn a_child_is_killed_and_the_container_lives_on() {
    let script = [(0, Start), (5, FallIll(Illness::of(Kind::ChildOutOfMemory)))];
    let world = check(plain(), &script, 9000, &["0 create", "0 start", "5 oom"]);
    assert_eq!(world.container("api").unwrap().life, Life::Running);
}

#[test]
fn what_is_frozen_is_unhealthy_without_a_word_and_checked_again_afterwards() {
    let script = [(0, Start), (700, Pause), (2000, Unpause)];
    let world = check(
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
    assert_eq!(world.container("api").unwrap().health(), Some(Health::Healthy));
    let (world, _) = run(checked(), &[(0, Start), (700, Pause)], 1000);
    assert_eq!(world.container("api").unwrap().health(), Some(Health::Unhealthy));
}

#[test]
fn flapping_goes_to_and_fro() {
    let flaps = Illness::of(Kind::Flapping { every: Duration::from_millis(1000) });
    check(
        checked(),
        &[(0, Start), (600, FallIll(flaps))],
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
fn what_runs_is_removed_by_force_only() {
    check(
        plain(),
        &[(0, Start), (10, Remove)],
        1000,
        &["0 create", "0 start", "10 kill(9)", "15 die(137)", "15 destroy"],
    );
    let (mut world, _) = run(plain(), &[(0, Start)], 10);
    assert!(matches!(world.remove("api", false, at(20)), Err(Refusal::StillRunning(_))));
}

#[test]
fn a_name_belongs_to_one_and_can_be_given_on() {
    let (mut world, told) = run(plain(), &[(0, Start), (10, Rename)], 20);
    assert_eq!(told, ["0 create", "0 start", "10 rename(/api)"]);
    assert!(world.container("api").is_err());
    world.create("api", plain(), at(30)).unwrap();
    assert!(matches!(world.create("api", plain(), at(30)), Err(Refusal::NameTaken { .. })));
    assert!(matches!(world.create("a b", plain(), at(30)), Err(Refusal::Invalid(_))));
    let id = world.container("api-old").unwrap().id;
    assert_eq!(world.container(&id.as_str()[..12]).unwrap().id, id);
    assert_eq!(world.container(id.as_str()).unwrap().id, id);
}

#[test]
fn a_cure_ends_everything() {
    let script = [(0, Start), (600, FallIll(Illness::of(Kind::Unhealthy))), (1200, Cure)];
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
fn what_takes_time_is_said_to_be_done_when_it_is() {
    let mut world = World::new(1);
    world.create("api", plain(), at(0)).unwrap();
    world.start("api", at(0)).unwrap();
    assert_eq!(world.start("api", at(1)).unwrap(), Answer::Already);
    let Answer::Later(first) = world.stop("api", None, at(10)).unwrap() else { panic!("it takes time") };
    let Answer::Later(second) = world.restart("api", None, at(20)).unwrap() else { panic!("it takes time") };
    world.take_news();
    world.advance(at(40));
    assert_eq!(world.take_news().done, []);
    world.advance(at(100));
    assert_eq!(world.take_news().done, [first, second]);
    // The stop became the first half of the restart.
    assert_eq!(world.container("api").unwrap().life, Life::Running);
    assert!(matches!(world.kill("nobody", 9, at(200)), Err(Refusal::Unknown(_))));
}

#[test]
fn the_same_seed_and_script_give_the_same_world() {
    let told = |seed| {
        let mut world = World::new(seed);
        let flaps = Illness::of(Kind::Flapping { every: Duration::from_millis(700) });
        for n in 0..20 {
            world.create(&format!("c-{n}"), checked().inborn(flaps.chronic()), at(n)).unwrap();
            world.start(&format!("c-{n}"), at(n * 3)).unwrap();
        }
        world.advance(at(10_000));
        let events = world.take_news().events;
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
            (0..400_u64, any::<u8>(), any::<bool>()).prop_map(|(after, code, chronic)| {
                let exits = exits(code, after);
                FallIll(if chronic { exits.chronic() } else { exits })
            }),
            Just(FallIll(Illness::of(Kind::OutOfMemory))),
            Just(FallIll(Illness::of(Kind::Unhealthy))),
            Just(FallIll(Illness::of(Kind::Deaf))),
            Just(Cure),
        ]
    }

    proptest! {
        /// Whatever is done to it, a run begins only where none is under way, ends only where one is, and every ticket is
        /// done in the end.
        #[test]
        fn runs_never_overlap_and_nobody_waits_for_ever(
            script in proptest::collection::vec((0..800_u64, step()), 0..40),
            policy in prop_oneof![Just(Restart::No), Just(Restart::Always), Just(Restart::OnFailure(2))],
        ) {
            let mut world = World::new(3);
            world.create("api", checked().restart(policy), at(0)).unwrap();
            let (mut now, mut open) = (0, vec![]);
            for (pause, what) in script {
                now += pause;
                let now = at(now);
                let answer = match what {
                    Start => world.start("api", now),
                    Stop(patience) => world.stop("api", Some(Duration::from_millis(patience)), now),
                    Do::Restart => world.restart("api", None, now),
                    Kill(signal) => world.kill("api", signal, now),
                    Pause => world.pause("api", now),
                    Unpause => world.unpause("api", now),
                    FallIll(illness) => world.fall_ill("api", illness, now).map(|()| Answer::Done),
                    Cure => world.cure("api", now).map(|()| Answer::Done),
                    Remove | Rename => Ok(Answer::Done),
                };
                if let Ok(Answer::Later(ticket)) = answer {
                    open.push(ticket);
                }
            }
            world.advance(at(now + 120_000));
            let news = world.take_news();
            let mut runs = false;
            let mut last = None;
            for event in &news.events {
                prop_assert!(last < Some(event.at), "in order, each with an instant of its own");
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
            prop_assert_eq!(runs, world.container("api").unwrap().is_up());
            open.retain(|ticket| !news.done.contains(ticket));
            prop_assert!(open.is_empty(), "{:?} still wait", open);
        }
    }
}
