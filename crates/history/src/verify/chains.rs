//! The chains of hashes, computed anew beside the notary's.

use std::collections::{BTreeMap, VecDeque};

use hemostat_log::{
    Error, History, RawEntry,
    chain::{self, Checkpoint, Hash, Link, Mark, Tip, first_difference},
};
use hemostat_schema::{EventId, Family, Partition};

use super::{Difference, Others, Report, chain_of};

/// The chains of one partition.
#[derive(Debug)]
pub(super) struct Chains(BTreeMap<Family, Chain>);

/// The chain of one family: what was seen, and what is found.
#[derive(Debug)]
struct Chain {
    partition: Partition,
    family: Family,
    /// The closed blocks that are yet to come.
    ahead: VecDeque<Block>,
    /// What the witness was told: after so many events the chain stood here.
    told: BTreeMap<u64, Hash>,
    /// Events up to here are gone; the chain is taken up behind them.
    begins: Option<EventId>,
    found: Link,
    marks: Vec<Mark>,
    count: u64,
    broken: Option<Difference>,
}

/// A block of the notary: closed by a checkpoint, or the open one.
#[derive(Debug)]
struct Block {
    since: Link,
    link: Link,
    last: EventId,
    marks: Vec<Mark>,
}

impl From<Checkpoint> for Block {
    fn from(Checkpoint { link, since, last, marks }: Checkpoint) -> Self {
        Self { since, link, last, marks }
    }
}

impl Chains {
    /// What the notary has seen, up to now.
    pub async fn load(
        history: &History,
        others: Others<'_>,
        partition: Partition,
        trimmed: &BTreeMap<Family, EventId>,
        report: &mut Report,
    ) -> Result<Self, Error> {
        let mut blocks: BTreeMap<Family, BTreeMap<u64, Block>> = BTreeMap::new();
        for (key, row) in history.log().snapshot(partition, chain::VIEW).await? {
            let Some((family, count)) = chain::parse_key(&key) else { continue };
            let block = match count {
                Some(_) => Checkpoint::from_row(&row).map(|checkpoint| Some(Block::from(checkpoint))),
                None => Tip::from_row(&row).map(|tip| tip.last.map(|last| open(tip, last))),
            };
            match block {
                Ok(Some(block)) => drop(blocks.entry(family).or_default().insert(count.unwrap_or(u64::MAX), block)),
                Ok(None) => {}
                Err(error) => report.differences.push(Difference::Row {
                    view: chain::VIEW.to_owned(),
                    key,
                    expected: None,
                    found: Some(format!("{} bytes that are no row of the notary: {error}", row.len()).into()),
                }),
            }
        }
        if blocks.is_empty() {
            report.unchecked.push(format!("no notary has seen partition {partition}: is an archivist running?"));
        }
        let mut chains = BTreeMap::new();
        for (family, blocks) in blocks {
            let lost = trimmed.get(&family).filter(|_| history.archive().is_none()).copied();
            let told = records(others, partition, family, report).await;
            chains.insert(family, Chain::new(partition, family, blocks.into_values().collect(), told, lost, report));
        }
        Ok(Self(chains))
    }

    /// The last event that a chain holds.
    pub fn upto(&self) -> Option<EventId> {
        self.0.values().filter_map(|chain| chain.ahead.back()).map(|block| block.last).max()
    }

    /// The next event of the partition.
    pub fn take(&mut self, entry: &RawEntry) {
        if let Some(chain) = self.0.get_mut(&entry.family) {
            chain.take(entry);
        }
    }

    /// What was found, after the last event.
    pub fn finish(self, report: &mut Report) {
        for mut chain in self.0.into_values() {
            chain.close_before(None);
            report.chained += chain.count;
            report.differences.extend(chain.broken);
        }
    }
}

/// The block that is not closed yet.
fn open(tip: Tip, last: EventId) -> Block {
    Block { since: tip.since, link: tip.link, last, marks: tip.marks }
}

impl Chain {
    fn new(
        partition: Partition,
        family: Family,
        mut ahead: VecDeque<Block>,
        told: BTreeMap<u64, Hash>,
        lost: Option<EventId>,
        report: &mut Report,
    ) -> Self {
        let mut found = Link::default();
        let mut begins = None;
        if let Some(lost) = lost {
            // Where events are gone the chain cannot be computed: it is taken up at the first block that is whole.
            let is_cut = |block: &Block| block.marks.first().is_none_or(|mark| mark.id(partition) <= lost);
            while let Some(block) = pop_front_if(&mut ahead, is_cut) {
                (found, begins) = (block.link, Some(block.last));
            }
            report.notes.push(format!(
                "{family}s of partition {partition} up to {lost} were discarded without an archive; their chain is checked \
                 from event {} on",
                found.count + 1
            ));
        }
        Self { partition, family, ahead, told, begins, found, marks: vec![], count: 0, broken: None }
    }

    fn take(&mut self, entry: &RawEntry) {
        if self.broken.is_some() || self.begins.is_some_and(|begins| entry.id <= begins) {
            return;
        }
        self.close_before(Some(entry.id));
        if self.broken.is_some() || self.ahead.is_empty() {
            return;
        }
        self.found = self.found.then(entry);
        self.marks.push(Mark::of(entry));
        self.count += 1;
        if let Some(told) = self.told.get(&self.found.count)
            && *told != self.found.hash
        {
            let count = self.found.count;
            self.break_at(Some(entry.id), format!("the chain of its first {count} events is not the one that the witness was told; event {} is the last of them", entry.id));
        }
    }

    /// Compares the blocks that end before `next`; all of them at the end.
    fn close_before(&mut self, next: Option<EventId>) {
        while self.broken.is_none()
            && let Some(block) = pop_front_if(&mut self.ahead, |block| next.is_none_or(|next| block.last < next))
        {
            if block.link != self.found {
                self.differs(&block);
            }
            self.marks.clear();
        }
    }

    fn differs(&mut self, block: &Block) {
        // Checkpoints behind which the archive answers are gone: then the marks reach further back than the block does.
        let begins = block.marks.first().map_or(block.last, |mark| mark.id(self.partition));
        // Where they reach back to where it begins, also what was put before its first event was put into it.
        let follows = self.found.count - self.marks.len() as u64 == block.since.count;
        let is_within = |mark: &&Mark| follows || begins <= mark.id(self.partition);
        let within: Vec<Mark> = self.marks.iter().filter(is_within).copied().collect();
        let before = self.marks.len() - within.len();
        let since = self.found.count - within.len() as u64;
        match first_difference(self.partition, &block.marks, &within) {
            // The same events, with another history before them.
            None => {
                let (seen, found) = (block.link.hash, self.found.hash);
                self.break_at(
                    Some(begins),
                    format!("an event before {begins} is not what the notary saw: the chain stands at {found} instead of {seen} after {}", block.last),
                );
            }
            Some(_) if before > 0 && since != block.since.count => {
                self.break_at(
                    None,
                    format!("before {begins} there are {since} events, and the notary saw {}", block.since.count),
                );
            }
            Some(difference) => self.break_at(Some(difference.id()), format!("{difference} since the notary saw it")),
        }
    }

    fn break_at(&mut self, event: Option<EventId>, why: String) {
        self.broken = Some(Difference::History { partition: self.partition, family: self.family, event, why });
    }
}

/// The first block, where it is such a one.
fn pop_front_if(blocks: &mut VecDeque<Block>, is: impl Fn(&Block) -> bool) -> Option<Block> {
    if blocks.front().is_some_and(is) { blocks.pop_front() } else { None }
}

async fn records(others: Others<'_>, partition: Partition, family: Family, report: &mut Report) -> BTreeMap<u64, Hash> {
    let Some(witness) = others.witness else { return BTreeMap::new() };
    match witness.records(partition, family).await {
        Ok(told) => told.into_iter().map(|told| (told.count, told.hash)).collect(),
        Err(error) => {
            let why = chain_of(&error);
            report.unchecked.push(format!("the witness of {family}s in partition {partition}: {why}"));
            BTreeMap::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hemostat_log::chain::Difference as Event;

    use super::*;

    const P: Partition = Partition(0);

    fn entry(ms: u64) -> RawEntry {
        let envelope = (Bytes::from_static(b"e"), Bytes::from(ms.to_string()));
        RawEntry { id: EventId { partition: P, ms, seq: 0 }, family: Family::Action, fields: vec![envelope] }
    }

    /// What is said of a history that the notary saw as `seen`.
    fn said(seen: &[RawEntry], found: &[RawEntry]) -> Option<String> {
        let mut tip = Tip::default();
        let mut blocks: VecDeque<Block> = seen.iter().filter_map(|entry| tip.fold(entry, 4)).map(Block::from).collect();
        if let Some(last) = tip.last {
            blocks.push_back(open(tip, last));
        }
        let mut chain = Chain::new(P, Family::Action, blocks, BTreeMap::new(), None, &mut Report::default());
        found.iter().for_each(|entry| chain.take(entry));
        chain.close_before(None);
        match chain.broken {
            Some(Difference::History { why, .. }) => Some(why),
            other => other.map(|other| format!("{other:?}")),
        }
    }

    #[test]
    fn wherever_one_was_added_or_taken_away_it_is_named_also_between_two_blocks() {
        let seen: Vec<RawEntry> = (1..=18).map(|n| entry(n * 10)).collect();
        assert_eq!(said(&seen, &seen), None);
        for index in 0..seen.len() {
            let (mut more, mut fewer) = (seen.clone(), seen.clone());
            more.insert(index, entry(seen[index].id.ms - 5));
            let added = Event::Added(more[index].id);
            assert_eq!(said(&seen, &more), Some(format!("{added} since the notary saw it")));
            let missing = Event::Missing(fewer.remove(index).id);
            assert_eq!(said(&seen, &fewer), Some(format!("{missing} since the notary saw it")));
        }
    }
}
