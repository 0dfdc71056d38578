//! Membership and assignment: which process does the work of a consumer group in a partition.
//!
//! There is no coordinator. Each process that can do the work heartbeats into the group's membership list
//! ([`Log::heartbeat`]) and computes the same round-robin assignment from that list. Each member is assigned the same
//! number of partitions, give or take one:
//!
//! ```text
//!   members, sorted     a  b  c
//!   partition           0  1  2  3  4  5
//!   assigned to         b  c  a  b  c  a      member number (partition + hash of the group) mod number of members
//! ```
//!
//! A worker acquires a free lease only if the partition is assigned to its process; a [`Producer`](crate::Producer) has
//! no membership and acquires any free lease. When a process crashes or freezes, its membership and its lease expire
//! after the same time to live, and the partition is assigned to another member. A lease holder to which the partition
//! is no longer assigned drains and hands over, but only after two consecutive heartbeats that agree: one late
//! heartbeat does not rebalance.
//!
//! Where each member serves only some hosts, the lease holder can request a handoff to a member that serves a host. While
//! the request is pending, only such members are candidates for the partition: [`host_affinity`].

mod host_affinity;

use std::{sync::Arc, time::Duration};

use hemostat_log::{Error, Log};
use hemostat_schema::{HostName, Partition, fnv1a};
use tokio::time::timeout;
use tracing::debug;

use self::host_affinity::{MemberList, member_entry, request_entry};
use crate::context::Context;

/// This process's membership in a consumer group, for one partition. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    log: Arc<dyn Log>,
    /// The key of the membership list: the group; with host affinity, the group and the partition.
    list_name: Arc<str>,
    group: Arc<str>,
    partition: Partition,
    /// The name of this process.
    process: Arc<str>,
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
        let (group, process): (Arc<str>, _) = (group.into(), ctx.owner.as_str().into());
        let (log, list_name) = (ctx.log.clone(), group.clone());
        Self { log, list_name, group, partition, process, hosts: None, ttl: ctx.lease_ttl }
    }

    /// The same member with host affinity: it serves these hosts only. It then uses a membership list of the partition,
    /// not of the whole group; all members of that list name the hosts that they serve.
    pub fn with_host_affinity(self, hosts: Arc<[HostName]>) -> Self {
        Self { list_name: format!("{}/{}", self.group, self.partition).into(), hosts: Some(hosts), ..self }
    }

    /// The entry of this process in the membership list.
    fn entry(&self) -> String {
        match &self.hosts {
            Some(hosts) => member_entry(&self.process, hosts),
            None => self.process.to_string(),
        }
    }

    /// Renews the membership for its time to live; returns the list.
    async fn renew(&self) -> Result<Vec<String>, Error> {
        self.log.heartbeat(&self.list_name, &self.entry(), self.ttl).await
    }

    /// Renews the membership; returns the assignment of the partition.
    pub async fn heartbeat(&self) -> Result<Assignment, Error> {
        let list = self.renew().await?;
        let candidates = match self.hosts {
            Some(_) => MemberList::parse(&list).candidates(),
            None => list.iter().map(String::as_str).collect(),
        };
        Ok(match assignee(&candidates, &self.group, self.partition) {
            Some(process) if *process != *self.process => Assignment::Other(process.to_owned()),
            _ => Assignment::ThisProcess,
        })
    }

    /// Publishes a handoff request for `host`, so that the partition is assigned to a member that serves it (after the
    /// requests before it); returns that member. `None` if no member serves the host, or this member has no host affinity.
    pub async fn request_handoff(&self, host: &HostName) -> Result<Option<String>, Error> {
        if self.hosts.is_none() {
            return Ok(None);
        }
        let list = self.renew().await?;
        let members = MemberList::parse(&list).members_serving(host.as_str());
        let Some(successor) = assignee(&members, &self.group, self.partition) else { return Ok(None) };
        // The request is an entry of the list and expires like a membership that is not renewed.
        self.log.heartbeat(&self.list_name, &request_entry(host), self.ttl).await?;
        Ok(Some(successor.to_owned()))
    }

    /// Deletes the handoff requests for the hosts of this process. Called right after it has acquired the lease.
    pub async fn clear_handoff_requests(&self) -> Result<(), Error> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let list = self.renew().await?;
        let members = MemberList::parse(&list);
        for host in hosts.iter().filter(|host| members.handoff_requested(host)) {
            self.log.deregister(&self.list_name, &request_entry(host)).await?;
        }
        Ok(())
    }

    /// Ends the membership of the whole process at its shutdown, so that the other members need not wait until it expires.
    /// It expires by itself if the log does not answer within two seconds.
    pub async fn deregister(&self) {
        match timeout(Duration::from_secs(2), self.log.deregister(&self.list_name, &self.entry())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!("could not deregister from {}: {error}", self.group),
            Err(_) => debug!("could not deregister from {} in time", self.group),
        }
    }
}

/// The member among `members`, which are sorted, to which the partition is assigned.
fn assignee<'a>(members: &[&'a str], group: &str, partition: Partition) -> Option<&'a str> {
    let count = u64::try_from(members.len()).ok()?;
    let index = (hash(group) + u64::from(partition.0)).checked_rem(count)?;
    members.get(usize::try_from(index).ok()?).copied()
}

/// Hashes a group's name, the same in every build and on every machine. It spreads the groups over the members even
/// with a single partition.
fn hash(text: &str) -> u64 {
    // The upper half: the lowest bits depend on little more than the parity of the letters.
    fnv1a(text.as_bytes()) >> 32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn partitions_per_member(members: usize, group: &str, partitions: u16) -> Vec<usize> {
        let names: Vec<String> = (0..members).map(|n| format!("p{n}")).collect();
        let members: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut counts: BTreeMap<&str, usize> = members.iter().map(|name| (*name, 0)).collect();
        for partition in (0..partitions).map(Partition) {
            *counts.get_mut(assignee(&members, group, partition).unwrap()).unwrap() += 1;
        }
        counts.into_values().collect()
    }

    #[test]
    fn partitions_are_spread_evenly() {
        for members in 1..9 {
            for partitions in 0..40 {
                let counts = partitions_per_member(members, "triage", partitions);
                let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                assert!(most - least <= 1, "{members} members, {partitions} partitions: {counts:?}");
            }
        }
    }

    #[test]
    fn with_one_partition_the_groups_are_spread_over_the_members() {
        let groups = ["triage", "authorise", "execute", "judge", "raise", "deliver", "containers.1", "incidents.1"];
        for members in 2..4 {
            let names: Vec<String> = (0..members).map(|n| format!("p{n}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let assignees: std::collections::BTreeSet<_> =
                groups.iter().map(|group| assignee(&names, group, Partition(0)).unwrap()).collect();
            assert_eq!(assignees.len(), members, "{assignees:?}");
        }
    }

    #[test]
    fn without_members_nothing_is_assigned() {
        assert_eq!(assignee(&[], "triage", Partition(0)), None);
    }
}
