//! What keeps the watch of a host going?
//!
//! One monitor watches a host at a time; others stand by. From when it takes over until it hands over is its shift: it
//! goes on from what is kept, follows the engine's events, looks at everything now and then, reads counters, measures
//! disks, and puts what it all adds up to on the log. Whatever may hang is asked in a task of its own.

use std::{future::ready, path::PathBuf, sync::Arc, time::Duration};

use hemostat_core::Policy;
use hemostat_redact::Redactor;
use hemostat_runtime::{Context, Lost, Metric, Producer, trace};
use hemostat_schema::{
    ByteCount, ContainerId, Event, EventId, HostName, NewEvent, Observation, Partition, Span, container::Vitals,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    asks::{Asks, inspected},
    disk::{self, Measured},
    engine::Engine,
    examine::{
        self, Order,
        again::Again,
        orders::{self, Asked},
    },
    facts::Inspected,
    follow::{Heard, follow},
    kept::{self, HostRow, Kept},
    sweep::{self, Samples, Sweeper},
    watch::{Ask, Reach, Watch},
};

/// How often everything is looked at again, in case an event was missed.
const ROUND: Duration = Duration::from_secs(60);
/// How long until the next try when the engine did not give its list.
const ROUND_AGAIN: Duration = Duration::from_secs(2);
/// So many containers are examined at once.
const EXAMINATIONS: usize = 32;
/// So long an examination may wait for its turn. Where so many fall ill that it comes later, it is left out: a diagnosis
/// would not wait for it, and nothing is done about a storm anyway.
const TURN: Duration = Duration::from_secs(1);
/// At most so much is taken in between two commits.
const BATCH: usize = 256;
/// The least time between two looks at what is due.
const LEAST_NAP: Duration = Duration::from_millis(5);
/// Disks are not measured sooner after a start, which is busy enough.
const SETTLED: Duration = Duration::from_secs(30);

/// How a host is watched.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The host's name.
    pub host: HostName,
    /// How often counters are read.
    pub interval: Duration,
    /// How they are read.
    pub sampling: sweep::Settings,
    /// How often disks are measured; zero is never.
    pub disk_every: Duration,
    /// The limits.
    pub policy: Arc<Policy>,
    /// What is secret in what the engine says of itself.
    pub redactor: Redactor,
    /// How the sick are examined; none: they are not.
    pub examinations: Option<examine::Settings>,
}

/// Watches a host until the process ends, whenever no other process does.
///
/// # Errors
/// When the log fails for a reason that no waiting mends.
pub async fn run(ctx: Context, engine: Arc<dyn Engine>, settings: Settings) -> anyhow::Result<()> {
    let partition = ctx.partition_of(&settings.host);
    let group = format!("monitor:{}", settings.host);
    loop {
        let ended = match Producer::acquire(&ctx, partition, &group).await {
            Ok(mut producer) => {
                let ended = shift(&ctx, &engine, &settings, partition, &mut producer).await;
                if !matches!(ended, Lost::Lease) {
                    producer.release().await;
                }
                ended
            }
            Err(lost) => lost,
        };
        match ended {
            Lost::Shutdown => return Ok(()),
            Lost::Lease => info!(host = %settings.host, "another process watches {} now", settings.host),
            Lost::Log(error) if error.is_transient() => {
                warn!("could not go on watching {}: {error}; trying again", settings.host);
                sleep(ROUND_AGAIN).await;
            }
            Lost::Log(error) => return Err(error.into()),
        }
    }
}

async fn shift(
    ctx: &Context,
    engine: &Arc<dyn Engine>,
    settings: &Settings,
    partition: Partition,
    producer: &mut Producer,
) -> Lost {
    let Kept { host: HostRow { reach, progress }, states, restored } =
        match kept::load(ctx.log.as_ref(), partition, &settings.host).await {
            Ok(kept) => kept,
            Err(error) => return error.into(),
        };
    debug!(host = %settings.host, containers = states.len(), ?progress, "watching {}", settings.host);
    let mut watch = Watch::new(settings.host.clone(), settings.policy.clone(), reach, progress, states);
    watch.keep(restored);
    let (to_heard, heard) = mpsc::channel(BATCH * 4);
    let (to_told, told) = mpsc::channel(BATCH * 4);
    let (to_swept, swept) = mpsc::channel(BATCH * 4);
    let mut tasks = JoinSet::new();
    tasks.spawn(follow(engine.clone(), watch.progress().since(), to_heard));
    let shift = Shift {
        ctx,
        engine,
        settings,
        watch,
        heard,
        told,
        to_told,
        tasks,
        swept,
        to_swept,
        sweeper: Sweeper::new(settings.host.clone(), engine.clone(), settings.sampling.clone(), ctx.clock.clone()),
        asks: Asks::default(),
        examinations: Arc::new(Semaphore::new(EXAMINATIONS)),
        again: Again::new(settings.examinations.as_ref().map_or(Duration::ZERO, |settings| settings.again)),
        host_memory: ByteCount(0),
        root: None,
        measuring: false,
    };
    match shift.work(producer).await {
        Ok(never) => match never {},
        Err(lost) => lost,
    }
}

/// What a task found out.
#[derive(Debug)]
enum Told {
    Listed(Option<Vec<ContainerId>>, u64),
    /// The time has come to ask this.
    Due(Ask),
    Inspected(Ask, Option<Box<Inspected>>),
    Examined(Box<NewEvent>),
    Measured(Box<Measured>),
}

enum Never {}

struct Shift<'a> {
    ctx: &'a Context,
    engine: &'a Arc<dyn Engine>,
    settings: &'a Settings,
    watch: Watch,
    heard: mpsc::Receiver<Heard>,
    told: mpsc::Receiver<Told>,
    to_told: mpsc::Sender<Told>,
    /// Ends with the shift.
    tasks: JoinSet<()>,
    swept: mpsc::Receiver<Samples>,
    to_swept: mpsc::Sender<Samples>,
    sweeper: Sweeper,
    asks: Asks,
    examinations: Arc<Semaphore>,
    again: Again,
    host_memory: ByteCount,
    /// Where the engine keeps its data.
    root: Option<PathBuf>,
    /// Disks are being measured.
    measuring: bool,
}

impl Shift<'_> {
    async fn work(mut self, producer: &mut Producer) -> Result<Never, Lost> {
        let now = Instant::now();
        let (mut round, mut sweep) = (every(ROUND, now), every(self.settings.interval, now));
        let disk_every = self.settings.disk_every;
        let mut disk = every(disk_every.max(LEAST_NAP), now + disk_every.min(SETTLED));
        let (mut heard, mut told, mut swept) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH), vec![]);
        loop {
            let until_due = self.until_due();
            tokio::select! {
                () = self.ctx.shutdown.cancelled() => return Err(Lost::Shutdown),
                () = producer.lost() => return Err(Lost::Lease),
                _ = self.heard.recv_many(&mut heard, BATCH) => {
                    for heard in heard.drain(..) {
                        self.hear(heard, &mut round);
                    }
                }
                _ = self.told.recv_many(&mut told, BATCH) => {
                    for told in told.drain(..) {
                        self.learn(told, &mut round, &mut disk);
                    }
                }
                _ = self.swept.recv_many(&mut swept, BATCH) => {
                    for (id, sample) in swept.drain(..).flatten() {
                        if let Some((name, vitals)) = self.watch.sampled(&id, sample) {
                            gauge(self.settings.host.as_str(), name.as_str(), &vitals);
                        }
                    }
                }
                _ = round.tick() => self.look_round(),
                _ = sweep.tick() => {
                    self.sweep();
                    self.examine_again();
                }
                _ = disk.tick(), if !disk_every.is_zero() => self.measure(),
                // Step by step, and whatever else happens in between.
                () = ready(()), if self.watch.has_measured() => self.watch.take_measured(self.ctx.clock.now()),
                () = sleep(until_due) => self.watch.tick(self.ctx.clock.now()),
            }
            while let Some(ended) = self.tasks.try_join_next() {
                if let Err(error) = ended {
                    warn!("a question to the engine panicked: {error}");
                }
            }
            self.commit(producer).await?;
        }
    }

    fn hear(&mut self, heard: Heard, round: &mut Interval) {
        match heard {
            Heard::Happened(happening) => self.watch.happened(happening),
            Heard::Up(about) => {
                self.host_memory = about.engine.memory;
                self.root.clone_from(&about.root);
                self.watch.engine_found(&about, self.ctx.clock.now());
                // Events may have been missed, also from before this process.
                round.reset_immediately();
            }
            Heard::Down(error) => {
                let said = self.settings.redactor.redact(&error.to_string()).text;
                self.watch.engine_lost(&said, self.ctx.clock.now());
            }
        }
    }

    fn learn(&mut self, told: Told, round: &mut Interval, disk: &mut Interval) {
        let now = self.ctx.clock.now();
        match told {
            Told::Listed(Some(ids), mark) => self.watch.listed(&ids, mark, now),
            Told::Listed(None, _) => round.reset_after(ROUND_AGAIN),
            Told::Due(ask) => self.asks.push(ask),
            Told::Inspected(ask, inspected) => self.watch.answered(&ask, inspected.map(|it| *it), now),
            Told::Measured(measured) => {
                self.measuring = false;
                disk.reset_after(disk::pause(self.settings.disk_every, measured.took));
                self.watch.measured(measured.usage, measured.disk, now);
            }
            Told::Examined(event) => self.watch.found_out(*event),
        }
    }

    fn engine_answers(&self) -> bool {
        matches!(self.watch.reach(), Some(Reach::Found(_)))
    }

    fn look_round(&mut self) {
        if self.engine_answers() {
            let (engine, to, mark) = (self.engine.clone(), self.to_told.clone(), self.watch.mark());
            self.tasks.spawn(async move {
                let listed = engine.list().await.inspect_err(|error| debug!("{error}")).ok();
                let _ = to.send(Told::Listed(listed, mark)).await;
            });
        }
    }

    fn sweep(&mut self) {
        let running = self.watch.running();
        if self.engine_answers() && !running.is_empty() {
            self.tasks.spawn(self.sweeper.clone().sweep(running, self.host_memory, self.to_swept.clone()));
        }
    }

    fn measure(&mut self) {
        if !self.engine_answers() || self.measuring {
            return;
        }
        self.measuring = true;
        let (engine, to, running) = (self.engine.clone(), self.to_told.clone(), self.watch.running());
        let (root, roots) = (self.root.clone(), self.settings.sampling.roots.clone());
        self.tasks.spawn(async move {
            let measured = disk::measure(engine.as_ref(), root, roots, running).await;
            let _ = to.send(Told::Measured(Box::new(measured))).await;
        });
    }

    /// Asks what may be asked now.
    fn inspect(&mut self) {
        while let Some((ask, turn)) = self.asks.pop() {
            let (engine, to) = (self.engine.clone(), self.to_told.clone());
            self.tasks.spawn(async move {
                let inspected = inspected(engine.as_ref(), &ask.id).await;
                // Whoever hears of the answer asks the next.
                drop(turn);
                let _ = to.send(Told::Inspected(ask, inspected.map(Box::new))).await;
            });
        }
    }

    fn ask_later(&mut self, ask: Ask) {
        let to = self.to_told.clone();
        self.tasks.spawn(async move {
            sleep(ask.after).await;
            let _ = to.send(Told::Due(ask)).await;
        });
    }

    /// Looks again at those who stay ill.
    fn examine_again(&mut self) {
        if !self.engine_answers() {
            return;
        }
        for name in self.again.due(self.watch.ill(), Instant::now()) {
            if let Some(asked) = self.watch.still_ill(&name) {
                self.examine(asked, None);
            }
        }
    }

    /// Examines a container that is ill, as `cause` says where it has fallen ill now.
    fn examine(&mut self, asked: Asked, cause: Option<EventId>) {
        let Some(settings) = self.settings.examinations.clone() else { return };
        if cause.is_some() {
            self.again.examined(&asked.name, Instant::now());
        }
        let Some(known) = self.watch.known(&asked.name) else { return };
        let order = Order { target: asked.target.clone(), symptoms: asked.symptoms.clone(), known };
        let (engine, to, turns) = (self.engine.clone(), self.to_told.clone(), self.examinations.clone());
        let clock = self.ctx.clock.clone();
        self.tasks.spawn(async move {
            let Ok(_turn) = timeout(TURN, turns.acquire()).await else {
                return warn!(container = %asked.name, "{} is not examined: too many are sick at once", asked.name);
            };
            let examined = examine::examine(engine.as_ref(), order, &settings).await;
            let event = asked.answer(examined, cause, clock.now());
            let _ = to.send(Told::Examined(Box::new(event))).await;
        });
    }

    /// How long until something has held for its time.
    fn until_due(&self) -> Duration {
        self.watch
            .next_wake()
            .map_or(ROUND, |due| Duration::from(Span::between(self.ctx.clock.now(), due)).max(LEAST_NAP))
    }

    async fn commit(&mut self, producer: &mut Producer) -> Result<(), Lost> {
        let mut outcome = self.watch.take();
        for ask in outcome.asks {
            if ask.after.is_zero() { self.asks.push(ask) } else { self.ask_later(ask) }
        }
        self.inspect();
        if outcome.events.is_empty() && outcome.rows.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(outcome.rows.len() + 1);
        for (subject, state) in &outcome.rows {
            rows.push(kept::container(subject, state.as_ref())?);
        }
        let row = HostRow { reach: self.watch.reach().cloned(), progress: self.watch.progress().clone() };
        rows.push(kept::host(&self.settings.host, &row)?);
        self.tell(&outcome.events);
        trace::stamp_all(&mut outcome.events);
        let asked = orders::asked(&outcome.events);
        let ids = producer.append(outcome.events, rows).await?;
        for asked in asked {
            if let Some(cause) = ids.get(asked.by) {
                self.examine(asked, Some(*cause));
            }
        }
        Ok(())
    }

    /// For people; the runtime counts what is committed.
    fn tell(&self, events: &[NewEvent]) {
        for event in events {
            let Event::Observation(observation) = &event.event else { continue };
            let name = event.subject.short();
            match observation {
                Observation::SymptomRaised(raised) => {
                    info!(container = name, symptom = raised.symptom.name(), "{name} is ill: {}", raised.symptom);
                }
                Observation::SymptomCleared(cleared) => {
                    info!(container = name, symptom = cleared.symptom.name(), "{name}: {} is over", cleared.symptom);
                }
                other => debug!(container = name, "{name}: {}", other.name()),
            }
        }
    }
}

fn every(period: Duration, first: Instant) -> Interval {
    let mut interval = interval_at(first, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn gauge(host: &str, container: &str, vitals: &Vitals) {
    let labels = [("host", host), ("container", container)];
    Metric::ContainerCpu.gauge(&labels).set(vitals.cpu.get());
    Metric::ContainerMemory.gauge(&labels).set(vitals.memory.get());
    #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
    Metric::ContainerMemoryBytes.gauge(&labels).set(vitals.memory_used.0 as f64);
}
