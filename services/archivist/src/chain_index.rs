//! Index of the notary's rows: the tip of each family's chain of hashes, and its checkpoints.

use std::collections::BTreeMap;

use hemostat_runtime::log::{
    Error, Log,
    chain::{Checkpoint, Link, Tip, VIEW, checkpoint_key, parse_key, tip_key},
};
use hemostat_schema::{EventId, Family, Partition};

/// The notary's consumer group.
pub const NOTARY_GROUP: &str = "notary";

/// The tips of a partition's chains.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tips([Tip; Family::ALL.len()]);

impl Tips {
    /// Reads them from the notary's rows.
    ///
    /// # Errors
    /// When the log cannot be read, or a row is invalid.
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

    /// The tip of one family.
    pub fn of(&self, family: Family) -> &Tip {
        &self.0[family as usize]
    }

    /// The tip of one family.
    pub fn of_mut(&mut self, family: Family) -> &mut Tip {
        &mut self.0[family as usize]
    }

    /// The notary's offset: the last event in any chain. All earlier events are in their chains.
    pub fn position(&self, partition: Partition) -> EventId {
        self.0.iter().filter_map(|tip| tip.last).max().unwrap_or(EventId::start(partition))
    }
}

/// The state of a chain after some event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainPosition {
    /// Number of events and hash.
    pub link: Link,
    /// The last event in the chain.
    pub last: EventId,
}

/// Iterates over checkpoints in log order.
pub type CheckpointIter<'a> = std::iter::Copied<std::collections::btree_map::Values<'a, u64, ChainPosition>>;

/// The checkpoints of one family by number of events, without their marks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoints(BTreeMap<u64, ChainPosition>);

impl Checkpoints {
    /// All checkpoints, oldest first.
    pub fn iter(&self) -> CheckpointIter<'_> {
        self.0.values().copied()
    }

    /// The checkpoint after `count` events.
    pub fn at(&self, count: u64) -> Option<ChainPosition> {
        self.0.get(&count).copied()
    }

    /// The last checkpoint for which `is` holds.
    pub fn last_where(&self, is: impl Fn(ChainPosition) -> bool) -> Option<ChainPosition> {
        self.iter().rev().find(|position| is(*position))
    }

    /// Adds a checkpoint.
    pub fn insert(&mut self, position: ChainPosition) {
        self.0.insert(position.link.count, position);
    }

    /// The counts of all checkpoints before the one after `count` events.
    pub fn before(&self, count: u64) -> Vec<u64> {
        self.0.range(..count).map(|(count, _)| *count).collect()
    }

    /// Removes a checkpoint.
    pub fn remove(&mut self, count: u64) {
        self.0.remove(&count);
    }
}

/// Tips and checkpoints of a partition, read incrementally.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChainIndex {
    /// The tips of the chains.
    pub tips: Tips,
    checkpoints: [Checkpoints; Family::ALL.len()],
}

impl ChainIndex {
    /// Reads all rows of the notary.
    ///
    /// # Errors
    /// When the log cannot be read, or a row is invalid.
    pub async fn read(log: &dyn Log, partition: Partition) -> Result<Self, Error> {
        let mut chain_index = Self::default();
        for (key, row) in log.all_rows(partition, VIEW).await? {
            if let Some((family, Some(_))) = parse_key(&key) {
                let Checkpoint { link, last, .. } =
                    Checkpoint::from_row(&row).map_err(|error| unreadable(&key, &error))?;
                chain_index.of_mut(family).insert(ChainPosition { link, last });
            }
        }
        chain_index.tips = Tips::read(log, partition).await?;
        Ok(chain_index)
    }

    /// Reads the rows added since, walking back from the tip to a known checkpoint.
    ///
    /// # Errors
    /// When the log cannot be read, or a row is invalid.
    pub async fn catch_up(&mut self, log: &dyn Log, partition: Partition) -> Result<(), Error> {
        self.tips = Tips::read(log, partition).await?;
        for family in Family::ALL {
            let mut count = self.tips.of(family).since.count;
            while count > 0 && self.of(family).at(count).is_none() {
                let Some(checkpoint) = Self::checkpoint(log, partition, family, count).await? else { break };
                self.of_mut(family).insert(ChainPosition { link: checkpoint.link, last: checkpoint.last });
                count = checkpoint.since.count;
            }
        }
        Ok(())
    }

    /// Reads one checkpoint with its marks.
    ///
    /// # Errors
    /// When the log cannot be read, or the row is invalid.
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
