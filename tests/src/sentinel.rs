//! A real master with a replica and three sentinels; failover takes seconds.

use std::time::Duration;

use anyhow::ensure;
use tempfile::TempDir;

use crate::{STEP_TIMEOUT, node::Node, wait_until};

/// The sentinels' name for the master.
const MASTER: &str = "main";
/// The password of master and replica.
const PASSWORD: &str = "s3cret-of-the-master";
/// The password of the sentinels.
const SENTINEL_PASSWORD: &str = "s3cret-of-the-sentinels";

/// A master, its replica and their sentinels, stopped when dropped.
#[derive(Debug)]
pub struct Sentinels {
    servers: Vec<Node>,
    sentinels: Vec<Node>,
    _directory: TempDir,
}

impl Sentinels {
    /// Starts all of them and waits until every sentinel knows the replica and the other sentinels.
    pub async fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("hemostat-sentinel-").tempdir().unwrap();
        let mut servers: Vec<Node> = vec![];
        for n in 0..2 {
            let mut server = Node::new(directory.path().join(format!("server-{n}")), Some(PASSWORD))
                .with(["--requirepass", PASSWORD, "--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0"])
                .with(["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]);
            if let Some(master) = servers.first() {
                server = server.with(["--replicaof", "127.0.0.1", &master.port().to_string()]);
            }
            server.start().await;
            servers.push(server);
        }
        let mut sentinels = vec![];
        for n in 0..3 {
            let sentinel = Node::new(directory.path().join(format!("sentinel-{n}")), Some(SENTINEL_PASSWORD));
            let file = sentinel.directory().join("sentinel.conf");
            let settings = [
                format!("requirepass {SENTINEL_PASSWORD}"),
                format!("sentinel sentinel-pass {SENTINEL_PASSWORD}"),
                format!("sentinel monitor {MASTER} 127.0.0.1 {} 2", servers[0].port()),
                format!("sentinel auth-pass {MASTER} {PASSWORD}"),
                format!("sentinel down-after-milliseconds {MASTER} 1000"),
                format!("sentinel failover-timeout {MASTER} 6000"),
            ];
            std::fs::write(&file, settings.join("\n") + "\n").unwrap();
            let path = file.display().to_string();
            let mut sentinel = sentinel.with([path.as_str(), "--sentinel"]);
            sentinel.start().await;
            sentinels.push(sentinel);
        }
        let all = Self { servers, sentinels, _directory: directory };
        wait_until(STEP_TIMEOUT, "the sentinels know one another", async || {
            for sentinel in &all.sentinels {
                let known = sentinel.cli(&["INFO", "sentinel"])?;
                ensure!(known.contains("slaves=1,sentinels=3"), "{known}");
            }
            Ok(())
        })
        .await;
        all.wait_until_complete().await;
        all
    }

    /// The address of the master through the sentinels.
    pub fn url(&self) -> String {
        let sentinels: Vec<_> = self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port())).collect();
        format!("redis-sentinel://{}/{MASTER}", sentinels.join(","))
    }

    /// The password of the master and the replica.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The password of the sentinels.
    pub fn sentinel_password(&self) -> &'static str {
        SENTINEL_PASSWORD
    }

    /// Kills the master, waits until the sentinels have promoted its replica, and returns the killed server.
    pub async fn kill_master(&mut self) -> usize {
        let is_master = |server: &Node| {
            server.runs() && server.cli(&["INFO", "replication"]).is_ok_and(|info| info.contains("role:master"))
        };
        let killed = self.servers.iter().position(is_master).expect("there is a master");
        self.servers[killed].kill();
        let (servers, sentinels) = (&self.servers, &self.sentinels);
        wait_until(Duration::from_secs(60), "the replica becomes the master", async || {
            ensure!(servers.iter().any(is_master), "there is no master");
            for sentinel in sentinels {
                let known = sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER])?;
                ensure!(!known.contains(&servers[killed].port().to_string()), "a sentinel says {known}");
            }
            Ok(())
        })
        .await;
        killed
    }

    /// Starts a killed server and waits until it is a replica of the new master.
    pub async fn restart(&mut self, server: usize) {
        self.servers[server].start().await;
        self.wait_until_complete().await;
    }

    async fn wait_until_complete(&self) {
        wait_until(STEP_TIMEOUT, "the master has its replica", async || {
            let mut output = String::new();
            for server in &self.servers {
                output += &server.cli(&["INFO", "replication"])?;
            }
            ensure!(output.contains("connected_slaves:1") && output.contains("master_link_status:up"), "{output}");
            Ok(())
        })
        .await;
    }
}
