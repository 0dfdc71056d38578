//! One service in the test's own process: patients in the real Docker engine, and a log in memory.
//!
//! For the tests of single services (monitor, responder), which start the service's tasks themselves. A test of whole
//! HemoStat processes uses [`TestDeployment`](crate::TestDeployment).

use std::{sync::Arc, time::Duration};

use hemostat_core::{
    Policy,
    policy::{ContainerPolicy, NamePatterns},
};
use hemostat_log::{Log, MemoryLog, Order, Range};
use hemostat_patient::stage::{Patient, PatientSpec, Stage};
use hemostat_runtime::Context;
use hemostat_schema::{Event, Family, HostName, Partition, Recorded, Span};

/// Deadline of everything that a test waits for.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A stage of the test's own.
pub async fn stage() -> Stage {
    let run = format!("hst-{:08x}", fastrand::u32(..));
    Stage::new(run.clone(), run).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Starts a patient and waits until it answers; only from then on does it handle SIGTERM.
pub async fn start(stage: &Stage, spec: PatientSpec) -> Patient {
    let patient = stage.spawn(spec).await.unwrap();
    patient.recover().await.unwrap();
    patient
}

/// A policy that covers only the patients of this stage.
pub fn policy(stage: &Stage) -> Policy {
    let mine = format!("{}-*", stage.prefix());
    Policy {
        only: NamePatterns::new([mine.as_str()]).expect("a glob"),
        sample_every: Span::from_secs(1),
        container_defaults: ContainerPolicy { grace: Span::ZERO, ..ContainerPolicy::default() },
        ..Policy::default()
    }
}

/// A context on a new log in memory.
pub fn context() -> Context {
    Context { lease_ttl: Duration::from_secs(1), ..Context::new(Arc::new(MemoryLog::new(1))) }
}

/// The host that the service serves.
pub fn host() -> HostName {
    "test-host".parse().expect("a host name")
}

/// All events about a container (or the host), oldest first.
pub async fn history(log: &dyn Log, name: &str) -> Vec<Recorded> {
    let read = log.read(Partition(0), &Family::ALL, Range::ALL, Order::OldestFirst, 100_000).await.unwrap();
    read.into_iter().map(|entry| entry.event.unwrap()).filter(|event| event.subject.short() == name).collect()
}

/// Waits until the log holds an event about a container for which `wanted` returns a value, and returns that.
pub async fn wait_for<T>(log: &dyn Log, name: &str, what: &str, wanted: impl Fn(&Recorded, &Event) -> Option<T>) -> T {
    let mut appended = log.append_signal(Partition(0));
    let found = tokio::time::timeout(DEADLINE, async {
        loop {
            appended.borrow_and_update();
            let history = history(log, name).await;
            if let Some(found) = history.iter().find_map(|event| wanted(event, event.event()?)) {
                return found;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), appended.changed()).await;
        }
    });
    match found.await {
        Ok(found) => found,
        Err(_) => {
            let kinds: Vec<_> = history(log, name).await.iter().map(Recorded::kind).collect();
            panic!("{name}: no {what} within {DEADLINE:?}; the log has {kinds:?}")
        }
    }
}
