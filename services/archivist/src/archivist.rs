//! The worker that seals notarised events into the archive and trims sealed ones from the log, family by family.
//!
//! An archive error stops neither the log nor the process: it is logged once, and the next step retries.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use hemostat_archive::{Archive, Error as ArchiveError, Manifest, SegmentBuilder};
use hemostat_runtime::{
    Context, LeaseHandle, Metric, Step, Worker, WorkerError,
    log::{
        Commit, Lease, Order, Range, RawEntry, RowChange,
        chain::{VIEW, checkpoint_key},
    },
};
use hemostat_schema::{EventId, Family, Partition, Span, Timestamp};
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use crate::{
    chain_index::{ChainIndex, ChainPosition},
    seal::{self, Audit, Mismatch, SealPolicy},
    trim::{self, Blocker, Plan, Retention, TrimLimit},
};

/// Entries per read.
const PAGE: usize = 1000;

/// Maximum rows deleted per commit.
const MAX_ROWS: usize = 1000;

/// Maximum time between two steps.
const MAX_WAIT: Span = Span::from_secs(30);

/// How long trimming may be blocked before a warning; a restart or a rebuild takes less.
const WARN_AFTER: Span = Span::from_secs(600);

/// Seals and trims one partition.
#[derive(Debug)]
pub struct Archivist {
    ctx: Context,
    partition: Partition,
    archive: Option<Arc<Archive>>,
    seal_policy: SealPolicy,
    retention: Retention,
    lease: Option<Lease>,
    chain_index: ChainIndex,
    /// The last segment of each family, if it was looked up.
    sealed: BTreeMap<Family, Option<Manifest>>,
    /// The error last logged for a family, until it seals again.
    reported: BTreeMap<Family, String>,
    /// Families that cannot be trimmed, since when and blocked by what.
    blocked: BTreeMap<Family, (Timestamp, Blocker)>,
    warned_about: BTreeSet<Family>,
}

/// Why a family was not sealed.
#[derive(Debug, thiserror::Error)]
enum SealError {
    #[error(transparent)]
    Log(#[from] hemostat_runtime::log::Error),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Its events differ from what the notary recorded.
    #[error("{0}")]
    Tampered(String),
}

impl Archivist {
    /// A worker of one partition; without an archive it only trims.
    pub fn new(
        ctx: Context,
        partition: Partition,
        archive: Option<Arc<Archive>>,
        seal_policy: SealPolicy,
        retention: Retention,
    ) -> Self {
        Self {
            ctx,
            partition,
            archive,
            seal_policy,
            retention,
            lease: None,
            chain_index: ChainIndex::default(),
            sealed: BTreeMap::new(),
            reported: BTreeMap::new(),
            blocked: BTreeMap::new(),
            warned_about: BTreeSet::new(),
        }
    }

    /// Seals at most one segment of a family, if due, and returns its number of events.
    async fn seal(&mut self, archive: &Archive, family: Family) -> Result<usize, SealError> {
        let Some(begin) = self.unsealed(archive, family).await? else { return Ok(0) };
        let now = self.ctx.clock.now();
        let tip = self.chain_index.tips.of(family);
        let limit = seal::seal_limit(tip, self.partition, self.ctx.lease_ttl.into(), now);
        let Some(limit) = limit.filter(|limit| *limit > begin.last) else {
            self.record_lag(family, None);
            return Ok(0);
        };
        let first = self.read(family, begin.last, limit, 1).await?.first().map(|entry| entry.id);
        self.record_lag(family, first);
        let Some(first) = first else { return Ok(0) };
        // The tip also counts events younger than the limit; the number of older ones is known after reading.
        let unsealed = tip.link.count.saturating_sub(begin.link.count);
        if !self.seal_policy.is_due(first, usize::try_from(unsealed).unwrap_or(usize::MAX), now) {
            return Ok(0);
        }
        let mut draft = SegmentBuilder::after(begin.link)?;
        let mut audit = Audit::new(self.partition, begin, self.chain_index.of(family), tip);
        let mut after = begin.last;
        while draft.count() < self.seal_policy.events {
            let count = PAGE.min(self.seal_policy.events - draft.count());
            let page = self.read(family, after, limit, count).await?;
            if let Err(mismatch) = page.iter().try_for_each(|entry| audit.add(entry)) {
                return Err(self.tampered(family, begin, mismatch).await?);
            }
            let ended = page.len() < count;
            after = page.last().map_or(after, |entry| entry.id);
            draft = draft.add(page).await?;
            if ended {
                break;
            }
        }
        let count = draft.count();
        if !self.seal_policy.is_due(first, count, now) {
            return Ok(0);
        }
        if let Err(mismatch) = audit.finish() {
            return Err(self.tampered(family, begin, mismatch).await?);
        }
        let manifest = archive.seal(draft, now).await?;
        debug!("sealed {count} {} of partition {}: {}", family.stream(), self.partition, manifest.file);
        Metric::EventsArchived.counter(&[("family", family.name())]).increment(count as u64);
        self.sealed.insert(family, Some(manifest));
        Ok(count)
    }

    /// The chain's position after the last sealed event; `None` while a trimmed log has no checkpoint to begin at.
    async fn unsealed(&mut self, archive: &Archive, family: Family) -> Result<Option<ChainPosition>, SealError> {
        let sealed = match self.sealed.get(&family) {
            Some(sealed) => sealed,
            None => &*self.sealed.entry(family).or_insert(archive.newest(self.partition, family).await?),
        };
        if let Some(manifest) = sealed {
            return Ok(Some(ChainPosition { link: manifest.chain, last: manifest.last }));
        }
        let trimmed = self.ctx.log.trimmed(self.partition, family).await?;
        Ok(seal::first_segment_start(self.partition, trimmed, self.chain_index.of(family)))
    }

    /// At most `count` entries in (`after`, `up_to`].
    async fn read(
        &self,
        family: Family,
        after: EventId,
        up_to: EventId,
        count: usize,
    ) -> Result<Vec<RawEntry>, hemostat_runtime::log::Error> {
        let range = Range::after(after).up_to(up_to);
        self.ctx.log.raw(self.partition, &[family], range, Order::OldestFirst, count).await
    }

    /// Finds the altered event, if the remaining events and checkpoints identify it.
    async fn tampered(
        &self,
        family: Family,
        begin: ChainPosition,
        mismatch: Mismatch,
    ) -> Result<SealError, hemostat_runtime::log::Error> {
        let difference = match mismatch {
            Mismatch::Event(difference) => Some(difference),
            Mismatch::Block(count) => {
                match ChainIndex::checkpoint(&*self.ctx.log, self.partition, family, count).await? {
                    Some(checkpoint) => {
                        let since = self.chain_index.of(family).at(checkpoint.since.count);
                        let after = since.map_or(begin.last, |since| since.last.max(begin.last));
                        // One more than the checkpoint has, so that an added event is among them.
                        let block = self.read(family, after, checkpoint.last, checkpoint.marks.len() + 1).await?;
                        seal::first_difference_in_block(&checkpoint, after, &block)
                    }
                    None => None,
                }
            }
        };
        Ok(SealError::Tampered(seal::tampering_message(family, difference)))
    }

    /// Trims a family to its retention, as far as nothing blocks it, and returns the number of trimmed events.
    async fn trim(&mut self, family: Family) -> Result<u64, WorkerError> {
        let now = self.ctx.clock.now();
        let checkpoints = self.chain_index.of(family);
        let Some(target) = self.retention.target(family, checkpoints, self.chain_index.tips.of(family), now) else {
            self.blocked.remove(&family);
            return Ok(0);
        };
        let trimmed = self.ctx.log.trimmed(self.partition, family).await?;
        if trimmed.is_some_and(|trimmed| trimmed >= target.last) {
            self.blocked.remove(&family);
            return Ok(0);
        }
        let inspection = self.ctx.log.inspect(self.partition).await?;
        let mut limits: Vec<TrimLimit> = TrimLimit::processed(&inspection, family).into_iter().collect();
        match (&self.archive, self.sealed.get(&family)) {
            (Some(_), Some(Some(manifest))) => limits.push(TrimLimit::sealed(manifest.last)),
            (Some(_), _) => {
                limits.push(TrimLimit { before: EventId::start(self.partition), blocker: Blocker::Unsealed })
            }
            (None, _) if self.retention.discard => {}
            (None, _) => limits.push(TrimLimit { before: EventId::start(self.partition), blocker: Blocker::NoArchive }),
        }
        let Plan { up_to, blocked_by } = trim::plan(target, checkpoints, trimmed, &limits);
        self.track_blocker(family, blocked_by, now);
        let Some(position) = up_to else { return Ok(0) };
        let removed = self.ctx.log.trim(self.partition, family, trim::successor(position.last)).await?.removed;
        self.delete_checkpoints_before(family, position).await?;
        debug!("trimmed {removed} {} of partition {} up to {}", family.stream(), self.partition, position.last);
        Metric::EventsTrimmed.counter(&[("family", family.name())]).increment(removed);
        Ok(removed)
    }

    /// Deletes the checkpoints of trimmed events, except the one at which the stream now begins.
    async fn delete_checkpoints_before(&mut self, family: Family, position: ChainPosition) -> Result<(), WorkerError> {
        let Some(lease) = self.lease.clone() else { return Err(WorkerError::StaleState) };
        let counts = self.chain_index.of(family).before(position.link.count);
        for counts in counts.chunks(MAX_ROWS) {
            let mut change = Commit::new(lease.clone());
            let deleted =
                |count: &u64| RowChange { view: VIEW.to_owned(), key: checkpoint_key(family, *count), row: None };
            change.rows = counts.iter().map(deleted).collect();
            self.ctx.log.commit(&change).await?;
            counts.iter().for_each(|count| self.chain_index.of_mut(family).remove(*count));
        }
        Ok(())
    }

    /// Warns once per blocker: after [`WARN_AFTER`], or immediately if there is no archive.
    fn track_blocker(&mut self, family: Family, blocked_by: Option<Blocker>, now: Timestamp) {
        let Some(blocker) = blocked_by else {
            self.blocked.remove(&family);
            self.warned_about.remove(&family);
            return;
        };
        let blocked = self.blocked.entry(family).or_insert_with(|| (now, blocker.clone()));
        if blocked.1 != blocker {
            *blocked = (now, blocker.clone());
            self.warned_about.remove(&family);
        }
        let overdue = blocker == Blocker::NoArchive || Span::between(blocked.0, now) >= WARN_AFTER;
        if overdue && self.warned_about.insert(family) {
            warn!(
                "archivist/{}: {} older than their retention stay on the log: {blocker}",
                self.partition,
                family.stream()
            );
        }
    }

    /// Logs an error of a family once, until it changes. A log error ends the step.
    fn report(&mut self, family: Family, error: SealError) -> Result<(), WorkerError> {
        // `what` identifies the error; `text` may vary from one attempt to the next, for example in durations.
        let (what, text, is_permanent) = match error {
            SealError::Log(error) => return Err(error.into()),
            SealError::Archive(error) => {
                // Another process may have sealed: look the last segment up again.
                self.sealed.remove(&family);
                let text =
                    format!("{} cannot be archived, and stay on the log: {}", family.stream(), error.with_sources());
                (error.to_string(), text, !error.is_transient())
            }
            SealError::Tampered(text) => (text.clone(), text, true),
        };
        if self.reported.get(&family) != Some(&what) {
            let partition = self.partition;
            if is_permanent {
                error!("archivist/{partition}: {text}");
            } else {
                warn!("archivist/{partition}: {text}");
            }
            self.reported.insert(family, what);
        }
        Ok(())
    }

    /// Sets the lag metric: the age of the oldest unsealed event.
    fn record_lag(&self, family: Family, oldest: Option<EventId>) {
        let lag = oldest.map_or(Span::ZERO, |oldest| Span::between(oldest.appended_at(), self.ctx.clock.now()));
        let labels = [("family", family.name()), ("partition", &*self.partition.to_string())];
        Metric::ArchiveLag.gauge(&labels).set(lag.as_secs_f64());
    }
}

#[async_trait]
impl Worker for Archivist {
    fn group(&self) -> &str {
        "archivist"
    }

    fn partition(&self) -> Partition {
        self.partition
    }

    async fn load(&mut self, handle: &LeaseHandle) -> Result<(), WorkerError> {
        self.lease = Some(handle.lease().clone());
        self.chain_index = ChainIndex::read(&*self.ctx.log, self.partition).await?;
        self.sealed.clear();
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, WorkerError> {
        self.chain_index.catch_up(&*self.ctx.log, self.partition).await?;
        let mut handled = 0;
        for family in Family::ALL {
            if let Some(archive) = self.archive.clone() {
                match self.seal(&archive, family).await {
                    Ok(sealed) => {
                        handled += sealed;
                        if self.reported.remove(&family).is_some() {
                            info!("archivist/{}: {} are archived again", self.partition, family.stream());
                        }
                    }
                    // Trimming then stops at the last sealed event.
                    Err(error) => self.report(family, error)?,
                }
            }
            handled += usize::try_from(self.trim(family).await?).unwrap_or(usize::MAX);
        }
        if handled > 0 {
            return Ok(Step::Worked { handled, appended: 0 });
        }
        let soon = Span::from_millis((self.seal_policy.age.as_millis() / 10).clamp(100, MAX_WAIT.as_millis()));
        Ok(Step::Idle { until: Some(soon.after(self.ctx.clock.now())) })
    }

    async fn wait(&mut self, until: Option<Timestamp>) {
        let wait = until.map_or(MAX_WAIT, |until| Span::between(self.ctx.clock.now(), until));
        sleep(Duration::from(wait.min(MAX_WAIT))).await;
    }
}
