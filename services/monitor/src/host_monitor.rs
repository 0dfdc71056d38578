//! Monitors one host: the loop that feeds inputs into the host's state and commits what changed.
//!
//! The process that holds the lease of the host's [`Producer`] monitors it; others stand by. Appends carry the lease's
//! fencing token, so a former holder cannot commit. It loads the checkpoint of the host's state and then
//! - follows the events of the Docker engine,
//! - lists all containers and inspects each every minute (`docker inspect`), in case an event was missed,
//! - sweeps: samples the resource counters of all running containers,
//! - measures how full the disk is and how much of it each container uses,
//! - commits the resulting events together with the changed rows of the checkpoint,
//! - examines a container (its output, health checks and processes) when a commit raises or worsens a symptom that
//!   is not of low severity, and again while the symptom persists (if `monitor.examine` is on).

use std::{future::ready, sync::Arc, time::Duration};

use hemostat_core::Policy;
use hemostat_runtime::{Context, Metric, Producer, ProducerError, trace};
use hemostat_schema::{Event, EventId, NewEvent, Observation, Partition, Span, container::Vitals};
use tokio::{
    sync::{mpsc, watch},
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
/// The longest wait without a timer.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// The pause before the next attempt, if the engine did not list its containers or the log failed.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Maximum inputs of a kind between two commits.
const MAX_BATCH: usize = 256;
/// The capacity of a channel. A full one makes the background tasks wait (backpressure).
const CHANNEL_CAPACITY: usize = 4 * MAX_BATCH;
/// The shortest wait until a timer.
const MIN_WAIT: Duration = Duration::from_millis(5);
/// The shortest period of the disk measurement, as an interval of zero panics.
const MIN_DISK_PERIOD: Duration = Duration::from_millis(5);
/// Longest delay of the first disk measurement after the start, which is busy enough.
const FIRST_MEASUREMENT: Duration = Duration::from_secs(30);

/// Monitors a host until the process ends, whenever this process holds the host's lease.
///
/// # Errors
/// If the log fails permanently.
pub async fn run(ctx: Context, engine: Arc<dyn Engine>, settings: Settings) -> anyhow::Result<()> {
    let partition = ctx.partition_of(&settings.host);
    let group = format!("monitor:{}", settings.host);
    loop {
        let why_ended = match Producer::acquire(&ctx, partition, &group).await {
            Ok(mut producer) => {
                let why_ended = run_with_lease(&ctx, &engine, &settings, partition, &mut producer).await;
                if !matches!(why_ended, ProducerError::LeaseLost) {
                    producer.release().await;
                }
                why_ended
            }
            Err(error) => error,
        };
        match why_ended {
            ProducerError::Shutdown => return Ok(()),
            ProducerError::LeaseLost => info!(host = %settings.host, "lost the lease to monitor {}", settings.host),
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
    let Checkpoint { host: HostCheckpoint { engine_status, offset }, states, rebuilt: rebuilt_containers } =
        match checkpoint::load(ctx.log.as_ref(), partition, &settings.host).await {
            Ok(checkpoint) => checkpoint,
            Err(error) => return error.into(),
        };
    debug!(host = %settings.host, containers = states.len(), ?offset, "monitoring {}", settings.host);
    let mut policy = settings.policy.clone();
    let in_force = Arc::clone(&policy.borrow_and_update());
    let mut state = HostState::new(settings.host.clone(), in_force, engine_status, offset, states);
    state.mark_rows_changed(rebuilt_containers);
    let (to_inputs, inputs) = mpsc::channel(CHANNEL_CAPACITY);
    let (to_samples, samples) = mpsc::channel(CHANNEL_CAPACITY);
    let mut tasks = EngineTasks::new(engine.clone(), ctx.clock.clone(), settings, to_inputs, to_samples);
    tasks.follow_events(state.offset().since());
    let reexamine_after = settings.examinations.as_ref().map_or(Duration::ZERO, |examinations| examinations.again);
    let reexaminations = ReexaminationSchedule::new(reexamine_after);
    let monitor = HostMonitor { ctx, settings, policy, state, tasks, inputs, samples, reexaminations, saved: None };
    match monitor.run(producer).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

enum Never {}

struct HostMonitor<'a> {
    ctx: &'a Context,
    settings: &'a Settings,
    policy: watch::Receiver<Arc<Policy>>,
    state: HostState,
    tasks: EngineTasks,
    inputs: mpsc::Receiver<Input>,
    /// Apart from other inputs, so that an event does not queue behind the samples of thousands of containers.
    samples: mpsc::Receiver<Samples>,
    reexaminations: ReexaminationSchedule,
    /// The row of the host that is on the log.
    saved: Option<HostCheckpoint>,
}

/// What the monitor does regularly.
struct Intervals {
    list: Interval,
    sweep: Interval,
    disk: Interval,
}

impl HostMonitor<'_> {
    async fn run(mut self, producer: &mut Producer) -> Result<Never, ProducerError> {
        let (now, sweep_every, disk_every) = (Instant::now(), self.settings.interval, self.settings.disk_every);
        let mut intervals = Intervals {
            list: every(LIST_EVERY, now),
            sweep: every(sweep_every, now),
            disk: every(disk_every.max(MIN_DISK_PERIOD), now + disk_every.min(FIRST_MEASUREMENT)),
        };
        let (mut inputs, mut samples) = (Vec::with_capacity(MAX_BATCH), vec![]);
        loop {
            let until_timer = self.until_timer();
            tokio::select! {
                () = self.ctx.shutdown.cancelled() => return Err(ProducerError::Shutdown),
                () = producer.lease_lost() => return Err(ProducerError::LeaseLost),
                _ = self.inputs.recv_many(&mut inputs, MAX_BATCH) => {
                    for input in inputs.drain(..) {
                        self.apply(input, &mut intervals);
                    }
                }
                _ = self.samples.recv_many(&mut samples, MAX_BATCH) => {
                    for (id, sample) in samples.drain(..).flatten() {
                        if let Some((name, vitals)) = self.state.apply_sample(&id, sample) {
                            set_gauges(self.settings.host.as_str(), name.as_str(), &vitals);
                        }
                    }
                }
                _ = intervals.list.tick() => {
                    if self.engine_answers() {
                        self.tasks.list(self.state.list_sequence());
                    }
                }
                _ = intervals.sweep.tick() => {
                    if self.engine_answers() {
                        let running = self.state.begin_sweep(self.ctx.clock.now());
                        self.tasks.sweep(running);
                        self.examine_again();
                    }
                }
                _ = intervals.disk.tick(), if !disk_every.is_zero() => {
                    if self.engine_answers() {
                        self.tasks.measure_disk(self.state.running());
                    }
                }
                // A few containers per turn of the loop, so that other inputs are not delayed.
                () = ready(()), if self.state.has_pending_disk_usage() => {
                    self.state.apply_pending_disk_usage(self.ctx.clock.now());
                }
                Ok(()) = self.policy.changed() => {
                    let policy = Arc::clone(&self.policy.borrow_and_update());
                    self.state.set_policy(policy);
                }
                () = sleep(until_timer) => self.state.fire_due_timers(self.ctx.clock.now()),
            }
            self.tasks.remove_ended_tasks();
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
            Input::EngineEvent(event) => self.state.engine_event(event),
            Input::Listed { ids: Some(ids), sequence } => self.state.apply_list(&ids, sequence, now),
            Input::Listed { ids: None, .. } => intervals.list.reset_after(RETRY_PAUSE),
            Input::InspectionDue(request) => self.tasks.inspect_now(request),
            Input::Inspected(request, inspected) => self.state.apply_inspection(&request, inspected.map(|it| *it), now),
            Input::Examined(event) => self.state.apply_examination(*event),
            Input::DiskMeasured(measured) => {
                self.tasks.disk_measured();
                intervals.disk.reset_after(disk::next_delay(self.settings.disk_every, measured.took));
                self.state.apply_disk_measurement(measured.usage, measured.disk, now);
            }
        }
    }

    fn engine_answers(&self) -> bool {
        matches!(self.state.engine_status(), Some(EngineStatus::Found(_)))
    }

    /// Examines containers again whose symptoms persist.
    fn examine_again(&mut self) {
        for name in self.reexaminations.due(self.state.with_symptoms(), Instant::now()) {
            if let Some(request) = self.state.reexamination(&name) {
                self.examine(request, None);
            }
        }
    }

    /// Starts an examination and schedules the next one.
    fn examine_because(&mut self, request: ExaminationRequest, cause: EventId) {
        self.reexaminations.examined(&request.name, Instant::now());
        self.examine(request, Some(cause));
    }

    /// Starts an examination. A re-examination has no cause; the schedule has its next time already.
    fn examine(&mut self, request: ExaminationRequest, cause: Option<EventId>) {
        if let Some(context) = self.state.examination_context(&request.name) {
            self.tasks.examine(request, context, cause);
        }
    }

    /// How long until the next timer of the state.
    fn until_timer(&self) -> Duration {
        self.state
            .next_timer()
            .map_or(MAX_WAIT, |due| Duration::from(Span::between(self.ctx.clock.now(), due)).max(MIN_WAIT))
    }

    /// Starts the inspections that the state requests, commits its changes, if there are any, and starts the
    /// examinations that the committed events request.
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
        let host = HostCheckpoint { engine_status, offset };
        if self.saved.as_ref() != Some(&host) {
            rows.push(checkpoint::host_row(&self.settings.host, &host)?);
        }
        trace::stamp_all(&mut changes.events);
        let requests = requests::requested(&changes.events);
        let ids = producer.append(changes.events.clone(), rows).await?;
        self.saved = Some(host);
        log_observations(&changes.events);
        for request in requests {
            if let Some(cause) = ids.get(request.cause_index) {
                self.examine_because(request, *cause);
            }
        }
        Ok(())
    }
}

/// Writes committed observations to the tracing output; the runtime counts them.
fn log_observations(events: &[NewEvent]) {
    for event in events {
        let name = event.subject.short();
        match &event.event {
            Event::Observation(Observation::SymptomRaised(raised)) => {
                info!(container = name, symptom = raised.symptom.name(), "{name} is sick: {}", raised.symptom);
            }
            Event::Observation(Observation::SymptomCleared(cleared)) => {
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
