//! Follows the log until the shutdown.

use hemostat_history::{Cursor, Filter, Follower, follow::RETRY_AFTER};
use hemostat_runtime::Context;
use hemostat_schema::Recorded;
use tokio::time::sleep;
use tracing::warn;

/// Calls `tell` for the events that match `filter` and come after `start`, in the order of each partition, until the
/// shutdown.
pub async fn follow(ctx: &Context, filter: Filter, start: &Cursor, mut tell: impl FnMut(&Recorded)) {
    let mut follower = Follower::new(&ctx.history, filter, start);
    loop {
        let found = tokio::select! {
            found = follower.next() => found,
            () = ctx.shutdown.cancelled() => return,
        };
        match found {
            Ok(entries) => {
                for entry in entries {
                    match &entry.event {
                        Ok(event) => tell(event),
                        Err(reason) => warn!("could not decode event {}: {reason}", entry.id),
                    }
                }
            }
            Err(error) => {
                warn!("could not read the log, retrying: {error}");
                sleep(RETRY_AFTER).await;
            }
        }
    }
}
