//! Monitors one host: the loop that feeds inputs into the host's state and commits what changed.
//!
//! One process monitors a host at a time, as it holds the lease of the host's producer; others stand by. It loads the
//! checkpoint of the host's state and then
//! - follows the engine's events,
//! - lists and inspects all containers every minute, in case an event was missed,
//! - samples resource counters and measures disks,
//! - commits the resulting events together with the changed rows of the checkpoint,
//! - examines a container when a commit raises a symptom, and again while the symptom persists.

use std::{future::ready, sync::Arc, time::Duration};

use hemostat_runtime::{Context, Metric, Producer, ProducerError, trace};
use hemostat_schema::{Event, EventId, NewEvent, Observation, Partition, Span, container::Vitals};
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep},
};
use tracing::{debug, info, warn};

use crate::{
    checkpoint::{self, Checkpoint, HostCheckpoint},
    disk,
    engine::Engine,
    engine_tasks::EngineTasks,
    examine::{
        reexamination::ReexaminationSchedule,
        requests::{self, ExaminationRequest},
    },
    host_state::{EngineStatus, HostState},
    input::Input,
    settings::Settings,
    sweep::Samples,
};

/// How often all containers are listed and inspected.
const LIST_EVERY: Duration = Duration::from_secs(60);
/// The pause before the next attempt, if the engine did not list its containers or the log failed.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Maximum inputs of a kind between two commits.
const BATCH: usize = 256;
/// The capacity of a channel. A full one makes the background tasks wait.
const CAPACITY: usize = 4 * BATCH;
/// The shortest time until the next timer.
const MIN_WAIT: Duration = Duration::from_millis(5);
/// How long after the start disks are first measured, as the start is busy enough.
const FIRST_MEASUREMENT: Duration = Duration::from_secs(30);

/// Monitors a host until the process ends, whenever this process holds the host's lease.
///
/// # Errors
/// If the log fails permanently.
pub async fn run(ctx: Context, engine: Arc<dyn Engine>, settings: Settings) -> anyhow::Result<()> {
    let partition = ctx.partition_of(&settings.host);
    let group = format!("monitor:{}", settings.host);
    loop {
        let ended = match Producer::acquire(&ctx, partition, &group).await {
            Ok(mut producer) => {
                let ended = run_with_lease(&ctx, &engine, &settings, partition, &mut producer).await;
                if !matches!(ended, ProducerError::LeaseLost) {
                    producer.release().await;
                }
                ended
            }
            Err(error) => error,
        };
        match ended {
            ProducerError::Shutdown => return Ok(()),
            ProducerError::LeaseLost => info!(host = %settings.host, "another process monitors {} now", settings.host),
            ProducerError::Log(error) if error.is_transient() => {
                warn!("could not monitor {}: {error}; retrying", settings.host);
                sleep(RETRY_PAUSE).await;
            }
            ProducerError::Log(error) => return Err(error.into()),
        }
    }
}

/// Monitors until the lease is lost, the log fails or the process shuts down.
async fn run_with_lease(
    ctx: &Context,
    engine: &Arc<dyn Engine>,
    settings: &Settings,
    partition: Partition,
    producer: &mut Producer,
) -> ProducerError {
    let Checkpoint { host: HostCheckpoint { engine_status, offset }, states, rebuilt } =
        match checkpoint::load(ctx.log.as_ref(), partition, &settings.host).await {
            Ok(checkpoint) => checkpoint,
            Err(error) => return error.into(),
        };
    debug!(host = %settings.host, containers = states.len(), ?offset, "monitoring {}", settings.host);
    let mut state = HostState::new(settings.host.clone(), settings.policy.clone(), engine_status, offset, states);
    state.rewrite_rows(rebuilt);
    let (to_inputs, inputs) = mpsc::channel(CAPACITY);
    let (to_samples, samples) = mpsc::channel(CAPACITY);
    let mut tasks = EngineTasks::new(engine.clone(), ctx.clock.clone(), settings, to_inputs, to_samples);
    tasks.follow_events(state.offset().since());
    let reexaminations =
        ReexaminationSchedule::new(settings.examinations.as_ref().map_or(Duration::ZERO, |settings| settings.again));
    let monitor = HostMonitor { ctx, settings, state, tasks, inputs, samples, reexaminations };
    match monitor.run(producer).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

enum Never {}

struct HostMonitor<'a> {
    ctx: &'a Context,
    settings: &'a Settings,
    state: HostState,
    tasks: EngineTasks,
    inputs: mpsc::Receiver<Input>,
    /// Apart from other inputs, so that an event does not queue behind the samples of thousands of containers.
    samples: mpsc::Receiver<Samples>,
    reexaminations: ReexaminationSchedule,
}

/// What the monitor does regularly.
struct Intervals {
    list: Interval,
    sweep: Interval,
    disk: Interval,
}

impl HostMonitor<'_> {
    async fn run(mut self, producer: &mut Producer) -> Result<Never, ProducerError> {
        let (now, disk_every) = (Instant::now(), self.settings.disk_every);
        let mut intervals = Intervals {
            list: every(LIST_EVERY, now),
            sweep: every(self.settings.interval, now),
            disk: every(disk_every.max(MIN_WAIT), now + disk_every.min(FIRST_MEASUREMENT)),
        };
        let (mut inputs, mut samples) = (Vec::with_capacity(BATCH), vec![]);
        loop {
            let until_timer = self.until_timer();
            tokio::select! {
                () = self.ctx.shutdown.cancelled() => return Err(ProducerError::Shutdown),
                () = producer.lost() => return Err(ProducerError::LeaseLost),
                _ = self.inputs.recv_many(&mut inputs, BATCH) => {
                    for input in inputs.drain(..) {
                        self.apply(input, &mut intervals);
                    }
                }
                _ = self.samples.recv_many(&mut samples, BATCH) => {
                    for (id, sample) in samples.drain(..).flatten() {
                        if let Some((name, vitals)) = self.state.sampled(&id, sample) {
                            set_gauges(self.settings.host.as_str(), name.as_str(), &vitals);
                        }
                    }
                }
                _ = intervals.list.tick() => {
                    if self.engine_answers() {
                        self.tasks.list(self.state.sequence());
                    }
                }
                _ = intervals.sweep.tick() => {
                    if self.engine_answers() {
                        self.tasks.sweep(self.state.running());
                        self.examine_again();
                    }
                }
                _ = intervals.disk.tick(), if !disk_every.is_zero() => {
                    if self.engine_answers() {
                        self.tasks.measure_disk(self.state.running());
                    }
                }
                // One step per turn of the loop, so that other inputs are not delayed.
                () = ready(()), if self.state.has_pending_usage() => {
                    self.state.apply_pending_usage(self.ctx.clock.now());
                }
                () = sleep(until_timer) => self.state.tick(self.ctx.clock.now()),
            }
            self.tasks.reap();
            self.commit(producer).await?;
        }
    }

    fn apply(&mut self, input: Input, intervals: &mut Intervals) {
        let now = self.ctx.clock.now();
        match input {
            Input::EngineFound(info) => {
                self.tasks.engine_found(info.engine.memory, info.root.clone());
                self.state.engine_found(&info, now);
                // Events may have been missed, also before this process started.
                intervals.list.reset_immediately();
            }
            Input::EngineLost(error) => {
                let error = self.settings.redactor.redact(&error.to_string()).text;
                self.state.engine_lost(&error, now);
            }
            Input::Event(event) => self.state.docker_event(event),
            Input::Listed { ids: Some(ids), sequence } => self.state.listed(&ids, sequence, now),
            Input::Listed { ids: None, .. } => intervals.list.reset_after(RETRY_PAUSE),
            Input::InspectionDue(request) => self.tasks.inspect_now(request),
            Input::Inspected(request, inspected) => self.state.inspected(&request, inspected.map(|it| *it), now),
            Input::Examined(event) => self.state.examined(*event),
            Input::DiskMeasured(measured) => {
                self.tasks.disk_measured();
                intervals.disk.reset_after(disk::next_delay(self.settings.disk_every, measured.took));
                self.state.disk_measured(measured.usage, measured.disk, now);
            }
        }
    }

    fn engine_answers(&self) -> bool {
        matches!(self.state.engine_status(), Some(EngineStatus::Found(_)))
    }

    /// Examines containers again whose symptoms persist.
    fn examine_again(&mut self) {
        for name in self.reexaminations.due(self.state.sick(), Instant::now()) {
            if let Some(request) = self.state.reexamination(&name) {
                self.examine(request, None);
            }
        }
    }

    fn examine(&mut self, request: ExaminationRequest, cause: Option<EventId>) {
        if cause.is_some() {
            self.reexaminations.examined(&request.name, Instant::now());
        }
        if let Some(context) = self.state.examination_context(&request.name) {
            self.tasks.examine(request, context, cause);
        }
    }

    /// How long until the next timer of the state.
    fn until_timer(&self) -> Duration {
        self.state
            .next_timer()
            .map_or(LIST_EVERY, |due| Duration::from(Span::between(self.ctx.clock.now(), due)).max(MIN_WAIT))
    }

    /// Commits the changes of the state, if there are any, and starts the inspections and examinations that follow.
    async fn commit(&mut self, producer: &mut Producer) -> Result<(), ProducerError> {
        let mut changes = self.state.take_changes();
        for request in changes.inspections {
            self.tasks.inspect(request);
        }
        self.tasks.start_inspections();
        if changes.events.is_empty() && changes.rows.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(changes.rows.len() + 1);
        for (subject, state) in &changes.rows {
            rows.push(checkpoint::container_row(subject, state.as_ref())?);
        }
        let (engine_status, offset) = (self.state.engine_status().cloned(), self.state.offset().clone());
        rows.push(checkpoint::host_row(&self.settings.host, &HostCheckpoint { engine_status, offset })?);
        log_observations(&changes.events);
        trace::stamp_all(&mut changes.events);
        let requests = requests::requested(&changes.events);
        let ids = producer.append(changes.events, rows).await?;
        for request in requests {
            if let Some(cause) = ids.get(request.cause_index) {
                self.examine(request, Some(*cause));
            }
        }
        Ok(())
    }
}

/// Writes the process's log; the runtime counts committed events.
fn log_observations(events: &[NewEvent]) {
    for event in events {
        let Event::Observation(observation) = &event.event else { continue };
        let name = event.subject.short();
        match observation {
            Observation::SymptomRaised(raised) => {
                info!(container = name, symptom = raised.symptom.name(), "{name} is sick: {}", raised.symptom);
            }
            Observation::SymptomCleared(cleared) => {
                info!(container = name, symptom = cleared.symptom.name(), "{name}: {} is over", cleared.symptom);
            }
            other => debug!(container = name, "{name}: {}", other.name()),
        }
    }
}

fn every(period: Duration, first: Instant) -> Interval {
    let mut interval = interval_at(first, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn set_gauges(host: &str, container: &str, vitals: &Vitals) {
    let labels = [("host", host), ("container", container)];
    Metric::ContainerCpu.gauge(&labels).set(vitals.cpu.get());
    Metric::ContainerMemory.gauge(&labels).set(vitals.memory.get());
    #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
    Metric::ContainerMemoryBytes.gauge(&labels).set(vitals.memory_used.0 as f64);
}
