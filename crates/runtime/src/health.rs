//! The status of every worker: for people one log line when the log is lost and one when it is back, for machines
//! `/healthz`, `/readyz` and `/metrics`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use hemostat_log::Error;
use hemostat_schema::PolicyHash;
use serde::Serialize;
use tracing::{info, warn};

/// The status of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerStatus {
    /// It has not yet tried to acquire its lease.
    Starting,
    /// It holds the lease and works.
    Serving,
    /// Another process holds the lease.
    StandingBy,
    /// The log cannot be reached; it retries.
    Retrying,
}

/// The policy of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyStatus {
    /// The policy in force.
    pub hash: PolicyHash,
    /// Why the configuration file was refused when it was last read, if it was; the policy stayed.
    pub refused: Vec<String>,
    /// Settings that have changed in the file and wait for a restart.
    pub waiting: Vec<String>,
}

/// The status of all workers of a process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<Workers>>);

#[derive(Debug, Default)]
struct Workers {
    statuses: BTreeMap<String, WorkerStatus>,
    outage: Option<Instant>,
    policy: Option<PolicyStatus>,
}

impl Health {
    /// Sets the status of `worker`; returns whether it changed. Logs the end of an outage when the last worker is over it.
    pub fn set(&self, worker: &str, status: WorkerStatus) -> bool {
        let mut workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = workers.statuses.insert(worker.to_owned(), status);
        if !workers.statuses.values().any(|status| *status == WorkerStatus::Retrying)
            && let Some(since) = workers.outage.take()
        {
            info!("the log is back after {:.1} s; continuing", since.elapsed().as_secs_f64());
        }
        before != Some(status)
    }

    /// Sets that `worker` cannot reach the log. Logs the outage once, when the first worker notices it.
    pub fn outage(&self, worker: &str, error: &Error) {
        let first = {
            let mut workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            workers.statuses.insert(worker.to_owned(), WorkerStatus::Retrying);
            let first = workers.outage.is_none();
            workers.outage.get_or_insert_with(Instant::now);
            first
        };
        if first {
            warn!("lost the log: {error}; nothing is done until it is back, retrying");
        }
    }

    /// Sets the policy in force.
    pub fn set_policy(&self, policy: PolicyStatus) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).policy = Some(policy);
    }

    /// The policy in force; none in a process that decides nothing.
    pub fn policy(&self) -> Option<PolicyStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).policy.clone()
    }

    /// Every worker with its status.
    pub fn statuses(&self) -> BTreeMap<String, WorkerStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).statuses.clone()
    }
}
