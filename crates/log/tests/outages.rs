//! What a caller sees of a server that dies, hangs or is misconfigured.

#![allow(clippy::unwrap_used, reason = "a test ends where something it relies on fails")]

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use hemostat_log::testing::{
    DEADLINE, Server,
    events::{P, delivered, event, lease, of},
};
use hemostat_log::{Commit, CommitError, Confirmed, Durability, Error, Inbox, Log, Options, RedisLog, migrate};
use hemostat_schema::{EventId, Family};
use tokio::time::{sleep, timeout};

/// The time limit of calls in these tests.
const LIMIT: Duration = Duration::from_millis(500);

/// Retries the same commit after every transient error until it is acknowledged, as the runtime does.
async fn commit_until_done(log: &RedisLog, commit: &Commit) -> Vec<EventId> {
    loop {
        match log.commit(commit).await {
            Ok(ids) => return ids,
            Err(CommitError::Log(error)) if error.is_transient() => sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_kills_of_the_server_neither_lose_nor_duplicate_a_commit() {
    const ROUNDS: u64 = 6;
    let mut server = Server::spawn();
    server.log().await;
    let log = Arc::new(RedisLog::connect(&server.options().timeout(LIMIT)).await.unwrap());
    let lease = lease(&*log, "producer", "me").await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let producer = tokio::spawn({
        let log = Arc::clone(&log);
        async move {
            let mut ids = vec![];
            for seq in 1.. {
                if *stopped.borrow() {
                    break;
                }
                let marks = [seq.to_string(), format!("{seq}+")];
                let events = marks.map(|mark| event(Family::Observation, "a", &mark));
                ids.extend(commit_until_done(&log, &Commit { seq: Some(seq), ..of(&lease, events) }).await);
            }
            ids
        }
    });
    let observer = RedisLog::connect(&server.options()).await.unwrap();
    for round in 0..ROUNDS {
        // Something must be committed between the kills, so that every kill hits the server at work.
        let before = observer.clock(P).await.unwrap_or(EventId::start(P));
        let moved = async {
            while observer.clock(P).await.is_ok_and(|clock| clock <= before) {
                sleep(Duration::from_millis(1 + 7 * round)).await;
            }
        };
        timeout(DEADLINE, moved).await.expect("commits go on after a restart");
        server.kill();
        server.start();
        let back = async {
            while observer.ping().await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, back).await.expect("the observer reconnects by itself");
    }
    stop.send(true).unwrap();
    let acknowledged = timeout(DEADLINE, producer).await.expect("the producer ends").unwrap();

    let mut stored = vec![];
    let mut cursor = EventId::start(P);
    loop {
        let page = hemostat_log::Range::after(cursor);
        let page = observer.read(P, &Family::ALL, page, hemostat_log::Order::OldestFirst, 500).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = last.id;
        stored.extend(page);
    }
    let ids: Vec<_> = stored.iter().map(|entry| entry.id).collect();
    assert!(ids.len() > usize::try_from(2 * ROUNDS).unwrap());
    assert_eq!(ids, acknowledged, "what was acknowledged is what is stored");
    let marks: Vec<_> = hemostat_log::testing::events::marks(&stored);
    assert_eq!(marks.iter().collect::<BTreeSet<_>>().len(), marks.len(), "nothing twice");
}

#[tokio::test]
async fn a_killed_server_is_an_error_within_the_limit_and_its_restart_is_noticed() {
    let mut server = Server::spawn();
    server.log().await;
    let log = Arc::new(RedisLog::connect(&server.options().timeout(LIMIT)).await.unwrap());
    let mine = lease(&*log, "g", "me").await;
    log.commit(&of(&mine, [event(Family::Action, "a", "before")])).await.unwrap();
    let mut inbox = Inbox::new(Arc::clone(&log) as Arc<dyn Log>, mine.clone(), [Family::Action]);
    assert_eq!(delivered(&inbox.next(9).await.unwrap()), ["before"]);
    let mut append_signal = log.append_signal(P);
    timeout(DEADLINE, append_signal.changed()).await.expect("it signals once it is connected").unwrap();
    server.kill();
    for _ in 0..3 {
        let began = Instant::now();
        let error = log.ping().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(error.to_string().starts_with("could not reach Redis: "), "{error}");
        assert!(began.elapsed() < LIMIT + DEADLINE / 4, "{:?}", began.elapsed());
    }
    assert!(inbox.next(9).await.unwrap_err().is_transient());
    append_signal.mark_unchanged();
    server.start();
    timeout(DEADLINE, append_signal.changed()).await.expect("it signals once the connection is back").unwrap();
    log.ping().await.unwrap();
    log.commit(&of(&mine, [event(Family::Action, "a", "after")])).await.unwrap();
    let again = inbox.next(9).await.unwrap();
    assert_eq!(delivered(&again), ["before", "after"], "what was not acknowledged comes again");
    assert_eq!(again[0].times, 2);
}

#[tokio::test]
async fn a_stopped_server_is_an_error_within_the_limit_and_its_resumption_is_noticed() {
    let server = Server::spawn();
    server.log().await;
    let log = RedisLog::connect(&server.options().timeout(LIMIT)).await.unwrap();
    let mine = lease(&log, "g", "me").await;
    let commit = Commit { seq: Some(1), ..of(&mine, [event(Family::Action, "a", "x")]) };
    server.signal("STOP");
    for _ in 0..2 {
        let began = Instant::now();
        let error = log.commit(&commit).await.unwrap_err();
        assert!(matches!(&error, CommitError::Log(error) if error.is_transient()), "{error:?}");
        assert!(began.elapsed() < LIMIT + DEADLINE / 4, "{:?}", began.elapsed());
    }
    server.signal("CONT");
    // The cancelled commits may still arrive, before or after this one.
    let ids = commit_until_done(&log, &commit).await;
    assert_eq!(ids.len(), 1);
    log.commit(&Commit { seq: Some(2), ..of(&mine, [event(Family::Action, "a", "y")]) }).await.unwrap();
    assert_eq!(server.cli(&["XLEN", "hemostat:{0}:actions"]), "2");
}

#[tokio::test]
async fn credentials_are_required_and_never_shown() {
    let server = Server::with(&["--requirepass", "s3cret"]);
    let options = |password: Option<&str>| server.options().password(password.map(Into::into).as_ref());
    for password in [None, Some("wr0ng")] {
        for error in
            [migrate(&options(password)).await.unwrap_err(), RedisLog::connect(&options(password)).await.unwrap_err()]
        {
            assert!(matches!(error, Error::Auth { .. }), "{error:?}");
            assert!(!error.is_transient());
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("redis.password"), "{shown}");
            assert!(!shown.contains("s3cret") && !shown.contains("wr0ng"), "{shown}");
        }
    }
    migrate(&options(Some("s3cret"))).await.unwrap();
    let log = RedisLog::connect(&options(Some("s3cret"))).await.unwrap();
    log.ping().await.unwrap();
    let in_address = format!("unix://default:s3cret@{}", server.socket().display());
    let from_address = RedisLog::connect(&Options::new(&in_address).unwrap()).await.unwrap();
    for shown in [format!("{log:?}"), format!("{from_address:?}"), from_address.server()] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn a_server_that_may_evict_the_log_is_refused_with_the_command_that_fixes_it() {
    // Also without a memory limit: an operator may set one while HemoStat runs.
    for arguments in [&["--maxmemory", "100mb"][..], &[]] {
        let server = Server::with(&[arguments, &["--maxmemory-policy", "allkeys-lru"]].concat());
        let error = migrate(&server.options()).await.unwrap_err();
        assert_eq!(error, Error::Evicts { server: server.options().server(), policy: "allkeys-lru".into() });
        assert!(error.to_string().contains("`redis-cli CONFIG SET maxmemory-policy noeviction`"), "{error}");
        assert_eq!(server.cli(&["DBSIZE"]), "0");
        server.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        migrate(&server.options()).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_cannot_provide_the_durability_is_refused_with_the_command_that_fixes_it() {
    let server = Server::with(&["--appendonly", "no", "--appendfsync", "everysec"]);
    let always = || server.options().durability(Durability::Always);
    let refused = async || migrate(&always()).await.unwrap_err().to_string();
    assert!(refused().await.contains("`redis-cli CONFIG SET appendonly yes`"), "{}", refused().await);
    assert_eq!(server.cli(&["DBSIZE"]), "0");
    migrate(&server.options().durability("replicas:1".parse().unwrap())).await.unwrap();
    server.cli(&["CONFIG", "SET", "appendonly", "yes"]);
    let knows_waitaof = !server.cli(&["WAITAOF", "0", "0", "1"]).contains("unknown command");
    if !knows_waitaof {
        assert!(refused().await.contains("`redis-cli CONFIG SET appendfsync always`"), "{}", refused().await);
    }
    server.cli(&["CONFIG", "SET", "appendfsync", "always"]);
    migrate(&always()).await.unwrap();
}

#[tokio::test]
async fn an_intent_that_disk_or_replicas_do_not_have_in_time_is_not_durable() {
    let server = Server::spawn();
    let log: Arc<dyn Log> = Arc::new(server.log().await);
    let id = hemostat_log::testing::events::append(&log, event(Family::Action, "a", "x")).await;
    let mine = lease(&*log, "g", "me").await;
    let confirm = async |durability: &str| {
        let durability = durability.parse().unwrap();
        let within = Duration::from_millis(100);
        log.confirm(&mine, DEADLINE, (Family::Action, id), durability, within).await.unwrap()
    };
    assert_eq!(confirm("always").await, Confirmed::Durable);
    assert_eq!(confirm("replicas:1").await, Confirmed::NotInTime { replicas: 0 });
    server.cli(&["CONFIG", "SET", "appendonly", "no"]);
    assert_eq!(confirm("always").await, Confirmed::NotInTime { replicas: 0 }, "the append-only file is switched off");
}

#[tokio::test]
async fn a_server_without_functions_is_refused_with_its_version() {
    // A fake server that replies as Redis 6 does.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let answer = |mut stream: std::net::TcpStream| -> std::io::Result<()> {
            let mut lines = BufReader::new(stream.try_clone()?).lines();
            while let Some(count) = lines.next() {
                let count: usize = count?.trim_start_matches('*').parse().unwrap();
                let words: Vec<String> = lines.by_ref().take(2 * count).collect::<Result<_, _>>()?;
                let info = "# Server\r\nredis_version:6.2.14\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n";
                match words[1].to_uppercase().as_str() {
                    "PING" => stream.write_all(b"+PONG\r\n")?,
                    "INFO" => stream.write_all(format!("${}\r\n{info}\r\n", info.len()).as_bytes())?,
                    _ => stream.write_all(b":1\r\n")?,
                }
            }
            Ok(())
        };
        for stream in listener.incoming() {
            // The client disconnects once it knows the version.
            drop(answer(stream.unwrap()));
        }
    });
    let options = Options::new(&format!("redis://{address}")).unwrap();
    for error in [migrate(&options).await.unwrap_err(), RedisLog::connect(&options).await.unwrap_err()] {
        assert_eq!(error, Error::TooOld { server: address.to_string(), version: "6.2.14".into() });
        assert!(error.to_string().contains("HemoStat needs 7.0 or later"), "{error}");
    }
}

#[tokio::test]
async fn an_address_without_a_server_is_an_error_at_once() {
    let began = Instant::now();
    for url in ["unix:///nowhere/redis.sock", "redis://127.0.0.1:1"] {
        let error = RedisLog::connect(&Options::new(url).unwrap()).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(error.to_string().starts_with("could not connect: no connection to Redis at "), "{error}");
    }
    assert!(began.elapsed() < DEADLINE);
}

#[tokio::test]
async fn a_server_out_of_memory_refuses_a_whole_commit_with_a_transient_error() {
    let server = Server::spawn();
    let log = server.log().await;
    let mine = lease(&log, "g", "me").await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = log.commit(&of(&mine, [event(Family::Action, "a", "x")])).await.unwrap_err();
    assert!(matches!(&error, CommitError::Log(Error::NotReady { .. })), "{error:?}");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(log.clock(P).await.unwrap(), EventId::start(P));
    log.commit(&of(&mine, [event(Family::Action, "a", "x")])).await.unwrap();
}

#[tokio::test]
async fn when_idle_nothing_is_pending_and_only_the_holder_is_a_consumer() {
    let server = Server::spawn();
    let log: Arc<dyn Log> = Arc::new(server.log().await);
    for (owner, mark) in [("first", "1"), ("second", "2"), ("third", "3")] {
        hemostat_log::testing::events::append(&log, event(Family::Action, "a", mark)).await;
        let mine = lease(&*log, "g", owner).await;
        let mut inbox = Inbox::new(Arc::clone(&log), mine.clone(), [Family::Action]);
        let got = inbox.next(9).await.unwrap();
        let acks = got.iter().map(|delivery| (delivery.family, delivery.id)).collect();
        log.commit(&Commit { acks, ..Commit::new(mine.clone()) }).await.unwrap();
        log.release(&mine).await.unwrap();
    }
    let stream = "hemostat:{0}:actions";
    assert!(server.cli(&["XPENDING", stream, "g"]).starts_with('0'));
    let consumers = server.cli(&["XINFO", "CONSUMERS", stream, "g"]);
    assert!(consumers.contains("third") && !consumers.contains("first"), "{consumers}");
}
