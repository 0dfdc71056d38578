//! What all tasks of an engine share: the world behind a lock, who listens, who waits, what is wrong.

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
    Event, Moment, Ticket, World,
    api::Cut,
    event::Wanted,
    fault::{Does, Fault, Faults},
};

/// So many tickets that are done are kept for those who have not asked yet.
const UNCLAIMED: usize = 1024;

/// What all of its tasks share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    inner: Arc<Mutex<Inner>>,
    /// Something may be due earlier than it was.
    replan: Arc<Notify>,
    pub(crate) name: Arc<str>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    listeners: Vec<Listener>,
    waiting: HashMap<Ticket, oneshot::Sender<()>>,
    /// What was done before anybody could wait for it.
    done: Vec<Ticket>,
    faults: Faults,
    requests: BTreeMap<&'static str, u64>,
}

/// Somebody who hears events.
#[derive(Debug)]
struct Listener {
    wanted: Wanted,
    to: mpsc::UnboundedSender<Result<Bytes, Cut>>,
}

impl Shared {
    pub(super) fn of(world: World, name: &str) -> Self {
        let inner = Inner {
            world,
            listeners: vec![],
            waiting: HashMap::new(),
            done: vec![],
            faults: Faults::none(0),
            requests: BTreeMap::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)), replan: Arc::default(), name: name.into() }
    }

    /// Counts a request of this kind about this container, and says what befalls it.
    pub(super) fn strike(&self, kind: &'static str, key: Option<&str>) -> Vec<Does> {
        let mut inner = self.lock();
        *inner.requests.entry(kind).or_default() += 1;
        if kind == "simulated" || inner.faults.all().is_empty() {
            return vec![];
        }
        let known = key.and_then(|key| inner.world.container(key).ok());
        let names = known.map(|container| (container.name.clone(), container.id));
        let mut keys: Vec<&str> = key.into_iter().collect();
        if let Some((name, id)) = &names {
            keys.extend([&**name, id.as_str()]);
        }
        inner.faults.strike(kind, &keys)
    }

    /// Sleeps until something is due, and lets it happen; without end.
    pub(super) async fn let_time_pass(self) {
        loop {
            let replan = self.replan.notified();
            let due = self.change_quietly(|world, now| {
                world.advance(now);
                world.next_due().map(|due| due.since(now))
            });
            tokio::select! {
                () = sleep(due.unwrap_or(Duration::from_secs(3600))) => {}
                () = replan => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn look<T>(&self, what: impl FnOnce(&World, Moment) -> T) -> T {
        let inner = self.lock();
        what(&inner.world, now())
    }

    pub(crate) fn change<T>(&self, what: impl FnOnce(&mut World, Moment) -> T) -> T {
        let answer = self.change_quietly(what);
        self.replan.notify_one();
        answer
    }

    fn change_quietly<T>(&self, what: impl FnOnce(&mut World, Moment) -> T) -> T {
        let mut inner = self.lock();
        let answer = what(&mut inner.world, now());
        inner.pass_on();
        answer
    }

    /// Returns when the ticket is done.
    pub(crate) async fn done(&self, ticket: Ticket) {
        let (to, done) = oneshot::channel();
        {
            let mut inner = self.lock();
            if let Some(place) = inner.done.iter().position(|one| *one == ticket) {
                inner.done.swap_remove(place);
                return;
            }
            inner.waiting.insert(ticket, to);
        }
        // An error would mean that the engine is gone, and nobody waits any more.
        drop(done.await);
    }

    /// What is remembered from `since` to `until`; and what will happen, unless only the past is wanted.
    pub(crate) fn listen(
        &self,
        since: Option<Moment>,
        until: Option<Moment>,
        wanted: Wanted,
        only_past: bool,
    ) -> (Vec<Bytes>, Option<mpsc::UnboundedReceiver<Result<Bytes, Cut>>>) {
        let mut inner = self.lock();
        let past = inner.world.remembered(since, until).filter(|event| wanted.covers(event));
        let past = past.map(|event| event.line()).collect();
        if only_past {
            return (past, None);
        }
        let (to, live) = mpsc::unbounded_channel();
        inner.listeners.push(Listener { wanted, to });
        (past, Some(live))
    }

    pub(crate) fn listeners(&self) -> usize {
        let mut inner = self.lock();
        inner.listeners.retain(|listener| !listener.to.is_closed());
        inner.listeners.len()
    }

    /// As when the engine dies: nobody is told anything any more.
    pub(super) fn forget_listeners(&self) {
        self.lock().listeners.clear();
    }

    pub(crate) fn cut_streams(&self) -> usize {
        self.lock().listeners.drain(..).filter(|listener| listener.to.send(Err(Cut)).is_ok()).count()
    }

    pub(crate) fn requests(&self) -> BTreeMap<&'static str, u64> {
        self.lock().requests.clone()
    }

    pub(crate) fn faults(&self) -> Vec<Fault> {
        self.lock().faults.all().to_vec()
    }

    pub(crate) fn add_fault(&self, fault: Fault) {
        self.lock().faults.add(fault);
    }

    pub(crate) fn clear_faults(&self) {
        self.lock().faults.clear();
    }
}

impl Inner {
    /// Tells everybody what has happened.
    fn pass_on(&mut self) {
        let news = self.world.take_news();
        if !self.listeners.is_empty() {
            news.events.iter().for_each(|event| self.tell(event));
        }
        for ticket in news.done {
            match self.waiting.remove(&ticket) {
                Some(waiting) => drop(waiting.send(())),
                None => self.done.push(ticket),
            }
        }
        // Whoever asks through the library may never come for them.
        let excess = self.done.len().saturating_sub(UNCLAIMED);
        self.done.drain(..excess);
    }

    fn tell(&mut self, event: &Event) {
        let mut line = None;
        self.listeners.retain(|listener| {
            !listener.wanted.covers(event)
                || listener.to.send(Ok(line.get_or_insert_with(|| event.line()).clone())).is_ok()
        });
    }
}

fn now() -> Moment {
    SystemTime::now().into()
}
