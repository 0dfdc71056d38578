//! Keeping a casebook up to date with the log, in all of its partitions.

use std::collections::BTreeMap;

use hemostat_runtime::{
    Context,
    log::{Error, Order, Range},
};
use hemostat_schema::{EventId, Family, Partition};
use tokio::sync::Mutex;

use crate::counsel::Counsel;

/// So many diagnoses are read at once.
const PAGE: usize = 500;

/// How far the log has been read.
#[derive(Debug)]
pub(super) struct Reading {
    ctx: Context,
    read: Mutex<BTreeMap<Partition, EventId>>,
}

impl Reading {
    /// Nothing has been read.
    pub fn new(ctx: &Context) -> Self {
        Self { ctx: ctx.clone(), read: Mutex::default() }
    }

    /// Takes in everything that the log says by now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn catch_up(&self, counsel: &Counsel) -> Result<(), Error> {
        let now = self.ctx.clock.now();
        let horizon = counsel.casebook().horizon(now);
        let mut read = self.read.lock().await;
        for partition in self.ctx.partitions() {
            let from = read.entry(partition).or_insert_with(|| EventId::at(partition, horizon));
            loop {
                let range = Range::after(*from);
                let log = &self.ctx.log;
                let page = log.read(partition, &[Family::Diagnosis], range, Order::OldestFirst, PAGE).await?;
                let Some(last) = page.last().map(|entry| entry.id) else { break };
                let mut casebook = counsel.casebook();
                page.iter().filter_map(|entry| entry.event.as_ref().ok()).for_each(|event| casebook.evolve(event));
                *from = last;
            }
        }
        counsel.casebook().forget(now);
        Ok(())
    }
}
