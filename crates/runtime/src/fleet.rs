//! Sharing work among processes: who of all that can do a group's work in a partition is to do it.
//!
//! Everybody who can says so again and again ([`Log::attend`]) and is told who else does. From that list alone each works
//! out the same answer, so nobody assigns anything, and no two partitions more fall to one than to another:
//!
//! ```text
//!   who attends, sorted     a  b  c
//!   partition               0  1  2  3  4  5
//!   whose turn it is        b  c  a  b  c  a      (partition + hash of the group) mod how many attend
//! ```
//!
//! Only whose turn it is takes a free lease. Who dies or freezes attends no more when its time is over, which is when its
//! lease runs out, too; so the turn is then another's. Who holds a lease although the turn is another's finishes what is in
//! hand and hands over, but only when it has been so twice in a row: one late heartbeat moves nothing.
//!
//! Where some can do only a part of the work, whoever holds the lease can call for one who can do the rest: [`roster`].

mod roster;

use std::{sync::Arc, time::Duration};

use hemostat_log::{Error, Log};
use hemostat_schema::{HostName, Partition};
use tokio::time::timeout;
use tracing::debug;

use self::roster::Roster;
use crate::Context;

/// A worker's place among those that can do the same work. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    log: Arc<dyn Log>,
    fleet: Arc<str>,
    group: Arc<str>,
    partition: Partition,
    owner: Arc<str>,
    /// The only hosts that this process serves; none where that does not matter.
    serves: Option<Arc<[HostName]>>,
    ttl: Duration,
}

/// Whose turn it is to do the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// This process's.
    Ours,
    /// That of the process by this name.
    Of(String),
}

impl Seat {
    /// For this process; nothing is said yet.
    pub fn new(ctx: &Context, partition: Partition, group: &str) -> Self {
        let (group, owner): (Arc<str>, _) = (group.into(), ctx.owner.as_str().into());
        let (log, fleet) = (ctx.log.clone(), group.clone());
        Self { log, fleet, group, partition, owner, serves: None, ttl: ctx.lease_ttl }
    }

    /// The same, of a process that can do the work of these hosts only. It shares its partition with those alone who say
    /// which ones they serve there.
    pub fn serving(self, hosts: Arc<[HostName]>) -> Self {
        Self { fleet: format!("{}/{}", self.group, self.partition).into(), serves: Some(hosts), ..self }
    }

    /// What this process is called in the list.
    fn entry(&self) -> String {
        match &self.serves {
            Some(hosts) => roster::entry(&self.owner, hosts),
            None => self.owner.to_string(),
        }
    }

    async fn list(&self) -> Result<Vec<String>, Error> {
        self.log.attend(&self.fleet, &self.entry(), self.ttl).await
    }

    /// Says that this process can do the work, and learns whose turn it is.
    pub async fn attend(&self) -> Result<Turn, Error> {
        let list = self.list().await?;
        let able = match self.serves {
            Some(_) => Roster::read(&list).able(),
            None => list.iter().map(String::as_str).collect(),
        };
        Ok(match whose(&able, &self.group, self.partition) {
            Some(owner) if *owner != *self.owner => Turn::Of(owner.to_owned()),
            _ => Turn::Ours,
        })
    }

    /// Calls for one who serves `host`, and says who that is; none where nobody attends who does.
    pub async fn call(&self, host: &HostName) -> Result<Option<String>, Error> {
        let list = self.list().await?;
        let servers = Roster::read(&list).servers(host.as_str());
        let Some(server) = whose(&servers, &self.group, self.partition) else { return Ok(None) };
        self.log.attend(&self.fleet, &roster::call(host), self.ttl).await?;
        Ok(Some(server.to_owned()))
    }

    /// Takes the calls back that this process answers, now that the work is its own.
    pub async fn answer(&self) -> Result<(), Error> {
        let Some(hosts) = &self.serves else { return Ok(()) };
        let list = self.list().await?;
        let roster = Roster::read(&list);
        for host in hosts.iter().filter(|host| roster.calls(host)) {
            self.log.leave(&self.fleet, &roster::call(host)).await?;
        }
        Ok(())
    }

    /// Says that this process does the work no more, so that others need not wait. Where the log does not answer soon,
    /// they learn it when the time is over.
    pub async fn leave(&self) {
        match timeout(Duration::from_secs(2), self.log.leave(&self.fleet, &self.entry())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!("could not say that {} is left: {error}", self.group),
            Err(_) => debug!("could not say in time that {} is left", self.group),
        }
    }
}

/// Whose turn it is among `members`, which are sorted.
fn whose<'a>(members: &[&'a str], group: &str, partition: Partition) -> Option<&'a str> {
    let count = u64::try_from(members.len()).ok()?;
    let turn = (hash(group) + u64::from(partition.0)).checked_rem(count)?;
    members.get(usize::try_from(turn).ok()?).copied()
}

/// FNV-1a, the same in every build and on every machine: where there is only one partition it spreads the groups.
fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    // The upper half: the lowest bits would say little but whether the letters are odd or even.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step) >> 32
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
            *shares.get_mut(whose(&members, group, partition).unwrap()).unwrap() += 1;
        }
        shares.into_values().collect()
    }

    #[test]
    fn nobody_has_two_partitions_more_than_another() {
        for members in 1..9 {
            for partitions in 0..40 {
                let shares = shares(members, "triage", partitions);
                let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
                assert!(most - least <= 1, "{members} share {partitions}: {shares:?}");
            }
        }
    }

    #[test]
    fn with_one_partition_the_groups_are_spread() {
        let groups = ["triage", "authorise", "execute", "judge", "raise", "deliver", "containers.1", "incidents.1"];
        for members in 2..4 {
            let names: Vec<String> = (0..members).map(|n| format!("p{n}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let taken: std::collections::BTreeSet<_> =
                groups.iter().map(|group| whose(&names, group, Partition(0)).unwrap()).collect();
            assert_eq!(taken.len(), members, "{taken:?}");
        }
    }

    #[test]
    fn where_nobody_attends_it_is_nobodys_turn() {
        assert_eq!(whose(&[], "triage", Partition(0)), None);
    }
}
