//! Wakes the local readers of a partition when entries are appended: one blocking XREAD per partition, on a connection of
//! its own and outside any consumer group, so that cancelling it at any moment loses nothing.
//!
//! The order matters: read the clock, signal, then wait for entries after that clock. An entry that is appended in between
//! is either seen by the readers that were woken or ends the wait at once.

use std::{sync::Arc, time::Duration};

use hemostat_schema::{EventId, Family, Partition};
use tokio::{sync::watch, time::sleep};
use tracing::{debug, info, warn};

use super::{connection::Connection, keys::Keys, shared::Shared};
use crate::Error;

/// How long one XREAD waits. A peer that vanished silently is noticed after this plus the time limit.
const BLOCK: Duration = Duration::from_secs(5);

/// Signals appends to `partition` for ever.
pub(super) async fn run(shared: Arc<Shared>, partition: Partition, append_signal: watch::Sender<u64>) {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);
    let mut delay = FIRST;
    let mut broken = false;
    loop {
        match shared.dedicated(partition).await {
            Ok(connection) => {
                if std::mem::take(&mut broken) {
                    info!(%partition, server = %connection.place(), "Redis is back");
                }
                delay = FIRST;
                let error = listen(&connection, partition, shared.options().limit(), &append_signal).await;
                shared.on_failure(connection.place(), &error).await;
                debug!(%partition, %error, "the wait for new events was interrupted");
            }
            Err(error) if !broken => {
                broken = true;
                warn!(%partition, %error, "cannot wait for new events, trying again");
            }
            Err(_) => {}
        }
        sleep(delay).await;
        delay = (delay * 2).min(LONGEST);
    }
}

/// Signals until something fails.
async fn listen(
    connection: &Connection,
    partition: Partition,
    limit: Duration,
    append_signal: &watch::Sender<u64>,
) -> Error {
    loop {
        let heard = match clock(connection, partition, limit).await {
            Ok(clock) => {
                append_signal.send_modify(|count| *count += 1);
                wait(connection, partition, clock, limit).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = heard {
            return error;
        }
    }
}

const DOING: &str = "wait for new events";

async fn clock(connection: &Connection, partition: Partition, limit: Duration) -> Result<EventId, Error> {
    let reply = connection.call(DOING, "GET", vec![Keys(partition).clock().into()], limit).await?;
    reply.clock(partition, DOING)
}

/// Waits until an entry comes after `clock`.
async fn wait(connection: &Connection, partition: Partition, clock: EventId, limit: Duration) -> Result<(), Error> {
    let mut args =
        vec!["COUNT".into(), "1".into(), "BLOCK".into(), BLOCK.as_millis().to_string().into(), "STREAMS".into()];
    args.extend(Family::ALL.map(|family| Keys(partition).stream(family).into()));
    args.extend(Family::ALL.map(|_| clock.entry().into()));
    while connection.call(DOING, "XREAD", args.clone(), BLOCK + limit).await?.list(DOING)?.is_empty() {}
    Ok(())
}
