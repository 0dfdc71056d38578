//! Sessions: one heartbeat per process and partition renews all leases of the process, and says to the others what it is.
//!
//! ```text
//!   process ──── every third of the time to live: I live; I am a member of triage, judge, execute (hosts web, mail) ────► log
//!           ◄─── which of its leases are still held, the live processes, the requested handoffs ────────────────────────
//! ```
//!
//! A session ends when no heartbeat came for its time to live; other processes may then acquire the leases. Between two
//! heartbeats a process that stands by only reads. So the log writes one short entry per heartbeat, however many leases
//! the process holds.

use std::{
    collections::HashMap,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use hemostat_log::{Error, Heartbeat, Lease, Log};
use hemostat_schema::{HostName, Partition};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub use crate::live::{Announcement, LiveProcess, live_processes};
use crate::{
    assignment::{Assignment, assignment},
    lease::LeaseHandle,
    live::Live,
};

/// The sessions of this process by log and partition.
type OpenSessions = HashMap<(String, Partition), Arc<Session>>;

/// The sessions of this process. Clones share them.
#[derive(Clone, Default)]
pub struct Sessions {
    policy: Arc<Mutex<Option<String>>>,
    open: Arc<Mutex<OpenSessions>>,
}

impl Sessions {
    /// Tells the other processes from now on which policy this process decides by.
    pub fn announce_policy(&self, hash: impl Into<String>) {
        *lock(&self.policy) = Some(hash.into());
    }

    /// The session in `partition`; it begins with its first member or lease.
    pub(crate) fn of(
        &self,
        log: &Arc<dyn Log>,
        partition: Partition,
        owner: &str,
        ttl: Duration,
        shutdown: &CancellationToken,
    ) -> Arc<Session> {
        let session = || {
            Arc::new(Session {
                log: Arc::clone(log),
                partition,
                owner: owner.to_owned(),
                ttl,
                shutdown: shutdown.clone(),
                policy: self.policy.clone(),
                state: Mutex::default(),
                said: tokio::sync::Mutex::default(),
            })
        };
        lock(&self.open).entry((owner.to_owned(), partition)).or_insert_with(session).clone()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("open", &lock(&self.open).len()).finish_non_exhaustive()
    }
}

/// The session of this process in one partition.
#[derive(Debug)]
pub(crate) struct Session {
    pub log: Arc<dyn Log>,
    pub partition: Partition,
    /// The name of this process.
    pub owner: String,
    pub ttl: Duration,
    shutdown: CancellationToken,
    policy: Arc<Mutex<Option<String>>>,
    state: Mutex<State>,
    /// What the last heartbeat said. Locked while one is sent, so that they arrive in order.
    said: tokio::sync::Mutex<String>,
}

#[derive(Debug, Default)]
struct State {
    /// The groups that this process is a member of, and the hosts that it serves there; `None` for all.
    members: Vec<(String, Option<Arc<[HostName]>>)>,
    leases: Vec<HeldLease>,
    /// Whether a task sends heartbeats.
    is_beating: bool,
}

#[derive(Debug)]
struct HeldLease {
    handle: LeaseHandle,
    /// As of the heartbeat before.
    assignment: Assignment,
}

impl Session {
    /// Becomes a member of `group` with the next heartbeat.
    pub fn join(&self, group: &str, hosts: Option<Arc<[HostName]>>) {
        lock(&self.state).members.push((group.to_owned(), hosts));
    }

    /// Is no member of `group` any more from the next heartbeat on.
    pub fn leave(&self, group: &str) {
        let members = &mut lock(&self.state).members;
        if let Some(index) = members.iter().position(|(member_of, _)| member_of == group) {
            members.swap_remove(index);
        }
    }

    /// Renews this lease with each heartbeat, until it ends.
    pub fn renew(self: &Arc<Self>, handle: LeaseHandle) {
        lock(&self.state).leases.push(HeldLease { handle, assignment: Assignment::ThisProcess });
        self.start();
    }

    /// Releases a lease, whether it is still held or not. It ends with the session if the log does not answer within two
    /// seconds.
    pub async fn release(&self, lease: &Lease) {
        lock(&self.state).leases.retain(|held| held.handle.lease() != lease);
        match timeout(Duration::from_secs(2), self.log.release(lease)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!("could not release the lease of {}: {error}", lease.group),
            Err(_) => debug!("could not release the lease of {} in time", lease.group),
        }
    }

    /// The live processes, among them this one.
    pub async fn live(self: &Arc<Self>) -> Result<Live, Error> {
        self.start();
        if *self.said.lock().await == self.says() {
            let live = Live::from(self.log.sessions(self.partition).await?);
            if live.processes.iter().any(|process| process.owner == self.owner) {
                return Ok(live);
            }
        }
        self.beat().await
    }

    /// Tells the others what has changed, unless a heartbeat has told it. They learn it when the session ends if the log does
    /// not answer within two seconds.
    pub async fn announce(&self) {
        if *self.said.lock().await == self.says() {
            return;
        }
        match timeout(Duration::from_secs(2), self.beat()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!("could not announce a change of {}: {error}", self.owner),
            Err(_) => debug!("could not announce a change of {} in time", self.owner),
        }
    }

    /// What this process says about itself; nothing when it shuts down, so that it is assigned nothing more.
    fn says(&self) -> String {
        let state = lock(&self.state);
        if self.shutdown.is_cancelled() || state.is_idle() {
            return String::new();
        }
        let hosts = |hosts: &Option<Arc<[HostName]>>| hosts.as_ref().map(|hosts| hosts.to_vec());
        let groups = state.members.iter().map(|(group, served)| (group.clone(), hosts(served))).collect();
        let says = Announcement { policy: lock(&self.policy).clone(), groups };
        serde_json::to_string(&says).unwrap_or_default()
    }

    /// Sends a heartbeat.
    async fn beat(&self) -> Result<Live, Error> {
        let mut said = self.said.lock().await;
        let says = self.says();
        let handles: Vec<LeaseHandle> = lock(&self.state).leases.iter().map(|held| held.handle.clone()).collect();
        let leases: Vec<Lease> = handles.iter().map(|handle| handle.lease().clone()).collect();
        let Self { partition, owner, ttl, .. } = self;
        let sent_at = (Instant::now(), SystemTime::now());
        let heartbeat = Heartbeat { partition: *partition, owner, says: &says, leases: &leases, ttl: *ttl };
        let (held, sessions) = self.log.heartbeat(&heartbeat).await?;
        *said = says;
        for (handle, held) in handles.iter().zip(held) {
            if held {
                handle.renewed(sent_at);
            } else {
                handle.end();
                lock(&self.state).leases.retain(|held| held.handle.lease() != handle.lease());
            }
        }
        Ok(sessions.into())
    }

    /// Sends heartbeats from now on, until there is no member and no lease.
    fn start(self: &Arc<Self>) {
        if !mem::replace(&mut lock(&self.state).is_beating, true) {
            tokio::spawn(self.clone().run());
        }
    }

    async fn run(self: Arc<Self>) {
        loop {
            sleep(self.ttl / 3).await;
            for lease in self.dropped_leases() {
                self.release(&lease).await;
            }
            if self.stop_if_idle() {
                return self.announce().await;
            }
            match self.beat().await {
                Ok(live) => self.follow(&live),
                // The workers meet the same error and report it; the leases may still be held when the log is back.
                Err(error) => debug!("could not send a heartbeat: {error}"),
            }
        }
    }

    /// The leases whose guard was dropped.
    fn dropped_leases(&self) -> Vec<Lease> {
        let state = lock(&self.state);
        let dropped = state.leases.iter().filter(|held| held.handle.has_ended());
        dropped.map(|held| held.handle.lease().clone()).collect()
    }

    fn stop_if_idle(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_beating = !state.is_idle();
        !state.is_beating
    }

    /// Tells the holder of each lease when two consecutive heartbeats agree that its partition is assigned to another member.
    fn follow(&self, live: &Live) {
        if self.shutdown.is_cancelled() {
            return;
        }
        let State { members, leases, .. } = &mut *lock(&self.state);
        for held in leases {
            let group = &held.handle.lease().group;
            if !members.iter().any(|(member_of, _)| member_of == group) {
                continue;
            }
            let now = assignment(live, group, self.partition, &self.owner);
            if let (Assignment::Other(member), true) = (&now, now == held.assignment) {
                held.handle.reassign_to(member.clone());
            }
            held.assignment = now;
        }
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.members.is_empty() && self.leases.is_empty()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
