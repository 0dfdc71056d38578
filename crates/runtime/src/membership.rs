//! Membership and assignment: which process does a group's work in a partition.
//!
//! There is no coordinator. Each process that can do the work heartbeats into the group's membership list
//! ([`Log::heartbeat`]) and computes the same round-robin assignment from that list. The numbers of partitions of two members
//! differ by at most one:
//!
//! ```text
//!   members, sorted     a  b  c
//!   partition           0  1  2  3  4  5
//!   assigned to         b  c  a  b  c  a      member number (partition + hash of the group) mod number of members
//! ```
//!
//! A process acquires a free lease only if the partition is assigned to it. When a process crashes or freezes, its
//! membership expires together with its lease, and the partition is assigned to another member. A lease holder to which the
//! partition is no longer assigned drains and hands over, but only after two consecutive heartbeats that agree: one late
//! heartbeat does not rebalance.
//!
//! Where each member serves only some hosts, the lease holder can request a handoff to one that serves a host:
//! [`host_affinity`].

mod host_affinity;

use std::{sync::Arc, time::Duration};

use hemostat_log::{Error, Log};
use hemostat_schema::{HostName, Partition, fnv1a};
use tokio::time::timeout;
use tracing::debug;

use self::host_affinity::{MemberList, handoff_request, member_entry};
use crate::context::Context;

/// This process as a member of the processes that can do a group's work in a partition. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    log: Arc<dyn Log>,
    /// The name of the membership list.
    list: Arc<str>,
    group: Arc<str>,
    partition: Partition,
    /// The name of this process.
    owner: Arc<str>,
    /// The hosts that this process serves; `None` for all.
    hosts: Option<Arc<[HostName]>>,
    ttl: Duration,
}

/// The process to which a partition is assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Assignment {
    /// This process.
    ThisProcess,
    /// The process of this name.
    Other(String),
}

impl Member {
    /// A member that serves all hosts. It joins with its first [`heartbeat`](Self::heartbeat).
    pub fn new(ctx: &Context, partition: Partition, group: &str) -> Self {
        let (group, owner): (Arc<str>, _) = (group.into(), ctx.owner.as_str().into());
        let (log, list) = (ctx.log.clone(), group.clone());
        Self { log, list, group, partition, owner, hosts: None, ttl: ctx.lease_ttl }
    }

    /// The same member, serving these hosts only. Its membership list is that of the partition, and all members of that
    /// list name the hosts they serve.
    pub fn serving(self, hosts: Arc<[HostName]>) -> Self {
        Self { list: format!("{}/{}", self.group, self.partition).into(), hosts: Some(hosts), ..self }
    }

    /// The entry of this process in the membership list.
    fn entry(&self) -> String {
        match &self.hosts {
            Some(hosts) => member_entry(&self.owner, hosts),
            None => self.owner.to_string(),
        }
    }

    /// Renews the membership for its time to live; returns the list.
    async fn renew(&self) -> Result<Vec<String>, Error> {
        self.log.heartbeat(&self.list, &self.entry(), self.ttl).await
    }

    /// Renews the membership; returns the assignment of the partition.
    pub async fn heartbeat(&self) -> Result<Assignment, Error> {
        let list = self.renew().await?;
        let candidates = match self.hosts {
            Some(_) => MemberList::parse(&list).candidates(),
            None => list.iter().map(String::as_str).collect(),
        };
        Ok(match assigned(&candidates, &self.group, self.partition) {
            Some(owner) if *owner != *self.owner => Assignment::Other(owner.to_owned()),
            _ => Assignment::ThisProcess,
        })
    }

    /// Publishes a handoff request for `host`, so that the partition is assigned to a member that serves it; returns that
    /// member. `None` when no member serves the host.
    pub async fn request_handoff(&self, host: &HostName) -> Result<Option<String>, Error> {
        let list = self.renew().await?;
        let servers = MemberList::parse(&list).servers(host.as_str());
        let Some(server) = assigned(&servers, &self.group, self.partition) else { return Ok(None) };
        self.log.heartbeat(&self.list, &handoff_request(host), self.ttl).await?;
        Ok(Some(server.to_owned()))
    }

    /// Deletes the handoff requests for the hosts of this process, which now holds the lease.
    pub async fn accept_handoff(&self) -> Result<(), Error> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let list = self.renew().await?;
        let members = MemberList::parse(&list);
        for host in hosts.iter().filter(|host| members.is_requested(host)) {
            self.log.deregister(&self.list, &handoff_request(host)).await?;
        }
        Ok(())
    }

    /// Ends the membership at once, so that the other members need not wait until it expires. It expires by itself when the
    /// log does not answer within two seconds.
    pub async fn deregister(&self) {
        match timeout(Duration::from_secs(2), self.log.deregister(&self.list, &self.entry())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!("could not deregister from {}: {error}", self.group),
            Err(_) => debug!("could not deregister from {} in time", self.group),
        }
    }
}

/// The member among `members`, which are sorted, to which the partition is assigned.
fn assigned<'a>(members: &[&'a str], group: &str, partition: Partition) -> Option<&'a str> {
    let count = u64::try_from(members.len()).ok()?;
    let index = (hash(group) + u64::from(partition.0)).checked_rem(count)?;
    members.get(usize::try_from(index).ok()?).copied()
}

/// The same in every build and on every machine. With a single partition it spreads the groups over the members.
fn hash(text: &str) -> u64 {
    // The upper half: the lowest bits depend on little more than the parity of the letters.
    fnv1a(text.as_bytes()) >> 32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn shares(members: usize, group: &str, partitions: u16) -> Vec<usize> {
        let names: Vec<String> = (0..members).map(|n| format!("p{n}")).collect();
        let members: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut shares: BTreeMap<&str, usize> = members.iter().map(|name| (*name, 0)).collect();
        for partition in (0..partitions).map(Partition) {
            *shares.get_mut(assigned(&members, group, partition).unwrap()).unwrap() += 1;
        }
        shares.into_values().collect()
    }

    #[test]
    fn partitions_are_spread_evenly() {
        for members in 1..9 {
            for partitions in 0..40 {
                let shares = shares(members, "triage", partitions);
                let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
                assert!(most - least <= 1, "{members} members, {partitions} partitions: {shares:?}");
            }
        }
    }

    #[test]
    fn with_one_partition_the_groups_are_spread_over_the_members() {
        let groups = ["triage", "authorise", "execute", "judge", "raise", "deliver", "containers.1", "incidents.1"];
        for members in 2..4 {
            let names: Vec<String> = (0..members).map(|n| format!("p{n}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let taken: std::collections::BTreeSet<_> =
                groups.iter().map(|group| assigned(&names, group, Partition(0)).unwrap()).collect();
            assert_eq!(taken.len(), members, "{taken:?}");
        }
    }

    #[test]
    fn without_members_nothing_is_assigned() {
        assert_eq!(assigned(&[], "triage", Partition(0)), None);
    }
}
