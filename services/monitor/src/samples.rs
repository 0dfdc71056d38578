//! Converts an answer of Docker's stats API into `core::vitals`' `RawSample`.

use hemostat_core::observe::vitals::{Pressure, RawSample, Throttling};
use hemostat_docker::{
    models::{ContainerBlkioStats, ContainerCpuStats, ContainerNetworkStats, ContainerStatsResponse},
    timestamp,
};
use hemostat_schema::ByteCount;

/// Parses an answer of `docker stats`; `None` if the container did not run, as all counters are zero then.
pub fn read(stats: &ContainerStatsResponse, host_memory: ByteCount) -> Option<RawSample> {
    let cpu = stats.cpu_stats.as_ref()?;
    let memory = stats.memory_stats.as_ref()?;
    let cache = |name: &str| memory.stats.as_ref()?.get(name).copied();
    let networks = || stats.networks.iter().flat_map(|networks| networks.values());
    let over_all = |one: fn(&ContainerNetworkStats) -> Option<u64>| networks().filter_map(one).sum();
    Some(RawSample {
        at: stats.read.as_deref().and_then(timestamp)?,
        cpu_total_ns: cpu.cpu_usage.as_ref()?.total_usage.filter(|used| *used > 0)?,
        system_cpu_ns: cpu.system_cpu_usage,
        online_cpus: cpu.online_cpus.unwrap_or(1),
        memory_usage: memory.usage?,
        inactive_file: cache("inactive_file"),
        total_inactive_file: cache("total_inactive_file"),
        memory_limit: memory.limit.unwrap_or(host_memory.0),
        host_memory: host_memory.0,
        network_rx: over_all(|network| network.rx_bytes),
        network_tx: over_all(|network| network.tx_bytes),
        block_read: blocks(stats.blkio_stats.as_ref(), "read"),
        block_write: blocks(stats.blkio_stats.as_ref(), "write"),
        pids: stats.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or(0),
        pids_limit: stats.pids_stats.as_ref().and_then(|pids| pids.limit).filter(|limit| *limit > 0),
        throttling: throttling(cpu),
        // The stats API does not report it.
        pressure: Pressure::default(),
    })
}

/// CPU throttling; a container without a CPU limit has no periods.
fn throttling(cpu: &ContainerCpuStats) -> Option<Throttling> {
    let data = cpu.throttling_data.as_ref()?;
    let periods = data.periods.filter(|periods| *periods > 0)?;
    Some(Throttling { periods, throttled: data.throttled_periods.unwrap_or(0) })
}

/// Bytes of one operation over all devices; cgroup v1 writes `Read`, v2 `read`.
fn blocks(stats: Option<&ContainerBlkioStats>, op: &str) -> u64 {
    stats
        .and_then(|stats| stats.io_service_bytes_recursive.as_ref())
        .into_iter()
        .flatten()
        .filter(|entry| entry.op.as_deref().is_some_and(|it| it.eq_ignore_ascii_case(op)))
        .filter_map(|entry| entry.value)
        .sum()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Recorded from Docker 20.10 on cgroup v1, without fields that are not read.
    fn v1() -> Value {
        json!({
            "read": "2026-11-23T19:43:41.585826406Z", "preread": "0001-01-01T00:00:00Z",
            "pids_stats": {"current": 1},
            "blkio_stats": {"io_service_bytes_recursive": [
                {"major": 254, "minor": 0, "op": "Read", "value": 4096},
                {"major": 254, "minor": 0, "op": "Write", "value": 512},
                {"major": 254, "minor": 16, "op": "Read", "value": 1},
                {"major": 254, "minor": 16, "op": "Total", "value": 99}
            ]},
            "num_procs": 0, "storage_stats": {},
            "cpu_stats": {
                "cpu_usage": {"total_usage": 31_251_433, "usage_in_kernelmode": 0, "usage_in_usermode": 20_000_000},
                "system_cpu_usage": 4_963_940_000_000_u64, "online_cpus": 2
            },
            "memory_stats": {
                "usage": 1_822_720, "max_usage": 4_075_520, "limit": 25_276_510_208_u64,
                "stats": {"inactive_file": 1_000_000, "total_inactive_file": 1_019_904, "rss": 57_344}
            },
            "name": "/api-1", "id": "1ac4d11f190e40fc6f15630356e1464a8112f3806e650aec433993b04bf13de8",
            "networks": {
                "eth0": {"rx_bytes": 286, "rx_packets": 3, "tx_bytes": 7},
                "eth1": {"rx_bytes": 14, "rx_packets": 3, "tx_bytes": 1}
            }
        })
    }

    fn sample(json: Value) -> Option<RawSample> {
        read(&serde_json::from_value(json).unwrap(), ByteCount(32 << 30))
    }

    #[test]
    fn counters_are_summed_over_networks_and_devices() {
        let expected = RawSample {
            at: "2026-11-23T19:43:41.585826406Z".parse().unwrap(),
            cpu_total_ns: 31_251_433,
            system_cpu_ns: Some(4_963_940_000_000),
            online_cpus: 2,
            memory_usage: 1_822_720,
            inactive_file: Some(1_000_000),
            total_inactive_file: Some(1_019_904),
            memory_limit: 25_276_510_208,
            host_memory: 32 << 30,
            network_rx: 300,
            network_tx: 8,
            block_read: 4097,
            block_write: 512,
            pids: 1,
            pids_limit: None,
            throttling: None,
            pressure: Pressure::default(),
        };
        assert_eq!(sample(v1()), Some(expected));
    }

    #[test]
    fn a_container_that_does_not_run_has_no_sample() {
        // What Docker 20.10 answers for an exited container.
        let stopped = json!({
            "read": "0001-01-01T00:00:00Z", "preread": "0001-01-01T00:00:00Z", "pids_stats": {}, "num_procs": 0,
            "blkio_stats": {"io_service_bytes_recursive": null}, "storage_stats": {}, "memory_stats": {},
            "cpu_stats": {"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}},
            "name": "/api-1"
        });
        assert_eq!(sample(stopped), None);
    }

    #[test]
    fn a_container_without_network_is_sampled_too() {
        let mut alone = v1();
        alone.as_object_mut().unwrap().remove("networks");
        assert_eq!(sample(alone).map(|sample| (sample.network_rx, sample.network_tx)), Some((0, 0)));
    }
}
