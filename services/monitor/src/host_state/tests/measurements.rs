//! Samples and disk usage.

use hemostat_core::observe::vitals::Pressure;

use super::*;

/// The counters at second `5 * n` of a run.
fn sample(n: i64) -> RawSample {
    RawSample {
        at: at(n * 5000),
        cpu_total_ns: u64::try_from(n).unwrap() * 1_000_000,
        system_cpu_ns: None,
        online_cpus: 2,
        memory_usage: u64::try_from(n).unwrap(),
        inactive_file: None,
        total_inactive_file: None,
        memory_limit: 100,
        host_memory: 100,
        network_rx: 0,
        network_tx: 0,
        block_read: 0,
        block_write: 0,
        pids: 1,
        pids_limit: None,
        throttling: None,
        pressure: Pressure::default(),
    }
}

#[test]
fn a_container_that_cannot_be_measured_is_reported_once_and_the_next_measurement_is_written() {
    let mut fixture = Fixture::with_running_container();
    let id: ContainerId = ID.parse().unwrap();
    let names = |fixture: &mut Fixture| {
        fixture.collect();
        std::mem::take(&mut fixture.samples).iter().map(Sample::name).collect::<Vec<_>>()
    };
    let mut n = 0;
    let mut measure = |fixture: &mut Fixture| {
        fixture.state.begin_sweep(at(n * 5000));
        fixture.state.apply_sample(&id, sample(n));
        n += 1;
    };
    // Vitals need two samples.
    measure(&mut fixture);
    measure(&mut fixture);
    assert_eq!(names(&mut fixture), ["container"]);
    measure(&mut fixture);
    assert_eq!(names(&mut fixture), [""; 0], "nothing changed");
    for _ in 0..10 {
        assert_eq!(fixture.state.begin_sweep(at(60_000)).len(), 1, "it is still tried");
    }
    fixture.collect();
    let [Sample::Unmeasured(unmeasured)] = fixture.samples.as_slice() else { panic!("{:?}", fixture.samples) };
    assert_eq!(unmeasured.since, at(10_000));
    assert_eq!(names(&mut fixture), ["unmeasured"]);
    measure(&mut fixture);
    assert_eq!(names(&mut fixture), ["container"]);

    // An engine that is lost is reported at once.
    fixture.state.engine_lost("connection refused", at(60_000));
    assert_eq!(names(&mut fixture), ["unmeasured"]);
}

#[test]
fn a_sample_changes_no_row_of_the_checkpoint() {
    let mut fixture = Fixture::with_running_container();
    for n in 0..3 {
        fixture.state.apply_sample(&ID.parse().unwrap(), sample(n));
    }
    let changes = fixture.state.take_changes();
    assert_eq!((changes.events.len(), changes.rows.len()), (1, 0));
}

#[test]
fn the_last_samples_are_kept_across_runs() {
    let mut fixture = Fixture::with_running_container();
    let (id, name): (ContainerId, ContainerName) = (ID.parse().unwrap(), "api-1".parse().unwrap());
    let used = |fixture: &Fixture| -> Vec<u64> {
        fixture.state.samples(&name).iter().map(|sample| sample.vitals.memory_used.0).collect()
    };
    for n in 0..20 {
        fixture.state.apply_sample(&id, sample(n));
    }
    assert_eq!(used(&fixture), (8..20).collect::<Vec<_>>());
    fixture.engine_event(100_000, DockerEventKind::Died { code: 1 });
    fixture.answer(Some(exited(0, 100_000, 1)));
    assert_eq!(fixture.state.running(), []);
    assert_eq!(used(&fixture).len(), 12);
}

#[test]
fn disk_usage_is_reported_when_it_changes_and_always_remembered() {
    const MIB: u64 = 1 << 20;
    let mut fixture = Fixture::with_running_container();
    let name: ContainerName = "api-1".parse().unwrap();
    let usage = |bytes| {
        let of = |id: &str| DiskUsage { id: id.parse().unwrap(), writable: ByteCount(bytes), volumes: vec![] };
        vec![of(ID), of(OTHER)]
    };
    let disk = Disk { path: "/var/lib/docker".into(), size: ByteCount(100), available: ByteCount(40) };
    for (bytes, stored) in [(100 * MIB, 1), (100 * MIB + 1, 0), (200 * MIB, 1)] {
        fixture.state.apply_disk_measurement(usage(bytes), Some(disk.clone()), at(1));
        assert!(fixture.state.has_pending_disk_usage());
        fixture.state.apply_pending_disk_usage(at(1));
        assert!(!fixture.state.has_pending_disk_usage());
        fixture.collect();
        let samples = std::mem::take(&mut fixture.samples);
        let count = |wanted: fn(&Sample) -> bool| samples.iter().filter(|it| wanted(it)).count();
        assert_eq!(count(|it| matches!(it, Sample::Storage(_))), stored, "{samples:?}");
        assert_eq!(count(|it| matches!(it, Sample::Disk(_))), 1);
        assert_eq!(fixture.state.stored(&name).map(|stored| stored.writable), Some(ByteCount(bytes)));
    }
    assert_eq!(fixture.state.disk(), Some(&disk));
}

#[test]
fn the_main_process_is_known_until_its_run_ends() {
    let mut fixture = Fixture::with_running_container();
    let process = |fixture: &Fixture| fixture.state.running().into_iter().next().map(|running| running.process);
    assert_eq!(process(&fixture), Some(Some(MainProcess { pid: 7, in_host_network: false })));
    fixture.engine_event(100, died(137));
    assert_eq!(
        process(&fixture),
        Some(Some(MainProcess { pid: 7, in_host_network: false })),
        "the end is not known yet"
    );
    fixture.answer(Some(exited(0, 100, 137)));
    assert_eq!(process(&fixture), None);
}
