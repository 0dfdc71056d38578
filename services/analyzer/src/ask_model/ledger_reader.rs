//! Reads diagnoses of all partitions from the log into the usage ledger.

use std::collections::BTreeMap;

use hemostat_runtime::{
    Context,
    log::{Error, Order, Range},
};
use hemostat_schema::{EventId, Family, Partition};
use tokio::sync::Mutex;

use crate::model_client::ModelClient;

/// Events per read.
const PAGE: usize = 500;

/// Keeps the usage ledger up to date with the log.
#[derive(Debug)]
pub(super) struct LedgerReader {
    ctx: Context,
    /// The last event read of each partition.
    offsets: Mutex<BTreeMap<Partition, EventId>>,
}

impl LedgerReader {
    /// Starts at the ledger's horizon.
    pub fn new(ctx: &Context) -> Self {
        Self { ctx: ctx.clone(), offsets: Mutex::default() }
    }

    /// Reads to the current end of the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn catch_up(&self, client: &ModelClient) -> Result<(), Error> {
        let now = self.ctx.clock.now();
        let horizon = client.ledger().horizon(now);
        let mut offsets = self.offsets.lock().await;
        for partition in self.ctx.partitions() {
            let offset = offsets.entry(partition).or_insert_with(|| EventId::at(partition, horizon));
            loop {
                let range = Range::after(*offset);
                let log = &self.ctx.log;
                let page = log.read(partition, &[Family::Diagnosis], range, Order::OldestFirst, PAGE).await?;
                let Some(last) = page.last().map(|entry| entry.id) else { break };
                let mut ledger = client.ledger();
                page.iter().filter_map(|entry| entry.event.as_ref().ok()).for_each(|event| ledger.apply(event));
                *offset = last;
            }
        }
        client.ledger().evict(now);
        Ok(())
    }
}
