//! Membership and assignment: which process does the work of a consumer group in a partition.
//!
//! There is no coordinator. Each process says with its heartbeats (`crate::session`) in which groups it can do the work, and
//! computes the same round-robin assignment from what all live processes say. Each member is assigned the same number of
//! partitions, give or take one:
//!
//! ```text
//!   members, sorted     a  b  c
//!   partition           0  1  2  3  4  5
//!   assigned to         b  c  a  b  c  a      member number (partition + hash of the group) mod number of members
//! ```
//!
//! A worker acquires a free lease only if the partition is assigned to its process; a [`Producer`](crate::Producer) has
//! no membership and acquires any free lease. When a process crashes or freezes, its session ends, and with it its
//! memberships and its leases; its partitions are assigned to other members. A lease holder to which the partition is no
//! longer assigned drains and hands over, but only after two consecutive heartbeats that agree: one late heartbeat does
//! not rebalance.
//!
//! Where each member serves only some hosts, the lease holder can request a handoff to a member that serves a host. While
//! the request is pending, only such members are candidates for the partition: [`host_affinity`].

mod host_affinity;

use std::sync::Arc;

use hemostat_log::Error;
use hemostat_schema::{HostName, Partition, fnv1a};

use self::host_affinity::{MemberList, request};
use crate::{
    context::Context,
    session::{Live, Session},
};

/// This process's membership in a consumer group, for one partition. Dropping it ends the membership.
#[derive(Debug)]
pub(crate) struct Member {
    session: Arc<Session>,
    group: String,
    /// The hosts that this process serves; `None` for all.
    hosts: Option<Arc<[HostName]>>,
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
    /// A member that serves these hosts, or all (`None`).
    pub fn join(ctx: &Context, partition: Partition, group: &str, hosts: Option<Arc<[HostName]>>) -> Self {
        let session = ctx.sessions.of(ctx, partition);
        session.join(group, hosts.clone());
        Self { session, group: group.to_owned(), hosts }
    }

    /// The assignment of the partition now.
    pub async fn assignment(&self) -> Result<Assignment, Error> {
        Ok(assignment(&self.session.live().await?, &self.group, self.session.partition, &self.session.owner))
    }

    /// Publishes a handoff request for `host`, so that the partition is assigned to a member that serves it (after the
    /// requests before it); returns that member. `None` if no member serves the host, or this member serves all.
    pub async fn request_handoff(&self, host: &HostName) -> Result<Option<String>, Error> {
        if self.hosts.is_none() {
            return Ok(None);
        }
        let Session { log, partition, ttl, .. } = &*self.session;
        let live = self.session.live().await?;
        let members = MemberList::of(&live, &self.group).members_serving(host.as_str());
        let Some(successor) = assignee(&members, &self.group, *partition) else { return Ok(None) };
        log.request_handoff(*partition, &request(&self.group, host), *ttl).await?;
        Ok(Some(successor.to_owned()))
    }

    /// Withdraws the handoff requests for the hosts of this process. Called right after it has acquired the lease.
    pub async fn clear_handoff_requests(&self) -> Result<(), Error> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let live = self.session.live().await?;
        let members = MemberList::of(&live, &self.group);
        for host in hosts.iter().filter(|host| members.handoff_requested(host)) {
            self.session.log.withdraw_handoff(self.session.partition, &request(&self.group, host)).await?;
        }
        Ok(())
    }

    /// Tells the other members at the shutdown of the process that it takes over nothing more.
    pub async fn deregister(&self) {
        self.session.announce().await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.session.leave(&self.group);
    }
}

/// To which process the partition is assigned in `group`, as the process `owner` sees it.
pub(crate) fn assignment(live: &Live, group: &str, partition: Partition, owner: &str) -> Assignment {
    match assignee(&MemberList::of(live, group).candidates(), group, partition) {
        Some(process) if process != owner => Assignment::Other(process.to_owned()),
        _ => Assignment::ThisProcess,
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
