//! Carrying out the effects of one partition: several at a time, in order for each subject.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::FutureExt as _;
use hemostat_log::{Commit, CommitError, Delivery, Inbox, Park};
use hemostat_schema::{Cause, EventId, HostName, NewEvent, Partition, Recorded, Subject, Timestamp};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::{Instrument as _, debug, error, info_span, warn};

use super::{Effect, Fault, Permit};
use crate::{
    Context, Halt, Metric, Step, Worker,
    lease::{Tenure, Uncertain},
    retry::Backoff,
    trace,
    worker::{commit, rest, said},
};

/// Effects at the same time.
const AT_ONCE: usize = 16;

/// Events in hand at most; more are read when these are done.
const IN_HAND: usize = 256;

/// How long effects may take to finish when the process is to end.
const GRACE: Duration = Duration::from_secs(10);

/// Carries out the effects of one partition.
pub struct EffectWorker<E> {
    ctx: Context,
    partition: Partition,
    effect: Arc<E>,
    bell: watch::Receiver<u64>,
    slots: Arc<Semaphore>,
    tenure: Option<Tenure>,
    inbox: Option<Inbox>,
    /// Not yet begun; a subject is here from when its first effect begins until its last has ended.
    waiting: HashMap<Subject, VecDeque<Delivery>>,
    in_hand: BTreeSet<EventId>,
    /// What this process cannot do, and until when it is left to another.
    left: BTreeMap<EventId, (Timestamp, Delivery)>,
    /// Since when something is.
    left_since: Option<Instant>,
    /// The only hosts on which this process can do it; none where it can on all.
    serves: Option<Arc<[HostName]>>,
    running: JoinSet<Ended>,
    /// What a rest came upon; the next step returns it.
    failed: Option<Halt>,
}

/// An effect that has ended, one way or another.
struct Ended {
    subject: Subject,
    id: EventId,
    how: How,
}

enum How {
    /// Its outcome is on the log, or it is parked.
    Done { emitted: usize },
    /// It was given up in the middle: it stays unacknowledged and is delivered again.
    Left,
    /// The log refuses its outcome for good.
    Failed(Halt),
}

impl<E: Effect> EffectWorker<E> {
    /// With nothing in hand.
    pub fn new(ctx: Context, partition: Partition, effect: Arc<E>) -> Self {
        let bell = ctx.log.bell(partition);
        Self {
            ctx,
            partition,
            effect,
            bell,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            tenure: None,
            inbox: None,
            waiting: HashMap::new(),
            in_hand: BTreeSet::new(),
            left: BTreeMap::new(),
            left_since: None,
            serves: None,
            running: JoinSet::new(),
            failed: None,
        }
    }

    /// The same, of a process that can do it on these hosts only.
    pub fn serving(self, hosts: impl Into<Arc<[HostName]>>) -> Self {
        Self { serves: Some(hosts.into()), ..self }
    }

    /// Takes in new deliveries: those that ask for no effect are acknowledged at once, those that another process is to
    /// see to are left, the others put in line.
    async fn take_in(&mut self) -> Result<usize, Halt> {
        let Some(inbox) = &mut self.inbox else { return Err(Halt::Astray) };
        let room = IN_HAND.saturating_sub(self.in_hand.len());
        if room == 0 {
            return Ok(0);
        }
        let mut change = Commit::new(inbox.lease().clone());
        for delivery in inbox.next(room).await? {
            // After an outage the inbox gives again what is in hand.
            if self.in_hand.contains(&delivery.id) || self.left.contains_key(&delivery.id) {
                continue;
            }
            match wanted(&*self.effect, &delivery) {
                Ok(Some((subject, None))) => {
                    self.line_up(subject, delivery);
                    continue;
                }
                Ok(Some((_, Some(until)))) => {
                    self.left_since.get_or_insert_with(Instant::now);
                    self.left.insert(delivery.id, (until, delivery));
                    continue;
                }
                Ok(None) => {}
                Err(why) => {
                    error!("{}: could not handle {}, which is put aside: {why}", E::GROUP, delivery.id);
                    change.parked.push(Park { family: delivery.family, id: delivery.id, error: why });
                }
            }
            change.acks.push((delivery.family, delivery.id));
        }
        if !change.acks.is_empty()
            && let Err(error) = commit(&self.ctx, &change).await
        {
            // What was not acknowledged is to be handed out again.
            self.inbox.iter_mut().for_each(Inbox::reset);
            return Err(error.into());
        }
        Ok(change.acks.len())
    }

    fn line_up(&mut self, subject: Subject, delivery: Delivery) {
        self.in_hand.insert(delivery.id);
        match self.waiting.get_mut(&subject) {
            Some(line) => line.push_back(delivery),
            None => {
                self.waiting.insert(subject, VecDeque::new());
                self.start(delivery);
            }
        }
    }

    /// Takes up what was left to others and nobody took.
    fn take_up(&mut self) -> usize {
        let now = self.ctx.clock.now();
        let due: Vec<_> = self.left.iter().filter(|(_, (until, _))| *until <= now).map(|(id, _)| *id).collect();
        for (_, delivery) in due.iter().filter_map(|id| self.left.remove(id)).collect::<Vec<_>>() {
            let Ok(event) = &delivery.event else { continue };
            self.line_up(event.subject.clone(), delivery);
        }
        if self.left.is_empty() {
            self.left_since = None;
        }
        due.len()
    }

    fn start(&mut self, delivery: Delivery) {
        let (Some(tenure), Ok(event)) = (self.tenure.clone(), delivery.event) else { return };
        let span = info_span!("effect", group = E::GROUP, subject = %event.subject, cause = %event.id);
        let one = One {
            ctx: self.ctx.clone(),
            effect: self.effect.clone(),
            slots: self.slots.clone(),
            tenure,
            event,
            times: delivery.times,
        };
        self.running.spawn(one.run().instrument(span));
    }

    /// Takes note of an effect that has ended, and starts the next one of its subject.
    fn settle(&mut self, Ended { subject, id, how }: Ended) -> Result<usize, Halt> {
        self.in_hand.remove(&id);
        let next = self.waiting.get_mut(&subject).and_then(VecDeque::pop_front);
        match next {
            Some(delivery) => self.start(delivery),
            None => drop(self.waiting.remove(&subject)),
        }
        match how {
            How::Done { emitted } => Ok(emitted),
            How::Left => Ok(0),
            How::Failed(halt) => Err(halt),
        }
    }
}

#[async_trait]
impl<E: Effect> Worker for EffectWorker<E> {
    fn group(&self) -> &str {
        E::GROUP
    }

    fn partition(&self) -> Partition {
        self.partition
    }

    fn serves(&self) -> Option<Arc<[HostName]>> {
        self.serves.clone()
    }

    /// What is in hand is finished first, unless that takes too long for those who wait.
    fn lacks(&self) -> Option<HostName> {
        self.serves.as_ref()?;
        let (_, delivery) = self.left.values().next()?;
        let waits_long = self.left_since.is_some_and(|since| since.elapsed() > self.ctx.lease_ttl);
        let event = delivery.event.as_ref().ok().filter(|_| self.in_hand.is_empty() || waits_long)?;
        Some(event.subject.host.clone())
    }

    async fn begin(&mut self, tenure: &Tenure) -> Result<(), Halt> {
        let lease = tenure.lease().clone();
        if self.tenure.as_ref().is_none_or(|before| *before.lease() != lease) {
            // What still runs under the lease before may touch the world no more and cannot commit; it ends by itself.
            self.running.detach_all();
            self.waiting.clear();
            self.in_hand.clear();
            self.left.clear();
            self.left_since = None;
        }
        self.tenure = Some(tenure.clone());
        self.inbox = Some(Inbox::new(self.ctx.log.clone(), lease, E::READS));
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, Halt> {
        self.bell.borrow_and_update();
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let (mut handled, mut emitted) = (0, 0);
        while let Some(ended) = self.running.try_join_next() {
            handled += 1;
            if let Ok(ended) = ended {
                emitted += self.settle(ended)?;
            }
        }
        handled += self.take_up() + self.take_in().await?;
        let until = self.left.values().map(|(until, _)| *until).min();
        if handled == 0 { Ok(Step::Idle { until }) } else { Ok(Step::Worked { handled, emitted }) }
    }

    async fn rest(&mut self, until: Option<Timestamp>) {
        if self.running.is_empty() {
            return rest(&mut self.bell, &*self.ctx.clock, until).await;
        }
        // The one that has ended must be looked at by the next step, so it is not taken here but only waited for.
        let running = &mut self.running;
        let ended = std::future::poll_fn(|cx| running.poll_join_next(cx));
        tokio::select! {
            ended = ended => if let Some(Ok(ended)) = ended {
                // An error is for the next step to return.
                self.failed = self.settle(ended).err();
            },
            () = rest(&mut self.bell, &*self.ctx.clock, until) => {}
        }
    }

    /// An effect that has happened is worth keeping: its outcome is committed when the log is back.
    fn outlives_outages(&self) -> bool {
        true
    }

    async fn finish(&mut self) {
        self.waiting.clear();
        let all = async { while self.running.join_next().await.is_some() {} };
        if timeout(GRACE, all).await.is_err() {
            warn!("{}: not every effect ended within {GRACE:?}; the next start asks what became of them", E::GROUP);
            self.running.abort_all();
        }
    }
}

/// Whose line an effect belongs into, and until when it is left to another process, if it is; none where the event asks
/// for no effect, an error where it cannot be told.
fn wanted<E: Effect>(effect: &E, delivery: &Delivery) -> Result<Option<(Subject, Option<Timestamp>)>, String> {
    let event = delivery.event.as_ref().map_err(Clone::clone)?;
    if event.event().is_none() {
        return Ok(None);
    }
    let ask = || effect.wants(event).then(|| (event.subject.clone(), effect.leaves(event)));
    catch_unwind(AssertUnwindSafe(ask)).map_err(|panic| format!("the effect panicked: {}", said(&*panic)))
}

/// One effect, from its event to its outcome.
struct One<E> {
    ctx: Context,
    effect: Arc<E>,
    slots: Arc<Semaphore>,
    tenure: Tenure,
    event: Recorded,
    times: u32,
}

impl<E: Effect> One<E> {
    async fn run(self) -> Ended {
        let how = self.to_the_end().await;
        Ended { subject: self.event.subject.clone(), id: self.event.id, how }
    }

    async fn to_the_end(&self) -> How {
        let mut backoff = Backoff::between(Duration::from_millis(500), Duration::from_secs(60));
        let (mut begun, mut failed) = (self.times > 1, 0);
        loop {
            match self.once(begun).await {
                Ok(events) => return self.end(self.outcome(events)).await,
                Err(Fault::Retry(why)) if why.is::<Uncertain>() => {
                    debug!("waiting until the lease is certain again");
                    if self.pause(Duration::from_millis(100)).await {
                        return How::Left;
                    }
                }
                Err(Fault::Retry(why)) if failed < self.effect.retries() => {
                    failed += 1;
                    let wait = backoff.next();
                    warn!("{}: {why:#}; trying again in {:.1} s", self.event.subject.short(), wait.as_secs_f64());
                    Metric::EffectRetries.counter(&[("group", E::GROUP)]).increment(1);
                    if self.pause(wait).await {
                        return How::Left;
                    }
                }
                Err(fault) => {
                    error!("{}: {fault}; put aside", self.event.subject.short());
                    let park = Park { family: self.event.family(), id: self.event.id, error: fault.to_string() };
                    return self.end(Commit { parked: vec![park], ..self.outcome(vec![]) }).await;
                }
            }
            begun = true;
        }
    }

    /// One try; a panic is a fault that no retry mends.
    async fn once(&self, begun: bool) -> Result<Vec<NewEvent>, Fault> {
        let Ok(_slot) = self.slots.acquire().await else {
            return Err(Fault::Retry(Uncertain.into()));
        };
        let permit = Permit::new(&self.ctx, self.tenure.clone(), &self.event, begun);
        AssertUnwindSafe(self.effect.run(&self.event, &permit))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(Fault::Park(anyhow::anyhow!("the effect panicked: {}", said(&*panic)))))
    }

    /// Waits; whether the effect is to be left to somebody else or to the next start.
    async fn pause(&self, wait: Duration) -> bool {
        tokio::select! {
            () = self.tenure.over() => true,
            () = self.ctx.shutdown.cancelled() => true,
            () = sleep(wait) => false,
        }
    }

    fn outcome(&self, mut events: Vec<NewEvent>) -> Commit {
        for event in &mut events {
            event.cause.get_or_insert(Cause::Event(self.event.id));
            trace::stamp(event, self.event.trace);
        }
        let acks = vec![(self.event.family(), self.event.id)];
        Commit { events, acks, ..Commit::new(self.tenure.lease().clone()) }
    }

    /// Commits, again and again while the log cannot be reached: doing it twice is harmless, losing it is not.
    async fn end(&self, change: Commit) -> How {
        let mut backoff = Backoff::connection();
        loop {
            match commit(&self.ctx, &change).await {
                Ok(ids) => return How::Done { emitted: ids.len() },
                // Done by the try before, whose answer did not arrive.
                Err(CommitError::Lost) => return How::Done { emitted: 0 },
                Err(CommitError::Log(error)) if error.is_transient() => {
                    debug!("the outcome is kept until the log is back: {error}");
                    if self.tenure.is_over() {
                        return How::Left;
                    }
                    sleep(backoff.next()).await;
                }
                Err(error) => return How::Failed(error.into()),
            }
        }
    }
}

impl<E> fmt::Debug for EffectWorker<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EffectWorker")
            .field("partition", &self.partition)
            .field("in_hand", &self.in_hand.len())
            .finish_non_exhaustive()
    }
}
