//! Patterns of memory use, and which of them is a leak.

use proptest::prelude::*;

use super::*;
use crate::testing::at;

const MIB: f64 = 1024.0 * 1024.0;
/// The container's memory limit, in MiB.
const LIMIT: f64 = 1000.0;

/// When a leak was first raised and when it was then cleared, in minutes after the start of the run.
fn raised_and_cleared(minutes: usize, memory: impl Fn(f64) -> f64) -> (Option<f64>, Option<f64>) {
    let mut growth = Growth::default();
    let sensitivity = Sensitivity::default();
    let (mut raised, mut cleared) = (None, None);
    for sample in 0..minutes * 12 {
        let second = i64::try_from(sample).unwrap() * 5;
        let minute = second as f64 / 60.0;
        let used = ByteCount((memory(minute) * MIB) as u64);
        growth.add(at(second), (used, ByteCount((LIMIT * MIB) as u64)), Some(at(0)), &sensitivity);
        match (raised, cleared) {
            (None, _) if growth.exceeded().is_some() => raised = Some(minute),
            (Some(_), None) if growth.cleared().is_some() => cleared = Some(minute),
            _ => {}
        }
    }
    (raised, cleared)
}

/// A saw-tooth: up to `height` within `period` minutes, then down at once.
fn tooth(minute: f64, period: f64, height: f64) -> f64 {
    minute.rem_euclid(period) / period * height
}

#[test]
fn steady_growth_that_meets_the_limit_in_time_is_a_leak() {
    let check = |name: &str, expected: bool, memory: &dyn Fn(f64) -> f64| {
        let (raised, _) = raised_and_cleared(60, memory);
        assert_eq!(raised.is_some(), expected, "{name}: {raised:?}");
        assert!(raised.is_none_or(|minute| minute < 45.0), "{name}: {raised:?}");
    };
    check("10 MiB a minute", true, &|m| 200.0 + 10.0 * m);
    check("the same, with noise", true, &|m| 200.0 + 10.0 * m + (m * 97.0).sin() * 10.0);
    check("the same, beside a collector's teeth of a minute", true, &|m| 200.0 + 10.0 * m + tooth(m, 1.0, 100.0));
    check("level for 25 minutes, then twice as fast", true, &|m| 200.0 + 20.0 * (m - 25.0).max(0.0));
    check("so slow that the limit is hours away", false, &|m| 200.0 + 1.0 * m);
    check("level", false, &|_| 500.0);
    check("level, near the limit", false, &|m| 980.0 + (m * 97.0).sin());
    check("falling", false, &|m| 900.0 - 5.0 * m);
    check("a start-up ramp of ten minutes that flattens", false, &|m| 700.0 * (m / 10.0).min(1.0));
    check("a cache that fills by and by", false, &|m| 700.0 * (1.0 - (-m / 6.0_f64).exp()));
    check("one step", false, &|m| if m < 30.0 { 200.0 } else { 700.0 });
    check("steps, further and further apart", false, &|m| 300.0 + 100.0 * (m / 5.0).max(1.0).log2().floor());
}

#[test]
fn a_saw_tooth_with_level_troughs_is_no_leak() {
    for period in [0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 9.0, 11.0] {
        for phase in [0.0, 0.15, 0.3, 0.5, 0.7, 0.85] {
            let (raised, _) = raised_and_cleared(80, |m| 100.0 + tooth(m + phase * period, period, 600.0));
            assert_eq!(raised, None, "teeth of {period} min, phase {phase}");
        }
    }
}

#[test]
fn the_first_long_tooth_of_a_run_is_raised_at_most_once_and_cleared_when_it_falls() {
    let mut episodes = 0;
    let mut growth = Growth::default();
    let mut stands = false;
    for sample in 0..12 * 240 {
        let second = sample * 5;
        let used = ByteCount(((100.0 + tooth(second as f64 / 60.0, 30.0, 600.0)) * MIB) as u64);
        growth.add(at(second), (used, ByteCount((LIMIT * MIB) as u64)), Some(at(0)), &Sensitivity::default());
        match stands {
            false if growth.exceeded().is_some() => (stands, episodes) = (true, episodes + 1),
            true if growth.cleared().is_some() => stands = false,
            _ => {}
        }
    }
    assert!(episodes <= 1 && !stands, "{episodes}");
}

#[test]
fn a_leak_is_cleared_when_memory_is_given_back() {
    let (raised, cleared) = raised_and_cleared(90, |m| if m < 50.0 { 200.0 + 12.0 * m } else { 200.0 });
    assert!(raised.is_some_and(|minute| (20.0..25.0).contains(&minute)), "{raised:?}");
    assert!(cleared.is_some_and(|minute| (50.0..55.0).contains(&minute)), "{cleared:?}");
}

#[test]
fn a_leak_that_goes_on_is_not_cleared() {
    let (raised, cleared) = raised_and_cleared(70, |m| 100.0 + 12.0 * m);
    assert!(raised.is_some());
    assert_eq!(cleared, None);
}

#[test]
fn the_evidence_has_the_rate_the_fit_and_the_time_left() {
    let mut growth = Growth::default();
    for second in (0..30 * 60).step_by(5) {
        let used = ByteCount(((200.0 + second as f64 / 6.0) * MIB) as u64);
        growth.add(at(second), (used, ByteCount((LIMIT * MIB) as u64)), Some(at(0)), &Sensitivity::default());
    }
    let Exceeded { evidence: Evidence::Growth { used, per_hour, fit, over, limit_in, .. }, severity, .. } =
        growth.exceeded().expect("it leaks")
    else {
        panic!("not growth")
    };
    assert_eq!(severity, Severity::High);
    assert!((590.0..601.0).contains(&(per_hour.0 as f64 / MIB)), "{per_hour}");
    assert!((470.0..500.0).contains(&(used.0 as f64 / MIB)), "{used}");
    assert!(fit > 0.99, "{fit}");
    assert!(over > Span::from_secs(800) && over < Span::from_secs(900), "{over}");
    assert!(limit_in > Span::from_secs(2900) && limit_in < Span::from_secs(3300), "{limit_in}");
}

#[test]
fn a_gap_resets_the_window() {
    let mut growth = Growth::default();
    for second in (0..40 * 60).step_by(5).filter(|second| !(1500..1800).contains(second)) {
        let used = ByteCount(((200.0 + second as f64 / 6.0) * MIB) as u64);
        growth.add(at(second), (used, ByteCount((LIMIT * MIB) as u64)), Some(at(0)), &Sensitivity::default());
        assert!(second < 1500 || second < 1800 + 900 || growth.exceeded().is_some(), "{second}");
        assert!(!(1800..1800 + 900).contains(&second) || growth.exceeded().is_none(), "{second}");
    }
}

#[test]
fn a_day_of_samples_takes_no_more_memory_than_an_hour() {
    let mut growth = Growth::default();
    for second in (0..86_400).step_by(20) {
        let used = ByteCount(second as u64 % 977 * 1_000_000);
        growth.add(at(second), (used, ByteCount(1 << 31)), Some(at(0)), &Sensitivity::default());
    }
    assert!(growth.past.len() <= MAX_INTERVALS && growth.past.capacity() <= 2 * MAX_INTERVALS);
}

/// The lower envelope by its definition: for each value the minimum of it and all later ones.
fn envelope(values: &[u64]) -> Vec<u64> {
    (0..values.len()).map(|n| *values[n..].iter().min().unwrap()).collect()
}

proptest! {
    #[test]
    fn the_line_goes_through_the_lower_envelope(values in prop::collection::vec(0_u64..1_000_000, 4..40)) {
        let intervals = |values: &[u64]| -> Vec<Interval> {
            (0..).step_by(45).zip(values).map(|(second, min)| Interval { at: at(second), min: *min }).collect()
        };
        let line = Line::through(&intervals(&values), 2_000_000);
        prop_assert_eq!(&line, &Line::through(&intervals(&envelope(&values)), 2_000_000));
        if let Some(line) = line {
            prop_assert!((0.0..=1.0 + 1e-9).contains(&line.fit), "{}", line.fit);
            prop_assert!(line.rate > 0.0 && line.last >= line.first);
        }
    }

    #[test]
    fn the_slope_matches_its_definition(values in prop::collection::vec(-1000.0_f64..1000.0, 2..40)) {
        let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(n, y)| (n as f64, *y)).collect();
        let (rate, fit) = slope(&points).unwrap();
        // No other line has a smaller squared error.
        let error = |rate: f64| -> f64 {
            let mean = |f: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / points.len() as f64;
            let offset = mean(&|point| point.1 - rate * point.0);
            points.iter().map(|(x, y)| (y - rate * x - offset).powi(2)).sum()
        };
        prop_assert!(error(rate) <= error(rate + 0.01) && error(rate) <= error(rate - 0.01));
        let all = error(0.0);
        prop_assert!(all == 0.0 || (fit - (1.0 - error(rate) / all)).abs() < 1e-6);
    }

    #[test]
    fn memory_that_never_rises_never_leaks(drops in prop::collection::vec(0_u64..5, 400)) {
        let mut growth = Growth::default();
        let mut used = 2_000_000_000_u64;
        for (second, drop) in (0..).step_by(10).zip(drops) {
            used -= drop * 1_000_000;
            growth.add(at(second), (ByteCount(used), ByteCount(2_000_000_001)), None, &Sensitivity::default());
            prop_assert_eq!(growth.exceeded(), None);
        }
    }
}
