//! Whose turn is it where not everybody can do everything: who serves which hosts, and for which host somebody is called.
//!
//! Work that only those can do who serve its host is handed out to whoever holds the lease. Where that is another, it calls
//! for one who serves the host and gives the lease back; whoever is called takes it, does the work, and hands it over as
//! always. All of that stands in the one list of who attends:
//!
//! ```text
//!   web/mail//p1     p1 serves web and mail
//!   db//p2           p2 serves db
//!   db               one who serves db is called: the turn is p2's, whosever it was
//! ```
//!
//! A host's name has no slash, so nothing can be taken for something else. A call, too, is over when its time is.

use hemostat_schema::HostName;

/// What those who attend say, in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Roster<'a> {
    /// By name, with the hosts that they serve.
    members: Vec<(&'a str, Vec<&'a str>)>,
    /// The hosts for which somebody is called.
    calls: Vec<&'a str>,
}

/// How a process says that it attends and which hosts it serves.
pub(super) fn entry(owner: &str, serves: &[HostName]) -> String {
    let hosts: Vec<&str> = serves.iter().map(HostName::as_str).collect();
    format!("{}//{owner}", hosts.join("/"))
}

/// How one who serves this host is called.
pub(super) fn call(host: &HostName) -> String {
    host.as_str().to_owned()
}

impl<'a> Roster<'a> {
    /// Reads the list.
    pub fn read(list: &'a [String]) -> Self {
        let (mut members, mut calls) = (vec![], vec![]);
        for entry in list {
            match entry.split_once("//") {
                Some((hosts, owner)) => members.push((owner, hosts.split('/').collect())),
                None => calls.push(entry.as_str()),
            }
        }
        members.sort_unstable();
        Self { members, calls }
    }

    /// Among whom the work goes round: those who serve the first host for which somebody is called and can come, or else all.
    pub fn able(&self) -> Vec<&'a str> {
        let called = self.calls.iter().map(|host| self.servers(host)).find(|servers| !servers.is_empty());
        called.unwrap_or_else(|| self.members.iter().map(|(owner, _)| *owner).collect())
    }

    /// Those who serve this host.
    pub fn servers(&self, host: &str) -> Vec<&'a str> {
        self.members.iter().filter(|(_, hosts)| hosts.contains(&host)).map(|(owner, _)| *owner).collect()
    }

    /// Whether one who serves this host is called.
    pub fn calls(&self, host: &HostName) -> bool {
        self.calls.contains(&host.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&str]) -> Vec<HostName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// A list with these members and calls, sorted as the log gives it.
    fn list(members: &[(&str, &[&str])], calls: &[&str]) -> Vec<String> {
        let members = members.iter().map(|(owner, serves)| entry(owner, &hosts(serves)));
        let mut list: Vec<String> = members.chain(hosts(calls).iter().map(call)).collect();
        list.sort_unstable();
        list
    }

    #[test]
    fn whoever_serves_a_host_that_is_called_for_has_the_turn() {
        let members: &[(&str, &[&str])] = &[("p2", &["web", "mail"]), ("embedded:/var//x", &["db"]), ("p1", &["web"])];
        let all: &[&str] = &["embedded:/var//x", "p1", "p2"];
        for (calls, able) in [
            (&[] as &[&str], all),
            (&["web"], &["p1", "p2"]),
            (&["db"], &["embedded:/var//x"]),
            (&["mail", "web"], &["p2"]),
            (&["nobodys"], all),
            (&["nobodys", "web"], &["p1", "p2"]),
        ] {
            let list = list(members, calls);
            assert_eq!(Roster::read(&list).able(), able, "{calls:?}");
        }
    }

    #[test]
    fn where_nobody_attends_nobody_is_able() {
        assert!(Roster::read(&list(&[], &["web"])).able().is_empty());
    }
}
