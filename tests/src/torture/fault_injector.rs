//! Injects random faults, drawn from a seed.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use fastrand::Rng;

use super::processes::Processes;
use crate::{Proxy, RedisServer};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    WorkerKilled,
    RedisKilled,
    WorkerSuspended,
    ResponsesTruncated,
    ConnectionsClosed,
    ResponsesDelayed,
}

/// The share of each fault, in percent.
const SHARES: [(Fault, u8); 6] = [
    (Fault::WorkerKilled, 45),
    (Fault::RedisKilled, 12),
    (Fault::WorkerSuspended, 15),
    (Fault::ResponsesTruncated, 18),
    (Fault::ConnectionsClosed, 5),
    (Fault::ResponsesDelayed, 5),
];

pub(super) struct FaultInjector {
    random: Rng,
    lease_ttl: Duration,
    injected: BTreeMap<Fault, usize>,
    /// Suspended processes, and when to resume them.
    suspended: Vec<(usize, Instant)>,
}

impl FaultInjector {
    pub(super) fn new(seed: u64, lease_ttl: Duration) -> Self {
        Self { random: Rng::with_seed(seed), lease_ttl, injected: BTreeMap::new(), suspended: vec![] }
    }

    /// Injects one fault.
    pub(super) async fn inject(&mut self, processes: &mut Processes, redis: &mut RedisServer, proxy: &Proxy) {
        let mut drawn = self.random.u8(0..100);
        let fault = SHARES.iter().find(|(_, share)| match drawn.checked_sub(*share) {
            Some(rest) => {
                drawn = rest;
                false
            }
            None => true,
        });
        let fault = fault.map_or(Fault::WorkerKilled, |(fault, _)| *fault);
        *self.injected.entry(fault).or_default() += 1;
        proxy.delay(Duration::ZERO);
        let process = self.random.usize(0..processes.len());
        match fault {
            Fault::WorkerKilled => processes.kill(process),
            Fault::RedisKilled => {
                redis.kill();
                let down = Duration::from_millis(self.random.u64(0..300));
                self.wait(processes, down).await;
                redis.restart().await;
            }
            Fault::WorkerSuspended => {
                processes.suspend(process);
                let pause = self.lease_ttl.mul_f64(1.2 + self.random.f64());
                self.suspended.push((process, Instant::now() + pause));
            }
            Fault::ResponsesTruncated => proxy.truncate_responses(self.random.u32(1..4)),
            Fault::ConnectionsClosed => proxy.drop_connections(),
            Fault::ResponsesDelayed => proxy.delay(Duration::from_millis(self.random.u64(5..100))),
        }
    }

    /// Waits about `pause`, while it resumes and restarts processes.
    pub(super) async fn rest(&mut self, processes: &mut Processes, pause: Duration) {
        let pause = pause.mul_f64(0.5 + self.random.f64());
        self.wait(processes, pause).await;
    }

    /// Waits until every process is resumed.
    pub(super) async fn end(&mut self, processes: &mut Processes) {
        while !self.suspended.is_empty() {
            self.wait(processes, Duration::from_millis(100)).await;
        }
    }

    async fn wait(&mut self, processes: &mut Processes, pause: Duration) {
        let end = Instant::now() + pause;
        loop {
            self.suspended.retain(|(process, resume_at)| {
                let stays = Instant::now() < *resume_at;
                if !stays {
                    processes.resume(*process);
                }
                stays
            });
            processes.restart_exited();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(Duration::from_millis(50))).await;
        }
    }

    /// The number of faults by kind, as text.
    pub(super) fn summary(&self) -> String {
        let mut summary = format!("{} faults", self.injected.values().sum::<usize>());
        for (n, (fault, count)) in self.injected.iter().enumerate() {
            let what = match fault {
                Fault::WorkerKilled => "workers killed",
                Fault::RedisKilled => "times Redis killed",
                Fault::WorkerSuspended => "workers suspended beyond their leases",
                Fault::ResponsesTruncated => "times responses truncated",
                Fault::ConnectionsClosed => "times all connections closed",
                Fault::ResponsesDelayed => "times responses delayed",
            };
            // Writing to a string cannot fail.
            let _ = write!(summary, "{} {count} {what}", if n == 0 { ":" } else { "," });
        }
        summary
    }
}
