//! Reads recorded cgroup and proc files.
//!
//! `fixtures/v1` was recorded on Linux 6.18 with Docker 20.10 and the cgroupfs driver, hierarchies mounted one by one and
//! cgroup v2 beside them: a container limited to 512 MiB that had written 300 MB, and the `cpu.stat` and pressure of one
//! limited to a fifth of a core. `fixtures/v2` was recorded on Linux 6.1 (user-mode Linux, one core) in a group of
//! the name that Docker's cgroupfs driver gives: limited to a fifth of a core, 64 MiB and 100 processes, with two processes, and
//! a file of 20 MB written and half read. That kernel has no PSI, so the pressure files are those of `v1`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hemostat_core::observe::vitals::{Throttling, vitals};
use hemostat_runtime::ManualClock;
use hemostat_schema::{Percent, Timestamp, container::Limits};
use tempfile::TempDir;

use super::*;

const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";
const PID: u32 = 18_134;
const MIB: u64 = 1 << 20;

fn id() -> ContainerId {
    ID.parse().unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_795_462_698).unwrap()
}

/// The files of a host with one container.
struct Host {
    directory: TempDir,
}

impl Host {
    fn new() -> Self {
        let host = Self { directory: tempfile::tempdir().unwrap() };
        host.write("proc/stat", include_str!("fixtures/v1/proc/stat"));
        host.write(&format!("proc/{PID}/net/dev"), include_str!("fixtures/v1/proc/net-dev"));
        host
    }

    /// As recorded from cgroup v1.
    fn v1() -> Self {
        let host = Self::new();
        host.write(&format!("proc/{PID}/cgroup"), include_str!("fixtures/v1/proc/cgroup"));
        for controller in ["cpuacct", "cpu", "memory", "pids", "blkio", "unified"] {
            host.lay(&format!("v1/{controller}"), &format!("cgroup/{controller}/docker/{ID}"));
        }
        host
    }

    /// As recorded from cgroup v2, in the group `path`.
    fn v2(path: &str) -> Self {
        let host = Self::new();
        host.write("proc/stat", include_str!("fixtures/v2/proc/stat"));
        host.write(&format!("proc/{PID}/cgroup"), &format!("0::/{path}\n"));
        host.write("cgroup/cgroup.controllers", "cpu io memory pids\n");
        host.lay("v2/group", &format!("cgroup/{path}"));
        host
    }

    /// Copies recorded files into this host's tree.
    fn lay(&self, recorded: &str, into: &str) {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cgroup/fixtures").join(recorded);
        for file in fs::read_dir(recorded).unwrap() {
            let file = file.unwrap();
            let text = fs::read_to_string(file.path()).unwrap();
            self.write(&format!("{into}/{}", file.file_name().to_str().unwrap()), &text);
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(&path.replace("ID", ID));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("ID", ID)).unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.path(&path.replace("ID", ID))).unwrap();
    }

    fn reader(&self) -> Reader {
        Reader::new(Roots { cgroup: self.path("cgroup"), proc: self.path("proc") }, Arc::new(ManualClock::at(now())))
    }
}

fn process(pid: u32) -> Option<MainProcess> {
    Some(MainProcess { pid, in_host_network: false })
}

/// The sample of a sweep; `None` if the container's files were not found.
fn sampled(reader: &mut Reader, process: Option<MainProcess>, memory: u64) -> Option<RawSample> {
    let SweepResult { samples, not_found } =
        reader.sweep(vec![RunningContainer { id: id(), process }], ByteCount(memory));
    assert_eq!(samples.len() + not_found.len(), 1);
    samples.into_iter().next().map(|(of, sample)| {
        assert_eq!(of, id());
        sample
    })
}

/// What is recorded in `fixtures/v1`.
fn recorded() -> RawSample {
    RawSample {
        at: now(),
        cpu_total_ns: 782_084_808,
        system_cpu_ns: Some((314_761 + 341 + 31_458 + 126_604 + 874 + 141) * 10_000_000),
        online_cpus: 2,
        memory_usage: 330_559_488,
        inactive_file: Some(319_815_680),
        total_inactive_file: Some(319_815_680),
        memory_limit: 512 * MIB,
        host_memory: 24_000 * MIB,
        network_rx: 1046,
        network_tx: 0,
        block_read: 0,
        block_write: 0,
        pids: 1,
        pids_limit: None,
        throttling: Some(Throttling { periods: 4514, throttled: 974 }),
        pressure: Pressure { cpu: Percent::new(73.03), memory: Percent::new(0.0), disk: Percent::new(0.0) },
    }
}

#[test]
fn all_counters_of_cgroup_v1_are_read() {
    assert_eq!(sampled(&mut Host::v1().reader(), process(PID), 24_000 * MIB), Some(recorded()));
}

#[test]
fn all_counters_of_cgroup_v2_are_read() {
    let expected = RawSample {
        cpu_total_ns: 2_430_000_000,
        system_cpu_ns: Some((682 + 176 + 898 + 30) * 10_000_000),
        online_cpus: 1,
        memory_usage: 19_365_888,
        inactive_file: Some(10_616_832),
        total_inactive_file: None,
        memory_limit: 64 * MIB,
        block_read: 10_618_880,
        block_write: 20_971_520,
        pids: 2,
        pids_limit: Some(100),
        throttling: Some(Throttling { periods: 120, throttled: 119 }),
        ..recorded()
    };
    for path in [
        "docker/ID",
        "system.slice/docker-ID.scope",
        "user.slice/user-1000.slice/user@1000.service/app.slice/docker-ID.scope",
    ] {
        let host = Host::v2(path);
        assert_eq!(sampled(&mut host.reader(), process(PID), 24_000 * MIB), Some(expected.clone()), "{path}");
        // Controllers that were not delegated to a rootless engine, and a kernel without PSI.
        for gone in ["io.stat", "pids.current", "pids.max", "cpu.pressure", "memory.pressure", "io.pressure"] {
            host.remove(&format!("cgroup/{path}/{gone}"));
        }
        host.write(&format!("cgroup/{path}/memory.max"), "max\n");
        let least = RawSample {
            block_read: 0,
            block_write: 0,
            pids: 0,
            pids_limit: None,
            memory_limit: u64::MAX,
            pressure: Pressure::default(),
            ..expected.clone()
        };
        assert_eq!(sampled(&mut host.reader(), process(PID), 24_000 * MIB), Some(least), "{path}");
        host.remove(&format!("cgroup/{path}/memory.current"));
        assert_eq!(sampled(&mut host.reader(), process(PID), 24_000 * MIB), None, "{path}");
    }
}

#[test]
fn files_that_a_kernel_lacks_are_optional() {
    let host = Host::v1();
    for gone in ["cpu", "pids", "blkio", "unified"] {
        fs::remove_dir_all(host.path(&format!("cgroup/{gone}"))).unwrap();
    }
    let expected = RawSample { throttling: None, pids: 0, pressure: Pressure::default(), ..recorded() };
    assert_eq!(sampled(&mut host.reader(), process(PID), 24_000 * MIB), Some(expected));
}

#[test]
fn a_memory_limit_above_the_hosts_memory_counts_as_the_hosts_memory() {
    let host = Host::v1();
    host.write(&format!("cgroup/memory/docker/{ID}/memory.limit_in_bytes"), "9223372036854771712\n");
    let limit = |memory| {
        let sample = sampled(&mut host.reader(), process(PID), memory)?;
        let before = RawSample { cpu_total_ns: 0, system_cpu_ns: Some(0), ..sample.clone() };
        Some(vitals(&sample, Some(&before), &Limits::default())?.memory_limit.0)
    };
    assert_eq!(limit(1000 * MIB), Some(1000 * MIB));
    assert_eq!(limit(0), Some(9_223_372_036_854_771_712));
}

#[test]
fn traffic_of_the_host_network_is_not_the_containers() {
    let in_host_network = Some(MainProcess { pid: PID, in_host_network: true });
    let sample = sampled(&mut Host::v1().reader(), in_host_network, 24_000 * MIB).unwrap();
    assert_eq!((sample.network_rx, sample.network_tx), (0, 0));
}

#[test]
fn a_container_that_ended_gives_no_sample_instead_of_a_partial_one() {
    for gone in [
        format!("cgroup/memory/docker/{ID}/memory.usage_in_bytes"),
        format!("cgroup/cpuacct/docker/{ID}/cpuacct.usage"),
        format!("proc/{PID}/cgroup"),
    ] {
        let host = Host::v1();
        host.remove(&gone);
        assert_eq!(sampled(&mut host.reader(), process(PID), 0), None, "{gone}");
    }
    let host = Host::v1();
    host.write(&format!("cgroup/cpuacct/docker/{ID}/cpuacct.usage"), "");
    assert_eq!(sampled(&mut host.reader(), process(PID), 0), None);
    assert_eq!(sampled(&mut host.reader(), None, 0), None, "not inspected yet");
}

#[test]
fn the_files_of_a_new_run_are_found_again() {
    let (host, next) = (Host::v1(), PID + 1);
    let mut reader = host.reader();
    assert!(sampled(&mut reader, process(PID), 0).is_some());
    // The PID belongs to another process; the cached paths are not used for it.
    assert_eq!(sampled(&mut reader, process(next), 0), None);
    host.write(&format!("proc/{next}/cgroup"), "4:memory:/user.slice\n2:cpuacct:/user.slice\n");
    assert_eq!(sampled(&mut reader, process(next), 0), None);
    host.write(&format!("proc/{next}/cgroup"), include_str!("fixtures/v1/proc/cgroup"));
    assert!(sampled(&mut reader, process(next), 0).is_some());
    // A container that is no longer sampled leaves the cache.
    reader.sweep(vec![], ByteCount(0));
    assert!(reader.paths.is_empty());
}
