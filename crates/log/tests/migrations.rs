//! Migration of a log to the level of the program, and the logs that it refuses.

#![allow(clippy::unwrap_used, reason = "a test ends where something it relies on fails")]

use hemostat_log::testing::{DEADLINE, Server};
use hemostat_log::{Error, Log, RedisLog, Step, migrate, plan};
use hemostat_schema::Timestamp;

#[tokio::test]
async fn a_log_is_migrated_once() {
    let server = Server::spawn();
    let early = RedisLog::connect(&server.options()).await.unwrap_err();
    assert!(matches!(early, Error::NotMigrated { .. }), "{early:?}");
    assert!(early.to_string().contains("hemostat migrate"), "{early}");
    let applied = migrate(&server.options()).await.unwrap();
    assert_eq!(applied.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["0001_log", "0002_history", "0003_samples"]);
    assert_eq!(migrate(&server.options()).await.unwrap(), []);
    for stream in ["observations", "diagnoses", "actions", "alerts", "samples"] {
        assert_eq!(server.cli(&["TYPE", &format!("hemostat:{{0}}:{stream}")]), "stream");
    }
    assert_eq!(RedisLog::connect(&server.options()).await.unwrap().partitions(), 1);
    assert_eq!(server.cli(&["EXISTS", "hemostat:migrating"]), "0", "the lock is given back");
}

#[tokio::test]
async fn concurrent_migrations_apply_each_step_once() {
    let server = Server::spawn();
    let options = server.options();
    let applied = futures::future::try_join_all((0..6).map(|_| migrate(&options))).await.unwrap();
    assert_eq!(applied.into_iter().flatten().count(), 3);
}

#[tokio::test]
async fn the_number_of_partitions_is_chosen_once() {
    let server = Server::spawn();
    let with = |count| server.options().partitions(count);
    migrate(&with(Some(3))).await.unwrap();
    assert_eq!(RedisLog::connect(&with(None)).await.unwrap().partitions(), 3);
    assert_eq!(RedisLog::connect(&with(Some(3))).await.unwrap().partitions(), 3);
    let wrong = Error::Partitions { wanted: 2, found: 3 };
    assert_eq!(migrate(&with(Some(2))).await.unwrap_err(), wrong);
    assert_eq!(RedisLog::connect(&with(Some(2))).await.unwrap_err(), wrong);
    assert_eq!(server.cli(&["TYPE", "hemostat:{2}:actions"]), "stream");
}

#[tokio::test]
async fn a_log_of_a_later_or_another_program_is_refused() {
    let server = Server::spawn();
    server.log().await;
    let refused = async || {
        let errors =
            [migrate(&server.options()).await.unwrap_err(), RedisLog::connect(&server.options()).await.unwrap_err()];
        assert_eq!(errors[0], errors[1]);
        errors[0].clone()
    };
    server.cli(&["HSET", "hemostat:meta", "0004_later", "sum"]);
    assert!(matches!(refused().await, Error::TooNew { migration, .. } if migration == "0004_later"));
    server.cli(&["HDEL", "hemostat:meta", "0004_later"]);
    server.cli(&["HSET", "hemostat:meta", "0001_log", "another sum"]);
    assert!(matches!(refused().await, Error::Diverged { migration, .. } if migration == "0001_log"));
}

#[tokio::test]
async fn lost_functions_are_loaded_again() {
    let server = Server::spawn();
    let log = server.log().await;
    server.cli(&["FUNCTION", "FLUSH"]);
    let lost = hemostat_log::testing::events::P;
    let refused = log.acquire(lost, "g", "me", DEADLINE).await.unwrap_err();
    assert!(matches!(refused, Error::NotMigrated { .. }), "{refused:?}");
    assert!(matches!(RedisLog::connect(&server.options()).await, Err(Error::NotMigrated { .. })));
    assert_eq!(migrate(&server.options()).await.unwrap(), []);
    assert!(log.acquire(lost, "g", "me", DEADLINE).await.unwrap().is_some());
}

#[tokio::test]
async fn an_interrupted_migration_is_repeated_idempotently() {
    let server = Server::spawn();
    let log = server.log().await;
    let mine = hemostat_log::testing::events::lease(&log, "g", "me").await;
    let event = hemostat_log::testing::events::event(hemostat_schema::Family::Action, "a", "x");
    let id = log.commit(&hemostat_log::testing::events::of(&mine, [event])).await.unwrap()[0];
    server.cli(&["HDEL", "hemostat:meta", "0003_samples"]);
    assert_eq!(migrate(&server.options()).await.unwrap().len(), 1);
    assert_eq!(log.clock(id.partition).await.unwrap(), id);
    assert!(log.get(id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_plan_lists_the_missing_migrations_and_changes_nothing() {
    let server = Server::spawn();
    let options = server.options().partitions(Some(3));
    let fresh = plan(&options).await.unwrap();
    let missing = |name: &str| Step::Missing { name: name.to_owned() };
    assert_eq!(fresh.steps, [missing("0001_log"), missing("0002_history"), missing("0003_samples")]);
    assert_eq!((fresh.partitions, fresh.wanted, fresh.is_empty()), (None, 3, false));
    assert_eq!((server.cli(&["DBSIZE"]), server.cli(&["FUNCTION", "LIST"])), ("0".to_owned(), String::new()));

    migrate(&options).await.unwrap();
    let done = plan(&options).await.unwrap();
    assert!(done.is_empty() && done.partitions == Some(3), "{done:?}");
    for step in &done.steps {
        assert!(matches!(step, Step::Applied { at: Some(_), .. }), "{step:?}");
    }
    // A log at the level of the step before.
    server.cli(&["HDEL", "hemostat:meta", "0003_samples"]);
    server.cli(&["DEL", "hemostat:migrated"]);
    let half = plan(&options).await.unwrap();
    let applied = |name: &str| Step::Applied { name: name.to_owned(), at: None };
    assert_eq!(half.steps, [applied("0001_log"), applied("0002_history"), missing("0003_samples")]);
    let applied = migrate(&options).await.unwrap();
    assert_eq!(applied.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["0003_samples"]);
}

#[tokio::test]
async fn a_plan_names_the_server_that_lost_its_functions() {
    let server = Server::spawn();
    server.log().await;
    server.cli(&["FUNCTION", "FLUSH"]);
    let lost = plan(&server.options()).await.unwrap();
    assert_eq!((lost.without_functions, lost.partitions), (vec![server.options().server()], Some(1)));
    migrate(&server.options()).await.unwrap();
    assert!(plan(&server.options()).await.unwrap().is_empty());
}

#[tokio::test]
async fn groups_of_views_that_now_read_by_offset_are_removed() {
    let server = Server::spawn();
    server.log().await;
    for group in ["containers.1", "judge"] {
        server.cli(&["XGROUP", "CREATE", "hemostat:{0}:actions", group, "0"]);
    }
    server.cli(&["HDEL", "hemostat:meta", "0002_history", "0003_samples"]);
    migrate(&server.options()).await.unwrap();
    let left = server.cli(&["XINFO", "GROUPS", "hemostat:{0}:actions"]);
    assert!(left.contains("judge") && !left.contains("containers.1"), "{left}");
}

#[tokio::test]
async fn a_lease_of_an_earlier_level_ends_by_the_time_that_it_carries() {
    let server = Server::spawn();
    let log = server.log().await;
    let acquire = async || log.acquire(hemostat_log::testing::events::P, "g", "new", DEADLINE).await.unwrap();
    let now = || Timestamp::now().as_millisecond();
    let old = async |until: i64| {
        let until = until.to_string();
        server.cli(&["HSET", "hemostat:{0}:lease:g", "owner", "old", "epoch", "4", "until", &until]);
    };
    old(now() + 10 * i64::try_from(DEADLINE.as_millis()).unwrap()).await;
    assert_eq!(acquire().await, None);
    old(now() - 1).await;
    assert_eq!(acquire().await.map(|lease| lease.epoch), Some(5));
    assert_eq!(server.cli(&["HEXISTS", "hemostat:{0}:lease:g", "until"]), "0", "from now on it lives with its session");
}
