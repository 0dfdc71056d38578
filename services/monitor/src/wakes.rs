//! Which container is to be looked at next because time has passed, and when?
//!
//! Asked between any two batches of what is heard, so it must not take longer with ten thousand containers than with ten.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_schema::{ContainerName, Timestamp};

/// When each container is to be looked at, if at all.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    of: BTreeMap<ContainerName, Timestamp>,
    order: BTreeSet<(Timestamp, ContainerName)>,
}

impl Wakes {
    /// It is to be looked at then, and not when it was to be until now.
    pub(crate) fn set(&mut self, name: &ContainerName, at: Option<Timestamp>) {
        if self.of.get(name).copied() == at {
            return;
        }
        let before = match at {
            Some(at) => {
                self.order.insert((at, name.clone()));
                self.of.insert(name.clone(), at)
            }
            None => self.of.remove(name),
        };
        if let Some(before) = before {
            self.order.remove(&(before, name.clone()));
        }
    }

    /// All of them, the first that is due first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (Timestamp, &ContainerName)> {
        self.order.iter().map(|(at, name)| (*at, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_462_698 + second).unwrap()
    }

    fn name(text: &str) -> ContainerName {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_comes_first_and_each_once() {
        let mut wakes = Wakes::default();
        for (who, when) in [("b", Some(5)), ("a", Some(3)), ("c", Some(4)), ("a", Some(9)), ("c", None), ("d", None)] {
            wakes.set(&name(who), when.map(at));
        }
        assert!(wakes.in_order().eq([(at(5), &name("b")), (at(9), &name("a"))]));
        wakes.set(&name("b"), None);
        assert!(wakes.in_order().eq([(at(9), &name("a"))]));
        wakes.set(&name("a"), None);
        assert!(wakes.in_order().next().is_none());
    }
}
