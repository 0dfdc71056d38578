//! A real Redis Cluster per test: three masters with one replica each; failover takes seconds.

use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::{
    node::{Node, free_port},
    wait_until,
};

/// Number of masters, and of replicas.
const MASTERS: usize = 3;
/// Deadline of a change of the cluster's topology.
const TOPOLOGY_TIMEOUT: Duration = Duration::from_secs(60);

/// A running cluster, stopped when dropped.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    _directory: TempDir,
}

impl Cluster {
    /// Starts a cluster and waits until every slot has a master and every master a replica.
    pub async fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("hemostat-cluster-").tempdir().unwrap();
        let mut nodes = vec![];
        let mut buses = vec![];
        for n in 0..2 * MASTERS {
            let bus = free_port().to_string();
            let mut node = Node::new(directory.path().join(n.to_string()), None)
                .with(["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1500"])
                .with(["--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"])
                .with(["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]);
            node.start().await;
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]).unwrap();
            nodes.push(node);
            buses.push(bus);
        }
        for (n, slots) in [("0", "5460"), ("5461", "10922"), ("10923", "16383")].into_iter().enumerate() {
            nodes[n].cli(&["CLUSTER", "ADDSLOTSRANGE", slots.0, slots.1]).unwrap();
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), bus]).unwrap();
        }
        let cluster = Self { nodes, _directory: directory };
        for n in 0..MASTERS {
            let master = cluster.nodes[n].cli(&["CLUSTER", "MYID"]).unwrap();
            wait_until(TOPOLOGY_TIMEOUT, "a replica has found its master", async || {
                cluster.nodes[MASTERS + n].cli(&["CLUSTER", "REPLICATE", master.trim()])
            })
            .await;
        }
        cluster.wait_until_complete().await;
        cluster
    }

    /// Its address, which names two of its nodes.
    pub fn url(&self) -> String {
        let node = |n: usize| format!("127.0.0.1:{}", self.nodes[n].port());
        format!("redis-cluster://{},{}", node(0), node(1))
    }

    /// Its nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The index of the node that serves `key`.
    ///
    /// # Errors
    /// When no node does.
    pub fn holder(&self, key: &str) -> anyhow::Result<usize> {
        let has = |node: &Node| node.runs() && node.cli(&["EXISTS", key]).is_ok();
        self.nodes.iter().position(has).with_context(|| format!("no node has {key}"))
    }

    /// Kills the master that serves `key`, waits for the failover to its replica, and returns the killed node.
    pub async fn kill_holder(&mut self, key: &str) -> usize {
        let killed = self.holder(key).unwrap_or_else(|error| panic!("{error:#}"));
        self.nodes[killed].kill();
        let nodes = &self.nodes;
        wait_until(TOPOLOGY_TIMEOUT, "the replica takes over", async || {
            let new = self.holder(key)?;
            let info = nodes[new].cli(&["CLUSTER", "INFO"])?;
            ensure!(info.contains("cluster_state:ok"), "{info}");
            Ok(())
        })
        .await;
        killed
    }

    /// Starts a killed node and waits until it is a replica of the new master.
    pub async fn restart(&mut self, node: usize) {
        self.nodes[node].start().await;
        self.wait_until_complete().await;
    }

    /// Waits until all nodes report that all slots are served, and each master has a synchronised replica.
    async fn wait_until_complete(&self) {
        wait_until(TOPOLOGY_TIMEOUT, "the cluster is complete", async || {
            let mut replicas = 0;
            for node in &self.nodes {
                let info = node.cli(&["CLUSTER", "INFO"])?;
                ensure!(info.contains("cluster_state:ok"), "node {}: {info}", node.port());
                let replication = node.cli(&["INFO", "replication"])?;
                replicas += usize::from(replication.contains("role:slave") && replication.contains("link_status:up"));
                let alone = replication.contains("role:master") && !replication.contains("connected_slaves:1");
                ensure!(!alone, "node {} has no replica: {replication}", node.port());
            }
            ensure!(replicas == MASTERS, "{replicas} replicas");
            Ok(())
        })
        .await;
    }
}
