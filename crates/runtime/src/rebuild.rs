//! Rebuilds materialised rows from the beginning of history: views beside the ones that are served, deciders in place.

use std::time::Duration;

use hemostat_core::{
    Decider, Projection,
    fold::{decider_view, projection_group},
};
use hemostat_log::{Commit, Error, History, Log, Order, Range, RowChange};
use hemostat_schema::{EventId, Family, Partition};
use tokio::time::sleep;

use crate::{
    context::Context,
    project,
    read_model::{FOLDED_COUNT, Generations, OFFSET, decode_row, offset},
    session::{LiveProcess, live_processes},
    task::Task,
};

/// What can be rebuilt: the view of a projection or the state of a decider.
#[derive(Debug, Clone, Copy)]
pub struct Rebuildable {
    /// The name on the command line.
    pub name: &'static str,
    /// The version of its rows.
    pub version: u16,
    /// The families that it reads.
    pub reads: &'static [Family],
    group: fn() -> String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    View(fn(&Context) -> Vec<Task>),
    Decider,
}

impl Rebuildable {
    /// The view `P`.
    pub fn view<P: Projection>() -> Self {
        let kind = Kind::View(project::projection::<P>);
        Self { name: P::NAME, version: P::VERSION, reads: P::READS, group: projection_group::<P>, kind }
    }

    /// The state of `D`.
    pub fn decider<D: Decider>() -> Self {
        let kind = Kind::Decider;
        Self { name: D::GROUP, version: D::VERSION, reads: D::READS, group: decider_view::<D>, kind }
    }

    /// The workers that maintain it; `None` for a decider.
    pub fn workers(&self, ctx: &Context) -> Option<Vec<Task>> {
        match self.kind {
            Kind::View(tasks) => Some(tasks(ctx)),
            Kind::Decider => None,
        }
    }

    /// Whether it is the view of a projection.
    pub fn is_view(&self) -> bool {
        matches!(self.kind, Kind::View(_))
    }

    /// The name of its view; for a projection also that of the group that maintains it.
    pub fn group(&self) -> String {
        (self.group)()
    }

    /// The first event that it reads.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn first(&self, history: &History, partition: Partition) -> Result<Option<EventId>, Error> {
        let first = history.raw(partition, self.reads, Range::ALL, Order::OldestFirst, 1).await?;
        Ok(first.first().map(|entry| entry.id))
    }

    /// The last event that was trimmed and is in no archive, so that its rows cannot be rebuilt.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn missing(&self, history: &History, partition: Partition) -> Result<Option<EventId>, Error> {
        Ok(project::trimmed_without_archive(history, partition, self.reads).await?.map(|(_, last)| last))
    }
}

/// The rebuild of a view.
#[derive(Debug)]
pub(crate) struct ViewRebuild {
    /// The view that will be served.
    pub view: String,
    /// Whether it is being built already.
    pub is_under_way: bool,
}

/// What a rebuild of the view of `group` in `partition` would be.
///
/// # Errors
/// When the log cannot be read.
pub(crate) async fn plan(log: &dyn Log, partition: Partition, group: &str) -> Result<ViewRebuild, Error> {
    let generations = Generations::read(log, partition, group).await?;
    if let Some(requested) = generations.requested() {
        return Ok(ViewRebuild { view: requested.to_owned(), is_under_way: true });
    }
    let is_complete = match generations.served() {
        Some(served) => offset(log, partition, served).await?.is_some(),
        None => false,
    };
    Ok(ViewRebuild { view: generations.next(), is_under_way: !is_complete })
}

/// Requests that the view of `group` in `partition` is rebuilt; returns the name of the view that will be served then. A
/// rebuild that is under way is not started again.
///
/// # Errors
/// When the log cannot be read or written.
pub async fn request(log: &dyn Log, partition: Partition, group: &str) -> Result<String, Error> {
    let ViewRebuild { view, is_under_way } = plan(log, partition, group).await?;
    if !is_under_way {
        log.request_view(partition, group, &view).await?;
    }
    Ok(view)
}

/// Whether any other process is a member of `group`.
///
/// # Errors
/// When the log cannot be read.
pub async fn has_members(ctx: &Context, group: &str) -> Result<bool, Error> {
    for partition in ctx.partitions() {
        let live = live_processes(&*ctx.log, partition).await?;
        let is_member = |process: &LiveProcess| process.says.groups.contains_key(group) && process.owner != ctx.owner;
        if live.iter().any(is_member) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The progress of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The offset of the view; `None` before the projector has begun.
    pub at: Option<EventId>,
    /// The end of the log.
    pub clock: EventId,
    /// How many events were folded.
    pub folded: u64,
    /// Whether the view is served.
    pub served: bool,
}

/// The progress of the rebuild of `group`'s `view`.
///
/// # Errors
/// When the log cannot be read.
pub async fn progress(log: &dyn Log, partition: Partition, group: &str, view: &str) -> Result<Progress, Error> {
    let clock = log.clock(partition).await?;
    let keys = [OFFSET, FOLDED_COUNT].map(str::to_owned);
    let mut read = log.rows(partition, view, &keys).await?.into_iter();
    let mut next = |key| read.next().flatten().map(|bytes| (key, bytes));
    let (at, folded) = (next(OFFSET), next(FOLDED_COUNT));
    let at = at.map(|(key, bytes)| decode_row(view, key, &bytes)).transpose()?;
    let folded = folded.map(|(key, bytes)| decode_row(view, key, &bytes)).transpose()?;
    let served = Generations::read(log, partition, group).await?.has_served(view);
    Ok(Progress { at, clock, folded: folded.unwrap_or(0), served })
}

/// Makes a decider fold its state again: deletes its offset, so that the next lease holder folds all of history.
///
/// # Errors
/// When the log cannot be read or written, or other processes always acquired the lease first.
pub async fn refold(ctx: &Context, partition: Partition, decider: &Rebuildable) -> Result<(), Error> {
    const ATTEMPTS: u32 = 50;
    let group = decider.name;
    for _ in 0..ATTEMPTS {
        ctx.log.revoke(partition, group).await?;
        let Some(lease) = ctx.log.acquire(partition, group, &ctx.owner, ctx.lease_ttl).await? else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let row = RowChange { view: decider.group(), key: OFFSET.to_owned(), row: None };
        let done = ctx.log.commit(&Commit { rows: vec![row], ..Commit::new(lease.clone()) }).await;
        ctx.log.release(&lease).await?;
        match done {
            Ok(_) => return Ok(()),
            Err(hemostat_log::CommitError::Log(error)) => return Err(error),
            Err(_) => {}
        }
    }
    let reason = format!("other processes acquired its lease {ATTEMPTS} times; try again");
    Err(Error::Invalid { doing: "fold the state of a decider again", reason })
}
