//! What was measured.

use super::*;

#[test]
fn what_it_used_lately_is_remembered_also_when_it_was_started_anew() {
    let mut bench = Bench::watching();
    let (id, name): (ContainerId, ContainerName) = (ID.parse().unwrap(), "api-1".parse().unwrap());
    let sample = |n: i64| RawSample {
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
        pressure: hemostat_core::vitals::Pressure::default(),
    };
    let used = |bench: &Bench| -> Vec<u64> {
        bench.watch.samples(&name).iter().map(|sample| sample.vitals.memory_used.0).collect()
    };
    for n in 0..20 {
        bench.watch.sampled(&id, sample(n));
    }
    assert_eq!(used(&bench), (8..20).collect::<Vec<_>>());
    bench.hear(100_000, What::Died { code: 1 });
    bench.answer(Some(exited(0, 100_000, 1)));
    assert_eq!(bench.watch.running(), []);
    assert_eq!(used(&bench).len(), 12);
}

#[test]
fn what_is_kept_on_disk_is_told_when_it_has_changed_and_remembered_always() {
    const MIB: u64 = 1 << 20;
    let mut bench = Bench::watching();
    let name: ContainerName = "api-1".parse().unwrap();
    let usage = |bytes| {
        let of = |id: &str| Usage { id: id.parse().unwrap(), writable: ByteCount(bytes), volumes: vec![] };
        vec![of(ID), of(OTHER)]
    };
    let disk = DiskMeasured { path: "/var/lib/docker".into(), size: ByteCount(100), available: ByteCount(40) };
    for (bytes, stored) in [(100 * MIB, 1), (100 * MIB + 1, 0), (200 * MIB, 1)] {
        bench.watch.measured(usage(bytes), Some(disk.clone()), at(1));
        assert!(bench.watch.has_measured());
        bench.watch.take_measured(at(1));
        assert!(!bench.watch.has_measured());
        bench.collect();
        let told = std::mem::take(&mut bench.told);
        let count = |wanted: fn(&Observation) -> bool| told.iter().filter(|it| wanted(it)).count();
        assert_eq!(count(|it| matches!(it, Observation::Stored(_))), stored, "{told:?}");
        assert_eq!(count(|it| matches!(it, Observation::DiskMeasured(_))), 1);
        assert_eq!(bench.watch.stored(&name).map(|stored| stored.writable), Some(ByteCount(bytes)));
    }
    assert_eq!(bench.watch.disk(), Some(&disk));
}

#[test]
fn a_process_is_known_as_long_as_its_run_lasts() {
    let mut bench = Bench::watching();
    let process = |bench: &Bench| bench.watch.running().into_iter().next().map(|running| running.process);
    assert_eq!(process(&bench), Some(Some(MainProcess { pid: 7, in_host_network: false })));
    bench.hear(100, died(137));
    assert_eq!(process(&bench), Some(Some(MainProcess { pid: 7, in_host_network: false })), "not known to be over yet");
    bench.answer(Some(exited(0, 100, 137)));
    assert_eq!(process(&bench), None);
}
