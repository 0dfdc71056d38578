//! In which order a group sees the log: by id across its families, each event once, nothing too early.
//!
//! Redis hands out new entries family by family, at most `count` of each. A family that gave fewer than that has given
//! all there is at that instant; one that gave `count` may have more, which can only be younger than its last. So
//! everything up to the smallest such last entry is complete, and the rest is held back until the next read:
//!
//! ```text
//!   count 3   observations  1  4  6 │ .. maybe more from here on
//!             actions       2     7 │ all there is
//!             given         1 2 4 6 │ 7 is held back, as an observation might come before it
//! ```
//!
//! What the group was handed earlier and has not acknowledged comes first, put into the same order.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use hemostat_schema::{EventId, Family};

use crate::{Delivery, Error, Lease, Log, Reader};

/// The deliveries of one group in one partition, in id order across families.
#[derive(Debug)]
pub struct Inbox {
    log: Arc<dyn Log>,
    lease: Lease,
    families: Vec<Family>,
    reader: Option<Reader>,
    ready: VecDeque<Delivery>,
    held: BTreeMap<EventId, Delivery>,
}

impl Inbox {
    /// The inbox of whoever holds `lease`; reads nothing yet.
    pub fn new(log: Arc<dyn Log>, lease: Lease, families: impl Into<Vec<Family>>) -> Self {
        let mut families = families.into();
        families.sort_unstable();
        families.dedup();
        Self { log, lease, families, reader: None, ready: VecDeque::new(), held: BTreeMap::new() }
    }

    /// The lease that it reads by.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The next deliveries, at most `max`; empty when there is nothing new: then wait for the bell.
    ///
    /// An event is given once until it is acknowledged in a commit, or until [`reset`](Self::reset).
    ///
    /// # Errors
    /// After any error the inbox has reset itself: what was given and not acknowledged will be given again, so the
    /// caller forgets what it has in hand. [`Error::Fenced`] when the lease is lost.
    pub async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, Error> {
        if self.ready.is_empty() {
            let filled = self.fill(max.max(1)).await;
            filled.inspect_err(|_| self.reset())?;
        }
        let count = self.ready.len().min(max);
        Ok(self.ready.drain(..count).collect())
    }

    /// Begins again with what is not acknowledged. For after a commit that was lost, or of which it is not known
    /// whether it was done.
    pub fn reset(&mut self) {
        self.reader = None;
        self.ready.clear();
        self.held.clear();
    }

    async fn fill(&mut self, count: usize) -> Result<(), Error> {
        let reader = match self.reader {
            Some(reader) => reader,
            None => {
                let backlog = self.log.pending(&self.lease, &self.families).await?;
                self.held = backlog.deliveries.into_iter().map(|delivery| (delivery.id, delivery)).collect();
                *self.reader.insert(backlog.reader)
            }
        };
        let new = self.log.deliver(&self.lease, reader, &self.families, count).await?;
        let complete = complete_up_to(&self.families, &new, count);
        self.held.extend(new.into_iter().map(|delivery| (delivery.id, delivery)));
        match complete {
            None => self.ready.extend(std::mem::take(&mut self.held).into_values()),
            Some(id) => {
                while let Some(first) = self.held.first_entry().filter(|first| *first.key() <= id) {
                    self.ready.push_back(first.remove());
                }
            }
        }
        Ok(())
    }
}

/// The last id up to which every family is known; none when all that there is was given.
fn complete_up_to(families: &[Family], new: &[Delivery], count: usize) -> Option<EventId> {
    families
        .iter()
        .filter_map(|family| {
            let of_family = || new.iter().filter(|delivery| delivery.family == *family).map(|delivery| delivery.id);
            (of_family().count() >= count).then(|| of_family().max()).flatten()
        })
        .min()
}
