//! The state that all tasks of a fake engine share behind a lock: engine, event subscribers, waiters and API faults.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::sleep,
};

use crate::{
    api::reply::ConnectionCut,
    engine::{EngineState, outcome::OperationId},
    event::{Event, EventFilter},
    fault::{ApiFault, FaultEffect, Faults},
    time::UnixNanos,
};

/// How many completed operations are kept for requests that have not waited for them yet.
const UNCLAIMED_KEPT: usize = 1024;

/// A handle to the shared state.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    inner: Arc<Mutex<Inner>>,
    /// Wakes the clock, because a transition may be due earlier.
    reschedule: Arc<Notify>,
    pub(crate) name: Arc<str>,
}

#[derive(Debug)]
struct Inner {
    engine: EngineState,
    subscribers: Vec<Subscriber>,
    waiters: HashMap<OperationId, oneshot::Sender<()>>,
    /// Operations that completed before a request waited for them.
    done: Vec<OperationId>,
    faults: Faults,
    requests: BTreeMap<&'static str, u64>,
}

/// A client with an event stream.
#[derive(Debug)]
struct Subscriber {
    filter: EventFilter,
    to: mpsc::UnboundedSender<Result<Bytes, ConnectionCut>>,
}

impl Shared {
    pub(super) fn of(engine: EngineState, name: &str) -> Self {
        let inner = Inner {
            engine,
            subscribers: vec![],
            waiters: HashMap::new(),
            done: vec![],
            faults: Faults::none(0),
            requests: BTreeMap::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)), reschedule: Arc::default(), name: name.into() }
    }

    /// Counts a request of this kind about this container, and returns the effects of API faults on it.
    pub(super) fn admit(&self, kind: &'static str, key: Option<&str>) -> Vec<FaultEffect> {
        let mut inner = self.lock();
        *inner.requests.entry(kind).or_default() += 1;
        if kind == "simulated" || inner.faults.all().is_empty() {
            return vec![];
        }
        let known = key.and_then(|key| inner.engine.container(key).ok());
        let names = known.map(|container| (container.name.clone(), container.id));
        let mut keys: Vec<&str> = key.into_iter().collect();
        if let Some((name, id)) = &names {
            keys.extend([&**name, id.as_str()]);
        }
        inner.faults.effects_on(kind, &keys)
    }

    /// Sleeps until a transition is due, fires it, and repeats.
    pub(super) async fn run_clock(self) {
        loop {
            let reschedule = self.reschedule.notified();
            let due = self.change_without_reschedule(|engine, now| {
                engine.advance(now);
                engine.next_due().map(|due| due.since(now))
            });
            tokio::select! {
                () = sleep(due.unwrap_or(Duration::from_secs(3600))) => {}
                () = reschedule => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn look<T>(&self, what: impl FnOnce(&EngineState, UnixNanos) -> T) -> T {
        let inner = self.lock();
        what(&inner.engine, now())
    }

    pub(crate) fn change<T>(&self, what: impl FnOnce(&mut EngineState, UnixNanos) -> T) -> T {
        let result = self.change_without_reschedule(what);
        self.reschedule.notify_one();
        result
    }

    fn change_without_reschedule<T>(&self, what: impl FnOnce(&mut EngineState, UnixNanos) -> T) -> T {
        let mut inner = self.lock();
        let result = what(&mut inner.engine, now());
        inner.dispatch_updates();
        result
    }

    /// Waits until the operation is done.
    pub(crate) async fn done(&self, operation: OperationId) {
        let (to, done) = oneshot::channel();
        {
            let mut inner = self.lock();
            if let Some(place) = inner.done.iter().position(|one| *one == operation) {
                inner.done.swap_remove(place);
                return;
            }
            inner.waiters.insert(operation, to);
        }
        // An error means that the engine was dropped.
        drop(done.await);
    }

    /// The recorded events from `since` to `until`, and a stream of new ones unless `only_past`.
    pub(crate) fn subscribe(
        &self,
        since: Option<UnixNanos>,
        until: Option<UnixNanos>,
        filter: EventFilter,
        only_past: bool,
    ) -> (Vec<Bytes>, Option<mpsc::UnboundedReceiver<Result<Bytes, ConnectionCut>>>) {
        let mut inner = self.lock();
        let past = inner.engine.recorded_events(since, until).filter(|event| filter.matches_event(event));
        let past = past.map(|event| event.line()).collect();
        if only_past {
            return (past, None);
        }
        let (to, live) = mpsc::unbounded_channel();
        inner.subscribers.push(Subscriber { filter, to });
        (past, Some(live))
    }

    pub(crate) fn subscribers(&self) -> usize {
        let mut inner = self.lock();
        inner.subscribers.retain(|subscriber| !subscriber.to.is_closed());
        inner.subscribers.len()
    }

    /// Drops all event streams, as when the engine dies.
    pub(super) fn drop_subscribers(&self) {
        self.lock().subscribers.clear();
    }

    pub(crate) fn cut_streams(&self) -> usize {
        self.lock().subscribers.drain(..).filter(|subscriber| subscriber.to.send(Err(ConnectionCut)).is_ok()).count()
    }

    pub(crate) fn requests(&self) -> BTreeMap<&'static str, u64> {
        self.lock().requests.clone()
    }

    pub(crate) fn faults(&self) -> Vec<ApiFault> {
        self.lock().faults.all().to_vec()
    }

    pub(crate) fn add_fault(&self, fault: ApiFault) {
        self.lock().faults.add(fault);
    }

    pub(crate) fn clear_faults(&self) {
        self.lock().faults.clear();
    }
}

impl Inner {
    /// Sends events to subscribers, and completed operations to waiters.
    fn dispatch_updates(&mut self) {
        let updates = self.engine.take_updates();
        if !self.subscribers.is_empty() {
            updates.events.iter().for_each(|event| self.emit(event));
        }
        for operation in updates.done {
            match self.waiters.remove(&operation) {
                Some(waiters) => drop(waiters.send(())),
                None => self.done.push(operation),
            }
        }
        // A caller of the library may never wait for them.
        let excess = self.done.len().saturating_sub(UNCLAIMED_KEPT);
        self.done.drain(..excess);
    }

    fn emit(&mut self, event: &Event) {
        let mut line = None;
        self.subscribers.retain(|subscriber| {
            !subscriber.filter.matches_event(event)
                || subscriber.to.send(Ok(line.get_or_insert_with(|| event.line()).clone())).is_ok()
        });
    }
}

fn now() -> UnixNanos {
    SystemTime::now().into()
}
