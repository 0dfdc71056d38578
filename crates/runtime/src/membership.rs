//! Membership: the processes that can do the work of a consumer group in a partition, one of which it is assigned to.
//!
//! Which member that is, each process computes for itself (`crate::assignment`).
//!
//! A worker acquires a free lease only if the partition is assigned to its process; a [`Producer`](crate::Producer) has
//! no membership and acquires any free lease. When a process crashes or freezes, its session ends, and with it its
//! memberships and its leases; its partitions are assigned to other members. A lease holder to which the partition is no
//! longer assigned drains and hands over, but only after two consecutive heartbeats that agree: one late heartbeat does
//! not rebalance.
//!
//! Where each member serves only some hosts, the lease holder can request a handoff to a member that serves a host. While
//! the request is pending, only such members are candidates for the partition: `crate::assignment::host_affinity`.

use std::sync::Arc;

use hemostat_log::Error;
use hemostat_schema::{HostName, Partition};

use crate::{
    assignment::{
        Assignment, assignee, assignment,
        host_affinity::{MemberList, request},
    },
    context::Context,
    session::Session,
};

/// This process's membership in a consumer group, for one partition. Dropping it ends the membership.
#[derive(Debug)]
pub(crate) struct Member {
    session: Arc<Session>,
    group: String,
    /// The hosts that this process serves; `None` for all.
    hosts: Option<Arc<[HostName]>>,
}

impl Member {
    /// A member that serves these hosts, or all (`None`).
    pub fn join(ctx: &Context, partition: Partition, group: &str, hosts: Option<Arc<[HostName]>>) -> Self {
        let session = ctx.session(partition);
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
