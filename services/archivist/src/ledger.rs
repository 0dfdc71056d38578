//! What the notary has written: where each family's chain stands, and its checkpoints.

use std::collections::BTreeMap;

use hemostat_runtime::log::{
    Error, Log,
    chain::{Checkpoint, Link, Tip, VIEW, checkpoint_key, parse_key, tip_key},
};
use hemostat_schema::{EventId, Family, Partition};

/// The notary's group.
pub const NOTARY: &str = "notary";

/// Where the chains of a partition stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tips([Tip; Family::ALL.len()]);

impl Tips {
    /// As the notary left them.
    ///
    /// # Errors
    /// When the log cannot be read, or a row of the notary not be made out.
    pub async fn read(log: &dyn Log, partition: Partition) -> Result<Self, Error> {
        let rows = log.rows(partition, VIEW, &Family::ALL.map(tip_key)).await?;
        let mut tips = Self::default();
        for (family, row) in Family::ALL.into_iter().zip(rows) {
            if let Some(row) = row {
                *tips.of_mut(family) = Tip::from_row(&row).map_err(|error| unreadable(&tip_key(family), &error))?;
            }
        }
        Ok(tips)
    }

    /// Of one family.
    pub fn of(&self, family: Family) -> &Tip {
        &self.0[family as usize]
    }

    /// Of one family.
    pub fn of_mut(&mut self, family: Family) -> &mut Tip {
        &mut self.0[family as usize]
    }

    /// The last event that is in any of the chains: all before it are, too.
    pub fn position(&self, partition: Partition) -> EventId {
        self.0.iter().filter_map(|tip| tip.last).max().unwrap_or(EventId::start(partition))
    }
}

/// Where a chain stood at a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The chain.
    pub link: Link,
    /// Its last event.
    pub last: EventId,
}

/// Goes through checkpoints in the order of the log.
pub type Iter<'a> = std::iter::Copied<std::collections::btree_map::Values<'a, u64, Place>>;

/// The checkpoints of one family, by how many events came before them; without their marks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoints(BTreeMap<u64, Place>);

impl Checkpoints {
    /// All there are.
    pub fn iter(&self) -> Iter<'_> {
        self.0.values().copied()
    }

    /// After so many events.
    pub fn at(&self, count: u64) -> Option<Place> {
        self.0.get(&count).copied()
    }

    /// The last one that `is` right, where all before that are right, too.
    pub fn last_that(&self, is: impl Fn(Place) -> bool) -> Option<Place> {
        self.iter().rev().find(|place| is(*place))
    }

    /// Adds one.
    pub fn insert(&mut self, place: Place) {
        self.0.insert(place.link.count, place);
    }

    /// Those before the one after `count` events, which stays: there is nothing left of which they speak.
    pub fn before(&self, count: u64) -> Vec<u64> {
        self.0.range(..count).map(|(count, _)| *count).collect()
    }

    /// Forgets one.
    pub fn remove(&mut self, count: u64) {
        self.0.remove(&count);
    }
}

/// Tips and checkpoints of a partition, read as the notary goes on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// Where the chains stand.
    pub tips: Tips,
    checkpoints: [Checkpoints; Family::ALL.len()],
}

impl Ledger {
    /// Everything that the notary has written.
    ///
    /// # Errors
    /// When the log cannot be read, or a row of the notary not be made out.
    pub async fn read(log: &dyn Log, partition: Partition) -> Result<Self, Error> {
        let mut ledger = Self::default();
        for (key, row) in log.all_rows(partition, VIEW).await? {
            if let Some((family, Some(_))) = parse_key(&key) {
                let Checkpoint { link, last, .. } =
                    Checkpoint::from_row(&row).map_err(|error| unreadable(&key, &error))?;
                ledger.of_mut(family).insert(Place { link, last });
            }
        }
        ledger.tips = Tips::read(log, partition).await?;
        Ok(ledger)
    }

    /// Reads what was written since: back from the tip to what is known.
    ///
    /// # Errors
    /// When the log cannot be read, or a row of the notary not be made out.
    pub async fn catch_up(&mut self, log: &dyn Log, partition: Partition) -> Result<(), Error> {
        self.tips = Tips::read(log, partition).await?;
        for family in Family::ALL {
            let mut count = self.tips.of(family).since.count;
            while count > 0 && self.of(family).at(count).is_none() {
                let Some(checkpoint) = Self::checkpoint(log, partition, family, count).await? else { break };
                self.of_mut(family).insert(Place { link: checkpoint.link, last: checkpoint.last });
                count = checkpoint.since.count;
            }
        }
        Ok(())
    }

    /// One checkpoint, with its marks.
    ///
    /// # Errors
    /// When the log cannot be read, or the row not be made out.
    pub async fn checkpoint(
        log: &dyn Log,
        partition: Partition,
        family: Family,
        count: u64,
    ) -> Result<Option<Checkpoint>, Error> {
        let key = checkpoint_key(family, count);
        let row = log.rows(partition, VIEW, std::slice::from_ref(&key)).await?.pop().flatten();
        row.map(|row| Checkpoint::from_row(&row)).transpose().map_err(|error| unreadable(&key, &error))
    }

    /// The checkpoints of one family.
    pub fn of(&self, family: Family) -> &Checkpoints {
        &self.checkpoints[family as usize]
    }

    /// The checkpoints of one family.
    pub fn of_mut(&mut self, family: Family) -> &mut Checkpoints {
        &mut self.checkpoints[family as usize]
    }
}

fn unreadable(key: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Corrupt { doing: "read the chain of hashes", reason: format!("the row {key} of {VIEW}: {error}") }
}
