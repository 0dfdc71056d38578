//! Assignment: which process does the work of a consumer group in a partition.
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

pub(crate) mod host_affinity;

use hemostat_schema::{Partition, fnv1a};

use self::host_affinity::MemberList;
use crate::live::Live;

/// The process to which a partition is assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Assignment {
    /// This process.
    ThisProcess,
    /// The process of this name.
    Other(String),
}

/// To which process the partition is assigned in `group`, as the process `owner` sees it.
pub(crate) fn assignment(live: &Live, group: &str, partition: Partition, owner: &str) -> Assignment {
    match assignee(&MemberList::of(live, group).candidates(), group, partition) {
        Some(process) if process != owner => Assignment::Other(process.to_owned()),
        _ => Assignment::ThisProcess,
    }
}

/// The member among `members`, which are sorted, to which the partition is assigned.
pub(crate) fn assignee<'a>(members: &[&'a str], group: &str, partition: Partition) -> Option<&'a str> {
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
