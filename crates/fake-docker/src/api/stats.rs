//! `docker stats`, with cgroup v2.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};

use super::{
    query::Query,
    reply::{ApiError, ConnectionCut, Reply, ok, streamed},
    system::{CPUS, MEMORY},
};
use crate::{
    counter::whole,
    engine::container::Container,
    server::shared::Shared,
    time::{NEVER, UnixNanos, docker_time},
};

/// The interval between two readings.
const TICK: Duration = Duration::from_secs(1);
/// The boot time of the fake host, in nanoseconds since the Unix epoch.
const BOOT: i64 = 1_700_000_000_000_000_000;

/// A reading of the CPU counters, reported as `precpu_stats` in the next one.
#[derive(Debug)]
struct Before {
    at: UnixNanos,
    cpu: Value,
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
        return shared.look(|engine, now| Ok(ok(&reading(engine.container(key)?, before.as_ref(), now))));
    }
    shared.look(|engine, _| engine.container(key).map(drop))?;
    let lines = stream::unfold((shared.clone(), key.to_owned(), None), |(shared, key, last)| async move {
        if last.is_some() {
            tokio::time::sleep(TICK).await;
        }
        // The stream ends when the container is removed.
        let (line, next) = shared.look(|engine, now| {
            let container = engine.container(&key).ok()?;
            let mut line = serde_json::to_vec(&reading(container, last.as_ref(), now)).unwrap_or_default();
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

fn no_cpu() -> Value {
    json!({
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0}
    })
}

fn cpu(container: &Container, now: UnixNanos) -> Value {
    if !container.is_up() {
        return no_cpu();
    }
    let counters = &container.counters;
    // A process has used some CPU as soon as it exists.
    let total = 1_000_000 + whole(counters.cpu.at_with_ripple(now, container.phase));
    let mut cpu = json!({
        "cpu_usage": {
            "total_usage": total, "usage_in_kernelmode": total / 4, "usage_in_usermode": total - total / 4
        },
        "online_cpus": CPUS,
        "throttling_data": {
            "periods": whole(container.periods(now)),
            "throttled_periods": whole(counters.throttled_periods.at(now)),
            "throttled_time": whole(counters.throttled.at(now))
        }
    });
    if let Ok(up) = u64::try_from(now.nanos() - BOOT) {
        cpu["system_cpu_usage"] = (up * u64::from(CPUS)).into();
    }
    cpu
}

fn reading(container: &Container, before: Option<&Before>, now: UnixNanos) -> Value {
    let (spec, counters) = (&container.spec, &container.counters);
    let mut reading = json!({
        "read": NEVER, "preread": NEVER, "name": format!("/{}", container.name), "id": container.id,
        "pids_stats": {}, "num_procs": 0, "storage_stats": {}, "blkio_stats": {"io_service_bytes_recursive": null},
        "cpu_stats": no_cpu(), "precpu_stats": no_cpu(), "memory_stats": {}
    });
    if !container.is_up() {
        return reading;
    }
    let limit = spec.memory.unwrap_or(MEMORY);
    let memory = whole(counters.memory.at(now)).min(limit);
    let cache = spec.baseline.cache.min(memory);
    let anonymous = memory - cache;
    let blocks = whole(counters.blocks.at_with_ripple(now, container.phase));
    let block = |op, value: u64| json!({"major": 254, "minor": 0, "op": op, "value": value});
    reading["read"] = now.to_string().into();
    reading["preread"] = docker_time(before.map(|before| before.at)).into();
    reading["pids_stats"]["current"] = whole(counters.pids.at(now)).into();
    if let Some(pids) = spec.pids {
        reading["pids_stats"]["limit"] = pids.into();
    }
    reading["blkio_stats"]["io_service_bytes_recursive"] =
        json!([block("read", blocks), block("write", blocks + whole(counters.layer.at(now)))]);
    reading["cpu_stats"] = cpu(container, now);
    reading["precpu_stats"] = before.map_or_else(no_cpu, |before| before.cpu.clone());
    reading["memory_stats"] = json!({
        "usage": memory, "limit": limit,
        "stats": {
            "active_anon": anonymous / 2, "active_file": cache / 3, "anon": anonymous, "file": cache,
            "inactive_anon": anonymous - anonymous / 2, "inactive_file": cache - cache / 3,
            "pgfault": 900, "pgmajfault": 3
        }
    });
    if !spec.network_mode.starts_with("container:") && spec.network_mode != "host" {
        let network = whole(counters.network.at_with_ripple(now, container.phase));
        reading["networks"] = json!({"eth0": {
            "rx_bytes": network, "rx_packets": network / 80, "rx_errors": 0, "rx_dropped": 0,
            "tx_bytes": network, "tx_packets": network / 80, "tx_errors": 0, "tx_dropped": 0
        }});
    }
    reading
}
