//! The loop that all workers share: acquire the lease, load, step, wait, hand over; survive outages of the log.
//!
//! ```text
//!   standby ──assigned, lease acquired──► load ──► step ──► wait (append signal, timer) ──► step ...
//!      ▲                                   │         │
//!      ├──── lease lost ───────────────────┴─────────┤
//!      ├──── outage of the log ──────────────────────┤  retry with backoff; then reload under a new epoch (fencing token),
//!      │                                             │  except effects, which keep their outcomes and their epoch
//!      └──── reassigned, handoff, or shutdown ───────┘  drain, release the lease
//! ```
//!
//! Several processes run the same workers. In each partition the one that holds the lease works, the others stand by.

use std::collections::BTreeSet;

use hemostat_log::Error;
use hemostat_schema::HostName;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::{
    assignment::Assignment,
    context::Context,
    health::WorkerStatus,
    lease::LeaseHandle,
    lease_guard::LeaseGuard,
    membership::Member,
    metrics::Metric,
    retry::Backoff,
    task::Task,
    worker::{LONGEST_WAIT, Step, Worker, WorkerError},
};

/// A worker with its membership and its lease.
#[derive(Debug)]
pub struct LeasedWorker<W> {
    ctx: Context,
    name: String,
    worker: W,
    membership: Member,
    lease: Option<LeaseGuard>,
    /// The worker must load its state before the next step.
    must_reload: bool,
    /// The lease must be acquired again, under a new epoch: a commit of the current epoch may still reach the log.
    must_reacquire: bool,
    /// The lease was lost since the last attempt to acquire it.
    lease_was_lost: bool,
    /// When a handoff was last requested.
    handoff_requested_at: Option<Instant>,
    /// Hosts that no process serves and that were reported.
    unserved_hosts: BTreeSet<HostName>,
}

impl<W: Worker> LeasedWorker<W> {
    /// Holds no lease yet.
    pub fn new(ctx: Context, worker: W) -> Self {
        let name = format!("{}/{}", worker.group(), worker.partition());
        ctx.health.set(&name, WorkerStatus::Starting);
        let membership = Member::join(&ctx, worker.partition(), worker.group(), worker.served_hosts());
        Self {
            ctx,
            name,
            worker,
            membership,
            lease: None,
            must_reload: true,
            must_reacquire: false,
            lease_was_lost: false,
            handoff_requested_at: None,
            unserved_hosts: BTreeSet::new(),
        }
    }

    /// The task that runs `worker` while this process holds its lease.
    pub(crate) fn task(ctx: &Context, worker: W) -> Task {
        let worker = Self::new(ctx.clone(), worker);
        Task::new(worker.name.clone(), worker.run())
    }

    /// Acquires the lease if it is free and the partition is assigned to this process, then does one step.
    /// [`run`](Self::run) repeats this; tests call it.
    ///
    /// # Errors
    /// When the log fails.
    pub async fn step(&mut self) -> Result<Step, Error> {
        if self.lease.as_ref().is_some_and(|lease| lease.handle.has_ended()) {
            self.on_lease_lost();
        }
        let handle = match &self.lease {
            Some(lease) if !self.must_reacquire => lease.handle.clone(),
            _ => match self.acquire().await? {
                Some(handle) => handle,
                None => return Ok(Step::StandingBy),
            },
        };
        if let Some(successor) = handle.hand_over_to().filter(|_| !self.worker.defers_rebalance()) {
            info!("{}: the partition is now assigned to {successor}; handing over", self.name);
            self.drain_and_release().await;
            self.ctx.health.set(&self.name, WorkerStatus::StandingBy);
            return Ok(Step::StandingBy);
        }
        match self.load_and_step(&handle).await {
            Ok(step) => {
                self.ctx.health.set(&self.name, WorkerStatus::Serving);
                self.set_gauge(true);
                if self.request_handoff().await? { Ok(Step::StandingBy) } else { Ok(step) }
            }
            Err(WorkerError::LeaseLost) => {
                self.on_lease_lost();
                Ok(Step::StandingBy)
            }
            Err(WorkerError::StaleState) => {
                warn!("{}: the state in memory has diverged from the log; loading it again", self.name);
                self.must_reload = true;
                self.require_new_epoch();
                Ok(Step::Worked { handled: 0, appended: 0 })
            }
            Err(WorkerError::Log(error)) => {
                self.must_reload |= !self.worker.keeps_work_through_outage();
                self.require_new_epoch();
                Err(error)
            }
        }
    }

    /// Requests a handoff if work waits for a host that this process does not serve, and releases the lease to the member
    /// that serves it as soon as that interrupts nothing. Returns whether it released the lease.
    async fn request_handoff(&mut self) -> Result<bool, Error> {
        let Some(host) = self.worker.unserved_host_with_work() else { return Ok(false) };
        if self.handoff_requested_at.is_some_and(|at| at.elapsed() < self.ctx.lease_ttl / 10) {
            return Ok(false);
        }
        self.handoff_requested_at = Some(Instant::now());
        let successor = self.membership.request_handoff(&host).await?;
        let is_ready = self.worker.prepare_handoff(successor.is_some());
        match successor {
            Some(_) if !is_ready => Ok(false),
            Some(successor) => {
                info!(
                    "{}: there is work on {host}, which this process does not serve; handing over to {successor}",
                    self.name
                );
                self.unserved_hosts.remove(&host);
                self.drain_and_release().await;
                self.ctx.health.set(&self.name, WorkerStatus::StandingBy);
                Ok(true)
            }
            None => {
                if self.unserved_hosts.insert(host.clone()) {
                    warn!(
                        host = %host,
                        "{}: there is work on {host}, which no running process serves; it waits for one until it is too old \
                         to be done: name {host} in the [[hosts]] of a process that can reach its engine",
                        self.name
                    );
                }
                Ok(false)
            }
        }
    }

    /// A commit that was sent may still reach the log after this process gave it up. A worker that loads its state
    /// again therefore acquires the lease again: the log then rejects every commit of the earlier epoch. A worker that
    /// keeps its work retries the same commit instead.
    fn require_new_epoch(&mut self) {
        self.must_reacquire = !self.worker.keeps_work_through_outage();
    }

    /// Acquires the lease if the partition is assigned to this process and the lease is free.
    async fn acquire(&mut self) -> Result<Option<LeaseHandle>, Error> {
        let assignment = self.membership.assignment().await?;
        let (partition, group) = (self.worker.partition(), self.worker.group());
        let acquired = match assignment {
            Assignment::ThisProcess => LeaseGuard::acquire(&self.ctx, partition, group).await?,
            Assignment::Other(_) => None,
        };
        self.must_reacquire = false;
        let lease_was_lost = std::mem::take(&mut self.lease_was_lost);
        let Some(acquired) = acquired else {
            if self.lease.is_some() {
                self.drain_and_release().await;
            }
            let is_new = self.ctx.health.set(&self.name, WorkerStatus::StandingBy);
            if lease_was_lost {
                warn!(
                    "{}: another process has taken over: the lease was lost, because it expired or was revoked; work in \
                     flight is not committed (STALE); standing by",
                    self.name
                );
            } else if is_new {
                info!("{}: another process does this work or is assigned to it; standing by", self.name);
            }
            return Ok(None);
        };
        if lease_was_lost {
            info!("{}: the lease was lost and is acquired again; loading the state", self.name);
        }
        self.must_reload = true;
        let handle = self.lease.insert(acquired).handle.clone();
        self.membership.clear_handoff_requests().await?;
        Ok(Some(handle))
    }

    async fn load_and_step(&mut self, handle: &LeaseHandle) -> Result<Step, WorkerError> {
        if self.must_reload {
            self.worker.load(handle).await?;
            self.must_reload = false;
        }
        self.worker.step().await
    }

    fn set_gauge(&self, is_held: bool) {
        let partition = self.worker.partition().to_string();
        let labels = [("group", self.worker.group()), ("partition", &partition)];
        Metric::LeaseHeld.gauge(&labels).set(f64::from(u8::from(is_held)));
    }

    fn on_lease_lost(&mut self) {
        self.lease_was_lost = true;
        self.lease = None;
        self.must_reload = true;
        self.ctx.health.set(&self.name, WorkerStatus::StandingBy);
        self.set_gauge(false);
    }

    /// Finishes the work in flight and releases the lease.
    async fn drain_and_release(&mut self) {
        self.worker.drain().await;
        if let Some(lease) = self.lease.take() {
            lease.release().await;
            self.set_gauge(false);
        }
        self.must_reload = true;
    }

    /// Works until `Context::shutdown`, then deregisters, drains and releases the lease.
    ///
    /// # Errors
    /// When the log fails in a way that no retry mends: it refuses the password, or holds what HemoStat did not write.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let shutdown = self.ctx.shutdown.clone();
        let mut backoff = Backoff::connection();
        while !shutdown.is_cancelled() {
            let pause = match self.step().await {
                Ok(Step::Worked { .. }) => {
                    backoff.reset();
                    continue;
                }
                Ok(Step::Idle { until }) => {
                    backoff.reset();
                    // A process that serves the host may join at any time, without an append signal.
                    let handoff_retry = self.worker.unserved_host_with_work().map(|_| self.ctx.lease_ttl / 3);
                    let defers_rebalance = self.worker.defers_rebalance();
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = must_release(self.lease.as_ref(), defers_rebalance) => {}
                        () = sleep(handoff_retry.unwrap_or(LONGEST_WAIT)) => {}
                        () = self.worker.wait(until) => {}
                    }
                    continue;
                }
                // Often enough that a lease that was released or expired is soon acquired.
                Ok(Step::StandingBy) => self.ctx.lease_ttl / 10,
                Err(error) if error.is_transient() => {
                    self.ctx.health.outage(&self.name, &error);
                    backoff.next_delay()
                }
                Err(error) => return Err(error.into()),
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
        self.membership.deregister().await;
        self.drain_and_release().await;
        Ok(())
    }
}

/// Resolves when the lease is lost, or the partition has been reassigned and that is not deferred.
async fn must_release(lease: Option<&LeaseGuard>, defers_rebalance: bool) {
    match lease {
        Some(lease) if defers_rebalance => lease.handle.ended().await,
        Some(lease) => lease.handle.ended_or_reassigned().await,
        None => std::future::pending().await,
    }
}
