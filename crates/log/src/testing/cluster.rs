//! A real Redis Cluster of two masters on loopback ports, stopped when dropped.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hemostat_schema::Timestamp;
use tempfile::TempDir;

use super::DEADLINE;
use crate::Options;

/// Two masters: node 0 serves slots 0 to 9999, which include partition 1; node 1 the others, which include partition 0.
#[derive(Debug)]
pub struct Cluster {
    dir: TempDir,
    nodes: Vec<(u16, Child)>,
}

impl Cluster {
    /// Starts both masters and waits until all slots are served.
    pub fn spawn() -> Self {
        let dir = tempfile::Builder::new().prefix("hemostat-log-cluster-").tempdir().unwrap();
        let mut cluster = Self { dir, nodes: vec![] };
        let buses = [cluster.start(0), cluster.start(1)];
        cluster.cli(0, &["CLUSTER", "ADDSLOTSRANGE", "0", "9999"]);
        cluster.cli(1, &["CLUSTER", "ADDSLOTSRANGE", "10000", "16383"]);
        cluster.cli(1, &["CLUSTER", "SET-CONFIG-EPOCH", "2"]);
        cluster.cli(0, &["CLUSTER", "MEET", "127.0.0.1", &cluster.port(1).to_string(), &buses[1].to_string()]);
        wait_until("the cluster is whole", || {
            [0, 1].iter().all(|node| {
                let info = cluster.cli(*node, &["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
            })
        });
        cluster
    }

    /// Starts a node and returns its cluster bus port.
    fn start(&mut self, node: usize) -> u16 {
        let (port, bus) = (free_port(), free_port());
        let dir = self.dir.path().join(node.to_string());
        std::fs::create_dir(&dir).unwrap();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .args(["--cluster-enabled", "yes", "--cluster-port", &bus.to_string(), "--dir"])
            .arg(&dir)
            .current_dir(&dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("this test needs redis-server 7.0 or later on the PATH: {error}"));
        self.nodes.push((port, child));
        wait_until("redis-server answers", || self.cli(node, &["PING"]) == "PONG");
        bus
    }

    /// The port of a node.
    pub fn port(&self, node: usize) -> u16 {
        self.nodes[node].0
    }

    /// Options to connect, which name only the first node.
    pub fn options(&self) -> Options {
        Options::new(&format!("redis-cluster://127.0.0.1:{}", self.port(0))).unwrap()
    }

    /// What redis-cli prints for one command on a node, redirections included.
    pub fn cli(&self, node: usize, args: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port(node).to_string()]).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Deletes all keys and functions.
    pub fn clear(&self) {
        for node in [0, 1] {
            assert_eq!(self.cli(node, &["FLUSHALL"]), "OK");
            assert_eq!(self.cli(node, &["FUNCTION", "FLUSH"]), "OK");
        }
    }

    /// Begins to migrate a slot; its keys stay where they are.
    pub fn begin_move(&self, slot: &str, from: usize, to: usize) {
        let id = |node| self.cli(node, &["CLUSTER", "MYID"]);
        assert_eq!(self.cli(to, &["CLUSTER", "SETSLOT", slot, "IMPORTING", &id(from)]), "OK");
        assert_eq!(self.cli(from, &["CLUSTER", "SETSLOT", slot, "MIGRATING", &id(to)]), "OK");
    }

    /// Moves all keys of a migrating slot to its destination.
    pub fn move_keys(&self, slot: &str, from: usize, to: usize) {
        let keys = self.cli(from, &["CLUSTER", "GETKEYSINSLOT", slot, "1000"]);
        let port = self.port(to).to_string();
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        migrate.extend(keys.lines());
        assert_eq!(self.cli(from, &migrate), "OK");
    }

    /// Ends the migration of a slot.
    pub fn end_move(&self, slot: &str, from: usize, to: usize) {
        let id = self.cli(to, &["CLUSTER", "MYID"]);
        for node in [to, from] {
            assert_eq!(self.cli(node, &["CLUSTER", "SETSLOT", slot, "NODE", &id]), "OK");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (_, child) in &mut self.nodes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A free port below the ephemeral range, so that no outgoing connection takes it first.
fn free_port() -> u16 {
    let start = u16::try_from(Timestamp::now().subsec_nanosecond().unsigned_abs() / 1_000 % 15_000).unwrap();
    (0..15_000)
        .map(|n| 15_000 + (start + n) % 15_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("some port is free")
}
