//! Delivers the entries of several streams to a consumer group in one order: by id, each once.
//!
//! Redis returns new entries family by family, at most `count` of each. A family that returned fewer has no more at that
//! instant; one that returned `count` may have more, all of them later than its last. So everything up to the smallest such
//! last entry is complete, and the rest is held back until the next read:
//!
//! ```text
//!   count 3   observations  1  4  6 │ .. there may be more
//!             actions       2     7 │ no more
//!             delivered     1 2 4 6 │ 7 is held back, as an observation might come before it
//! ```
//!
//! Pending entries (delivered earlier and not acknowledged) come first, in the same order.

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
    /// The inbox of the holder of `lease`; reads nothing yet.
    pub fn new(log: Arc<dyn Log>, lease: Lease, families: impl Into<Vec<Family>>) -> Self {
        let mut families = families.into();
        families.sort_unstable();
        families.dedup();
        Self { log, lease, families, reader: None, ready: VecDeque::new(), held: BTreeMap::new() }
    }

    /// The lease that it reads with.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The next deliveries, at most `max`; empty when there is nothing new: then wait for
    /// [`Log::append_signal`].
    ///
    /// An event is delivered once until a commit acknowledges it, or until [`reset`](Self::reset).
    ///
    /// # Errors
    /// After any error the inbox has reset itself: it will deliver unacknowledged events again, so the caller drops those
    /// that it holds. [`Error::Fenced`] when the lease is lost.
    pub async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, Error> {
        if self.ready.is_empty() {
            let filled = self.fill(max.max(1)).await;
            filled.inspect_err(|_| self.reset())?;
        }
        let count = self.ready.len().min(max);
        Ok(self.ready.drain(..count).collect())
    }

    /// Starts again with the unacknowledged events. For use after a commit that was lost or whose outcome is unknown.
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

/// The id up to which every family is complete; none when no family has more.
fn complete_up_to(families: &[Family], new: &[Delivery], count: usize) -> Option<EventId> {
    families
        .iter()
        .filter_map(|family| {
            let of_family = || new.iter().filter(|delivery| delivery.family == *family).map(|delivery| delivery.id);
            (of_family().count() >= count).then(|| of_family().max()).flatten()
        })
        .min()
}
