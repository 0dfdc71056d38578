//! Torture: events flow through real processes on a real Redis while processes are killed and suspended and connections
//! fail at random. In the end the log, the rows and the outcomes must be as if nothing had failed.
//!
//! ```text
//!   producers ─┐                        ┌─ kill -9 of a worker, of redis-server; SIGSTOP for longer than the lease
//!   roles × 2 ─┼── Proxy ── redis-server│
//!   counters  ─┘     └── responses truncated, all connections closed, responses delayed
//! ```
//!
//! The faults are drawn from a seed, which is printed; `HEMOSTAT_TORTURE_SEED` repeats them (scheduling still differs
//! from run to run). The harness itself reads Redis past the proxy.

mod fault_injector;
mod plan;
mod processes;
mod verdict;
mod workload;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hemostat_core::Projection as _;
use hemostat_log::{Inspection, Log, Options, RedisLog, migrate};
use hemostat_schema::{EventId, Partition, Timestamp};

pub use self::plan::Plan;
pub use self::workload::{CountEffect, EventChain, HostLoad, Link};
use self::{fault_injector::FaultInjector, plan::PARTITIONS, processes::Processes};
use crate::{Fsync, Proxy, RedisServer, wait_until};

impl Plan {
    /// Runs all of it and verifies the result. `counter` is the program of `src/bin/torture.rs`.
    ///
    /// # Errors
    /// The first violation found.
    pub async fn run(&self, counter: &Path) -> anyhow::Result<Report> {
        let mut redis = RedisServer::with_fsync(Fsync::Always).await;
        let options = Options::new(&redis.url())?;
        migrate(&options.clone().partitions(Some(PARTITIONS))).await?;
        let proxy = Proxy::start(redis.socket()).await;
        let loads = self.loads();
        let mut processes = Processes::start(self, &loads, counter, &format!("redis://{}", proxy.address())).await;

        let log = RedisLog::connect(&options).await?;
        wait_until(self.drain_timeout, "every group and view has a worker", async || {
            processes.restart_exited();
            for partition in (0..PARTITIONS).map(Partition) {
                is_staffed(&log.inspect(partition).await?)?;
            }
            Ok(())
        })
        .await;

        let began = Instant::now();
        let mut injector = FaultInjector::new(self.seed, self.lease_ttl);
        for _ in 0..self.faults {
            injector.inject(&mut processes, &mut redis, &proxy).await;
            injector.rest(&mut processes, self.interval).await;
        }
        injector.end(&mut processes).await;
        proxy.restore();
        let injected = began.elapsed();

        self.drain(&log, &mut processes).await;
        let drained = began.elapsed() - injected;
        let output = processes.stop().await;
        let panicked = output.lines().find(|line| line.contains("panicked"));
        ensure!(panicked.is_none(), "a worker panicked: {}", panicked.unwrap_or_default());
        let counts = verdict::verify(&log, &loads).await?;
        // The groups and rows of the torture itself are unknown to HemoStat's tools.
        for partition in 0..PARTITIONS {
            redis.cli(&["XGROUP", "DESTROY", &format!("hemostat:{{{partition}}}:samples"), CountEffect::GROUP])?;
            redis.cli(&["UNLINK", &format!("hemostat:{{{partition}}}:view:{}", workload::PROGRESS)])?;
        }
        for command in ["verify", "fsck"] {
            processes.run_tool(command, &redis.url()).with_context(|| format!("hemostat {command}"))?;
        }
        processes.passed();
        Ok(Report { faults: injector.summary(), restarts: processes.restarts(), injected, drained, counts })
    }

    /// Waits until the producers have appended everything and every group has processed it.
    async fn drain(&self, log: &RedisLog, processes: &mut Processes) {
        let mut before = vec![];
        let deadline = Instant::now() + self.drain_timeout;
        wait_until(self.drain_timeout, "everything is processed", async || {
            processes.restart_exited();
            ensure!(processes.has_produced(), "the producers are not done; {:?} left", deadline - Instant::now());
            let mut clocks = vec![];
            for partition in (0..PARTITIONS).map(Partition) {
                let found = log.inspect(partition).await?;
                is_drained(&found).with_context(|| format!("in partition {partition}"))?;
                clocks.push(found.clock);
            }
            // An event being processed may still cause others: require a lease without new events.
            let calm = before == clocks;
            before = clocks;
            tokio::time::sleep(self.lease_ttl).await;
            ensure!(calm, "something was still added");
            Ok(())
        })
        .await;
    }
}

/// Every consumer group (no alert channel is configured) and every view of a partition.
const GROUPS: [&str; 8] = ["triage", "consult", "authorise", "judge", "execute", "raise", "notary", CountEffect::GROUP];
const VIEWS: [&str; 10] = [
    "containers",
    "incidents",
    "timeline",
    "cooldown",
    "breaker",
    "dedup",
    "calibration",
    "metrics",
    "incident_samples",
    EventChain::NAME,
];

/// Fails while a group has no lease or a view is not served.
fn is_staffed(found: &Inspection) -> anyhow::Result<()> {
    let idle = GROUPS.iter().find(|group| !found.leases.iter().any(|lease_ttl| lease_ttl.group == **group));
    let missing = VIEWS.iter().find(|view| !found.served.contains_key(**view));
    ensure!(idle.is_none() && missing.is_none(), "{:?} has no worker", idle.or(missing));
    Ok(())
}

/// Fails while a group has unprocessed events or a timer is due.
fn is_drained(found: &Inspection) -> anyhow::Result<()> {
    is_staffed(found)?;
    for (family, stream) in &found.streams {
        let last = stream.last.unwrap_or(EventId::start(Partition(0)));
        for group in &stream.groups {
            ensure!(
                group.pending.is_empty(),
                "{} events of {family} are pending in {}",
                group.pending.len(),
                group.name
            );
            ensure!(
                stream.last.is_none() || group.delivered >= last,
                "{} has not read {family} to its end",
                group.name
            );
        }
        for (group, cursor) in found.cursors.iter().filter(|(_, cursor)| cursor.families.contains(family)) {
            ensure!(stream.last.is_none() || cursor.at >= last, "{group} has not read {family} to its end");
        }
    }
    let now = Timestamp::now().as_millisecond();
    let due_timer = found.timers.iter().find(|(_, due)| due.parse::<i64>().is_ok_and(|due| due < now + 2_000));
    ensure!(due_timer.is_none(), "a timer is due: {due_timer:?}");
    Ok(())
}

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// The injected faults, by kind.
    pub faults: String,
    /// The number of restarted processes.
    pub restarts: usize,
    /// The time during which faults were injected.
    pub injected: Duration,
    /// The time from the last fault until everything was processed.
    pub drained: Duration,
    /// The verified events.
    pub counts: verdict::Counts,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { faults, restarts, injected, drained, counts } = self;
        write!(
            f,
            "{faults}; {restarts} processes restarted; {:.0} s of faults, {:.1} s until all was processed; {counts}; \
             verify and fsck: equal",
            injected.as_secs_f64(),
            drained.as_secs_f64()
        )
    }
}
