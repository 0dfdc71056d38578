//! Host affinity: routes a partition's work to a process that serves the host, which means that the process can reach the
//! host's Docker engine.
//!
//! The lease holder may find work on a host that it does not serve. It publishes a handoff request for the host, starts
//! nothing new, and releases the lease when what runs has ended. The partition is then assigned to a member that serves the first requested host. That member
//! acquires the lease, deletes the requests that it serves, and does the work. From the deletion on all members are
//! candidates again; the lease is handed back only when no effect is in flight. Members and requests are entries of the
//! same membership list and expire in the same way:
//!
//! ```text
//!   web/mail//p1     p1 serves web and mail
//!   db//p2           p2 serves db
//!   db               a handoff for db is requested: the partition is assigned to p2
//! ```
//!
//! The entries are unambiguous, as a host's name has no slash.

use hemostat_schema::HostName;

/// A parsed membership list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemberList<'a> {
    /// Name and hosts of each member, sorted by name.
    members: Vec<(&'a str, Vec<&'a str>)>,
    /// The hosts for which a handoff is requested.
    requests: Vec<&'a str>,
}

/// The entry of a member that serves these hosts.
pub(super) fn member_entry(process: &str, hosts: &[HostName]) -> String {
    let hosts: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
    format!("{}//{process}", hosts.join("/"))
}

/// The entry that requests a handoff to a member that serves this host.
pub(super) fn request_entry(host: &HostName) -> String {
    host.as_str().to_owned()
}

impl<'a> MemberList<'a> {
    /// Parses the entries.
    pub fn parse(list: &'a [String]) -> Self {
        let (mut members, mut requests) = (vec![], vec![]);
        for entry in list {
            match entry.split_once("//") {
                Some((hosts, process)) => members.push((process, hosts.split('/').collect())),
                None => requests.push(entry.as_str()),
            }
        }
        members.sort_unstable();
        Self { members, requests }
    }

    /// The members to which the partition can be assigned: those that serve the first requested host that any member
    /// serves; without such a request, all members.
    pub fn candidates(&self) -> Vec<&'a str> {
        let requested = self.requests.iter().map(|host| self.members_serving(host)).find(|members| !members.is_empty());
        requested.unwrap_or_else(|| self.members.iter().map(|(process, _)| *process).collect())
    }

    /// The members that serve this host.
    pub fn members_serving(&self, host: &str) -> Vec<&'a str> {
        self.members.iter().filter(|(_, hosts)| hosts.contains(&host)).map(|(process, _)| *process).collect()
    }

    /// Whether a handoff is requested for this host.
    pub fn handoff_requested(&self, host: &HostName) -> bool {
        self.requests.contains(&host.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&str]) -> Vec<HostName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// A list with these members and handoff requests, sorted as the log returns it.
    fn list(members: &[(&str, &[&str])], requests: &[&str]) -> Vec<String> {
        let members = members.iter().map(|(process, served)| member_entry(process, &hosts(served)));
        let mut list: Vec<String> = members.chain(hosts(requests).iter().map(request_entry)).collect();
        list.sort_unstable();
        list
    }

    #[test]
    fn a_requested_handoff_assigns_the_partition_to_members_that_serve_the_host() {
        let members: &[(&str, &[&str])] = &[("p2", &["web", "mail"]), ("embedded:/var//x", &["db"]), ("p1", &["web"])];
        let all: &[&str] = &["embedded:/var//x", "p1", "p2"];
        for (requests, candidates) in [
            (&[] as &[&str], all),
            (&["web"], &["p1", "p2"]),
            (&["db"], &["embedded:/var//x"]),
            (&["mail", "web"], &["p2"]),
            (&["unserved"], all),
            (&["unserved", "web"], &["p1", "p2"]),
        ] {
            let list = list(members, requests);
            assert_eq!(MemberList::parse(&list).candidates(), candidates, "{requests:?}");
        }
    }

    #[test]
    fn without_members_there_are_no_candidates() {
        assert!(MemberList::parse(&list(&[], &["web"])).candidates().is_empty());
    }
}
