//! Which generation of a view is served, and which one is being built: the entries of a partition's `views` hash.
//!
//! ```text
//!   containers     → containers.2~3    generation 3 of version 2: served by the newest version of HemoStat
//!   containers.1   → containers.1      each version of HemoStat reads and maintains the views of its own version
//!   containers.2   → containers.2~3
//!   containers.2+  → containers.2~4    requested: is built from the beginning of the log beside the served one
//! ```
//!
//! A view without an offset (its row [`OFFSET`]) is incomplete, whatever the hash says: readers do not use it, and the
//! projector builds the next generation.

use std::collections::BTreeMap;

use hemostat_log::{Error, Log};
use hemostat_schema::{EventId, Partition};

use super::row::decode_row;

/// The key of the row that holds the view's offset: the last event that was folded into its rows. No subject, host or
/// incident has this name.
pub const OFFSET: &str = "/";

/// The key of the row that counts the events folded into a view while it is built; deleted when the view is served.
pub(crate) const FOLDED_COUNT: &str = "/folded";

/// Whether the row is bookkeeping of the view (its offset or its count), not a materialised row.
pub fn is_internal(key: &str) -> bool {
    key == OFFSET || key == FOLDED_COUNT
}

/// The read model's name and version; `None` for a group that does not maintain one.
pub(crate) fn of_group(group: &str) -> Option<(&str, u16)> {
    let (name, version) = group.rsplit_once('.')?;
    Some((name, version.parse().ok()?))
}

/// The generations of one group's view in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generations {
    group: String,
    all: BTreeMap<String, String>,
}

impl Generations {
    pub async fn read(log: &dyn Log, partition: Partition, group: &str) -> Result<Self, Error> {
        Ok(Self { group: group.to_owned(), all: log.views(partition).await? })
    }

    /// The view that readers use.
    pub fn served(&self) -> Option<&str> {
        self.all.get(&self.group).map(String::as_str)
    }

    /// The view that was requested and is not served yet.
    pub fn requested(&self) -> Option<&str> {
        let requested = self.all.get(&format!("{}+", self.group)).map(String::as_str);
        requested.filter(|requested| number(requested) > self.served().map_or(0, number))
    }

    /// Whether `view` or a later generation is served.
    pub fn has_served(&self, view: &str) -> bool {
        self.served().is_some_and(|served| number(served) >= number(view))
    }

    /// The name of the next generation.
    pub fn next(&self) -> String {
        match self.requested().or(self.served()).map_or(0, number) {
            0 => self.group.clone(),
            number => format!("{}~{}", self.group, number + 1),
        }
    }

    /// Whether a later version of HemoStat serves this read model.
    pub fn is_superseded(&self) -> bool {
        let Some((name, version)) = of_group(&self.group) else { return false };
        let newest = self.all.get(name).and_then(|view| of_group(group_of(view)));
        newest.is_some_and(|(_, newest)| newest > version)
    }

    /// The groups and views of earlier versions of HemoStat.
    pub fn older(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = of_group(&self.group);
        self.all.iter().filter_map(move |(key, view)| {
            let ((name, version), (other, earlier)) = (own?, of_group(key)?);
            (name == other && earlier < version).then_some((key.as_str(), view.as_str()))
        })
    }
}

/// The group that maintains `view`.
fn group_of(view: &str) -> &str {
    view.split_once('~').map_or(view, |(group, _)| group)
}

/// The view's generation, counted from 1.
fn number(view: &str) -> u32 {
    view.split_once('~').map_or(Some(1), |(_, number)| number.parse().ok()).unwrap_or(1)
}

/// The view's offset; `None` when there is no such view, or it is incomplete.
pub async fn offset(log: &dyn Log, partition: Partition, view: &str) -> Result<Option<EventId>, Error> {
    let read = log.rows(partition, view, &[OFFSET.to_owned()]).await?.into_iter().next().flatten();
    read.map(|bytes| decode_row(view, OFFSET, &bytes)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generations(group: &str, all: &[(&str, &str)]) -> Generations {
        let all = all.iter().map(|(key, view)| ((*key).to_owned(), (*view).to_owned())).collect();
        Generations { group: group.to_owned(), all }
    }

    #[test]
    fn each_generation_has_its_own_name() {
        for (all, requested, next) in [
            (&[][..], None, "count.1"),
            (&[("count.1", "count.1")], None, "count.1~2"),
            (&[("count.1", "count.1"), ("count.1+", "count.1~2")], Some("count.1~2"), "count.1~3"),
            (&[("count.1", "count.1~2"), ("count.1+", "count.1~2")], None, "count.1~3"),
            (&[("count.1", "count.1~3"), ("count.1+", "count.1~2")], None, "count.1~4"),
            (&[("count.2", "count.2~7")], None, "count.1"),
        ] {
            let generations = generations("count.1", all);
            assert_eq!((generations.requested(), generations.next().as_str()), (requested, next), "{all:?}");
        }
    }

    #[test]
    fn a_version_knows_which_versions_are_later_and_earlier() {
        let all = [("count", "count.10~2"), ("count.9", "count.9"), ("count.10", "count.10~2"), ("other.1", "other.1")];
        assert!(generations("count.9", &all).is_superseded());
        assert!(!generations("count.10", &all).is_superseded());
        assert!(!generations("count.11", &all).is_superseded());
        assert_eq!(generations("count.10", &all).older().collect::<Vec<_>>(), [("count.9", "count.9")]);
        assert_eq!(generations("count.9", &all).older().count(), 0);
    }
}
