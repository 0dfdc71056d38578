//! Computes the chains of hashes again and compares them with the notary's checkpoints and the witness's records.

use std::collections::{BTreeMap, VecDeque};

use hemostat_log::{
    Error, History, RawEntry,
    chain::{self, Checkpoint, Hash, Link, Mark, Tip, first_difference},
};
use hemostat_schema::{EventId, Family, Partition};

use super::report::{Difference, Others, Report, chain_of};

/// The chains of one partition.
#[derive(Debug)]
pub(super) struct Chains(BTreeMap<Family, Chain>);

/// The chain of one family: what the notary saw, and what history holds now.
#[derive(Debug)]
struct Chain {
    partition: Partition,
    family: Family,
    /// The notary's blocks that were not compared yet.
    blocks: VecDeque<Checkpoint>,
    /// The witness's records: the hash after this many events.
    witnessed: BTreeMap<u64, Hash>,
    /// The check starts after this event, as earlier ones were trimmed.
    starts_after: Option<EventId>,
    /// The chain of the events that were read.
    computed: Link,
    /// The events since the last block, for comparison one by one.
    marks: Vec<Mark>,
    /// How many events were checked.
    count: u64,
    /// The first difference; nothing is checked after it.
    difference: Option<Difference>,
}

impl Chains {
    /// Loads the notary's blocks and the witness's records.
    pub async fn load(
        history: &History,
        others: Others<'_>,
        partition: Partition,
        trimmed: &BTreeMap<Family, EventId>,
        report: &mut Report,
    ) -> Result<Self, Error> {
        let mut blocks: BTreeMap<Family, BTreeMap<u64, Checkpoint>> = BTreeMap::new();
        for (key, row) in history.log().snapshot(partition, chain::VIEW).await? {
            let Some((family, count)) = chain::parse_key(&key) else { continue };
            let block = match count {
                Some(_) => Checkpoint::from_row(&row).map(Some),
                // The block from the last checkpoint to the tip is open.
                None => Tip::from_row(&row)
                    .map(|Tip { link, last, since, marks }| last.map(|last| Checkpoint { link, since, last, marks })),
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
            let witnessed = records(others, partition, family, report).await;
            chains
                .insert(family, Chain::new(partition, family, blocks.into_values().collect(), witnessed, lost, report));
        }
        Ok(Self(chains))
    }

    /// The last event in any chain.
    pub fn last(&self) -> Option<EventId> {
        self.0.values().filter_map(|chain| chain.blocks.back()).map(|block| block.last).max()
    }

    /// Adds the next event of the partition.
    pub fn take(&mut self, entry: &RawEntry) {
        if let Some(chain) = self.0.get_mut(&entry.family) {
            chain.take(entry);
        }
    }

    /// Reports the result, after the last event.
    pub fn finish(self, report: &mut Report) {
        for mut chain in self.0.into_values() {
            chain.close_before(None);
            report.chained += chain.count;
            report.differences.extend(chain.difference);
        }
    }
}

impl Chain {
    fn new(
        partition: Partition,
        family: Family,
        mut blocks: VecDeque<Checkpoint>,
        witnessed: BTreeMap<u64, Hash>,
        lost: Option<EventId>,
        report: &mut Report,
    ) -> Self {
        let mut computed = Link::default();
        let mut starts_after = None;
        if let Some(lost) = lost {
            // Without the trimmed events the chain cannot be computed: the check starts at the first complete block.
            let is_cut = |block: &Checkpoint| block.marks.first().is_none_or(|mark| mark.id(partition) <= lost);
            while blocks.front().is_some_and(is_cut)
                && let Some(block) = blocks.pop_front()
            {
                (computed, starts_after) = (block.link, Some(block.last));
            }
            report.notes.push(format!(
                "{family}s of partition {partition} up to {lost} were discarded without an archive; their chain is checked \
                 from event {} on",
                computed.count + 1
            ));
        }
        Self { partition, family, blocks, witnessed, starts_after, computed, marks: vec![], count: 0, difference: None }
    }

    fn take(&mut self, entry: &RawEntry) {
        if self.difference.is_some() || self.starts_after.is_some_and(|last| entry.id <= last) {
            return;
        }
        self.close_before(Some(entry.id));
        if self.difference.is_some() || self.blocks.is_empty() {
            return;
        }
        self.computed = self.computed.then(entry);
        self.marks.push(Mark::of(entry));
        self.count += 1;
        if let Some(witnessed) = self.witnessed.get(&self.computed.count)
            && *witnessed != self.computed.hash
        {
            let count = self.computed.count;
            self.differ_at(Some(entry.id), format!("the chain of the first {count} events differs from the witness's record; event {} is the last of them", entry.id));
        }
    }

    /// Compares the blocks that end before `next`; without `next`, all of them.
    fn close_before(&mut self, next: Option<EventId>) {
        let is_complete = |block: &Checkpoint| next.is_none_or(|next| block.last < next);
        while self.difference.is_none()
            && self.blocks.front().is_some_and(is_complete)
            && let Some(block) = self.blocks.pop_front()
        {
            if block.link != self.computed {
                self.find_difference(&block);
            }
            self.marks.clear();
        }
    }

    fn find_difference(&mut self, block: &Checkpoint) {
        // Checkpoints of archived events are deleted: then the marks reach further back than the block.
        let begins = block.marks.first().map_or(block.last, |mark| mark.id(self.partition));
        // If the marks start where the block starts, an event before the block's first one was added to the block.
        let follows = self.computed.count - self.marks.len() as u64 == block.since.count;
        let is_within = |mark: &&Mark| follows || begins <= mark.id(self.partition);
        let within: Vec<Mark> = self.marks.iter().filter(is_within).copied().collect();
        let before = self.marks.len() - within.len();
        let since = self.computed.count - within.len() as u64;
        match first_difference(self.partition, &block.marks, &within) {
            // The same events, with a different history before them.
            None => {
                let (seen, found) = (block.link.hash, self.computed.hash);
                self.differ_at(
                    Some(begins),
                    format!("an event before {begins} differs from what the notary saw: the hash after {} is {found} instead of {seen}", block.last),
                );
            }
            Some(_) if before > 0 && since != block.since.count => {
                self.differ_at(
                    None,
                    format!("before {begins} there are {since} events, and the notary saw {}", block.since.count),
                );
            }
            Some(difference) => self.differ_at(Some(difference.id()), format!("{difference} since the notary saw it")),
        }
    }

    fn differ_at(&mut self, event: Option<EventId>, why: String) {
        self.difference = Some(Difference::History { partition: self.partition, family: self.family, event, why });
    }
}

async fn records(others: Others<'_>, partition: Partition, family: Family, report: &mut Report) -> BTreeMap<u64, Hash> {
    let Some(witness) = others.witness else { return BTreeMap::new() };
    match witness.records(partition, family).await {
        Ok(records) => records.into_iter().map(|record| (record.count, record.hash)).collect(),
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

    /// The difference between a history and the notary's chain of `seen`.
    fn difference(seen: &[RawEntry], found: &[RawEntry]) -> Option<String> {
        let mut tip = Tip::default();
        let mut blocks: VecDeque<Checkpoint> = seen.iter().filter_map(|entry| tip.fold(entry, 4)).collect();
        if let Some(last) = tip.last {
            blocks.push_back(Checkpoint { link: tip.link, since: tip.since, last, marks: tip.marks });
        }
        let mut chain = Chain::new(P, Family::Action, blocks, BTreeMap::new(), None, &mut Report::default());
        found.iter().for_each(|entry| chain.take(entry));
        chain.close_before(None);
        match chain.difference {
            Some(Difference::History { why, .. }) => Some(why),
            other => other.map(|other| format!("{other:?}")),
        }
    }

    #[test]
    fn an_added_or_removed_event_is_named_wherever_it_is_also_between_two_blocks() {
        let seen: Vec<RawEntry> = (1..=18).map(|n| entry(n * 10)).collect();
        assert_eq!(difference(&seen, &seen), None);
        for index in 0..seen.len() {
            let (mut more, mut fewer) = (seen.clone(), seen.clone());
            more.insert(index, entry(seen[index].id.ms - 5));
            let added = Event::Added(more[index].id);
            assert_eq!(difference(&seen, &more), Some(format!("{added} since the notary saw it")));
            let missing = Event::Missing(fewer.remove(index).id);
            assert_eq!(difference(&seen, &fewer), Some(format!("{missing} since the notary saw it")));
        }
    }
}
