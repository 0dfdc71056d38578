//! Reading the log as it grows.

use hemostat_runtime::{
    Context,
    log::{Order, Range},
};
use hemostat_schema::{EventId, Family, Partition, Recorded};
use tracing::warn;

const PAGE: usize = 500;

/// Gives every event of every partition to `tell`, from the beginning, each partition in its order, until the process is
/// told to end.
pub async fn follow(ctx: Context, tell: impl FnMut(&Recorded) + Send + 'static) {
    follow_from(ctx, EventId::start, tell).await;
}

/// The same for what comes after an id of each partition.
pub async fn follow_from(
    ctx: Context,
    after: impl Fn(Partition) -> EventId,
    mut tell: impl FnMut(&Recorded) + Send + 'static,
) {
    let mut readers: Vec<_> =
        ctx.partitions().map(|partition| (partition, after(partition), ctx.log.bell(partition))).collect();
    while !ctx.shutdown.is_cancelled() {
        for (partition, last, bell) in &mut readers {
            bell.mark_unchanged();
            loop {
                let page = ctx.log.read(*partition, &Family::ALL, Range::after(*last), Order::OldestFirst, PAGE).await;
                let page = match page {
                    Ok(page) => page,
                    Err(error) => {
                        warn!("could not read the log: {error}; trying again");
                        break;
                    }
                };
                for entry in &page {
                    match &entry.event {
                        Ok(event) => tell(event),
                        Err(reason) => warn!("event {} cannot be read: {reason}", entry.id),
                    }
                    *last = entry.id;
                }
                if page.len() < PAGE {
                    break;
                }
            }
        }
        let bells = readers.iter_mut().map(|(_, _, bell)| Box::pin(bell.changed()));
        tokio::select! {
            _ = futures::future::select_all(bells) => {}
            // A bell may ring for a page that could not be read; look again now and then.
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
            () = ctx.shutdown.cancelled() => break,
        }
    }
}
