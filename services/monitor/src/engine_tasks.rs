//! Calls the engine in background tasks, and sends the results to the monitor as [`Input`]s.
//!
//! Every call to the engine and every read of its host's files may hang, so none runs in the monitor's own task.

use std::{path::PathBuf, sync::Arc, time::Duration};

use hemostat_runtime::Clock;
use hemostat_schema::{ByteCount, EventId, Timestamp};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use crate::{
    cgroup::{Roots, RunningContainer},
    disk,
    engine::Engine,
    event_stream,
    examine::{self, ContainerContext, requests::ExaminationRequest},
    host_state::InspectRequest,
    input::Input,
    inspect_queue::{self, InspectQueue},
    settings::Settings,
    sweep::{Samples, Sweeper},
};

/// Maximum concurrent examinations.
const MAX_EXAMINATIONS: usize = 32;
/// How long an examination may queue before it is skipped. A diagnosis would not wait longer for it, and while so many
/// containers fail at once HemoStat restarts none of them anyway.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(1);

/// The background tasks of one monitor. Dropping it ends them.
#[derive(Debug)]
pub struct EngineTasks {
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    inputs: mpsc::Sender<Input>,
    samples: mpsc::Sender<Samples>,
    tasks: JoinSet<()>,
    sweeper: Sweeper,
    roots: Roots,
    inspections: InspectQueue,
    examinations: Option<examine::Settings>,
    examination_slots: Arc<Semaphore>,
    host_memory: ByteCount,
    /// Docker's data directory.
    data_root: Option<PathBuf>,
    measuring_disk: bool,
}

impl EngineTasks {
    /// No task runs yet.
    pub fn new(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        settings: &Settings,
        inputs: mpsc::Sender<Input>,
        samples: mpsc::Sender<Samples>,
    ) -> Self {
        let sweeper = Sweeper::new(settings.host.clone(), engine.clone(), settings.sampling.clone(), clock.clone());
        Self {
            engine,
            clock,
            inputs,
            samples,
            tasks: JoinSet::new(),
            sweeper,
            roots: settings.sampling.roots.clone(),
            inspections: InspectQueue::default(),
            examinations: settings.examinations.clone(),
            examination_slots: Arc::new(Semaphore::new(MAX_EXAMINATIONS)),
            host_memory: ByteCount(0),
            data_root: None,
            measuring_disk: false,
        }
    }

    /// Follows the engine's events from `since` on.
    pub fn follow_events(&mut self, since: Option<Timestamp>) {
        self.tasks.spawn(event_stream::follow(self.engine.clone(), since, self.inputs.clone()));
    }

    /// The engine reported this memory and data directory.
    pub fn engine_found(&mut self, host_memory: ByteCount, data_root: Option<PathBuf>) {
        (self.host_memory, self.data_root) = (host_memory, data_root);
    }

    /// Lists all containers; `sequence` comes back with the list.
    pub fn list(&mut self, sequence: u64) {
        let (engine, to) = (self.engine.clone(), self.inputs.clone());
        self.tasks.spawn(async move {
            let ids = engine.list().await.inspect_err(|error| debug!("{error}")).ok();
            let _ = to.send(Input::Listed { ids, sequence }).await;
        });
    }

    /// Samples these containers.
    pub fn sweep(&mut self, running: Vec<RunningContainer>) {
        if !running.is_empty() {
            self.tasks.spawn(self.sweeper.clone().sweep(running, self.host_memory, self.samples.clone()));
        }
    }

    /// Measures disks, unless a measurement is under way.
    pub fn measure_disk(&mut self, running: Vec<RunningContainer>) {
        if self.measuring_disk {
            return;
        }
        self.measuring_disk = true;
        let (engine, to) = (self.engine.clone(), self.inputs.clone());
        let (data_root, roots) = (self.data_root.clone(), self.roots.clone());
        self.tasks.spawn(async move {
            let measured = disk::measure(engine.as_ref(), data_root, roots, running).await;
            let _ = to.send(Input::DiskMeasured(Box::new(measured))).await;
        });
    }

    /// The measurement of disks has ended.
    pub fn disk_measured(&mut self) {
        self.measuring_disk = false;
    }

    /// Queues an inspection, after its delay.
    pub fn inspect(&mut self, request: InspectRequest) {
        if request.delay.is_zero() {
            return self.inspections.push(request);
        }
        let to = self.inputs.clone();
        self.tasks.spawn(async move {
            sleep(request.delay).await;
            let _ = to.send(Input::InspectionDue(request)).await;
        });
    }

    /// Queues an inspection whose delay is over.
    pub fn inspect_now(&mut self, request: InspectRequest) {
        self.inspections.push(request);
    }

    /// Starts queued inspections while slots are free. To be called again after each answer.
    pub fn start_inspections(&mut self) {
        while let Some((request, slot)) = self.inspections.pop() {
            let (engine, to) = (self.engine.clone(), self.inputs.clone());
            self.tasks.spawn(async move {
                let inspected = inspect_queue::inspect(engine.as_ref(), &request.id).await;
                // Free before the answer is sent, as the answer starts the next inspection.
                drop(slot);
                let _ = to.send(Input::Inspected(request, inspected.map(Box::new))).await;
            });
        }
    }

    /// Examines a container, if examinations are on; `cause` is the event that requested it, if any.
    pub fn examine(&mut self, request: ExaminationRequest, context: ContainerContext, cause: Option<EventId>) {
        let Some(settings) = self.examinations.clone() else { return };
        let (engine, to, slots) = (self.engine.clone(), self.inputs.clone(), self.examination_slots.clone());
        let clock = self.clock.clone();
        self.tasks.spawn(async move {
            let name = &request.name;
            let Ok(_slot) = timeout(QUEUE_TIMEOUT, slots.acquire()).await else {
                return warn!(container = %name, "{name} is not examined: too many containers have symptoms at once");
            };
            let examined = examine::examine(engine.as_ref(), &request, context, &settings).await;
            let event = request.result(examined, cause, clock.now());
            let _ = to.send(Input::Examined(Box::new(event))).await;
        });
    }

    /// Removes ended tasks, and logs those that panicked.
    pub fn remove_ended_tasks(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                warn!("a call to the engine panicked: {error}");
            }
        }
    }
}
