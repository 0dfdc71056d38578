//! How the process is doing, for people (one line when the log is lost, one when it is back) and for machines
//! (/healthz, /readyz, /metrics).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use hemostat_log::Error;
use serde::Serialize;
use tracing::{info, warn};

/// How a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It has not taken its lease yet, nor seen that another has it.
    Starting,
    /// It holds its lease and works.
    Serving,
    /// Another process does the work.
    StandingBy,
    /// The log cannot be reached.
    Retrying,
}

/// How all workers of a process are doing. Clones are views of the same one.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<Workers>>);

#[derive(Debug, Default)]
struct Workers {
    conditions: BTreeMap<String, Condition>,
    outage: Option<Instant>,
}

impl Health {
    /// Says how `worker` is doing; whether that is new.
    ///
    /// When the last worker has got over an outage of the log, this says so.
    pub fn set(&self, worker: &str, condition: Condition) -> bool {
        let mut workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = workers.conditions.insert(worker.to_owned(), condition);
        if !workers.conditions.values().any(|condition| *condition == Condition::Retrying)
            && let Some(since) = workers.outage.take()
        {
            info!("the log is back after {:.1} s; going on where it stopped", since.elapsed().as_secs_f64());
        }
        before != Some(condition)
    }

    /// Says that `worker` cannot reach the log, and why; the first to notice says so to people.
    pub fn outage(&self, worker: &str, error: &Error) {
        let first = {
            let mut workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            workers.conditions.insert(worker.to_owned(), Condition::Retrying);
            let first = workers.outage.is_none();
            workers.outage.get_or_insert_with(Instant::now);
            first
        };
        if first {
            warn!("lost the log: {error}; nothing is done until it is back, trying again");
        }
    }

    /// Every worker with its condition.
    pub fn conditions(&self) -> BTreeMap<String, Condition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).conditions.clone()
    }
}
