//! Follows the log: reads matching events as they are appended.

use std::time::Duration;

use hemostat_history::Filter;
use hemostat_runtime::{
    Context,
    log::{Order, Range},
};
use hemostat_schema::{EventId, Partition, Recorded};
use tracing::warn;

/// Entries per read.
const PAGE: usize = 500;
/// How long to wait for an append signal. A failed read is retried after this time, because no signal announces it.
const POLL: Duration = Duration::from_secs(1);

/// Calls `tell` for the events that match `filter` and come after an id of each partition, in the order of each partition,
/// until the shutdown.
pub async fn follow(
    ctx: Context,
    filter: Filter,
    after: impl Fn(Partition) -> EventId,
    mut tell: impl FnMut(&Recorded) + Send + 'static,
) {
    let families = filter.families();
    let mut partitions: Vec<_> = filter
        .partitions(ctx.log.partitions())
        .into_iter()
        .map(|partition| (partition, after(partition), ctx.log.append_signal(partition)))
        .collect();
    while !ctx.shutdown.is_cancelled() {
        for (partition, last, append_signal) in &mut partitions {
            append_signal.mark_unchanged();
            loop {
                let page = ctx.log.raw(*partition, &families, Range::after(*last), Order::OldestFirst, PAGE).await;
                let page = match page {
                    Ok(page) => page,
                    Err(error) => {
                        warn!("could not read the log, retrying: {error}");
                        break;
                    }
                };
                for raw in &page {
                    *last = raw.id;
                    let Some(entry) = filter.pick(raw) else { continue };
                    match &entry.event {
                        Ok(event) => tell(event),
                        Err(reason) => warn!("could not decode event {}: {reason}", entry.id),
                    }
                }
                if page.len() < PAGE {
                    break;
                }
            }
        }
        let append_signals = partitions.iter_mut().map(|(_, _, append_signal)| Box::pin(append_signal.changed()));
        tokio::select! {
            _ = futures::future::select_all(append_signals) => {}
            () = tokio::time::sleep(POLL) => {}
            () = ctx.shutdown.cancelled() => break,
        }
    }
}
