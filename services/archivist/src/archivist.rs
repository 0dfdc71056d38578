//! The worker that seals what the notary has passed and trims what is sealed, one family after the other.
//!
//! Trouble with the archive stops neither the log nor the process: it is said once, and tried again at the next look.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use hemostat_archive::{Archive, Draft, Error as ArchiveError, Manifest};
use hemostat_runtime::{
    Context, Halt, Metric, Step, Tenure, Worker,
    log::{
        Commit, Lease, Order, Range, RawEntry, RowChange,
        chain::{VIEW, checkpoint_key},
    },
};
use hemostat_schema::{EventId, Family, Partition, Span, Timestamp};
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use crate::{
    ledger::{Ledger, Place},
    seal::{self, Audit, Mismatch, When},
    trim::{self, Bound, Holder, Plan, Retention},
};

/// Entries that are read at once.
const PAGE: usize = 1000;

/// Rows that are deleted in one commit.
const ROWS: usize = 1000;

/// It looks at least this often whether something is due.
const LONGEST_REST: Span = Span::from_secs(30);

/// So long something may stand in the way of trimming before it is said: a restart, a rebuild.
const PATIENCE: Span = Span::from_secs(600);

/// Seals and trims one partition.
#[derive(Debug)]
pub struct Archivist {
    ctx: Context,
    partition: Partition,
    archive: Option<Arc<Archive>>,
    when: When,
    retention: Retention,
    lease: Option<Lease>,
    ledger: Ledger,
    /// The last segment of each family; not there where it has to be looked up.
    sealed: BTreeMap<Family, Option<Manifest>>,
    /// What was said about a family and still holds.
    said: BTreeMap<Family, String>,
    /// Families that cannot be trimmed, since when, because of whom.
    held: BTreeMap<Family, (Timestamp, Holder)>,
    warned: BTreeSet<Family>,
}

/// Why a family was not sealed.
enum Trouble {
    Log(hemostat_runtime::log::Error),
    Archive(ArchiveError),
    /// It is not what the notary saw.
    Changed(String),
}

impl From<hemostat_runtime::log::Error> for Trouble {
    fn from(error: hemostat_runtime::log::Error) -> Self {
        Self::Log(error)
    }
}

impl From<ArchiveError> for Trouble {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

impl Archivist {
    /// With this archive, if any.
    pub fn new(
        ctx: Context,
        partition: Partition,
        archive: Option<Arc<Archive>>,
        when: When,
        retention: Retention,
    ) -> Self {
        Self {
            ctx,
            partition,
            archive,
            when,
            retention,
            lease: None,
            ledger: Ledger::default(),
            sealed: BTreeMap::new(),
            said: BTreeMap::new(),
            held: BTreeMap::new(),
            warned: BTreeSet::new(),
        }
    }

    /// Seals what is due of a family; how many events.
    async fn seal(&mut self, archive: &Archive, family: Family) -> Result<usize, Trouble> {
        let Some(begin) = self.unsealed(archive, family).await? else { return Ok(0) };
        let now = self.ctx.clock.now();
        let tip = self.ledger.tips.of(family);
        let limit = seal::limit(tip, self.partition, self.ctx.lease_ttl.into(), now);
        let Some(limit) = limit.filter(|limit| *limit > begin.last) else {
            self.show_lag(family, None);
            return Ok(0);
        };
        let first = self.read(family, begin.last, limit, 1).await?.first().map(|entry| entry.id);
        self.show_lag(family, first);
        let Some(first) = first else { return Ok(0) };
        // The tip also counts what is in doubt: whether it is enough without that shows when it is read.
        let unsealed = tip.link.count.saturating_sub(begin.link.count);
        if !self.when.is_due(first, usize::try_from(unsealed).unwrap_or(usize::MAX), now) {
            return Ok(0);
        }
        let mut draft = Draft::after(begin.link)?;
        let mut audit = Audit::new(self.partition, begin, self.ledger.of(family), tip);
        let mut after = begin.last;
        while draft.count() < self.when.events {
            let count = PAGE.min(self.when.events - draft.count());
            let page = self.read(family, after, limit, count).await?;
            if let Err(mismatch) = page.iter().try_for_each(|entry| audit.take(entry)) {
                return Err(self.changed(family, begin, mismatch).await?);
            }
            let ended = page.len() < count;
            after = page.last().map_or(after, |entry| entry.id);
            draft = draft.add(page).await?;
            if ended {
                break;
            }
        }
        let count = draft.count();
        if !self.when.is_due(first, count, now) {
            return Ok(0);
        }
        if let Err(mismatch) = audit.end() {
            return Err(self.changed(family, begin, mismatch).await?);
        }
        let manifest = archive.seal(draft, now).await?;
        debug!("sealed {count} {} of partition {}: {}", family.stream(), self.partition, manifest.file);
        Metric::EventsArchived.counter(&[("family", family.name())]).increment(count as u64);
        self.sealed.insert(family, Some(manifest));
        Ok(count)
    }

    /// Behind which event nothing is sealed yet, and where the chain stood there.
    async fn unsealed(&mut self, archive: &Archive, family: Family) -> Result<Option<Place>, Trouble> {
        let sealed = match self.sealed.get(&family) {
            Some(sealed) => sealed,
            None => &*self.sealed.entry(family).or_insert(archive.newest(self.partition, family).await?),
        };
        if let Some(manifest) = sealed {
            return Ok(Some(Place { link: manifest.chain, last: manifest.last }));
        }
        let trimmed = self.ctx.log.trimmed(self.partition, family).await?;
        Ok(seal::beginning(self.partition, trimmed, self.ledger.of(family)))
    }

    /// At most so many entries after one event up to another.
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

    /// Names what was changed, where what is left can tell.
    async fn changed(
        &self,
        family: Family,
        begin: Place,
        mismatch: Mismatch,
    ) -> Result<Trouble, hemostat_runtime::log::Error> {
        let difference = match mismatch {
            Mismatch::Event(difference) => Some(difference),
            Mismatch::Block(count) => match Ledger::checkpoint(&*self.ctx.log, self.partition, family, count).await? {
                Some(checkpoint) => {
                    let since = self.ledger.of(family).at(checkpoint.since.count);
                    let after = since.map_or(begin.last, |since| since.last.max(begin.last));
                    // One more than there were: the first that differs is among them.
                    let block = self.read(family, after, checkpoint.last, checkpoint.marks.len() + 1).await?;
                    seal::differs(&checkpoint, after, &block)
                }
                None => None,
            },
        };
        Ok(Trouble::Changed(seal::alarm(family, difference)))
    }

    /// Trims what should go of a family, as far as it may; how many events.
    async fn trim(&mut self, family: Family) -> Result<u64, Halt> {
        let now = self.ctx.clock.now();
        let checkpoints = self.ledger.of(family);
        let Some(wanted) = self.retention.wants(family, checkpoints, self.ledger.tips.of(family), now) else {
            self.held.remove(&family);
            return Ok(0);
        };
        let trimmed = self.ctx.log.trimmed(self.partition, family).await?;
        if trimmed.is_some_and(|trimmed| trimmed >= wanted.last) {
            self.held.remove(&family);
            return Ok(0);
        }
        let inspection = self.ctx.log.inspect(self.partition).await?;
        let mut bounds: Vec<Bound> = Bound::dealt_with(&inspection, family).into_iter().collect();
        match (&self.archive, self.sealed.get(&family)) {
            (Some(_), Some(Some(manifest))) => bounds.push(Bound::sealed(manifest.last)),
            (Some(_), _) => bounds.push(Bound { before: EventId::start(self.partition), holder: Holder::Unsealed }),
            (None, _) if self.retention.discard => {}
            (None, _) => bounds.push(Bound { before: EventId::start(self.partition), holder: Holder::NoArchive }),
        }
        let Plan { up_to, held_by } = trim::plan(wanted, checkpoints, trimmed, &bounds);
        self.watch(family, held_by, now);
        let Some(place) = up_to else { return Ok(0) };
        let gone = self.ctx.log.trim(self.partition, family, trim::next(place.last)).await?.removed;
        self.forget_before(family, place).await?;
        debug!("trimmed {gone} {} of partition {} up to {}", family.stream(), self.partition, place.last);
        Metric::EventsTrimmed.counter(&[("family", family.name())]).increment(gone);
        Ok(gone)
    }

    /// Deletes the checkpoints of what is gone; the one at which the stream now begins stays.
    async fn forget_before(&mut self, family: Family, place: Place) -> Result<(), Halt> {
        let Some(lease) = self.lease.clone() else { return Err(Halt::Astray) };
        let counts = self.ledger.of(family).before(place.link.count);
        for counts in counts.chunks(ROWS) {
            let mut change = Commit::new(lease.clone());
            let gone =
                |count: &u64| RowChange { view: VIEW.to_owned(), key: checkpoint_key(family, *count), row: None };
            change.rows = counts.iter().map(gone).collect();
            self.ctx.log.commit(&change).await?;
            counts.iter().for_each(|count| self.ledger.of_mut(family).remove(*count));
        }
        Ok(())
    }

    /// Says once who has stood in the way for long; that there is no archive, at once.
    fn watch(&mut self, family: Family, held_by: Option<Holder>, now: Timestamp) {
        let Some(holder) = held_by else {
            self.held.remove(&family);
            self.warned.remove(&family);
            return;
        };
        let held = self.held.entry(family).or_insert_with(|| (now, holder.clone()));
        if held.1 != holder {
            *held = (now, holder.clone());
            self.warned.remove(&family);
        }
        let long = holder == Holder::NoArchive || Span::between(held.0, now) >= PATIENCE;
        if long && self.warned.insert(family) {
            warn!(
                "archivist/{}: {} older than their retention stay on the log, as {holder}",
                self.partition,
                family.stream()
            );
        }
    }

    /// Says what is wrong with a family, once as long as it stays the same.
    fn say(&mut self, family: Family, trouble: Trouble) -> Result<(), Halt> {
        // The same trouble may be told in other words each time: of how long it took, say.
        let (what, text, grave) = match trouble {
            Trouble::Log(error) => return Err(error.into()),
            Trouble::Archive(error) => {
                // Somebody else may have sealed: look again.
                self.sealed.remove(&family);
                let text = format!("{} cannot be archived, and stay on the log: {}", family.stream(), error.told());
                (error.to_string(), text, !error.is_transient())
            }
            Trouble::Changed(text) => (text.clone(), text, true),
        };
        if self.said.get(&family) != Some(&what) {
            let partition = self.partition;
            if grave {
                error!("archivist/{partition}: {text}");
            } else {
                warn!("archivist/{partition}: {text}");
            }
            self.said.insert(family, what);
        }
        Ok(())
    }

    /// How long the oldest event has waited that is not sealed.
    fn show_lag(&self, family: Family, oldest: Option<EventId>) {
        let lag = oldest.map_or(Span::ZERO, |oldest| {
            let put = Timestamp::from_millisecond(i64::try_from(oldest.ms).unwrap_or(i64::MAX));
            Span::between(put.unwrap_or(Timestamp::MAX), self.ctx.clock.now())
        });
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

    async fn begin(&mut self, tenure: &Tenure) -> Result<(), Halt> {
        self.lease = Some(tenure.lease().clone());
        self.ledger = Ledger::read(&*self.ctx.log, self.partition).await?;
        self.sealed.clear();
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, Halt> {
        self.ledger.catch_up(&*self.ctx.log, self.partition).await?;
        let mut handled = 0;
        for family in Family::ALL {
            if let Some(archive) = self.archive.clone() {
                match self.seal(&archive, family).await {
                    Ok(sealed) => {
                        handled += sealed;
                        if self.said.remove(&family).is_some() {
                            info!("archivist/{}: {} are archived again", self.partition, family.stream());
                        }
                    }
                    // What cannot be archived is not trimmed beyond what is.
                    Err(trouble) => self.say(family, trouble)?,
                }
            }
            handled += usize::try_from(self.trim(family).await?).unwrap_or(usize::MAX);
        }
        if handled > 0 {
            return Ok(Step::Worked { handled, emitted: 0 });
        }
        let soon = Span::from_millis((self.when.age.as_millis() / 10).clamp(100, LONGEST_REST.as_millis()));
        Ok(Step::Idle { until: Some(soon.after(self.ctx.clock.now())) })
    }

    async fn rest(&mut self, until: Option<Timestamp>) {
        let wait = until.map_or(LONGEST_REST, |until| Span::between(self.ctx.clock.now(), until));
        sleep(Duration::from(wait.min(LONGEST_REST))).await;
    }
}
