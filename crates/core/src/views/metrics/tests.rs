use std::collections::BTreeMap;

use hemostat_schema::{
    ByteCount, NewEvent, Percent,
    container::{ExitBy, Vitals},
    observation::Paused,
    sample::{Container, Disk, Unmeasured},
};
use proptest::prelude::*;

use super::*;
use crate::{
    fold::{Rows, existing, fold_all},
    testing::{at, event, exited, host, id, run, started, subject, vitals},
};

const MIB: u64 = 1 << 20;

fn sample(second: i64, vitals: Vitals) -> NewEvent {
    event(second, Container { vitals, holds: Span::from_secs(360) })
}

fn cpu(second: i64, cpu: f64) -> NewEvent {
    sample(second, vitals(cpu, 1.0, 1))
}

fn rows(events: Vec<NewEvent>) -> BTreeMap<String, Row> {
    let log: Vec<_> = (1..).zip(events).map(|(n, event)| event.recorded(id(n), &[])).collect();
    let mut rows = Rows::<Metrics>::new();
    fold_all::<Metrics>(&mut rows, &log);
    existing(rows)
}

/// The buckets at second `now`, by the second at which each begins.
fn buckets(rows: &BTreeMap<String, Row>, now: i64) -> BTreeMap<i64, Bucket> {
    let of = |(key, row): (&String, &Row)| row.buckets(parse_key(key).expect("a key of ours").1, at(now));
    let second = |begin: Timestamp| (begin.as_millisecond() - at(0).as_millisecond()) / 1000;
    rows.iter().flat_map(of).map(|(begin, bucket)| (second(begin), bucket)).collect()
}

/// The figure in each bucket: when it begins, for how many seconds of it something was measured, min, mean, max.
fn digests(events: Vec<NewEvent>, now: i64, figure: Figure) -> Vec<(i64, u64, u64, u64, u64)> {
    let digest = |(begin, bucket): (i64, Bucket)| {
        let Digest { min, mean, max } = *bucket.figures.get(&figure)?;
        Some((begin, bucket.measured / 1000, min, mean, max))
    };
    buckets(&rows(events), now).into_iter().filter_map(digest).collect()
}

#[test]
fn a_value_holds_until_the_next_sample() {
    let log = vec![cpu(0, 10.0), cpu(30, 50.0), cpu(60, 20.0)];
    // 30 s at 10 %, 30 s at 50 %, 240 s at 20 %.
    assert_eq!(digests(log.clone(), 300, Figure::Cpu), [(0, 300, 1000, 2200, 5000)]);
    assert_eq!(digests(log, 90, Figure::Cpu), [(0, 90, 1000, 2666, 5000)], "up to now");
}

#[test]
fn an_unchanged_value_fills_the_buckets_until_its_promise_ends() {
    let log = vec![cpu(0, 10.0)];
    assert_eq!(digests(log, 10_000, Figure::Cpu), [(0, 300, 1000, 1000, 1000), (300, 60, 1000, 1000, 1000)]);
    // Nothing was measured from 360 to 900.
    let log = vec![cpu(0, 10.0), cpu(900, 20.0), cpu(1200, 20.0)];
    let expected = [(0, 300, 1000, 1000, 1000), (300, 60, 1000, 1000, 1000), (900, 300, 2000, 2000, 2000)];
    assert_eq!(digests(log, 1200, Figure::Cpu), expected);
}

#[test]
fn a_value_does_not_hold_after_measuring_failed_or_the_run_ended() {
    let since = |second| Unmeasured { since: at(second) };
    for end in
        [event(70, since(60)), exited(60, run(0), ExitBy::Crash), event(60, Paused { target: run(0) }), started(60)]
    {
        let log = vec![cpu(0, 10.0), end, cpu(120, 30.0)];
        assert_eq!(digests(log, 240, Figure::Cpu), [(0, 180, 1000, 2333, 3000)]);
    }
}

#[test]
fn a_value_holds_beyond_the_hour() {
    let log = vec![cpu(3500, 10.0), cpu(3700, 20.0), cpu(3900, 20.0)];
    let expected = [(3300, 100, 1000, 1000, 1000), (3600, 300, 1000, 1666, 2000)];
    assert_eq!(digests(log, 3900, Figure::Cpu), expected);
    // A run that ends within the hour leaves nothing in the next one.
    let log = vec![cpu(3500, 10.0), exited(3550, run(0), ExitBy::Crash)];
    assert_eq!(rows(log).len(), 1);
}

#[test]
fn counters_become_rates_and_a_new_run_begins_at_zero() {
    let received = |second, bytes| sample(second, Vitals { network_rx: ByteCount(bytes), ..vitals(1.0, 1.0, 1) });
    let log = vec![received(0, 1000), received(150, 151_000), received(300, 151_000), received(450, 301_000)];
    let digests_of = |log, now| digests(log, now, Figure::NetworkRx);
    assert_eq!(digests_of(log, 450), [(0, 300, 0, 500, 1000), (300, 150, 1000, 1000, 1000)]);
    // The counter fell: no rate is known for that time, and the other figures are.
    let log = vec![received(0, 1000), received(150, 10), received(300, 1510)];
    assert_eq!(digests_of(log, 300), [(0, 300, 10, 10, 10)]);
    // Over the hour, the growth is spread evenly.
    let log = vec![received(3450, 0), received(3750, 300_000)];
    assert_eq!(digests_of(log, 3750), [(3300, 150, 1000, 1000, 1000), (3600, 150, 1000, 1000, 1000)]);
}

#[test]
fn a_late_sample_changes_nothing() {
    let log = vec![cpu(60, 10.0), cpu(30, 90.0), cpu(120, 10.0)];
    assert_eq!(digests(log, 120, Figure::Cpu), [(0, 60, 1000, 1000, 1000)]);
}

#[test]
fn the_disk_of_a_host_is_kept_like_a_container() {
    let disk = |second, left| {
        let disk = Disk { path: "/".into(), size: ByteCount(1000 * MIB), available: ByteCount(left * MIB) };
        NewEvent::new(host(), at(second), disk)
    };
    let log = vec![disk(0, 400), disk(300, 300)];
    assert_eq!(digests(log.clone(), 300, Figure::DiskUsed), [(0, 300, 6000, 6000, 6000)]);
    assert_eq!(digests(log, 300, Figure::DiskUsedBytes), [(0, 300, 600 * MIB, 600 * MIB, 600 * MIB)]);
}

#[test]
fn a_row_expires_after_thirty_days() {
    let all = rows(vec![cpu(0, 10.0)]);
    let (key, row) = all.first_key_value().unwrap();
    let day = 24 * 3600;
    assert!(!is_expired(key, row, at(30 * day + 3599)));
    assert!(is_expired(key, row, at(30 * day + 3600)));
}

/// The bytes of all rows of a container that is sampled like an idle one, in one day.
#[test]
fn thirty_days_of_an_idle_container_take_half_a_megabyte() {
    let idle = |n: i64| Vitals {
        memory_used: ByteCount(20 * MIB + n.unsigned_abs() % 3 * 4096),
        memory_limit: ByteCount(8192 * MIB),
        network_rx: ByteCount(n.unsigned_abs() * 200),
        ..vitals(0.02, 0.25, 4)
    };
    let log = (0..288).map(|n| sample(n * 300, idle(n))).collect();
    let rows = rows(log);
    let bytes: usize = rows.iter().map(|(key, row)| key.len() + rmp_serde::to_vec_named(row).unwrap().len()).sum();
    assert!(bytes * 30 < 500_000, "{bytes} bytes a day");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A row that is folded from the samples that the monitor writes has the same figures, within the tolerance, as one
    /// that is folded from every measurement.
    #[test]
    fn sparse_samples_give_the_same_figures_as_dense_ones(
        steps in prop::collection::vec((0.0..100.0_f64, -0.4..0.4_f64, 1..60_usize), 1..40),
    ) {
        use crate::observe::sampling::{is_unchanged, holds};
        let (mut dense, mut sparse) = (vec![], vec![]);
        let (mut second, mut written) = (0, None::<(i64, Vitals)>);
        let every = Span::from_secs(30);
        for (level, noise, times) in steps {
            for n in 0..times {
                let measured = vitals(Percent::clamped(if n % 2 == 0 { level } else { level + noise }).get(), 1.0, 1);
                dense.push(event(second, Container { vitals: measured, holds: Span::from_secs(60) }));
                let due = written.is_none_or(|(last, before)| !is_unchanged(&before, &measured) || second - last >= 300);
                if due {
                    written = Some((second, measured));
                    sparse.push(event(second, Container { vitals: measured, holds: holds(every) }));
                }
                second += 30;
            }
        }
        let (dense, sparse) = (buckets(&rows(dense), second), buckets(&rows(sparse), second));
        prop_assert!(dense.keys().eq(sparse.keys()));
        for (begin, bucket) in &dense {
            let other = &sparse[begin];
            prop_assert_eq!(bucket.measured, other.measured);
            let (a, b) = (bucket.figures[&Figure::Cpu], other.figures[&Figure::Cpu]);
            // One percentage point, and what is lost by rounding.
            for (a, b) in [(a.min, b.min), (a.mean, b.mean), (a.max, b.max)] {
                prop_assert!(a.abs_diff(b) <= 102, "{begin}: {bucket:?} and {other:?}");
            }
        }
    }

    #[test]
    fn a_mean_is_between_minimum_and_maximum_and_no_bucket_is_measured_for_longer_than_it_lasts(
        steps in prop::collection::vec((0..900_i64, 0..6_u8, 0.0..100.0_f64), 1..80),
    ) {
        let mut second = 0;
        let mut log = vec![];
        for (pause, what, level) in steps {
            second += pause;
            log.push(match what {
                0 => exited(second, run(0), ExitBy::Crash),
                1 => event(second, Unmeasured { since: at(second - pause / 2) }),
                _ => cpu(second, level),
            });
        }
        for bucket in buckets(&rows(log), second + 1000).values() {
            prop_assert!(bucket.measured <= BUCKET.as_millis());
            for Digest { min, mean, max } in bucket.figures.values() {
                prop_assert!(min <= mean && mean <= max);
            }
        }
    }
}

#[test]
fn a_key_names_the_subject_and_the_hour() {
    let row = key(&subject(), 490_896);
    assert_eq!(row, "host/api@490896");
    assert_eq!(parse_key(&row), Some((subject(), 490_896)));
}
