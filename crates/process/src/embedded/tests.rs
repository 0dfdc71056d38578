//! With a real redis-server. Without one these tests fail with the error that says what to install.

use std::{io, path::Path, time::Instant};

use super::*;

async fn start(data_dir: &Path) -> Embedded {
    Embedded::start(data_dir, Durability::Always).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn call(embedded: &Embedded, command: &[&str]) -> io::Result<Vec<String>> {
    resp::call(&embedded.socket, command).await
}

async fn pid(embedded: &Embedded) -> io::Result<String> {
    let info = call(embedded, &["INFO", "server"]).await?;
    let pid = info[0].lines().find_map(|line| line.strip_prefix("process_id:"));
    Ok(pid.expect("Redis tells its process id").to_owned())
}

fn kill(pid: &str) {
    assert!(std::process::Command::new("kill").args(["-9", pid]).status().unwrap().success());
}

#[tokio::test]
async fn data_survive_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let first = start(data.path()).await;
    call(&first, &["SET", "k", "v"]).await.unwrap();
    first.stop().await;
    let second = start(data.path()).await;
    assert_eq!(call(&second, &["GET", "k"]).await.unwrap(), ["v"]);
    for (key, value) in
        [("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction"), ("port", "0")]
    {
        assert_eq!(call(&second, &["CONFIG", "GET", key]).await.unwrap(), [key, value]);
    }
    second.stop().await;
    assert!(running(data.path()).is_none(), "its socket is left behind");
}

#[tokio::test]
async fn a_second_hemostat_on_the_same_directory_is_refused_with_its_path_and_the_pid() {
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
async fn a_server_that_dies_is_restarted_with_its_data() {
    let data = tempfile::tempdir().unwrap();
    let embedded = start(data.path()).await;
    call(&embedded, &["SET", "k", "v"]).await.unwrap();
    let before = pid(&embedded).await.unwrap();
    kill(&before);
    let deadline = Instant::now() + Duration::from_secs(20);
    // The new server answers INFO at once, but other commands only after it has loaded its data.
    while !(pid(&embedded).await.is_ok_and(|pid| pid != before) && call(&embedded, &["PING"]).await.is_ok()) {
        assert!(Instant::now() < deadline, "redis-server is not restarted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(call(&embedded, &["GET", "k"]).await.unwrap(), ["v"]);
    embedded.stop().await;
}

#[tokio::test]
async fn a_torn_commit_is_never_visible() {
    let data = tempfile::tempdir().unwrap();
    let commit = async |embedded: &Embedded, key: &str| {
        let script = "redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 1) return 1";
        call(embedded, &["EVAL", script, "2", &format!("{key}-a"), &format!("{key}-b")]).await.unwrap();
    };
    let first = start(data.path()).await;
    commit(&first, "kept").await;
    commit(&first, "torn").await;
    first.stop().await;
    // As after a power cut: the last bytes of the second commit never reached the disk.
    let file = data.path().join("appendonlydir/appendonly.aof.1.incr.aof");
    let written = std::fs::read(&file).unwrap();
    std::fs::write(&file, &written[..written.len() - "*1\r\n$4\r\nEXEC\r\n".len() - 7]).unwrap();

    let second = start(data.path()).await;
    commit(&second, "after").await;
    second.stop().await;
    let third = start(data.path()).await;
    let keys = ["kept-a", "kept-b", "torn-a", "torn-b", "after-a", "after-b"];
    let mut found = vec![];
    for key in keys {
        found.push(call(&third, &["EXISTS", key]).await.unwrap().concat());
    }
    assert_eq!(found, ["1", "1", "0", "0", "1", "1"], "{keys:?}");
    third.stop().await;
}

#[tokio::test]
async fn a_server_that_outlived_its_hemostat_is_adopted_and_stopped_at_the_end() {
    let data = tempfile::tempdir().unwrap();
    let directory = Directory::lock(data.path()).unwrap();
    let Server::Child(mut orphan) = Server::start(&directory, Durability::Everysec).await.unwrap() else {
        panic!("a new server is a child");
    };
    drop(directory);
    let embedded = start(data.path()).await;
    assert_eq!(pid(&embedded).await.unwrap(), orphan.id().unwrap().to_string());
    assert_eq!(call(&embedded, &["CONFIG", "GET", "appendfsync"]).await.unwrap()[1], "always");
    embedded.stop().await;
    assert!(tokio::time::timeout(Duration::from_secs(10), orphan.wait()).await.is_ok(), "it was not stopped");
}

#[tokio::test]
async fn a_directory_with_a_long_path_works() {
    let data = tempfile::tempdir().unwrap();
    let deep = data.path().join("d".repeat(120));
    let embedded = start(&deep).await;
    assert!(!embedded.socket.starts_with(&deep));
    let directory = embedded.socket.parent().unwrap().to_owned();
    embedded.stop().await;
    assert!(!directory.exists(), "{} was left behind", directory.display());
}

#[tokio::test]
async fn a_directory_that_cannot_be_created_is_refused_by_name() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Embedded::start(&file.join("data"), Durability::Always).await.unwrap_err();
    assert!(matches!(&error, Error::Directory { .. }) && error.to_string().contains("data_dir"), "{error}");
}
