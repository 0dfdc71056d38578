//! Projections: fold the log into the rows of a read model. Rows and offset change in one commit.
//!
//! ```text
//!   history ─┬─► fold ─► commit: rows, offset      the generation of the view that is served
//!            └─► fold ─► commit: rows, offset      one that is built from the beginning of the log beside it
//!                          └ at the end of the log, with the last page: serve this one, delete the other
//! ```
//!
//! The worker builds a view where there is none (a new log, a new version), where a view lost its offset, and on request
//! (`hemostat rebuild`). Readers see the old rows until the switch. A crash at any point costs only what was not committed,
//! as the offset is one of the rows. An event that cannot be decoded or whose fold panics becomes a dead letter; the
//! worker continues with the next one.

mod pages;
mod view_fold;

use std::{
    collections::HashSet,
    fmt,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use hemostat_core::{Projection, fold::projection_group};
use hemostat_log::{Commit, Cursor, History, Lease, RowChange, ViewChange};
use hemostat_schema::{EventId, Family, Partition, Span, Timestamp};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use self::view_fold::{FoldedPage, ViewFold};
use crate::{
    context::Context,
    lease::LeaseHandle,
    leased_worker::LeasedWorker,
    metrics::Metric,
    read_model::{FOLDED_COUNT, Generations, decode_row, offset},
    task::Task,
    worker::{Step, Worker, WorkerError, commit_handling, record_handled, wait_for_append},
};

/// Maximum dead letters that are searched for those of the group.
const MAX_DEAD_LETTERS: usize = 10_000;

/// How often the worker looks for views of earlier versions of HemoStat that no process maintains.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(600);

/// How often a view whose rows expire is searched for such rows.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(6 * 3600);

/// The workers of a projection, one for each partition.
pub fn projection<P: Projection>(ctx: &Context) -> Vec<Task> {
    let worker = |partition| ProjectWorker::<P>::new(ctx.clone(), partition);
    ctx.partitions().map(|partition| LeasedWorker::task(ctx, worker(partition))).collect()
}

/// Folds one partition into the rows of `P`.
pub struct ProjectWorker<P: Projection> {
    ctx: Context,
    partition: Partition,
    /// The consumer group, `{name}.{version}`: it has the lease and the cursor.
    group: String,
    append_signal: watch::Receiver<u64>,
    lease: Option<Lease>,
    /// The view that is served.
    served: Option<ViewFold<P>>,
    /// The view that is being built to replace it.
    building: Option<ViewFold<P>>,
    /// The events that are dead letters of the group.
    dead_letters: HashSet<EventId>,
    cleaned_up_at: Option<Instant>,
    expired_at: Option<Instant>,
}

impl<P: Projection> ProjectWorker<P> {
    /// With nothing in memory.
    pub fn new(ctx: Context, partition: Partition) -> Self {
        let (append_signal, group) = (ctx.log.append_signal(partition), projection_group::<P>());
        let (served, building, dead_letters) = (None, None, HashSet::new());
        let (lease, cleaned_up_at, expired_at) = (None, None, None);
        Self { ctx, partition, group, append_signal, lease, served, building, dead_letters, cleaned_up_at, expired_at }
    }

    /// Continues building `view`, or begins.
    async fn build(&mut self, view: String, lease: &Lease) -> Result<ViewFold<P>, WorkerError> {
        let log = &self.ctx.log;
        if let Some(at) = offset(&**log, self.partition, &view).await? {
            let read = log.rows(self.partition, &view, &[FOLDED_COUNT.to_owned()]).await?.into_iter().next().flatten();
            let folded = read.map(|bytes| decode_row(&view, FOLDED_COUNT, &bytes)).transpose()?;
            return Ok(ViewFold::new(&self.ctx, view, at, Some(folded.unwrap_or(0))));
        }
        self.warn_of_trimmed_history().await?;
        // Rows without an offset are worthless, and what could not be folded before is tried again.
        let clear = vec![ViewChange::Retire { view: view.clone() }];
        log.commit(&Commit { views: clear, ..Commit::new(lease.clone()) }).await?;
        for letter in log.dead_letters(self.partition, MAX_DEAD_LETTERS).await? {
            if letter.group == self.group {
                log.discard(self.partition, letter.key).await?;
            }
        }
        self.dead_letters.clear();
        debug!("{view}/{}: building from the beginning of the log", self.partition);
        Ok(ViewFold::new(&self.ctx, view, EventId::start(self.partition), Some(0)))
    }

    async fn warn_of_trimmed_history(&self) -> Result<(), WorkerError> {
        let trimmed = trimmed_without_archive(&self.ctx.history, self.partition, P::READS).await?;
        if let Some((family, last)) = trimmed {
            warn!(
                "{}/{}: {} up to {last} were trimmed and there is no archive; the view is built without them",
                self.group,
                self.partition,
                family.stream()
            );
        }
        Ok(())
    }

    /// Commits the last page of the view that was built, and serves it from then on.
    async fn switch(&mut self, mut built: ViewFold<P>, mut page: FoldedPage) -> Result<(), WorkerError> {
        built.settle().await?;
        // A later commit of the old view would restore it.
        if let Some(served) = &mut self.served {
            served.settle().await?;
        }
        let generations = Generations::read(&*self.ctx.log, self.partition, &self.group).await?;
        let serve = |name: &str| ViewChange::Serve { name: name.to_owned(), view: built.view.clone() };
        page.change.rows.push(RowChange { view: built.view.clone(), key: FOLDED_COUNT.to_owned(), row: None });
        page.change.views.push(serve(&self.group));
        if !generations.is_superseded() {
            page.change.views.push(serve(P::NAME));
        }
        if let Some(before) = generations.served().filter(|before| *before != built.view) {
            page.change.views.push(ViewChange::Retire { view: before.to_owned() });
            info!("{}/{}: built; it replaces {before}", built.view, self.partition);
        } else {
            debug!("{}/{}: built and served", built.view, self.partition);
        }
        commit_handling(&self.ctx, &page.change, page.handled).await?;
        built.set_served();
        self.served = Some(built);
        self.cleaned_up_at = None;
        Ok(())
    }

    /// Deletes the views of earlier versions of HemoStat that no process maintains: their cursors would keep the log from
    /// being trimmed.
    async fn clean_up(&mut self) -> Result<(), WorkerError> {
        if self.served.is_none() || self.cleaned_up_at.is_some_and(|at| at.elapsed() < CLEANUP_INTERVAL) {
            return Ok(());
        }
        let (log, partition) = (&self.ctx.log, self.partition);
        let generations = Generations::read(&**log, partition, &self.group).await?;
        for (group, view) in generations.older() {
            if offset(&**log, partition, view).await?.is_none() {
                continue;
            }
            // Under another owner name, as a lease could be held by this very process.
            let owner = format!("{}-cleanup", self.ctx.owner);
            let Some(lease) = log.acquire(partition, group, &owner, self.ctx.lease_ttl).await? else { continue };
            let none = Cursor { at: EventId::start(partition), families: vec![] };
            let retire = vec![ViewChange::Retire { view: view.to_owned() }];
            log.commit(&Commit { cursor: Some(none), views: retire, ..Commit::new(lease.clone()) }).await?;
            log.release(&lease).await?;
            info!("{view}/{partition}: deleted, as no process of that version runs");
        }
        self.cleaned_up_at = Some(Instant::now());
        Ok(())
    }

    /// Deletes the expired rows of the view, from time to time.
    async fn expire(&mut self, lease: &Lease) -> Result<(), WorkerError> {
        if let Some(served) = &mut self.served
            && self.expired_at.is_none_or(|at| at.elapsed() >= EXPIRY_INTERVAL)
        {
            served.expire(&self.ctx, lease).await?;
            self.expired_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Sets the gauge of the view's lag: zero at the end of the log, else the age of the last event that was folded.
    fn set_gauge(&self, view: &str, page: &FoldedPage) {
        let behind = match page.last.filter(|_| !page.at_end) {
            Some(last) => Span::between(last.appended_at(), self.ctx.clock.now()).as_secs_f64(),
            None => 0.0,
        };
        let partition = self.partition.to_string();
        Metric::ViewBehind.gauge(&[("view", view), ("partition", &partition)]).set(behind);
    }
}

/// The first of `families` with events that were trimmed and are in no archive, and the last such event.
pub(crate) async fn trimmed_without_archive(
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

    async fn load(&mut self, handle: &LeaseHandle) -> Result<(), WorkerError> {
        (self.served, self.building, self.lease, self.cleaned_up_at) = (None, None, Some(handle.lease().clone()), None);
        let log = self.ctx.log.clone();
        let dead_letters = log.dead_letters(self.partition, MAX_DEAD_LETTERS).await?;
        self.dead_letters =
            dead_letters.into_iter().filter(|letter| letter.group == self.group).map(|letter| letter.id).collect();

        let generations = Generations::read(&*log, self.partition, &self.group).await?;
        if let Some(view) = generations.served()
            && let Some(at) = offset(&*log, self.partition, view).await?
        {
            self.served = Some(ViewFold::new(&self.ctx, view.to_owned(), at, None));
        }
        let requested = generations.requested().map(str::to_owned);
        if let Some(view) = requested.or_else(|| self.served.is_none().then(|| generations.next())) {
            self.building = Some(self.build(view, handle.lease()).await?);
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, WorkerError> {
        self.append_signal.borrow_and_update();
        let Some(lease) = self.lease.clone() else { return Err(WorkerError::StaleState) };
        let (mut handled, mut more) = (0, false);
        if let Some(mut served) = self.served.take() {
            let page = served.next_page(&self.ctx, lease.clone(), &mut self.dead_letters).await?;
            handled += page.handled.count;
            more |= !page.at_end;
            self.set_gauge(&served.view, &page);
            match served.may_wait(&page) {
                true => record_handled(&self.ctx, &self.group, page.handled),
                false => served.commit(&self.ctx, page).await?,
            }
            self.served = Some(served);
        }
        if let Some(mut building) = self.building.take() {
            let page = building.next_page(&self.ctx, lease.clone(), &mut self.dead_letters).await?;
            handled += page.handled.count;
            more |= !page.at_end;
            self.set_gauge(&building.view, &page);
            if page.at_end {
                self.switch(building, page).await?;
            } else {
                building.commit(&self.ctx, page).await?;
                self.building = Some(building);
            }
        }
        if !more {
            for fold in self.served.iter_mut().chain(&mut self.building) {
                fold.settle().await?;
            }
        }
        if handled == 0 && !more {
            self.clean_up().await?;
            self.expire(&lease).await?;
            return Ok(Step::Idle { until: None });
        }
        Ok(Step::Worked { handled, appended: 0 })
    }

    async fn wait(&mut self, until: Option<Timestamp>) {
        let offset_due = self.served.as_ref().and_then(|served| served.offset_due(self.ctx.clock.now()));
        let until = until.into_iter().chain(offset_due).min();
        wait_for_append(&mut self.append_signal, &*self.ctx.clock, until).await;
    }

    async fn drain(&mut self) {
        for fold in self.served.iter_mut().chain(&mut self.building) {
            let drained = match fold.settle().await {
                Ok(()) => fold.commit_offset(&self.ctx, self.lease.clone()).await,
                failed => failed,
            };
            if let Err(error) = drained {
                debug!("{}/{}: the last commit failed: {error}", fold.view, self.partition);
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
