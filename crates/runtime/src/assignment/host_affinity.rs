//! Host affinity: routes a partition's work to a process that serves the host, which means that the process can reach the
//! host's Docker engine.
//!
//! The lease holder may find work on a host that it does not serve. It publishes a handoff request for the host, starts
//! nothing new, and releases the lease when what runs has ended. The partition is then assigned to a member that serves
//! the first requested host. That member acquires the lease, deletes the requests that it serves, and does the work. From
//! the deletion on all members are candidates again; the lease is handed back only when no effect is in flight. A request
//! that no member answers expires.

use hemostat_schema::HostName;

use crate::live::{Live, LiveProcess};

/// The members of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberList<'a> {
    /// Name and hosts of each member, sorted by name; no hosts if it serves all.
    members: Vec<(&'a str, Option<&'a [HostName]>)>,
    /// The hosts for which a handoff is requested.
    requests: Vec<&'a str>,
}

/// The request for a handoff to a member of `group` that serves this host.
pub(crate) fn request(group: &str, host: &HostName) -> String {
    format!("{group}|{host}")
}

impl<'a> MemberList<'a> {
    /// The live members of `group`.
    pub fn of(live: &'a Live, group: &str) -> Self {
        let member =
            |process: &'a LiveProcess| Some((process.owner.as_str(), process.says.groups.get(group)?.as_deref()));
        let request = |request: &'a String| request.strip_prefix(group)?.strip_prefix('|');
        Self {
            members: live.processes.iter().filter_map(member).collect(),
            requests: live.handoffs.iter().filter_map(request).collect(),
        }
    }

    /// The members to which the partition can be assigned: those that serve the first requested host that any member
    /// serves; without such a request, all members.
    pub fn candidates(&self) -> Vec<&'a str> {
        let requested = self.requests.iter().map(|host| self.members_serving(host)).find(|members| !members.is_empty());
        requested.unwrap_or_else(|| self.members.iter().map(|(process, _)| *process).collect())
    }

    /// The members that serve this host.
    pub fn members_serving(&self, host: &str) -> Vec<&'a str> {
        let serves = |hosts: &[HostName]| hosts.iter().any(|served| served.as_str() == host);
        let members = self.members.iter().filter(|(_, hosts)| hosts.is_none_or(serves));
        members.map(|(process, _)| *process).collect()
    }

    /// Whether a handoff is requested for this host.
    pub fn handoff_requested(&self, host: &HostName) -> bool {
        self.requests.contains(&host.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::live::Announcement;

    fn hosts(names: &[&str]) -> Vec<HostName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// Members of `execute`, and handoff requests for these hosts.
    fn live(members: &[(&str, &[&str])], requests: &[&str]) -> Live {
        let process = |(owner, served): &(&str, &[&str])| LiveProcess {
            owner: (*owner).to_owned(),
            says: Announcement { policy: None, groups: [("execute".to_owned(), Some(hosts(served)))].into() },
        };
        let requests = hosts(requests);
        // Those of another group do not count.
        let others = [request("other", &"db".parse().unwrap())];
        Live {
            processes: members.iter().map(process).collect(),
            handoffs: requests.iter().map(|host| request("execute", host)).chain(others).collect(),
        }
    }

    #[test]
    fn a_requested_handoff_assigns_the_partition_to_members_that_serve_the_host() {
        let members: &[(&str, &[&str])] = &[("embedded:/var//x", &["db"]), ("p1", &["web"]), ("p2", &["web", "mail"])];
        let all: &[&str] = &["embedded:/var//x", "p1", "p2"];
        for (requests, candidates) in [
            (&[] as &[&str], all),
            (&["web"], &["p1", "p2"]),
            (&["db"], &["embedded:/var//x"]),
            (&["mail", "web"], &["p2"]),
            (&["unserved"], all),
            (&["unserved", "web"], &["p1", "p2"]),
        ] {
            let live = live(members, requests);
            assert_eq!(MemberList::of(&live, "execute").candidates(), candidates, "{requests:?}");
        }
    }

    #[test]
    fn without_members_there_are_no_candidates() {
        assert!(MemberList::of(&live(&[], &["web"]), "execute").candidates().is_empty());
        assert!(MemberList::of(&live(&[("p1", &["web"])], &["web"]), "another").candidates().is_empty());
    }
}
