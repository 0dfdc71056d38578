//! The laws of sharing: every partition has one worker, nobody has more than their share, and nothing is handled twice
//! while work changes hands.

#![allow(clippy::unwrap_used, reason = "a law that meets an error is broken")]

mod toy;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use hemostat_log::{Commit, Log, MemoryLog, Order, Range};
use hemostat_runtime::{Context, Halt, Stage, Step, Tenure, Worker, decider, projection, rows};
use hemostat_schema::{Family, HostName, NewEvent, Partition, Timestamp};
use tokio::{task::JoinHandle, time::timeout};

use crate::toy::{Answer, Count, paused};

const PARTITIONS: u16 = 4;
const TTL: Duration = Duration::from_millis(150);
const DEADLINE: Duration = Duration::from_secs(20);

/// A process that answers and counts.
struct Process {
    ctx: Context,
    tasks: JoinHandle<()>,
}

impl Process {
    fn start(log: &Arc<MemoryLog>, owner: &str) -> Self {
        let ctx = Context { owner: owner.into(), lease_ttl: TTL, ..Context::new(log.clone()) };
        let mut tasks = decider::<Answer>(&ctx, Arc::new(u32::MAX));
        tasks.extend(projection::<Count>(&ctx));
        let running = ctx.clone();
        Self { ctx, tasks: tokio::spawn(async move { hemostat_process::run(&running, tasks).await.unwrap() }) }
    }

    /// As after a SIGTERM.
    async fn stop(self) {
        self.ctx.shutdown.cancel();
        timeout(DEADLINE, self.tasks).await.expect("it ends when told").unwrap();
    }

    /// As after a SIGKILL: nothing is given back.
    fn kill(self) {
        self.tasks.abort();
    }
}

/// How many partitions of `group` each owner holds.
async fn holders(log: &MemoryLog, group: &str) -> BTreeMap<String, usize> {
    let mut holders = BTreeMap::new();
    for partition in (0..PARTITIONS).map(Partition) {
        let leases = log.inspect(partition).await.unwrap().leases;
        let held = leases.into_iter().find(|lease| lease.group == group).and_then(|lease| lease.owner);
        *holders.entry(held.unwrap_or_default()).or_insert(0) += 1;
    }
    holders
}

/// Waits until each group is shared like this, while events flow.
async fn until_shared(log: &Arc<MemoryLog>, expected: &[(&str, usize)]) {
    let expected: BTreeMap<String, usize> = expected.iter().map(|(owner, n)| ((*owner).to_owned(), *n)).collect();
    let shared = async {
        while holders(log, "answer").await != expected || holders(log, "count.1").await != expected {
            happen(log).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(DEADLINE, shared).await.is_err() {
        panic!("{expected:?}, not {:?} and {:?}", holders(log, "answer").await, holders(log, "count.1").await);
    }
}

/// One event in each partition.
async fn happen(log: &Arc<MemoryLog>) {
    for partition in (0..PARTITIONS).map(Partition) {
        let hosts = (0..100).map(|n| format!("h{n}").parse::<HostName>().unwrap());
        let host = hosts.clone().find(|host| Partition::of(host, PARTITIONS) == partition).unwrap();
        let event = paused("a", "x");
        let event = NewEvent { subject: format!("{host}/a").parse().unwrap(), ..event };
        let lease = log.acquire(partition, "test", "test", DEADLINE).await.unwrap().unwrap();
        log.commit(&Commit { events: vec![event], ..Commit::new(lease) }).await.unwrap();
    }
}

/// Waits until everything is answered and counted, and checks that it was done once.
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
                let counted = rows::get::<Count>(&**log, &key).await.ok().flatten().unwrap_or(0) as usize;
                assert!(answers.len() <= asked && counted <= events.len(), "something was done twice");
                if answers.len() == asked && counted == events.len() {
                    answers.sort();
                    answers.dedup();
                    assert_eq!(answers.len(), asked, "one was answered twice, another never");
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, settled).await.expect("everything is dealt with in the end");
    }
}

#[tokio::test]
async fn work_is_shared_evenly_whoever_comes_and_goes_and_nothing_is_done_twice() {
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let a = Process::start(&log, "a");
    until_shared(&log, &[("a", 4)]).await;
    let b = Process::start(&log, "b");
    until_shared(&log, &[("a", 2), ("b", 2)]).await;
    a.stop().await;
    until_shared(&log, &[("b", 4)]).await;
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
            happen(&log).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, three).await.expect("three share four, none has two more than another");
    c.kill();
    d.kill();
    until_shared(&log, &[("b", 4)]).await;
    check_once(&log).await;
    b.stop().await;
}

/// Takes a while over what it has in hand.
struct Slow {
    log: Arc<MemoryLog>,
    did: Arc<Mutex<Vec<&'static str>>>,
    tenure: Option<Tenure>,
}

#[async_trait::async_trait]
impl Worker for Slow {
    fn group(&self) -> &str {
        "slow"
    }
    fn partition(&self) -> Partition {
        Partition(0)
    }
    async fn begin(&mut self, tenure: &Tenure) -> Result<(), Halt> {
        self.tenure = Some(tenure.clone());
        Ok(())
    }
    async fn step(&mut self) -> Result<Step, Halt> {
        Ok(Step::Idle { until: None })
    }
    async fn rest(&mut self, _: Option<Timestamp>) {
        std::future::pending().await
    }
    async fn finish(&mut self) {
        let Some(tenure) = self.tenure.take() else { return };
        // Longer than the lease, which must therefore be renewed meanwhile.
        tokio::time::sleep(2 * TTL).await;
        let done = self.log.commit(&Commit::new(tenure.lease().clone())).await;
        self.did.lock().unwrap().push(if done.is_ok() { "finished" } else { "too late" });
    }
}

#[tokio::test]
async fn what_is_in_hand_is_finished_under_the_lease_before_it_is_handed_over() {
    let log = Arc::new(MemoryLog::new(1));
    let (did, mut rounds) = (Arc::new(Mutex::new(vec![])), vec![]);
    let start = |owner: &str| {
        let ctx = Context { owner: owner.into(), lease_ttl: TTL, ..Context::new(log.clone()) };
        let worker = Slow { log: log.clone(), did: did.clone(), tenure: None };
        (ctx.shutdown.clone(), tokio::spawn(Stage::new(ctx, worker).run()))
    };
    let until_held_by = async |owner: &str| {
        let holder = async || log.inspect(Partition(0)).await.unwrap().leases.pop().and_then(|lease| lease.owner);
        let held = async {
            while holder().await.as_deref() != Some(owner) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, held).await.unwrap_or_else(|_| panic!("{owner} does not get it"));
    };
    // With one partition and two who attend it is always the same one's turn, so of these rounds one hands over.
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
        let did = std::mem::take(&mut *did.lock().unwrap());
        assert_eq!(did, if handed_over { vec!["finished"; 2] } else { vec!["finished"] }, "{first}, then {second}");
        rounds.push(handed_over);
    }
    rounds.sort_unstable();
    assert_eq!(rounds, [false, true]);
}
