//! What a cluster adds: migrating slots, and masters without functions.

#![allow(clippy::unwrap_used, reason = "a test ends where something it relies on fails")]

use std::time::Duration;

use hemostat_log::testing::{
    DEADLINE,
    cluster::Cluster,
    events::{P, event, lease, of},
};
use hemostat_log::{Commit, CommitError, Log, RedisLog, migrate};
use hemostat_schema::{EventId, Family, Partition};
use tokio::time::{sleep, timeout};

/// Retries the same commit after every transient error until it is acknowledged, as the runtime does.
async fn commit_until_done(log: &RedisLog, commit: &Commit) -> Vec<EventId> {
    let done = async {
        loop {
            match log.commit(commit).await {
                Ok(ids) => return ids,
                Err(CommitError::Log(error)) if error.is_transient() => sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    timeout(DEADLINE, done).await.expect("the commit is done sometime")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_can_move_to_a_master_without_functions_while_the_log_is_in_use() {
    let cluster = Cluster::spawn();
    let options = cluster.options().partitions(Some(2)).timeout(Duration::from_secs(2));
    migrate(&options).await.unwrap();
    let log = RedisLog::connect(&options).await.unwrap();
    let mine = lease(&log, "g", "me").await;
    let commit = |mark: &str| of(&mine, [event(Family::Action, "a", mark)]);
    let mut ids = commit_until_done(&log, &commit("before")).await;
    let mut append_signal = log.append_signal(P);
    timeout(DEADLINE, append_signal.changed()).await.expect("it signals once it is connected").unwrap();

    let slot = cluster.cli(0, &["CLUSTER", "KEYSLOT", "hemostat:{0}:clock"]);
    cluster.cli(0, &["FUNCTION", "FLUSH"]);
    cluster.begin_move(&slot, 1, 0);
    assert!(log.clock(P).await.unwrap() >= ids[0], "its keys are where they were");
    cluster.move_keys(&slot, 1, 0);
    assert!(log.get(ids[0]).await.unwrap().is_some(), "they are asked for where they have been taken to");
    // While the slot migrates, Redis refuses commands on keys that neither master has yet.
    let refused = log.commit(&commit("on the way")).await.unwrap_err();
    assert!(matches!(&refused, CommitError::Log(error) if error.is_transient()), "{refused:?}");
    cluster.end_move(&slot, 1, 0);
    ids.extend(commit_until_done(&log, &commit("on the way")).await);
    append_signal.mark_unchanged();
    ids.extend(commit_until_done(&log, &commit("after")).await);
    timeout(DEADLINE, append_signal.changed()).await.expect("it signals appends at the new place of the slot").unwrap();
    assert!(ids.is_sorted() && ids.len() == 3, "{ids:?}");
    assert!(cluster.cli(0, &["XLEN", "hemostat:{0}:actions"]).contains('3'));
    let other = RedisLog::connect(&options).await.unwrap();
    assert_eq!(other.clock(P).await.unwrap(), ids[2], "who comes later finds it, too");
}

#[tokio::test]
async fn every_master_of_a_cluster_is_checked_and_gets_the_functions() {
    let cluster = Cluster::spawn();
    let options = cluster.options().partitions(Some(2));
    cluster.cli(1, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let error = migrate(&options).await.unwrap_err().to_string();
    let named = format!("127.0.0.1:{}", cluster.port(1));
    assert!(error.contains(&named) && error.contains("CONFIG SET maxmemory-policy noeviction"), "{error}");
    cluster.cli(1, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    migrate(&options).await.unwrap();
    for node in [0, 1] {
        assert!(cluster.cli(node, &["FUNCTION", "LIST"]).contains("hemostat_commit"), "node {node}");
    }
    cluster.cli(0, &["FUNCTION", "FLUSH"]);
    let plan = hemostat_log::plan(&options).await.unwrap();
    assert_eq!(plan.without_functions, [format!("127.0.0.1:{}", cluster.port(0))]);
    let log = RedisLog::connect(&options).await.unwrap();
    assert!(log.acquire(Partition(1), "g", "me", DEADLINE).await.unwrap().is_some(), "they are loaded when needed");
}
