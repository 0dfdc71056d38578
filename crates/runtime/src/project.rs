//! Keeping the rows of a projection: a cursor over history, whose rows and position change in one commit.
//!
//! ```text
//!   history ─┬─► fold ─► one commit: rows, position        the view that is served
//!            └─► fold ─► one commit: rows, position        one that is filled from the beginning beside it
//!                          └ at the end of the log, with the last page: serve this one, delete the other
//! ```
//!
//! A view is filled where there is none yet (a new log, a new version), where one has lost its position, and where somebody
//! asks for it (`hemostat rebuild`). Readers see the old rows until the switch. As the position stands among the rows, a
//! crash at any point costs only what was not committed. An event that cannot be read or whose fold panics is parked, and
//! the rest goes on.

mod fold;
mod pages;

use std::{
    collections::HashSet,
    fmt,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use hemostat_core::Projection;
use hemostat_log::{Commit, Cursor, History, Lease, RowChange, ViewChange};
use hemostat_schema::{EventId, Family, Partition, Span, Timestamp};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use self::fold::{Fold, Folded};
use crate::{
    Context, Halt, Metric, Stage, Step, Task, Worker,
    lease::Tenure,
    rows,
    views::{self, FOLDED, Views},
    worker::{commit_of, put_at, rest},
};

/// Parked deliveries that are looked through for those of the group.
const PARKED: usize = 10_000;

/// How often it is looked whether the programs of earlier versions are gone.
const TIDY: Duration = Duration::from_secs(600);

/// The workers of a projection, one for each partition.
pub fn projection<P: Projection>(ctx: &Context) -> Vec<Task> {
    ctx.partitions()
        .map(|partition| {
            let worker = ProjectWorker::<P>::new(ctx.clone(), partition);
            Task::new(format!("{}/{partition}", worker.group), Stage::new(ctx.clone(), worker).run())
        })
        .collect()
}

/// Folds one partition into the rows of `P`.
pub struct ProjectWorker<P: Projection> {
    ctx: Context,
    partition: Partition,
    /// Name and version; whose lease is held, and whose cursor is kept.
    group: String,
    bell: watch::Receiver<u64>,
    lease: Option<Lease>,
    /// What is served.
    live: Option<Fold<P>>,
    /// What is to be served instead.
    filling: Option<Fold<P>>,
    /// What the group has parked.
    parked: HashSet<EventId>,
    tidied: Option<Instant>,
}

impl<P: Projection> ProjectWorker<P> {
    /// With nothing in memory.
    pub fn new(ctx: Context, partition: Partition) -> Self {
        let (bell, group) = (ctx.log.bell(partition), views::group::<P>());
        let (live, filling, parked) = (None, None, HashSet::new());
        Self { ctx, partition, group, bell, lease: None, live, filling, parked, tidied: None }
    }

    /// Goes on with filling `view`, or begins.
    async fn fill(&mut self, view: String, lease: &Lease) -> Result<Fold<P>, Halt> {
        let log = &self.ctx.log;
        if let Some(at) = views::position(&**log, self.partition, &view).await? {
            let read = log.rows(self.partition, &view, &[FOLDED.to_owned()]).await?.into_iter().next().flatten();
            let folded = read.map(|bytes| rows::decode_row(&view, FOLDED, &bytes)).transpose()?;
            return Ok(Fold::new(&self.ctx, view, at, Some(folded.unwrap_or(0))));
        }
        self.warn_of_what_is_gone().await?;
        // Rows without a position are not folds of anything that is known, and what could not be folded before is tried
        // again.
        let clear = vec![ViewChange::Retire { view: view.clone() }];
        log.commit(&Commit { views: clear, ..Commit::new(lease.clone()) }).await?;
        for delivery in log.parked(self.partition, PARKED).await? {
            if delivery.group == self.group {
                log.discard(self.partition, delivery.key).await?;
            }
        }
        self.parked.clear();
        debug!("{view}/{}: filling from the beginning", self.partition);
        Ok(Fold::new(&self.ctx, view, EventId::start(self.partition), Some(0)))
    }

    async fn warn_of_what_is_gone(&self) -> Result<(), Halt> {
        let gone = missing(&self.ctx.history, self.partition, P::READS).await?;
        if let Some((family, last)) = gone {
            warn!(
                "{}/{}: {} up to {last} are no longer on the log and there is no archive; the view is filled without them",
                self.group,
                self.partition,
                family.stream()
            );
        }
        Ok(())
    }

    /// Commits the last page of the view that was filled, and serves it from then on.
    async fn switch(&mut self, mut filled: Fold<P>, mut page: Folded) -> Result<(), Halt> {
        filled.settle().await?;
        // A commit of the view before would bring it back.
        if let Some(live) = &mut self.live {
            live.settle().await?;
        }
        let views = Views::read(&*self.ctx.log, self.partition, &self.group).await?;
        let serve = |name: &str| ViewChange::Serve { name: name.to_owned(), view: filled.view.clone() };
        page.change.rows.push(RowChange { view: filled.view.clone(), key: FOLDED.to_owned(), row: None });
        page.change.views.push(serve(&self.group));
        if !views.is_superseded() {
            page.change.views.push(serve(P::NAME));
        }
        if let Some(before) = views.served().filter(|before| *before != filled.view) {
            page.change.views.push(ViewChange::Retire { view: before.to_owned() });
            info!("{}/{}: filled; served instead of {before}", filled.view, self.partition);
        } else {
            debug!("{}/{}: filled and served", filled.view, self.partition);
        }
        commit_of(&self.ctx, &page.change, page.size).await?;
        filled.is_served();
        self.live = Some(filled);
        self.tidied = None;
        Ok(())
    }

    /// Deletes what programs of earlier versions served, once nobody keeps it any more: their cursors would hold back
    /// for ever what is to be trimmed.
    async fn tidy(&mut self) -> Result<(), Halt> {
        if self.live.is_none() || self.tidied.is_some_and(|at| at.elapsed() < TIDY) {
            return Ok(());
        }
        let (log, partition) = (&self.ctx.log, self.partition);
        let views = Views::read(&**log, partition, &self.group).await?;
        for (group, view) in views.older() {
            if views::position(&**log, partition, view).await?.is_none() {
                continue;
            }
            // Under a name of its own, so that not even this process is robbed of a lease.
            let owner = format!("{}-tidy", self.ctx.owner);
            let Some(lease) = log.acquire(partition, group, &owner, self.ctx.lease_ttl).await? else { continue };
            let none = Cursor { at: EventId::start(partition), families: vec![] };
            let retire = vec![ViewChange::Retire { view: view.to_owned() }];
            log.commit(&Commit { cursor: Some(none), views: retire, ..Commit::new(lease.clone()) }).await?;
            log.release(&lease).await?;
            info!("{view}/{partition}: deleted, as no program of that version runs any more");
        }
        self.tidied = Some(Instant::now());
        Ok(())
    }

    /// How far a view is behind: nothing when all was read, else since when the last event that was read stands there.
    fn show(&self, view: &str, page: &Folded) {
        let behind = match page.last.filter(|_| !page.all) {
            Some(last) => Span::between(put_at(last), self.ctx.clock.now()).as_secs_f64(),
            None => 0.0,
        };
        let partition = self.partition.to_string();
        Metric::ViewBehind.gauge(&[("view", view), ("partition", &partition)]).set(behind);
    }
}

/// The first of `families` of which something is neither on the log nor in an archive, and up to where.
pub(crate) async fn missing(
    history: &History,
    partition: Partition,
    families: &[Family],
) -> Result<Option<(Family, EventId)>, hemostat_log::Error> {
    if history.archive().is_some() {
        return Ok(None);
    }
    for family in families {
        if let Some(last) = history.log().trimmed(partition, *family).await? {
            return Ok(Some((*family, last)));
        }
    }
    Ok(None)
}

#[async_trait]
impl<P: Projection> Worker for ProjectWorker<P> {
    fn group(&self) -> &str {
        &self.group
    }

    fn partition(&self) -> Partition {
        self.partition
    }

    async fn begin(&mut self, tenure: &Tenure) -> Result<(), Halt> {
        (self.live, self.filling, self.lease, self.tidied) = (None, None, Some(tenure.lease().clone()), None);
        let log = self.ctx.log.clone();
        let parked = log.parked(self.partition, PARKED).await?;
        self.parked = parked.into_iter().filter(|one| one.group == self.group).map(|one| one.id).collect();

        let views = Views::read(&*log, self.partition, &self.group).await?;
        if let Some(view) = views.served()
            && let Some(at) = views::position(&*log, self.partition, view).await?
        {
            self.live = Some(Fold::new(&self.ctx, view.to_owned(), at, None));
        }
        let wanted = views.wanted().map(str::to_owned);
        if let Some(view) = wanted.or_else(|| self.live.is_none().then(|| views.next())) {
            self.filling = Some(self.fill(view, tenure.lease()).await?);
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, Halt> {
        self.bell.borrow_and_update();
        let Some(lease) = self.lease.clone() else { return Err(Halt::Astray) };
        let (mut handled, mut more) = (0, false);
        if let Some(mut live) = self.live.take() {
            let page = live.page(&self.ctx, lease.clone(), &mut self.parked).await?;
            handled += page.size.handled;
            more |= !page.all;
            self.show(&live.view, &page);
            if page.size.handled > 0 {
                live.send(&self.ctx, page).await?;
            }
            self.live = Some(live);
        }
        if let Some(mut filling) = self.filling.take() {
            let page = filling.page(&self.ctx, lease, &mut self.parked).await?;
            handled += page.size.handled;
            more |= !page.all;
            self.show(&filling.view, &page);
            if page.all {
                self.switch(filling, page).await?;
            } else {
                filling.send(&self.ctx, page).await?;
                self.filling = Some(filling);
            }
        }
        if !more {
            for fold in self.live.iter_mut().chain(&mut self.filling) {
                fold.settle().await?;
            }
        }
        if handled == 0 && !more {
            self.tidy().await?;
            return Ok(Step::Idle { until: None });
        }
        Ok(Step::Worked { handled, emitted: 0 })
    }

    async fn rest(&mut self, until: Option<Timestamp>) {
        rest(&mut self.bell, &*self.ctx.clock, until).await;
    }

    async fn finish(&mut self) {
        for fold in self.live.iter_mut().chain(&mut self.filling) {
            if let Err(error) = fold.settle().await {
                debug!("{}/{}: the last commit was not done: {error}", fold.view, self.partition);
            }
        }
    }
}

impl<P: Projection> fmt::Debug for ProjectWorker<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectWorker")
            .field("group", &self.group)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}
