//! The resource use of a container at one instant, computed from the raw counters of its cgroup or of `docker stats`.
//!
//! **CPU** is a share of what the container may use: of its own limit, or of all the host's cores if it has none. So
//! one busy core of sixteen is 6 %, and a container limited to half a core is at 100 % when it uses half a core. The
//! deltas are those of Docker's own client (`calculateCPUPercentUnix` in docker/cli,
//! `cli/command/container/stats_helpers.go`): CPU time of the container over CPU time of the host. If the host's CPU
//! time is unknown, wall time between the samples replaces it.
//!
//! **Memory** excludes page cache, which the kernel gives back on demand: usage less `total_inactive_file` (cgroup v1)
//! or `inactive_file` (cgroup v2), as `calculateMemUsageUnixNoCache` in the same file does.

use hemostat_schema::{
    ByteCount, Percent, Timestamp,
    container::{Limits, Strain, Vitals},
};

/// Raw counters of one container. Counters run since the container started.
#[derive(Debug, Clone, PartialEq)]
pub struct RawSample {
    /// When they were read.
    pub at: Timestamp,
    /// CPU time used, in nanoseconds (`cpu_usage.total_usage`).
    pub cpu_total_ns: u64,
    /// CPU time of all cores of the host, busy or idle, in nanoseconds (`system_cpu_usage`).
    pub system_cpu_ns: Option<u64>,
    /// Cores of the host that the container may run on (`online_cpus`).
    pub online_cpus: u32,
    /// Memory in bytes, including page cache (`memory_stats.usage`).
    pub memory_usage: u64,
    /// Inactive page cache in bytes, on cgroup v2 (`stats.inactive_file`).
    pub inactive_file: Option<u64>,
    /// Inactive page cache in bytes, on cgroup v1 (`stats.total_inactive_file`).
    pub total_inactive_file: Option<u64>,
    /// The memory limit in bytes as the source reports it (`memory_stats.limit`); the host's memory or more if there is
    /// none.
    pub memory_limit: u64,
    /// The host's memory in bytes; zero if unknown.
    pub host_memory: u64,
    /// Bytes received over all networks.
    pub network_rx: u64,
    /// Bytes sent over all networks.
    pub network_tx: u64,
    /// Bytes read from block devices.
    pub block_read: u64,
    /// Bytes written to block devices.
    pub block_write: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Maximum processes and threads (`pids_stats.limit`); none without a limit.
    pub pids_limit: Option<u64>,
    /// How often the CPU limit stopped the container; none without a limit, or if the source does not report it.
    pub throttling: Option<Throttling>,
    /// How much the container waits for resources, if the kernel reports it (PSI, cgroup v2).
    pub pressure: Pressure,
}

/// How often a CPU limit stopped a container (`throttling_data`, `cpu.stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttling {
    /// Scheduler periods in which the container wanted to run.
    pub periods: u64,
    /// Periods of those in which the CPU limit stopped it.
    pub throttled: u64,
}

/// The share of the last ten seconds in which some task waited (`some avg10` of `cpu.pressure`, `memory.pressure` and
/// `io.pressure`; <https://docs.kernel.org/accounting/psi.html>).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pressure {
    /// For a CPU.
    pub cpu: Option<Percent>,
    /// For memory.
    pub memory: Option<Percent>,
    /// For a disk.
    pub disk: Option<Percent>,
}

/// The vitals of a container with these limits at `now`, given the sample `before`.
///
/// None while CPU use is unknown: there is no earlier sample, no time has passed, or a counter fell because the
/// container was restarted in between.
pub fn vitals(now: &RawSample, before: Option<&RawSample>, limits: &Limits) -> Option<Vitals> {
    let (memory_used, memory_limit) = (memory_used(now), memory_limit(now, limits));
    Some(Vitals {
        cpu: cpu(now, before?, limits)?,
        memory: share(memory_used, memory_limit),
        memory_used: ByteCount(memory_used),
        memory_limit: ByteCount(memory_limit),
        network_rx: ByteCount(now.network_rx),
        network_tx: ByteCount(now.network_tx),
        block_read: ByteCount(now.block_read),
        block_write: ByteCount(now.block_write),
        pids: now.pids,
        pids_limit: now.pids_limit,
        strain: Strain {
            throttled: before.and_then(|before| throttled(now, before)),
            cpu: now.pressure.cpu,
            memory: now.pressure.memory,
            disk: now.pressure.disk,
        },
    })
}

/// The share of the periods since the earlier sample in which the CPU limit stopped the container; none without a
/// limit, zero if it did not want to run.
fn throttled(now: &RawSample, before: &RawSample) -> Option<Percent> {
    let (now, before) = (now.throttling?, before.throttling?);
    let periods = now.periods.checked_sub(before.periods)?;
    Some(share(now.throttled.checked_sub(before.throttled)?, periods))
}

fn cpu(now: &RawSample, before: &RawSample, limits: &Limits) -> Option<Percent> {
    let used = now.cpu_total_ns.checked_sub(before.cpu_total_ns)?;
    let online = f64::from(now.online_cpus.max(1));
    let cores = match (now.system_cpu_ns, before.system_cpu_ns) {
        (Some(now), Some(before)) if now > before => float(used) / float(now - before) * online,
        (Some(now), Some(before)) if now < before => return None,
        _ => {
            let wall = u64::try_from(now.at.duration_since(before.at).as_nanos()).ok().filter(|ns| *ns > 0)?;
            float(used) / float(wall)
        }
    };
    let allowed = limits.cpus.filter(|cpus| *cpus > 0.0).map_or(online, |cpus| cpus.min(online));
    Some(Percent::clamped(cores / allowed * 100.0))
}

fn memory_used(now: &RawSample) -> u64 {
    let cache = now.total_inactive_file.or(now.inactive_file).unwrap_or(0);
    if cache < now.memory_usage { now.memory_usage - cache } else { now.memory_usage }
}

/// The one place that decides which memory limit holds: the one that Docker was asked for, else the one that the source
/// reports, and the host's memory instead of a limit that the host can never reach (cgroup v1 writes "unlimited" as a
/// number near 2⁶³).
fn memory_limit(now: &RawSample, limits: &Limits) -> u64 {
    let limit = limits.memory.map_or(now.memory_limit, |limit| limit.0);
    let is_reachable = |limit: &u64| *limit > 0 && (now.host_memory == 0 || *limit <= now.host_memory);
    Some(limit).filter(is_reachable).unwrap_or(now.host_memory)
}

fn share(part: u64, whole: u64) -> Percent {
    Percent::clamped(if whole == 0 { 0.0 } else { float(part) / float(whole) * 100.0 })
}

#[expect(clippy::cast_precision_loss, reason = "counters become shares with one decimal")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    /// The counters of Docker 20.10 on cgroup v1, of a container without limits on two cores.
    fn v1(seconds: i64, cpu_ms: u64) -> RawSample {
        RawSample {
            at: at(seconds),
            cpu_total_ns: cpu_ms * 1_000_000,
            system_cpu_ns: Some(5_270_000_000_000 + u64::try_from(seconds).unwrap() * 2_000_000_000),
            online_cpus: 2,
            memory_usage: 96 * MIB,
            inactive_file: Some(8 * MIB),
            total_inactive_file: Some(32 * MIB),
            memory_limit: 9_223_372_036_854_771_712,
            host_memory: 1024 * MIB,
            network_rx: 2_170,
            network_tx: 892,
            block_read: 1_617_920,
            block_write: 0,
            pids: 5,
            pids_limit: None,
            throttling: None,
            pressure: Pressure::default(),
        }
    }

    /// The counters of Docker 27 on cgroup v2, of a container limited to 64 MiB.
    fn v2(seconds: i64, cpu_ms: u64) -> RawSample {
        RawSample {
            memory_usage: 56 * MIB,
            inactive_file: Some(8 * MIB),
            total_inactive_file: None,
            memory_limit: 64 * MIB,
            ..v1(seconds, cpu_ms)
        }
    }

    fn cpus(cpus: f64) -> Limits {
        Limits { cpus: Some(cpus), memory: None }
    }

    #[test]
    fn cpu_is_a_share_of_what_the_container_may_use() {
        let check = |limits: Limits, cpu_ms: u64, percent: f64| {
            let cpu = vitals(&v1(5, 100 + cpu_ms), Some(&v1(0, 100)), &limits).unwrap().cpu.get();
            assert!((cpu - percent).abs() < 1e-9, "{limits:?} {cpu_ms} ms: {cpu}");
        };
        check(Limits::default(), 5_000, 50.0);
        check(Limits::default(), 10_000, 100.0);
        check(Limits::default(), 0, 0.0);
        check(cpus(0.5), 2_500, 100.0);
        check(cpus(0.5), 1_250, 50.0);
        check(cpus(1.0), 2_500, 50.0);
        check(cpus(64.0), 5_000, 50.0);
        check(cpus(0.0), 5_000, 50.0);
        check(cpus(0.5), 2_600, 100.0);
    }

    #[test]
    fn wall_time_replaces_an_unknown_cpu_time_of_the_host() {
        let (mut before, mut now) = (v1(0, 0), v1(5, 5_000));
        (before.system_cpu_ns, now.system_cpu_ns) = (None, None);
        let cpu =
            |now: &RawSample, before: &RawSample| vitals(now, Some(before), &Limits::default()).unwrap().cpu.get();
        assert_eq!(cpu(&now, &before), 50.0);
        now.system_cpu_ns = v1(5, 0).system_cpu_ns;
        assert_eq!(cpu(&now, &before), 50.0);
    }

    #[test]
    fn memory_excludes_page_cache() {
        let memory = |now: RawSample, limits: Limits| {
            let seen = vitals(&now, Some(&v1(0, 0)), &limits).unwrap();
            (seen.memory_used.0 / MIB, seen.memory_limit.0 / MIB, seen.memory.get())
        };
        assert_eq!(memory(v1(5, 9), Limits::default()), (64, 1024, 6.25));
        assert_eq!(memory(v2(5, 9), Limits::default()), (48, 64, 75.0));
        let held = Limits { cpus: None, memory: Some(ByteCount(128 * MIB)) };
        assert_eq!(memory(v1(5, 9), held), (64, 128, 50.0));
        let all_cache = RawSample { total_inactive_file: Some(96 * MIB), ..v1(5, 9) };
        assert_eq!(memory(all_cache, Limits::default()), (96, 1024, 9.375));
        let unknown = RawSample { memory_limit: 0, host_memory: 0, ..v2(5, 9) };
        assert_eq!(memory(unknown, Limits::default()), (48, 0, 0.0));
    }

    #[test]
    fn there_are_no_vitals_while_cpu_use_is_unknown() {
        let check = |now: &RawSample, before: Option<&RawSample>| {
            assert_eq!(vitals(now, before, &Limits::default()), None);
        };
        check(&v1(5, 9), None);
        check(&v1(5, 9), Some(&v1(0, 10)));
        check(&v1(0, 9), Some(&RawSample { system_cpu_ns: None, ..v1(0, 9) }));
        check(&v1(0, 9), Some(&v1(5, 9)));
    }

    #[test]
    fn throttling_is_the_share_of_the_periods_since_the_earlier_sample() {
        let check = |periods: [u64; 2], throttled: [u64; 2], percent: Option<f64>| {
            let sample = |n: usize| RawSample {
                throttling: Some(Throttling { periods: periods[n], throttled: throttled[n] }),
                ..v1(i64::try_from(n).unwrap() * 5, n as u64)
            };
            let seen = vitals(&sample(1), Some(&sample(0)), &cpus(0.5)).unwrap().strain.throttled;
            assert_eq!(seen.map(Percent::get), percent, "{periods:?} {throttled:?}");
        };
        check([100, 150], [10, 30], Some(40.0));
        check([100, 150], [10, 10], Some(0.0));
        check([100, 100], [10, 10], Some(0.0));
        check([100, 9], [10, 1], None);
        assert_eq!(vitals(&v1(5, 9), Some(&v1(0, 0)), &cpus(0.5)).unwrap().strain, Strain::default());
    }

    proptest! {
        #[test]
        fn shares_are_between_0_and_100_for_any_counters(
            cpu in any::<[u64; 2]>(),
            system in any::<[Option<u64>; 2]>(),
            memory in any::<[u64; 3]>(),
            cache in any::<[Option<u64>; 2]>(),
            online_cpus in any::<u32>(),
            seconds in any::<[u16; 2]>(),
            limit in proptest::option::of(any::<f64>()),
        ) {
            let sample = |n: usize| RawSample {
                at: at(i64::from(seconds[n])),
                cpu_total_ns: cpu[n],
                system_cpu_ns: system[n],
                online_cpus,
                memory_usage: memory[0],
                inactive_file: cache[0],
                total_inactive_file: cache[1],
                memory_limit: memory[1],
                host_memory: memory[2],
                ..v1(0, 0)
            };
            if let Some(vitals) = vitals(&sample(1), Some(&sample(0)), &Limits { cpus: limit, memory: None }) {
                prop_assert!((0.0..=100.0).contains(&vitals.cpu.get()));
                prop_assert!((0.0..=100.0).contains(&vitals.memory.get()));
            }
        }
    }
}
