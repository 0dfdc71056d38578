//! Events confirmed to be on a replica survive a failover, and commits continue by themselves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use hemostat_log::{Commit, CommitError, Confirmed, Durability, Log, Options, Order, Range, RedisLog, migrate};
use hemostat_schema::{EventId, Family, NewEvent, Partition, Timestamp, action::Resumed};
use hemostat_tests::{Cluster, STEP_TIMEOUT, Sentinels, wait_until};
use tokio::{sync::watch, time::sleep};

const P: Partition = Partition(0);
const TTL: Duration = Duration::from_secs(120);
const WITHIN: Duration = Duration::from_millis(500);

/// Commits events one after another, through failovers, until `stop`; returns those confirmed to be on a replica.
async fn commit_on(log: Arc<RedisLog>, stop: watch::Receiver<bool>, committed: Arc<AtomicUsize>) -> Vec<EventId> {
    let replica: Durability = "replicas:1".parse().unwrap();
    let mut confirmed = vec![];
    let mut lease = log.acquire(P, "producer", "me", TTL).await.unwrap().unwrap();
    while !*stop.borrow() {
        let event = NewEvent::new("host/a".parse().unwrap(), Timestamp::now(), Resumed { by: "me".into() });
        match log.commit(&Commit { events: vec![event], ..Commit::new(lease.clone()) }).await {
            Ok(ids) => {
                committed.fetch_add(1, Ordering::Relaxed);
                match log.confirm(&lease, TTL, (Family::Action, ids[0]), replica, WITHIN).await {
                    Ok(Confirmed::Durable) => confirmed.push(ids[0]),
                    Ok(Confirmed::NotInTime { .. } | Confirmed::EventMissing) => {}
                    Err(error) => assert!(error.is_transient(), "{error}"),
                }
            }
            Err(CommitError::Log(error)) => {
                assert!(error.is_transient(), "not transient during a failover: {error}");
                sleep(Duration::from_millis(20)).await;
            }
            // The replica had not received the lease before the failover.
            Err(CommitError::Fenced) => lease = log.acquire(P, "producer", "me", TTL).await.unwrap().unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
    confirmed
}

async fn check(options: Options, fail_over: impl AsyncFnOnce()) {
    migrate(&options).await.unwrap();
    let log = Arc::new(RedisLog::connect(&options).await.unwrap());
    let mut append_signal = log.append_signal(P);
    let (stop, stopped) = watch::channel(false);
    let committed = Arc::new(AtomicUsize::new(0));
    let producer = tokio::spawn(commit_on(log.clone(), stopped, committed.clone()));
    let more = async |count: usize, what: &str| {
        let from = committed.load(Ordering::Relaxed);
        wait_until(STEP_TIMEOUT, what, async || {
            let now = committed.load(Ordering::Relaxed);
            ensure!(now >= from + count, "{} events", now - from);
            Ok(())
        })
        .await;
    };
    more(20, "events are committed").await;
    fail_over().await;
    more(20, "events are committed to the new master").await;
    append_signal.mark_unchanged();
    tokio::time::timeout(STEP_TIMEOUT, append_signal.changed()).await.expect("the append signal fires").unwrap();
    stop.send(true).unwrap();
    let confirmed = producer.await.unwrap();
    assert!(confirmed.len() >= 10, "{} were confirmed", confirmed.len());
    let mut kept = vec![];
    while let Some(last) = {
        let after = kept.last().map_or(Range::ALL, |last: &EventId| Range::after(*last));
        let page = log.read(P, &[Family::Action], after, Order::OldestFirst, 500).await.unwrap();
        let last = page.last().map(|entry| entry.id);
        kept.extend(page.into_iter().map(|entry| entry.id));
        last
    } {
        assert!(Some(&last) == kept.last());
    }
    for id in confirmed {
        assert!(kept.binary_search(&id).is_ok(), "{id} was confirmed to be on a replica, and is lost");
    }
}

#[tokio::test]
async fn confirmed_events_survive_a_failover_of_a_cluster() {
    let mut cluster = Cluster::start().await;
    let options = Options::new(&cluster.url()).unwrap().timeout(Duration::from_secs(1));
    check(options, async || {
        cluster.kill_holder("hemostat:{0}:clock").await;
    })
    .await;
}

#[tokio::test]
async fn confirmed_events_survive_a_failover_by_sentinels() {
    let mut sentinels = Sentinels::start().await;
    let options = Options::new(&sentinels.url()).unwrap().timeout(Duration::from_secs(1));
    let options = options
        .password(Some(&sentinels.password().into()))
        .sentinel_password(Some(&sentinels.sentinel_password().into()));
    check(options, async || {
        sentinels.kill_master().await;
    })
    .await;
}
