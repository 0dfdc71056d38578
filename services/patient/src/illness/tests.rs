use super::*;

#[test]
fn an_illness_outside_its_bounds_is_refused_with_the_reason() {
    let cpu = |duration, intensity| Illness::Cpu(Cpu { duration, intensity });
    let throttle = |duration, threads| Illness::Throttle(Throttle { duration, threads });
    let memory = |duration, size_mb| Illness::Memory(Memory { duration, size_mb });
    let leak = |duration, mb_per_minute| Illness::Leak(Leak { duration, mb_per_minute });
    let pids = |duration, count| Illness::Pids(Pids { duration, count });
    let disk = |duration, size_mb, mb_per_minute| Illness::Disk(Disk { duration, size_mb, mb_per_minute });
    let flap = |duration, every| Illness::Flap(Flap { duration, every });
    let too_fast = "mb_per_minute must be at least 1, and at most 2000 MiB in the whole duration, not";
    for (illness, reason) in [
        (cpu(0, 0.5), "duration must be 1 to 300 seconds, not 0".to_owned()),
        (cpu(301, 0.5), "duration must be 1 to 300 seconds, not 301".to_owned()),
        (cpu(1, 0.0), "intensity must be above 0 and at most 1, not 0".to_owned()),
        (cpu(1, 1.5), "intensity must be above 0 and at most 1, not 1.5".to_owned()),
        (cpu(1, f64::NAN), "intensity must be above 0 and at most 1, not NaN".to_owned()),
        (throttle(301, 1), "duration must be 1 to 300 seconds, not 301".to_owned()),
        (throttle(1, 17), "threads must be 1 to 16, not 17".to_owned()),
        (memory(1, 2001), "size_mb must be 1 to 2000, not 2001".to_owned()),
        (leak(3601, 1), "duration must be 1 to 3600 seconds, not 3601".to_owned()),
        (leak(60, 0), format!("{too_fast} 0")),
        (leak(120, 1001), format!("{too_fast} 1001")),
        (leak(1, u64::MAX), format!("{too_fast} {}", u64::MAX)),
        (pids(1, 0), "count must be 1 to 2000, not 0".to_owned()),
        (pids(1, 2001), "count must be 1 to 2000, not 2001".to_owned()),
        (disk(1, 2001, None), "size_mb must be 1 to 2000, not 2001".to_owned()),
        (disk(1, 1, Some(0)), "mb_per_minute must be at least 1, not 0".to_owned()),
        (
            Illness::Unhealthy(Unhealthy { duration: Some(301) }),
            "duration must be 1 to 300 seconds, not 301".to_owned(),
        ),
        (flap(Some(3601), 1), "duration must be 1 to 3600 seconds, not 3601".to_owned()),
        (flap(None, 0), "every must be 1 to 300 seconds, not 0".to_owned()),
        (Illness::Crash(Crash { code: 0 }), "code must be 1 to 255, not 0".to_owned()),
    ] {
        assert_eq!(illness.checked().map_err(|error| error.to_string()), Err(reason));
    }
}

#[test]
fn every_illness_is_well_formed_by_its_name_alone() {
    for name in Illness::NAMES {
        let illness: Illness = name.parse().unwrap();
        assert_eq!(illness.name(), name);
        assert_eq!(illness.checked(), Ok(illness));
    }
    let error = "flu".parse::<Illness>().unwrap_err().to_string();
    assert!(error.starts_with("\"flu\" is not an illness; these are: cpu, throttle, memory"), "{error}");
}

#[test]
fn what_is_asked_for_is_read_back_from_its_own_body() {
    for name in Illness::NAMES {
        let illness = name.parse::<Illness>().unwrap().lasting(7);
        let body = illness.body().to_string();
        assert_eq!(Illness::requested(name, body.as_bytes()), Ok(illness), "{body}");
        assert_eq!(Illness::requested(name, b" "), name.parse(), "an empty body is the defaults");
    }
}

#[test]
fn a_leak_holds_in_the_end_what_its_pace_and_time_make() {
    for (duration, mb_per_minute, total) in [(60, 60, 60), (30, 60, 30), (120, 1000, 2000), (1, 1, 1)] {
        assert_eq!(Leak { duration, mb_per_minute }.total_mb(), total, "{duration} s at {mb_per_minute} a minute");
    }
}
