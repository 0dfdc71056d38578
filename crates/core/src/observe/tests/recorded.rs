//! Symptoms of real containers, from recorded counters (each `series/*.json` says where and how it was recorded).
//!
//! Each series is five minutes long, so the leak window is a minute and a half, and the thresholds are set so that the
//! recorded workloads cross them.

use hemostat_schema::container::Limits;
use serde::Deserialize;

use super::*;
use crate::{
    observe::vitals::{Pressure, RawSample, Throttling, vitals},
    policy::Sensitivity,
};

#[derive(Deserialize)]
struct Series {
    cpus: Option<f64>,
    memory_limit: u64,
    pids_limit: Option<u64>,
    /// Milliseconds, CPU time of the container and of the host in nanoseconds, memory and page cache in bytes,
    /// processes, periods and throttled periods.
    samples: Vec<[u64; 8]>,
}

impl Series {
    fn read(json: &str) -> Self {
        serde_json::from_str(json).expect("a recorded series is well-formed")
    }

    fn raw(&self) -> impl Iterator<Item = RawSample> {
        self.samples.iter().map(|[ms, cpu, system, memory, cache, pids, periods, throttled]| RawSample {
            at: Span::from_millis(*ms).after(at(0)),
            cpu_total_ns: *cpu,
            system_cpu_ns: Some(*system),
            online_cpus: 2,
            memory_usage: *memory,
            inactive_file: None,
            total_inactive_file: Some(*cache),
            memory_limit: self.memory_limit,
            host_memory: 24 << 30,
            network_rx: 0,
            network_tx: 0,
            block_read: 0,
            block_write: 0,
            pids: *pids,
            pids_limit: self.pids_limit,
            throttling: (*periods > 0).then_some(Throttling { periods: *periods, throttled: *throttled }),
            pressure: Pressure::default(),
        })
    }
}

#[test]
fn real_containers_raise_the_symptoms_of_their_workload_and_no_others() {
    let sensitivity = Sensitivity {
        throttled: Percent::clamped(15.0),
        pids: Percent::clamped(60.0),
        leak_over: Span::from_secs(90),
        ..Sensitivity::default()
    };
    let check = |name: &str, json: &str, expected: &[&str]| {
        let series = Series::read(json);
        let limits = Limits { cpus: series.cpus, memory: Some(ByteCount(series.memory_limit)) };
        let mut observed = ObservedContainer::given(Facts { limits, ..facts() });
        observed.policy.sensitivity = sensitivity.clone();
        observed.policy.container_defaults.sustained = Span::from_secs(20);
        observed.state.forget_policy();
        let mut before: Option<RawSample> = None;
        let mut evaluated = 0;
        for raw in series.raw() {
            let (now, seen) = (raw.at, vitals(&raw, before.as_ref(), &limits));
            before = Some(raw);
            let Some(seen) = seen else { continue };
            evaluated += 1;
            let events =
                observe(&mut observed.state, &subject(), ObservationInput::Sample(seen), &observed.policy, now);
            observed.log.extend(events);
        }
        let emitted: Vec<_> =
            observed.log.iter().filter(|event| event.event.measurement().is_none()).skip(1).map(emitted).collect();
        assert_eq!(emitted, expected, "{name}");
        assert!(evaluated >= 149, "{name}: {evaluated}");
    };
    check("idle", include_str!("series/idle.json"), &[]);
    check("cpu", include_str!("series/cpu.json"), &[]);
    // The host had less and less CPU to give, so the limit throttled the container less and less.
    let throttled =
        ["raised cpu throttled High", "raised cpu high High", "cleared cpu high Well", "cleared cpu throttled Well"];
    check("throttled", include_str!("series/throttled.json"), &throttled);
    check("leak", include_str!("series/leak.json"), &["raised memory leak High"]);
    check("cache", include_str!("series/cache.json"), &[]);
    check("gc", include_str!("series/gc.json"), &[]);
    // Every process uses memory too.
    check("pids", include_str!("series/pids.json"), &["raised memory leak High", "raised pids high High"]);
}
