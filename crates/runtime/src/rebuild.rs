//! Having rows made anew from the beginning of history: views beside the ones that are served, deciders in place.

use std::time::Duration;

use hemostat_core::{Decider, Projection};
use hemostat_log::{Commit, Error, History, Log, Order, Range, RowChange};
use hemostat_schema::{EventId, Family, Partition};
use tokio::time::sleep;

use crate::{
    Context, Task, project, rows,
    views::{self, FOLDED, POSITION, Views},
};

/// What can be made anew: a view or a decider's state.
#[derive(Debug, Clone, Copy)]
pub struct Rebuildable {
    /// By what name people ask for it.
    pub name: &'static str,
    /// Of this program.
    pub version: u16,
    /// What it reads.
    pub reads: &'static [Family],
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
        Self { name: P::NAME, version: P::VERSION, reads: P::READS, kind: Kind::View(project::projection::<P>) }
    }

    /// The state of `D`.
    pub fn decider<D: Decider>() -> Self {
        Self { name: D::GROUP, version: D::VERSION, reads: D::READS, kind: Kind::Decider }
    }

    /// The workers that keep it, where it is a view.
    pub fn workers(&self, ctx: &Context) -> Option<Vec<Task>> {
        match self.kind {
            Kind::View(tasks) => Some(tasks(ctx)),
            Kind::Decider => None,
        }
    }

    /// Whether it is a view; otherwise a decider's state.
    pub fn is_view(&self) -> bool {
        matches!(self.kind, Kind::View(_))
    }

    /// The name of its rows, and, for a view, of the group that keeps them.
    pub fn group(&self) -> String {
        format!("{}.{}", self.name, self.version)
    }

    /// The first event that it reads.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn first(&self, history: &History, partition: Partition) -> Result<Option<EventId>, Error> {
        let first = history.raw(partition, self.reads, Range::ALL, Order::OldestFirst, 1).await?;
        Ok(first.first().map(|entry| entry.id))
    }

    /// What is neither on the log nor in an archive, so that nothing can be made of it again: up to which event.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn missing(&self, history: &History, partition: Partition) -> Result<Option<EventId>, Error> {
        Ok(project::missing(history, partition, self.reads).await?.map(|(_, last)| last))
    }
}

/// Asks for the view that `group` keeps in `partition` to be filled anew; gives the name of the one that will be served
/// then. One that is already being filled is not begun again.
///
/// # Errors
/// When the log cannot be read or written.
pub async fn ask(log: &dyn Log, partition: Partition, group: &str) -> Result<String, Error> {
    let views = Views::read(log, partition, group).await?;
    if let Some(wanted) = views.wanted() {
        return Ok(wanted.to_owned());
    }
    let next = views.next();
    let is_whole = match views.served() {
        Some(served) => views::position(log, partition, served).await?.is_some(),
        None => false,
    };
    if is_whole {
        log.want_view(partition, group, &next).await?;
    }
    Ok(next)
}

/// Whether any process keeps what `group` keeps, or stands by for it.
///
/// # Errors
/// When the log cannot be read or written.
pub async fn is_attended(ctx: &Context, group: &str) -> Result<bool, Error> {
    let members = ctx.log.attend(group, &ctx.owner, ctx.lease_ttl).await?;
    ctx.log.leave(group, &ctx.owner).await?;
    Ok(members.iter().any(|member| *member != ctx.owner))
}

/// How far the filling of a view has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Up to here it is filled; none when that has not begun.
    pub at: Option<EventId>,
    /// Up to here the log goes.
    pub clock: EventId,
    /// So many events were folded.
    pub folded: u64,
    /// Whether it is served.
    pub served: bool,
}

/// How far the filling of `view`, which `group` keeps, has come.
///
/// # Errors
/// When the log cannot be read.
pub async fn progress(log: &dyn Log, partition: Partition, group: &str, view: &str) -> Result<Progress, Error> {
    let clock = log.clock(partition).await?;
    let keys = [POSITION, FOLDED].map(str::to_owned);
    let mut read = log.rows(partition, view, &keys).await?.into_iter();
    let mut next = |key| read.next().flatten().map(|bytes| (key, bytes));
    let (at, folded) = (next(POSITION), next(FOLDED));
    let at = at.map(|(key, bytes)| rows::decode_row(view, key, &bytes)).transpose()?;
    let folded = folded.map(|(key, bytes)| rows::decode_row(view, key, &bytes)).transpose()?;
    let served = Views::read(log, partition, group).await?.has_served(view);
    Ok(Progress { at, clock, folded: folded.unwrap_or(0), served })
}

/// Has the decider `group` fold its state anew: its position is deleted, and whoever decides begins afresh.
///
/// # Errors
/// When the log cannot be read or written, or others were always faster to take the lease.
pub async fn refold(ctx: &Context, partition: Partition, group: &str, version: u16) -> Result<(), Error> {
    const TRIES: u32 = 50;
    for _ in 0..TRIES {
        ctx.log.recall(partition, group).await?;
        let Some(lease) = ctx.log.acquire(partition, group, &ctx.owner, ctx.lease_ttl).await? else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let row = RowChange { view: format!("{group}.{version}"), key: POSITION.to_owned(), row: None };
        let done = ctx.log.commit(&Commit { rows: vec![row], ..Commit::new(lease.clone()) }).await;
        ctx.log.release(&lease).await?;
        match done {
            Ok(_) => return Ok(()),
            Err(hemostat_log::CommitError::Log(error)) => return Err(error),
            Err(_) => {}
        }
    }
    let reason = format!("others took its lease {TRIES} times; try again");
    Err(Error::Invalid { doing: "have a decider fold its state anew", reason })
}
