//! Executes the effects of one partition: concurrently for different subjects, in order for each subject.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use hemostat_core::fold::caught;
use hemostat_log::{Commit, Delivery, Entry, Inbox, NewDeadLetter};
use hemostat_schema::{EventId, Family, HostName, Partition, Recorded, Span, Subject, Timestamp};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::{Instrument as _, error, info_span, warn};

use super::{
    Effect,
    begin::begin_now,
    execution::{Ended, Execution, How, Origin},
    retries::{Retries, Retry},
};
use crate::{
    context::Context,
    lease::LeaseHandle,
    leased_worker::LeasedWorker,
    task::Task,
    worker::{Step, Worker, WorkerError, commit, wait_for_append},
};

/// Maximum concurrent effects.
const MAX_CONCURRENT: usize = 16;

/// Maximum events in flight: queued or running. More are read when some of them are done (backpressure).
const MAX_IN_FLIGHT: usize = 256;

/// How long running effects may take to finish when the worker drains.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The workers of an effect, one for each partition.
pub fn effect<E: Effect>(ctx: &Context, effect: E) -> Vec<Task> {
    let effect = Arc::new(effect);
    let worker = |partition| EffectWorker::new(ctx.clone(), partition, effect.clone());
    ctx.partitions().map(|partition| LeasedWorker::task(ctx, worker(partition))).collect()
}

/// The workers of an effect that this process can execute on these hosts only, one for each partition with such a host.
/// Other processes may serve other hosts of the same partition: their events are left to them.
pub fn effect_on_hosts<E: Effect>(ctx: &Context, hosts: impl IntoIterator<Item = HostName>, effect: E) -> Vec<Task> {
    let effect = Arc::new(effect);
    let mut served: BTreeMap<Partition, Vec<HostName>> = BTreeMap::new();
    for host in hosts {
        served.entry(ctx.partition_of(&host)).or_default().push(host);
    }
    let worker = |(partition, hosts)| EffectWorker::new(ctx.clone(), partition, effect.clone()).serving(hosts);
    served.into_iter().map(|served| LeasedWorker::task(ctx, worker(served))).collect()
}

/// Executes the effects of one partition.
pub struct EffectWorker<E> {
    ctx: Context,
    partition: Partition,
    effect: Arc<E>,
    append_signal: watch::Receiver<u64>,
    slots: Arc<Semaphore>,
    lease: Option<LeaseHandle>,
    inbox: Option<Inbox>,
    /// The queue of each subject with a running effect: the events that come after it.
    queues: HashMap<Subject, VecDeque<Job>>,
    in_flight: BTreeSet<EventId>,
    /// While a handoff is requested: what would have been started.
    held: Option<Vec<Job>>,
    /// Events that wait for a later attempt.
    retries: Retries,
    /// Events for hosts that this process does not serve, and until when they wait for one that does.
    delegated: BTreeMap<EventId, (Timestamp, Job)>,
    /// Since when there are such events.
    delegated_since: Option<Instant>,
    /// The hosts on which this process can execute the effect; `None` for all.
    hosts: Option<Arc<[HostName]>>,
    running: JoinSet<Ended>,
    /// An error met while waiting, for the next step to return.
    failed: Option<WorkerError>,
}

impl<E: Effect> EffectWorker<E> {
    /// With nothing in flight.
    pub fn new(ctx: Context, partition: Partition, effect: Arc<E>) -> Self {
        let append_signal = ctx.log.append_signal(partition);
        Self {
            ctx,
            partition,
            effect,
            append_signal,
            slots: Arc::new(Semaphore::new(MAX_CONCURRENT)),
            lease: None,
            inbox: None,
            queues: HashMap::new(),
            in_flight: BTreeSet::new(),
            held: None,
            retries: Retries::default(),
            delegated: BTreeMap::new(),
            delegated_since: None,
            hosts: None,
            running: JoinSet::new(),
            failed: None,
        }
    }

    /// The same worker in a process that serves these hosts only.
    pub fn serving(self, hosts: impl Into<Arc<[HostName]>>) -> Self {
        Self { hosts: Some(hosts.into()), ..self }
    }

    /// Takes the events whose retry is due, then new deliveries. Those that ask for no effect are settled at once, those for
    /// a host of another process are delegated, the others are queued.
    async fn read(&mut self) -> Result<usize, WorkerError> {
        let Some(inbox) = &self.inbox else { return Err(WorkerError::StaleState) };
        let mut change = Commit::new(inbox.lease().clone());
        let now = self.ctx.clock.now();
        let due = self.retries.heads().filter(|retry| retry.due <= now && !self.is_taken(retry.event));
        let due: Vec<Retry> = due.take(self.room()).cloned().collect();
        for retry in due.clone() {
            let Entry { id, family, event } = self.ctx.log.get(retry.event).await?.unwrap_or_else(|| Entry {
                id: retry.event,
                family: E::READS.first().copied().unwrap_or(Family::Action),
                event: Err("it is not on the log any more".to_owned()),
            });
            self.take(family, id, event, Origin::Retry(retry), &mut change);
        }
        let room = self.room();
        if let Some(inbox) = self.inbox.as_mut().filter(|_| room > 0) {
            for Delivery { id, family, event, times } in inbox.next(room).await? {
                self.take(family, id, event, Origin::Delivery { times }, &mut change);
            }
        }
        let handled = change.acks.len() + change.fired.len();
        if handled > 0
            && let Err(error) = commit(&self.ctx, &change).await
        {
            // What was not acknowledged must be delivered again.
            self.inbox.iter_mut().for_each(Inbox::reset);
            return Err(error.into());
        }
        for retry in due.iter().filter(|retry| !self.is_taken(retry.event)).collect::<Vec<_>>() {
            self.retries.remove(&retry.subject, retry.event);
        }
        Ok(handled)
    }

    /// How many more events may be in flight.
    fn room(&self) -> usize {
        if self.held.is_some() { 0 } else { MAX_IN_FLIGHT.saturating_sub(self.in_flight.len()) }
    }

    /// Whether the event is in flight here, or left to another process.
    fn is_taken(&self, id: EventId) -> bool {
        self.in_flight.contains(&id) || self.delegated.contains_key(&id)
    }

    /// Takes an event that has come. What it settles at once is added to `change`.
    fn take(
        &mut self,
        family: Family,
        id: EventId,
        event: Result<Recorded, String>,
        origin: Origin,
        change: &mut Commit,
    ) {
        // After an outage the inbox returns again what is in flight.
        if self.is_taken(id) {
            return;
        }
        let group = self.effect.group();
        let asks = event.and_then(|event| Ok((classify(&*self.effect, &event)?, event)));
        match asks {
            Ok((Asks::ForEffect, event)) => return self.enqueue(Job { event, origin }),
            Ok((Asks::Delegated { until }, event)) => {
                self.delegated_since.get_or_insert_with(Instant::now);
                self.delegated.insert(id, (until, Job { event, origin }));
                return;
            }
            Ok((Asks::Nothing, _)) => {}
            Err(why) => {
                error!("{group}: could not handle {id}, which becomes a dead letter: {why}");
                change.dead_letters.push(NewDeadLetter { family, id, error: why });
            }
        }
        origin.settle(family, id, change);
    }

    /// Starts the event's effect, after those of its subject that were queued before.
    fn enqueue(&mut self, job: Job) {
        self.in_flight.insert(job.event.id);
        match self.queues.get_mut(&job.event.subject) {
            Some(queue) => queue.push_back(job),
            None => {
                self.queues.insert(job.event.subject.clone(), VecDeque::new());
                self.start(job);
            }
        }
    }

    /// Queues the delegated events that no other process took in time.
    fn enqueue_overdue(&mut self) -> usize {
        let now = self.ctx.clock.now();
        let due: Vec<_> = self.delegated.iter().filter(|(_, (until, _))| *until <= now).map(|(id, _)| *id).collect();
        for (_, job) in due.iter().filter_map(|id| self.delegated.remove(id)).collect::<Vec<_>>() {
            self.enqueue(job);
        }
        if self.delegated.is_empty() {
            self.delegated_since = None;
            self.prepare_handoff(false);
        }
        due.len()
    }

    fn start(&mut self, job: Job) {
        if let Some(held) = &mut self.held {
            return held.push(job);
        }
        let Job { event, origin } = job;
        let Some(lease) = self.lease.clone() else { return };
        let span = info_span!("effect", group = self.effect.group(), subject = %event.subject, cause = %event.id);
        let behind = match &origin {
            Origin::Delivery { .. } => self.retries.due_of(&event.subject),
            Origin::Retry(_) => None,
        };
        let (ctx, effect, slots) = (self.ctx.clone(), self.effect.clone(), self.slots.clone());
        let execution = Execution { ctx, effect, slots, lease, event, origin, behind };
        self.running.spawn(execution.run().instrument(span));
    }

    /// Removes an ended effect and starts the next one of its subject.
    fn settle(&mut self, Ended { subject, id, how }: Ended) -> Result<usize, WorkerError> {
        self.in_flight.remove(&id);
        let ended = match how {
            How::Done { appended } => {
                self.retries.remove(&subject, id);
                Ok(appended)
            }
            How::Waits(retry) => {
                self.retries.insert(retry);
                Ok(0)
            }
            How::Interrupted => Ok(0),
            How::Failed(halt) => Err(halt),
        };
        match self.queues.get_mut(&subject).and_then(VecDeque::pop_front) {
            Some(job) => self.start(job),
            None => drop(self.queues.remove(&subject)),
        }
        ended
    }
}

#[async_trait]
impl<E: Effect> Worker for EffectWorker<E> {
    fn group(&self) -> &str {
        self.effect.group()
    }

    fn partition(&self) -> Partition {
        self.partition
    }

    fn served_hosts(&self) -> Option<Arc<[HostName]>> {
        self.hosts.clone()
    }

    /// The host of the first delegated event. What is in flight is finished first; if that takes longer than the lease's
    /// time to live, only what already runs.
    fn unserved_host_with_work(&self) -> Option<HostName> {
        self.hosts.as_ref()?;
        let (_, job) = self.delegated.values().next()?;
        let waits_long = self.delegated_since.is_some_and(|since| since.elapsed() >= self.ctx.lease_ttl);
        (self.in_flight.is_empty() || waits_long).then(|| job.event.subject.host.clone())
    }

    async fn load(&mut self, handle: &LeaseHandle) -> Result<(), WorkerError> {
        let lease = handle.lease().clone();
        if self.lease.as_ref().is_none_or(|before| *before.lease() != lease) {
            // What still runs under the earlier lease fails its checks and cannot commit; it ends by itself.
            self.running.detach_all();
            self.queues.clear();
            self.in_flight.clear();
            self.held = None;
            self.delegated.clear();
            self.delegated_since = None;
        }
        if self.effect.begins_now() {
            begin_now(&self.ctx, &*self.effect, &lease).await?;
        }
        self.retries = Retries::load(&self.ctx.log.timers(lease.partition, &lease.group).await?);
        self.lease = Some(handle.clone());
        self.inbox = Some(Inbox::new(self.ctx.log.clone(), lease, E::READS));
        Ok(())
    }

    async fn step(&mut self) -> Result<Step, WorkerError> {
        self.append_signal.borrow_and_update();
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let (mut handled, mut appended) = (0, 0);
        while let Some(ended) = self.running.try_join_next() {
            handled += 1;
            if let Ok(ended) = ended {
                appended += self.settle(ended)?;
            }
        }
        handled += self.enqueue_overdue() + self.read().await?;
        // Without room, the end of what is in flight wakes this worker.
        let has_room = self.room() > 0;
        let retries = self.retries.heads().filter(|retry| has_room && !self.is_taken(retry.event));
        let retries = retries.map(|retry| retry.due);
        // Until then what is in flight may end before the handoff of a delegated event is requested.
        let handoff = (!self.delegated.is_empty() && !self.in_flight.is_empty())
            .then(|| Span::from(self.ctx.lease_ttl).after(self.ctx.clock.now()));
        let until = self.delegated.values().map(|(until, _)| *until).chain(retries).chain(handoff).min();
        if handled == 0 { Ok(Step::Idle { until }) } else { Ok(Step::Worked { handled, appended }) }
    }

    async fn wait(&mut self, until: Option<Timestamp>) {
        if self.running.is_empty() {
            return wait_for_append(&mut self.append_signal, &*self.ctx.clock, until).await;
        }
        let running = &mut self.running;
        let ended = std::future::poll_fn(|cx| running.poll_join_next(cx));
        tokio::select! {
            ended = ended => if let Some(Ok(ended)) = ended {
                self.failed = self.settle(ended).err();
            },
            () = wait_for_append(&mut self.append_signal, &*self.ctx.clock, until) => {}
        }
    }

    /// The outcome of an executed effect is kept and committed when the log is back.
    fn keeps_work_through_outage(&self) -> bool {
        true
    }

    fn defers_rebalance(&self) -> bool {
        let is_idle = if self.held.is_some() { self.running.is_empty() } else { self.in_flight.is_empty() };
        self.hosts.is_some() && !is_idle
    }

    fn prepare_handoff(&mut self, requested: bool) -> bool {
        if requested {
            self.held.get_or_insert_default();
        } else {
            self.held.take().into_iter().flatten().for_each(|job| self.start(job));
        }
        self.running.is_empty()
    }

    async fn drain(&mut self) {
        self.queues.clear();
        let all = async { while self.running.join_next().await.is_some() {} };
        if timeout(DRAIN_TIMEOUT, all).await.is_err() {
            warn!(
                "{}: not every effect ended within {DRAIN_TIMEOUT:?}; they are delivered again and checked for what they did",
                self.effect.group()
            );
            self.running.abort_all();
        }
    }
}

/// An event that asks for the effect.
struct Job {
    event: Recorded,
    origin: Origin,
}

/// What an event asks of this process.
enum Asks {
    /// Nothing.
    Nothing,
    /// The effect.
    ForEffect,
    /// The effect on a host that another process serves: wait for that process until then.
    Delegated { until: Timestamp },
}

/// # Errors
/// When the effect panics.
fn classify<E: Effect>(effect: &E, event: &Recorded) -> Result<Asks, String> {
    if event.event().is_none() {
        return Ok(Asks::Nothing);
    }
    caught("the effect", || match effect.wants(event).then(|| effect.delegated_until(event)) {
        None => Asks::Nothing,
        Some(None) => Asks::ForEffect,
        Some(Some(until)) => Asks::Delegated { until },
    })
}

impl<E> fmt::Debug for EffectWorker<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EffectWorker")
            .field("partition", &self.partition)
            .field("in_flight", &self.in_flight.len())
            .finish_non_exhaustive()
    }
}
