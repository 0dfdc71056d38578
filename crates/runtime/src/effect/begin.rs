//! Where a new group begins that does not begin at the first event.
//!
//! It begins now, and what is still open waits as a retry that is due at once. So the ordinary path executes it, in the
//! order of its subject, also if this process dies meanwhile.

use hemostat_log::{Commit, Error, Lease, Order, Range, TimerUpdate};
use hemostat_schema::Recorded;
use tracing::info;

use super::{Effect, retries::Retry};
use crate::{
    context::Context,
    worker::{WorkerError, commit},
};

/// Entries that are read at once.
const PAGE: usize = 1000;

/// Lets the group of `lease` begin now, if it is new.
///
/// The timers come first: if this process dies before the group exists, all of this is repeated.
pub(super) async fn begin_now<E: Effect>(ctx: &Context, effect: &E, lease: &Lease) -> Result<(), WorkerError> {
    let (log, partition) = (&ctx.log, lease.partition);
    for family in E::READS {
        if log.groups(partition, *family).await?.contains(&lease.group) {
            return Ok(());
        }
    }
    let now = log.clock(partition).await?;
    let open = open_until(ctx, effect, lease, Range::ALL.up_to(now)).await?;
    if !open.is_empty() {
        info!("{}: begins now, with {} of what was there before", lease.group, open.len());
    }
    let left = log.timers(partition, &lease.group).await?;
    let left = left.into_iter().map(|timer| TimerUpdate::Cancel { subject: timer.subject, name: timer.name });
    let due = ctx.clock.now();
    let waits =
        |event: Recorded| Retry { subject: event.subject, event: event.id, attempts: 0, since: due, due }.timer();
    let timers: Vec<TimerUpdate> = left.chain(open.into_iter().map(waits)).collect();
    if !timers.is_empty() {
        commit(ctx, &Commit { timers, ..Commit::new(lease.clone()) }).await?;
    }
    Ok(log.start_group(lease, E::READS, now).await?)
}

async fn open_until<E: Effect>(
    ctx: &Context,
    effect: &E,
    lease: &Lease,
    mut range: Range,
) -> Result<Vec<Recorded>, Error> {
    let mut open = vec![];
    loop {
        let page = ctx.log.read(lease.partition, E::READS, range, Order::OldestFirst, PAGE).await?;
        let Some(last) = page.last().map(|entry| entry.id) else { return Ok(open) };
        range = Range { to: range.to, ..Range::after(last) };
        page.into_iter().filter_map(|entry| entry.event.ok()).for_each(|event| effect.keep_open(&mut open, event));
    }
}
