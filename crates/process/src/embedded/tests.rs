//! On a real redis-server; where there is none, these fail with the line that says what to install.

use std::{path::Path, time::Instant};

use super::*;

async fn start(data_dir: &Path) -> Embedded {
    Embedded::start(data_dir, Durability::Always).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn ask(embedded: &Embedded, command: &[&str]) -> io::Result<Vec<String>> {
    resp::call(&embedded.socket, command).await
}

async fn pid(embedded: &Embedded) -> io::Result<String> {
    let info = ask(embedded, &["INFO", "server"]).await?;
    let pid = info[0].lines().find_map(|line| line.strip_prefix("process_id:"));
    Ok(pid.expect("Redis tells its process id").to_owned())
}

fn kill(pid: &str) {
    assert!(std::process::Command::new("kill").args(["-9", pid]).status().unwrap().success());
}

#[tokio::test]
async fn what_it_was_told_is_there_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let first = start(data.path()).await;
    ask(&first, &["SET", "k", "v"]).await.unwrap();
    first.stop().await;
    let second = start(data.path()).await;
    assert_eq!(ask(&second, &["GET", "k"]).await.unwrap(), ["v"]);
    for (key, value) in
        [("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction"), ("port", "0")]
    {
        assert_eq!(ask(&second, &["CONFIG", "GET", key]).await.unwrap(), [key, value]);
    }
    second.stop().await;
    assert!(running(data.path()).is_none(), "nothing is left to connect to");
}

#[tokio::test]
async fn a_second_hemostat_on_the_same_directory_is_refused_by_name_and_pid() {
    let data = tempfile::tempdir().unwrap();
    let first = start(data.path()).await;
    let error = Embedded::start(data.path(), Durability::Always).await.unwrap_err().to_string();
    for part in [&data.path().display().to_string(), &std::process::id().to_string(), "data_dir"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
    first.stop().await;
    start(data.path()).await.stop().await;
}

#[tokio::test]
async fn one_that_dies_is_started_again_with_its_data() {
    let data = tempfile::tempdir().unwrap();
    let embedded = start(data.path()).await;
    ask(&embedded, &["SET", "k", "v"]).await.unwrap();
    let before = pid(&embedded).await.unwrap();
    kill(&before);
    let deadline = Instant::now() + Duration::from_secs(20);
    // The new server answers INFO at once, and everything else only when it has loaded its data.
    while !(pid(&embedded).await.is_ok_and(|pid| pid != before) && ask(&embedded, &["PING"]).await.is_ok()) {
        assert!(Instant::now() < deadline, "redis-server does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask(&embedded, &["GET", "k"]).await.unwrap(), ["v"]);
    embedded.stop().await;
}

#[tokio::test]
async fn a_commit_that_was_torn_never_appears() {
    let data = tempfile::tempdir().unwrap();
    let commit = async |embedded: &Embedded, key: &str| {
        let script = "redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 1) return 1";
        ask(embedded, &["EVAL", script, "2", &format!("{key}-a"), &format!("{key}-b")]).await.unwrap();
    };
    let first = start(data.path()).await;
    commit(&first, "kept").await;
    commit(&first, "torn").await;
    first.stop().await;
    // What a power cut leaves: the last bytes of the second commit never reached the disk.
    let file = data.path().join("appendonlydir/appendonly.aof.1.incr.aof");
    let written = std::fs::read(&file).unwrap();
    std::fs::write(&file, &written[..written.len() - "*1\r\n$4\r\nEXEC\r\n".len() - 7]).unwrap();

    let second = start(data.path()).await;
    commit(&second, "after").await;
    second.stop().await;
    let third = start(data.path()).await;
    let keys = ["kept-a", "kept-b", "torn-a", "torn-b", "after-a", "after-b"];
    let mut there = vec![];
    for key in keys {
        there.push(ask(&third, &["EXISTS", key]).await.unwrap().concat());
    }
    assert_eq!(there, ["1", "1", "0", "0", "1", "1"], "{keys:?}");
    third.stop().await;
}

#[tokio::test]
async fn one_that_outlived_its_hemostat_is_adopted_and_stopped_at_the_end() {
    let data = tempfile::tempdir().unwrap();
    let directory = Directory::lock(data.path()).unwrap();
    let Server::Child(mut orphan) = Server::start(&directory, Durability::Everysec).await.unwrap() else {
        panic!("a new server is a child");
    };
    drop(directory);
    let embedded = start(data.path()).await;
    assert_eq!(pid(&embedded).await.unwrap(), orphan.id().unwrap().to_string());
    assert_eq!(ask(&embedded, &["CONFIG", "GET", "appendfsync"]).await.unwrap()[1], "always");
    embedded.stop().await;
    assert!(tokio::time::timeout(Duration::from_secs(10), orphan.wait()).await.is_ok(), "it was not stopped");
}

#[tokio::test]
async fn a_directory_with_a_long_path_works_as_well() {
    let data = tempfile::tempdir().unwrap();
    let deep = data.path().join("d".repeat(120));
    let embedded = start(&deep).await;
    assert!(!embedded.socket.starts_with(&deep));
    let place = embedded.socket.parent().unwrap().to_owned();
    embedded.stop().await;
    assert!(!place.exists(), "{} was left behind", place.display());
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_refused_by_name() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Embedded::start(&file.join("data"), Durability::Always).await.unwrap_err();
    assert!(matches!(&error, Error::Directory { .. }) && error.to_string().contains("data_dir"), "{error}");
}
