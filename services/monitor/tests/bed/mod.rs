//! Patients in the real Docker engine, made for one test and removed after it, and a log in memory to look at.

#![allow(dead_code, clippy::unwrap_used, reason = "test support, of which each file uses its part")]

pub mod dockerd;

use std::{sync::Arc, time::Duration};

use hemostat_core::{
    Policy,
    policy::{Care, Names},
};
use hemostat_patient::stage::{Patient, PatientSpec, Stage};
use hemostat_runtime::Context;
use hemostat_runtime::log::{Log, MemoryLog, Order, Range};
use hemostat_schema::{Event, Family, HostName, Partition, Recorded, Span};

/// How long a test waits for what must come.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A stage of a test's own.
pub async fn stage() -> Stage {
    let run = format!("hst-{:08x}", fastrand::u32(..));
    Stage::new(run.clone(), run).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Starts a patient and waits until it answers; from then on it also hears the signal to stop.
pub async fn start(stage: &Stage, spec: PatientSpec) -> Patient {
    let patient = stage.spawn(spec).await.unwrap();
    patient.recover().await.unwrap();
    patient
}

/// A policy that is for the patients of this stage only.
pub fn policy(stage: &Stage) -> Policy {
    let mine = format!("{}-*", stage.prefix());
    Policy {
        only: Names::new([mine.as_str()]).expect("a glob"),
        sample_every: Span::from_secs(1),
        care: Care { grace: Span::ZERO, ..Care::default() },
        ..Policy::default()
    }
}

/// A log in memory, and a context on it.
pub fn context() -> Context {
    Context { lease_ttl: Duration::from_secs(1), ..Context::new(Arc::new(MemoryLog::new(1))) }
}

pub fn host() -> HostName {
    "test-host".parse().expect("a host name")
}

/// Everything that is on the log about a container (or the host).
pub async fn history(log: &dyn Log, name: &str) -> Vec<Recorded> {
    let read = log.read(Partition(0), &Family::ALL, Range::ALL, Order::OldestFirst, 100_000).await.unwrap();
    read.into_iter().map(|entry| entry.event.unwrap()).filter(|event| event.subject.short() == name).collect()
}

/// Waits until something is on the log about a container, and gives it.
pub async fn wait_for<T>(log: &dyn Log, name: &str, what: &str, wanted: impl Fn(&Recorded, &Event) -> Option<T>) -> T {
    let mut bell = log.bell(Partition(0));
    let found = tokio::time::timeout(DEADLINE, async {
        loop {
            bell.borrow_and_update();
            let history = history(log, name).await;
            if let Some(found) = history.iter().find_map(|event| wanted(event, event.event()?)) {
                return found;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), bell.changed()).await;
        }
    });
    match found.await {
        Ok(found) => found,
        Err(_) => {
            let kinds: Vec<_> = history(log, name).await.iter().map(Recorded::kind).collect();
            panic!("{name}: no {what} within {DEADLINE:?}; there is {kinds:?}")
        }
    }
}
