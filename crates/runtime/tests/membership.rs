//! Tests of membership and handover: every partition has one worker, partitions are spread evenly, and nothing is handled
//! twice while partitions are reassigned.

#![allow(clippy::unwrap_used, reason = "a test fails on any error")]

mod toy;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use hemostat_log::{Commit, Log, MemoryLog, Order, Range};
use hemostat_runtime::{
    Context, LeaseHandle, LeasedWorker, Step, Worker, WorkerError, decider, projection, read_model, unchanging,
};
use hemostat_schema::{Family, HostName, NewEvent, Partition, Timestamp};
use tokio::{task::JoinHandle, time::timeout};

use crate::toy::{Answer, Count, paused};

const PARTITIONS: u16 = 4;
const TTL: Duration = Duration::from_millis(150);
const DEADLINE: Duration = Duration::from_secs(20);

/// A process with a decider and a projection.
struct Process {
    ctx: Context,
    tasks: JoinHandle<()>,
}

impl Process {
    fn start(log: &Arc<MemoryLog>, owner: &str) -> Self {
        let ctx = Context { owner: owner.into(), lease_ttl: TTL, ..Context::new(log.clone()) };
        let mut tasks = decider::<Answer>(&ctx, &unchanging(u32::MAX));
        tasks.extend(projection::<Count>(&ctx));
        let running = ctx.clone();
        Self { ctx, tasks: tokio::spawn(async move { hemostat_process::run(&running, tasks).await.unwrap() }) }
    }

    /// As after a SIGTERM.
    async fn stop(self) {
        self.ctx.shutdown.cancel();
        timeout(DEADLINE, self.tasks).await.expect("it ends on shutdown").unwrap();
    }

    /// As after a SIGKILL: no lease is released.
    fn kill(self) {
        self.tasks.abort();
    }
}

/// How many leases of `group` each process holds.
async fn holders(log: &MemoryLog, group: &str) -> BTreeMap<String, usize> {
    let mut holders = BTreeMap::new();
    for partition in (0..PARTITIONS).map(Partition) {
        let leases = log.inspect(partition).await.unwrap().leases;
        let held = leases.into_iter().find(|lease| lease.group == group).and_then(|lease| lease.owner);
        *holders.entry(held.unwrap_or_default()).or_insert(0) += 1;
    }
    holders
}

/// Waits until the leases of each group are spread like this, while events flow.
async fn until_spread(log: &Arc<MemoryLog>, expected: &[(&str, usize)]) {
    let expected: BTreeMap<String, usize> = expected.iter().map(|(owner, n)| ((*owner).to_owned(), *n)).collect();
    let spread = async {
        while holders(log, "answer").await != expected || holders(log, "count.1").await != expected {
            append(log).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(DEADLINE, spread).await.is_err() {
        panic!("{expected:?}, not {:?} and {:?}", holders(log, "answer").await, holders(log, "count.1").await);
    }
}

/// Appends one event to each partition.
async fn append(log: &Arc<MemoryLog>) {
    for partition in (0..PARTITIONS).map(Partition) {
        let hosts = (0..100).map(|n| format!("h{n}").parse::<HostName>().unwrap());
        let host = hosts.clone().find(|host| Partition::of(host, PARTITIONS) == partition).unwrap();
        let event = paused("a", "x");
        let event = NewEvent { subject: format!("{host}/a").parse().unwrap(), ..event };
        let lease = log.acquire(partition, "test", "test", DEADLINE).await.unwrap().unwrap();
        log.commit(&Commit { events: vec![event], ..Commit::new(lease) }).await.unwrap();
    }
}

/// Waits until every event is answered and counted, and checks that each was handled once.
async fn check_once(log: &Arc<MemoryLog>) {
    for partition in (0..PARTITIONS).map(Partition) {
        let settled = async {
            loop {
                let entries = log.read(partition, &Family::ALL, Range::ALL, Order::OldestFirst, 100_000).await.unwrap();
                let events: Vec<_> = entries.into_iter().map(|entry| entry.event.unwrap()).collect();
                let asked = events.iter().filter(|event| event.kind() == "action.paused").count();
                let mut answers: Vec<_> =
                    events.iter().filter(|event| event.kind() == "action.resumed").map(|event| event.cause).collect();
                let key = events[0].subject.to_string();
                let counted = read_model::get::<Count>(&**log, &key).await.ok().flatten().unwrap_or(0) as usize;
                assert!(answers.len() <= asked && counted <= events.len(), "an event was handled twice");
                if answers.len() == asked && counted == events.len() {
                    answers.sort();
                    answers.dedup();
                    assert_eq!(answers.len(), asked, "one event was answered twice, another never");
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, settled).await.expect("every event is handled eventually");
    }
}

#[tokio::test]
async fn partitions_stay_spread_evenly_while_processes_join_and_leave_and_nothing_is_handled_twice() {
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let a = Process::start(&log, "a");
    until_spread(&log, &[("a", 4)]).await;
    let b = Process::start(&log, "b");
    until_spread(&log, &[("a", 2), ("b", 2)]).await;
    a.stop().await;
    until_spread(&log, &[("b", 4)]).await;
    let c = Process::start(&log, "c");
    let d = Process::start(&log, "d");
    let three = async {
        loop {
            let shares = [holders(&log, "answer").await, holders(&log, "count.1").await];
            if shares.iter().all(|shares| {
                let (least, most) = (shares.values().min().unwrap(), shares.values().max().unwrap());
                shares.len() == 3 && most - least <= 1 && !shares.contains_key("")
            }) {
                return;
            }
            append(&log).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, three).await.expect("three processes share four partitions evenly");
    c.kill();
    d.kill();
    until_spread(&log, &[("b", 4)]).await;
    check_once(&log).await;
    b.stop().await;
}

/// Drains for longer than its lease is valid.
struct Slow {
    log: Arc<MemoryLog>,
    drained: Arc<Mutex<Vec<&'static str>>>,
    handle: Option<LeaseHandle>,
}

#[async_trait::async_trait]
impl Worker for Slow {
    fn group(&self) -> &str {
        "slow"
    }
    fn partition(&self) -> Partition {
        Partition(0)
    }
    async fn load(&mut self, handle: &LeaseHandle) -> Result<(), WorkerError> {
        self.handle = Some(handle.clone());
        Ok(())
    }
    async fn step(&mut self) -> Result<Step, WorkerError> {
        Ok(Step::Idle { until: None })
    }
    async fn wait(&mut self, _: Option<Timestamp>) {
        std::future::pending().await
    }
    async fn drain(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        // Longer than the lease, which must be renewed meanwhile.
        tokio::time::sleep(2 * TTL).await;
        let done = self.log.commit(&Commit::new(handle.lease().clone())).await;
        self.drained.lock().unwrap().push(if done.is_ok() { "in time" } else { "too late" });
    }
}

#[tokio::test]
async fn a_holder_drains_under_its_lease_before_it_hands_over() {
    let log = Arc::new(MemoryLog::new(1));
    let (drained, mut rounds) = (Arc::new(Mutex::new(vec![])), vec![]);
    let start = |owner: &str| {
        let ctx = Context { owner: owner.into(), lease_ttl: TTL, ..Context::new(log.clone()) };
        let worker = Slow { log: log.clone(), drained: drained.clone(), handle: None };
        (ctx.shutdown.clone(), tokio::spawn(LeasedWorker::new(ctx, worker).run()))
    };
    let until_held_by = async |owner: &str| {
        let holder = async || log.inspect(Partition(0)).await.unwrap().leases.pop().and_then(|lease| lease.owner);
        let held = async {
            while holder().await.as_deref() != Some(owner) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, held).await.unwrap_or_else(|_| panic!("{owner} does not acquire the lease"));
    };
    // One partition is always assigned to the same of the two members, so one of these rounds hands over.
    for (first, second) in [("a", "b"), ("b", "a")] {
        let (stop_first, first_running) = start(first);
        until_held_by(first).await;
        let (stop_second, second_running) = start(second);
        let handed_over = timeout(10 * TTL, until_held_by(second)).await.is_ok();
        stop_first.cancel();
        stop_second.cancel();
        for running in [first_running, second_running] {
            timeout(DEADLINE, running).await.unwrap().unwrap().unwrap();
        }
        let drained_now = std::mem::take(&mut *drained.lock().unwrap());
        assert_eq!(
            drained_now,
            if handed_over { vec!["in time"; 2] } else { vec!["in time"] },
            "{first}, then {second}"
        );
        rounds.push(handed_over);
    }
    rounds.sort_unstable();
    assert_eq!(rounds, [false, true]);
}
