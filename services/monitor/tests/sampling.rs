//! Compares counters from the kernel's files with those of the real engine.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says where")]

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bollard::{models::ContainerCreateBody, query_parameters::CreateContainerOptions};
use hemostat_core::observe::vitals::RawSample;
use hemostat_docker::Docker;
use hemostat_monitor::{
    cgroup::{Reader, Roots, RunningContainer},
    facts, samples,
};
use hemostat_patient::{
    Illness,
    illness::{Cpu, Memory},
    stage::{Patient, PatientSpec, RUN_LABEL, docker_host},
};
use hemostat_runtime::SystemClock;
use hemostat_schema::{ByteCount, ContainerId, sample::VolumeSize};
use hemostat_tests::in_process::{DEADLINE, stage, start};

/// Memory that the kernel may have charged to a group without counting it yet: 64 pages per core, twice.
const MEMORY_SLACK: u64 = 1 << 20;

struct Both {
    docker: Docker,
    memory: ByteCount,
}

impl Both {
    /// The counters of a container by file, by API, and by file again, so that those of the API lie between.
    async fn read(&self, running: &RunningContainer) -> [RawSample; 3] {
        let by_file = || {
            let swept = Reader::new(Roots::default(), Arc::new(SystemClock)).sweep(vec![running.clone()], self.memory);
            let found = swept.samples.into_iter().next();
            found.expect("its files are read: this test needs a Docker engine of this machine").1
        };
        let before = by_file();
        let api = samples::read(&self.docker.stats(&running.id).await.unwrap(), self.memory).unwrap();
        [before, api, by_file()]
    }

    async fn running(&self, patient: &Patient) -> RunningContainer {
        let inspected = facts::read(self.docker.inspect(&patient.id.parse().unwrap()).await.unwrap()).unwrap();
        RunningContainer { id: inspected.facts.id, process: inspected.process }
    }
}

#[tokio::test]
async fn files_and_api_give_the_same_figures() {
    let stage = stage().await;
    let docker = Docker::new(docker_host(), Duration::from_secs(30));
    let memory = docker.info().await.unwrap().engine.memory;
    let both = Both { docker, memory };
    let spec = |name: &str| PatientSpec { health_interval: None, ..PatientSpec::named(name) };
    // So low that it reaches its limit also on a busy machine.
    let busy = start(&stage, PatientSpec { cpus: Some(0.1), ..spec("busy") }).await;
    let large = start(&stage, PatientSpec { memory: Some(256 << 20), ..spec("large") }).await;
    let idle = start(&stage, spec("idle")).await;
    busy.fall_ill(Illness::Cpu(Cpu { duration: 120, intensity: 1.0 })).await.unwrap();
    large.fall_ill(Illness::Memory(Memory { duration: 120, size_mb: 100 })).await.unwrap();
    let mut first: BTreeMap<&str, [RawSample; 3]> = BTreeMap::new();
    for (name, patient) in [("busy", &busy), ("large", &large), ("idle", &idle)] {
        let running = both.running(patient).await;
        // Until its load is steady.
        let deadline = tokio::time::Instant::now() + DEADLINE;
        let [before, api, after] = loop {
            let read = both.read(&running).await;
            let steady =
                read[0].memory_usage.abs_diff(read[2].memory_usage) < MEMORY_SLACK && read[0].pids == read[2].pids;
            let loaded = match name {
                "busy" => read[0].throttling.is_some_and(|throttling| throttling.throttled > 0),
                "large" => read[0].memory_usage > 100 << 20,
                _ => true,
            };
            if steady && loaded {
                break read;
            }
            assert!(tokio::time::Instant::now() < deadline, "{name} does not come to rest: {read:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        println!("{name}: {before:?}\n{api:?}\n{after:?}");
        let between = |what: &str, of: fn(&RawSample) -> u64| {
            let range = of(&before)..=of(&after);
            assert!(range.contains(&of(&api)), "{name}: {what} by API is {}, by file {range:?}", of(&api));
        };
        between("cpu", |sample| sample.cpu_total_ns);
        between("host's cpu", |sample| sample.system_cpu_ns.unwrap());
        between("received", |sample| sample.network_rx);
        between("sent", |sample| sample.network_tx);
        between("read", |sample| sample.block_read);
        between("written", |sample| sample.block_write);
        between("periods", |sample| sample.throttling.map_or(0, |throttling| throttling.periods));
        between("throttled", |sample| sample.throttling.map_or(0, |throttling| throttling.throttled));
        assert!(api.memory_usage.abs_diff(after.memory_usage) <= MEMORY_SLACK, "{name}: {api:?} {after:?}");
        let cache = |sample: &RawSample| sample.total_inactive_file.or(sample.inactive_file).unwrap();
        assert!(cache(&api).abs_diff(cache(&after)) <= MEMORY_SLACK, "{name}: {api:?} {after:?}");
        // A container without a limit has the host's memory by API, and no limit by file.
        let limit = |sample: &RawSample| sample.memory_limit.min(sample.host_memory);
        let fixed = |sample: &RawSample| (limit(sample), sample.online_cpus, sample.pids, sample.pids_limit);
        assert_eq!(fixed(&api), fixed(&after), "{name}");
        first.insert(name, [before, api, after]);
    }
    assert!(first["busy"][1].network_rx > 0, "its load was requested over its network");
}

#[tokio::test]
async fn the_real_engine_reports_disk_usage() {
    let stage = stage().await;
    let docker = Docker::new(docker_host(), Duration::from_secs(30));
    let patient = start(&stage, PatientSpec::named("api")).await;
    let id: ContainerId = patient.id.parse().unwrap();
    // A container with an anonymous volume, which is removed with it.
    let with_volume = ContainerCreateBody {
        image: Some(stage.image().to_owned()),
        volumes: Some(vec!["/data".to_owned()]),
        labels: Some(HashMap::from([(RUN_LABEL.to_owned(), stage.prefix().to_owned())])),
        ..Default::default()
    };
    let keeper = stage.docker().create_container(None::<CreateContainerOptions>, with_volume).await.unwrap().id;
    let usage = docker.disk_usage(Duration::from_secs(120)).await.unwrap();
    let of = |id: &ContainerId| usage.iter().find(|usage| usage.id == *id).unwrap();
    let own = of(&id);
    assert!(own.volumes.is_empty() && own.writable.0 < 1 << 20, "{own:?}");
    let held = &of(&keeper.parse().unwrap()).volumes;
    assert!(matches!(held.as_slice(), [VolumeSize { size: ByteCount(0), name }] if name.len() == 64), "{held:?}");
    let root = docker.info().await.unwrap().root;
    let running = Both { docker, memory: ByteCount(0) }.running(&patient).await;
    let docker = Docker::new(docker_host(), Duration::from_secs(30));
    let measured = hemostat_monitor::disk::measure(&docker, root, Roots::default(), vec![running]).await;
    let disk = measured.disk.expect("the disk of an engine of this machine is measured");
    assert!(disk.size > disk.available && disk.available.0 > 0, "{disk:?}");
    assert!(!measured.usage.is_empty());
}
