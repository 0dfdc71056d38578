//! `docker stats`, with cgroup v2.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures::stream;
use serde::Serialize;

use super::{
    query::Query,
    reply::{ApiError, ConnectionCut, Reply, ok, streamed},
    system::{CPUS, MEMORY},
};
use crate::{
    counter::whole,
    engine::{container::Container, id::ContainerId},
    server::shared::Shared,
    time::{NEVER, UnixNanos, docker_time},
};

/// The interval between two readings.
const TICK: Duration = Duration::from_secs(1);
/// The boot time of the fake host, in nanoseconds since the Unix epoch.
const BOOT: i64 = 1_700_000_000_000_000_000;

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Usage {
    total_usage: u64,
    usage_in_kernelmode: u64,
    usage_in_usermode: u64,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Throttling {
    periods: u64,
    throttled_periods: u64,
    throttled_time: u64,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Cpu {
    cpu_usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_cpu_usage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    online_cpus: Option<u32>,
    throttling_data: Throttling,
}

#[derive(Debug, Default, Serialize)]
struct Memory {
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<Parts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Parts {
    active_anon: u64,
    active_file: u64,
    anon: u64,
    file: u64,
    inactive_anon: u64,
    inactive_file: u64,
    pgfault: u64,
    pgmajfault: u64,
}

#[derive(Debug, Default, Serialize)]
struct Pids {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Blocks {
    major: u32,
    minor: u32,
    op: &'static str,
    value: u64,
}

#[derive(Debug, Default, Serialize)]
struct BlockStats {
    io_service_bytes_recursive: Option<[Blocks; 2]>,
}

#[derive(Debug, Serialize)]
struct Network {
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
}

#[derive(Debug, Serialize)]
struct Stats<'a> {
    read: String,
    preread: String,
    pids_stats: Pids,
    blkio_stats: BlockStats,
    num_procs: u32,
    storage_stats: BTreeMap<(), ()>,
    cpu_stats: Cpu,
    precpu_stats: Cpu,
    memory_stats: Memory,
    name: String,
    id: &'a ContainerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    networks: Option<Networks>,
}

#[derive(Debug, Serialize)]
struct Networks {
    eth0: Network,
}

/// A reading of the CPU counters, reported as `precpu_stats` in the next one.
#[derive(Debug, Clone, Copy)]
struct Before {
    at: UnixNanos,
    cpu: Cpu,
}

pub(super) async fn stats(shared: &Shared, key: &str, query: &Query) -> Result<Reply, ApiError> {
    if !query.flag("stream", true) {
        // With one-shot Docker reads once, otherwise twice.
        let before = if query.flag("one-shot", false) {
            shared.look(|engine, _| engine.container(key).map(drop))?;
            None
        } else {
            let before = shared.look(|engine, now| engine.container(key).map(|container| before(container, now)))?;
            tokio::time::sleep(TICK).await;
            Some(before)
        };
        return shared.look(|engine, now| Ok(ok(&reading(engine.container(key)?, before, now))));
    }
    shared.look(|engine, _| engine.container(key).map(drop))?;
    let lines = stream::unfold((shared.clone(), key.to_owned(), None), |(shared, key, last)| async move {
        if last.is_some() {
            tokio::time::sleep(TICK).await;
        }
        // The stream ends when the container is removed.
        let (line, next) = shared.look(|engine, now| {
            let container = engine.container(&key).ok()?;
            let mut line = serde_json::to_vec(&reading(container, last, now)).unwrap_or_default();
            line.push(b'\n');
            Some((Bytes::from(line), before(container, now)))
        })?;
        Some((Ok::<_, ConnectionCut>(line), (shared, key, Some(next))))
    });
    Ok(streamed("application/json", lines))
}

fn before(container: &Container, now: UnixNanos) -> Before {
    Before { at: now, cpu: cpu(container, now) }
}

fn cpu(container: &Container, now: UnixNanos) -> Cpu {
    if !container.is_up() {
        return Cpu::default();
    }
    let counters = &container.counters;
    // A process has used some CPU as soon as it exists.
    let total = 1_000_000 + whole(counters.cpu.at_with_ripple(now, container.phase));
    Cpu {
        cpu_usage: Usage { total_usage: total, usage_in_kernelmode: total / 4, usage_in_usermode: total - total / 4 },
        system_cpu_usage: u64::try_from(now.nanos() - BOOT).ok().map(|up| up * u64::from(CPUS)),
        online_cpus: Some(CPUS),
        throttling_data: Throttling {
            periods: whole(container.periods(now)),
            throttled_periods: whole(counters.throttled_periods.at(now)),
            throttled_time: whole(counters.throttled.at(now)),
        },
    }
}

fn reading<'a>(container: &'a Container, before: Option<Before>, now: UnixNanos) -> Stats<'a> {
    let (spec, counters) = (&container.spec, &container.counters);
    let none = Stats {
        read: NEVER.to_owned(),
        preread: NEVER.to_owned(),
        pids_stats: Pids::default(),
        blkio_stats: BlockStats::default(),
        num_procs: 0,
        storage_stats: BTreeMap::new(),
        cpu_stats: Cpu::default(),
        precpu_stats: Cpu::default(),
        memory_stats: Memory::default(),
        name: format!("/{}", container.name),
        id: &container.id,
        networks: None,
    };
    if !container.is_up() {
        return none;
    }
    let limit = spec.memory.unwrap_or(MEMORY);
    let memory = whole(counters.memory.at(now)).min(limit);
    let cache = spec.baseline.cache.min(memory);
    let anonymous = memory - cache;
    let network = whole(counters.network.at_with_ripple(now, container.phase));
    let blocks = whole(counters.blocks.at_with_ripple(now, container.phase));
    let block = |op, value| Blocks { major: 254, minor: 0, op, value };
    let shares_network = spec.network_mode.starts_with("container:") || spec.network_mode == "host";
    Stats {
        read: now.to_string(),
        preread: docker_time(before.map(|before| before.at)),
        pids_stats: Pids { current: Some(whole(counters.pids.at(now))), limit: spec.pids },
        blkio_stats: BlockStats {
            io_service_bytes_recursive: Some([
                block("read", blocks),
                block("write", blocks + whole(counters.layer.at(now))),
            ]),
        },
        cpu_stats: cpu(container, now),
        precpu_stats: before.map(|before| before.cpu).unwrap_or_default(),
        memory_stats: Memory {
            usage: Some(memory),
            stats: Some(Parts {
                active_anon: anonymous / 2,
                active_file: cache / 3,
                anon: anonymous,
                file: cache,
                inactive_anon: anonymous - anonymous / 2,
                inactive_file: cache - cache / 3,
                pgfault: 900,
                pgmajfault: 3,
            }),
            limit: Some(limit),
        },
        networks: (!shares_network).then_some(Networks {
            eth0: Network {
                rx_bytes: network,
                rx_packets: network / 80,
                rx_errors: 0,
                rx_dropped: 0,
                tx_bytes: network,
                tx_packets: network / 80,
                tx_errors: 0,
                tx_dropped: 0,
            },
        }),
        ..none
    }
}
