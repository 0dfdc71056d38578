//! Executes the effects of one partition: concurrently for different subjects, in order for each subject.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use hemostat_core::fold::caught;
use hemostat_log::{Commit, Delivery, Inbox, NewDeadLetter};
use hemostat_schema::{EventId, HostName, Partition, Subject, Timestamp};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::{Instrument as _, error, info_span, warn};

use super::{
    Effect,
    execution::{Ended, Execution, How},
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
    /// The queue of each subject with a running effect: the deliveries that come after it.
    queues: HashMap<Subject, VecDeque<Delivery>>,
    in_flight: BTreeSet<EventId>,
    /// Deliveries for hosts that this process does not serve, and until when they wait for one that does.
    delegated: BTreeMap<EventId, (Timestamp, Delivery)>,
    /// Since when there are such deliveries.
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

    /// Reads new deliveries. Those that ask for no effect are acknowledged at once, those for a host of another process are
    /// delegated, the others are queued.
    async fn read(&mut self) -> Result<usize, WorkerError> {
        let Some(inbox) = &mut self.inbox else { return Err(WorkerError::StaleState) };
        let room = MAX_IN_FLIGHT.saturating_sub(self.in_flight.len());
        if room == 0 {
            return Ok(0);
        }
        let mut change = Commit::new(inbox.lease().clone());
        for delivery in inbox.next(room).await? {
            // After an outage the inbox returns again what is in flight.
            if self.in_flight.contains(&delivery.id) || self.delegated.contains_key(&delivery.id) {
                continue;
            }
            match classify(&*self.effect, &delivery) {
                Ok(Asks::ForEffect(subject)) => {
                    self.enqueue(subject, delivery);
                    continue;
                }
                Ok(Asks::Delegated { until }) => {
                    self.delegated_since.get_or_insert_with(Instant::now);
                    self.delegated.insert(delivery.id, (until, delivery));
                    continue;
                }
                Ok(Asks::Nothing) => {}
                Err(why) => {
                    error!(
                        "{}: could not handle {}, which becomes a dead letter: {why}",
                        self.effect.group(),
                        delivery.id
                    );
                    change.dead_letters.push(NewDeadLetter { family: delivery.family, id: delivery.id, error: why });
                }
            }
            change.acks.push((delivery.family, delivery.id));
        }
        if !change.acks.is_empty()
            && let Err(error) = commit(&self.ctx, &change).await
        {
            // What was not acknowledged must be delivered again.
            self.inbox.iter_mut().for_each(Inbox::reset);
            return Err(error.into());
        }
        Ok(change.acks.len())
    }

    /// Starts the delivery's effect, after those of its subject that were queued before.
    fn enqueue(&mut self, subject: Subject, delivery: Delivery) {
        self.in_flight.insert(delivery.id);
        match self.queues.get_mut(&subject) {
            Some(queue) => queue.push_back(delivery),
            None => {
                self.queues.insert(subject, VecDeque::new());
                self.start(delivery);
            }
        }
    }

    /// Queues the delegated deliveries that no other process took in time.
    fn enqueue_overdue(&mut self) -> usize {
        let now = self.ctx.clock.now();
        let due: Vec<_> = self.delegated.iter().filter(|(_, (until, _))| *until <= now).map(|(id, _)| *id).collect();
        for (_, delivery) in due.iter().filter_map(|id| self.delegated.remove(id)).collect::<Vec<_>>() {
            let Ok(event) = &delivery.event else { continue };
            self.enqueue(event.subject.clone(), delivery);
        }
        if self.delegated.is_empty() {
            self.delegated_since = None;
        }
        due.len()
    }

    fn start(&mut self, delivery: Delivery) {
        let (Some(lease), Ok(event)) = (self.lease.clone(), delivery.event) else { return };
        let span = info_span!("effect", group = self.effect.group(), subject = %event.subject, cause = %event.id);
        let execution = Execution {
            ctx: self.ctx.clone(),
            effect: self.effect.clone(),
            slots: self.slots.clone(),
            lease,
            event,
            deliveries: delivery.times,
        };
        self.running.spawn(execution.run().instrument(span));
    }

    /// Removes an ended effect and starts the next one of its subject.
    fn settle(&mut self, Ended { subject, id, how }: Ended) -> Result<usize, WorkerError> {
        self.in_flight.remove(&id);
        let next = self.queues.get_mut(&subject).and_then(VecDeque::pop_front);
        match next {
            Some(delivery) => self.start(delivery),
            None => drop(self.queues.remove(&subject)),
        }
        match how {
            How::Done { appended } => Ok(appended),
            How::Interrupted => Ok(0),
            How::Failed(halt) => Err(halt),
        }
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

    /// The host of the first delegated delivery. What is in flight is finished first, unless that takes longer than the
    /// lease's time to live.
    fn unserved_host_with_work(&self) -> Option<HostName> {
        self.hosts.as_ref()?;
        let (_, delivery) = self.delegated.values().next()?;
        let waits_long = self.delegated_since.is_some_and(|since| since.elapsed() > self.ctx.lease_ttl);
        let event = delivery.event.as_ref().ok().filter(|_| self.in_flight.is_empty() || waits_long)?;
        Some(event.subject.host.clone())
    }

    async fn load(&mut self, handle: &LeaseHandle) -> Result<(), WorkerError> {
        let lease = handle.lease().clone();
        if self.lease.as_ref().is_none_or(|before| *before.lease() != lease) {
            // What still runs under the earlier lease fails its checks and cannot commit; it ends by itself.
            self.running.detach_all();
            self.queues.clear();
            self.in_flight.clear();
            self.delegated.clear();
            self.delegated_since = None;
        }
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
        let until = self.delegated.values().map(|(until, _)| *until).min();
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
        self.hosts.is_some() && !self.in_flight.is_empty()
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

/// What a delivery asks of this process.
enum Asks {
    /// Nothing.
    Nothing,
    /// An effect, in the queue of this subject.
    ForEffect(Subject),
    /// An effect on a host that another process serves: wait for that process until then.
    Delegated { until: Timestamp },
}

/// # Errors
/// When the event cannot be decoded, or the effect panics.
fn classify<E: Effect>(effect: &E, delivery: &Delivery) -> Result<Asks, String> {
    let event = delivery.event.as_ref().map_err(Clone::clone)?;
    if event.event().is_none() {
        return Ok(Asks::Nothing);
    }
    caught("the effect", || match effect.wants(event).then(|| effect.delegated_until(event)) {
        None => Asks::Nothing,
        Some(None) => Asks::ForEffect(event.subject.clone()),
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
