//! Which view is read, and which one is being filled: the names that stand in a partition's `views`.
//!
//! ```text
//!   containers     → containers.2~3    what the newest program serves
//!   containers.1   → containers.1      what the programs of each version serve: they read and keep nothing else
//!   containers.2   → containers.2~3
//!   containers.2+  → containers.2~4    wanted: is filled from the beginning beside the one that is served
//! ```
//!
//! A view whose position (its row [`POSITION`]) is missing is not whole, whatever stands in `views`: nobody reads it, and
//! it is filled anew under the next name.

use std::collections::BTreeMap;

use hemostat_core::Projection;
use hemostat_log::{Error, Log};
use hemostat_schema::{EventId, Partition};

use crate::rows::decode_row;

/// The rows in which monitors remember each container. No projection folds them, nor those of [`HOSTS`]: whoever watches a
/// host writes both with its observations.
pub const OBSERVED: &str = "observe.1";

/// The rows in which monitors remember each host.
pub const HOSTS: &str = "monitor.2";

/// The key of the row that says up to where a view goes; no subject, host or incident has this name.
pub const POSITION: &str = "/";

/// The key of the row that says how many events were folded into a view that is being filled; not there afterwards.
pub(crate) const FOLDED: &str = "/folded";

/// Whether a row belongs to the view's keeping, not to what it says.
pub fn is_inner(key: &str) -> bool {
    key == POSITION || key == FOLDED
}

/// The group that keeps `P`, of this program's version; also the name of its first view.
pub fn group<P: Projection>() -> String {
    format!("{}.{}", P::NAME, P::VERSION)
}

/// The name of the view and its version; none when the group does not keep one.
pub(crate) fn of_group(group: &str) -> Option<(&str, u16)> {
    let (name, version) = group.rsplit_once('.')?;
    Some((name, version.parse().ok()?))
}

/// What stands in a partition's `views` about one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Views {
    group: String,
    all: BTreeMap<String, String>,
}

impl Views {
    pub async fn read(log: &dyn Log, partition: Partition, group: &str) -> Result<Self, Error> {
        Ok(Self { group: group.to_owned(), all: log.views(partition).await? })
    }

    /// What is served.
    pub fn served(&self) -> Option<&str> {
        self.all.get(&self.group).map(String::as_str)
    }

    /// What is wanted and not served yet.
    pub fn wanted(&self) -> Option<&str> {
        let wanted = self.all.get(&format!("{}+", self.group)).map(String::as_str);
        wanted.filter(|wanted| number(wanted) > self.served().map_or(0, number))
    }

    /// Whether `view`, or one that was filled after it, is served.
    pub fn has_served(&self, view: &str) -> bool {
        self.served().is_some_and(|served| number(served) >= number(view))
    }

    /// The view under the next name.
    pub fn next(&self) -> String {
        match self.wanted().or(self.served()).map_or(0, number) {
            0 => self.group.clone(),
            number => format!("{}~{}", self.group, number + 1),
        }
    }

    /// Whether a later version is served under the name.
    pub fn is_superseded(&self) -> bool {
        let Some((name, version)) = of_group(&self.group) else { return false };
        let newest = self.all.get(name).and_then(|view| of_group(group_of(view)));
        newest.is_some_and(|(_, newest)| newest > version)
    }

    /// What programs of earlier versions served: their groups and views.
    pub fn older(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = of_group(&self.group);
        self.all.iter().filter_map(move |(key, view)| {
            let ((name, version), (other, earlier)) = (own?, of_group(key)?);
            (name == other && earlier < version).then_some((key.as_str(), view.as_str()))
        })
    }
}

/// The group that keeps `view`.
fn group_of(view: &str) -> &str {
    view.split_once('~').map_or(view, |(group, _)| group)
}

/// Which filling of its group a view is, counted from 1.
fn number(view: &str) -> u32 {
    view.split_once('~').map_or(Some(1), |(_, number)| number.parse().ok()).unwrap_or(1)
}

/// Up to where a view goes; none when it is not there, or not whole.
pub(crate) async fn position(log: &dyn Log, partition: Partition, view: &str) -> Result<Option<EventId>, Error> {
    let read = log.rows(partition, view, &[POSITION.to_owned()]).await?.into_iter().next().flatten();
    read.map(|bytes| decode_row(view, POSITION, &bytes)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views(group: &str, all: &[(&str, &str)]) -> Views {
        let all = all.iter().map(|(key, view)| ((*key).to_owned(), (*view).to_owned())).collect();
        Views { group: group.to_owned(), all }
    }

    #[test]
    fn each_filling_has_a_name_of_its_own() {
        for (all, wanted, next) in [
            (&[][..], None, "count.1"),
            (&[("count.1", "count.1")], None, "count.1~2"),
            (&[("count.1", "count.1"), ("count.1+", "count.1~2")], Some("count.1~2"), "count.1~3"),
            (&[("count.1", "count.1~2"), ("count.1+", "count.1~2")], None, "count.1~3"),
            (&[("count.1", "count.1~3"), ("count.1+", "count.1~2")], None, "count.1~4"),
            (&[("count.2", "count.2~7")], None, "count.1"),
        ] {
            let views = views("count.1", all);
            assert_eq!((views.wanted(), views.next().as_str()), (wanted, next), "{all:?}");
        }
    }

    #[test]
    fn versions_know_which_of_them_is_later() {
        let all = [("count", "count.10~2"), ("count.9", "count.9"), ("count.10", "count.10~2"), ("other.1", "other.1")];
        assert!(views("count.9", &all).is_superseded());
        assert!(!views("count.10", &all).is_superseded());
        assert!(!views("count.11", &all).is_superseded());
        assert_eq!(views("count.10", &all).older().collect::<Vec<_>>(), [("count.9", "count.9")]);
        assert_eq!(views("count.9", &all).older().count(), 0);
    }
}
