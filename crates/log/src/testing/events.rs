//! Events to append, and shortcuts to append and read them.

use std::sync::Arc;

use hemostat_schema::{
    ByteCount, Event, Family, NewEvent, Partition, Percent, Recorded, Span, Subject, Timestamp,
    action::Resumed,
    alert::Tested,
    container::{Run, Vitals},
    diagnosis,
    observation::{DiskMeasured, EngineLost, Sampled, Stored},
    sample,
};

use super::DEADLINE;
use crate::{Commit, Delivery, Entry, Lease, Log};

/// The partition of these events.
pub const P: Partition = Partition(0);

/// The container `name` on `host`.
pub fn subject(name: &str) -> Subject {
    format!("host/{name}").parse().unwrap()
}

/// An event of `family` that carries `mark`. It advances its subject's version, unless it is a sample.
pub fn event(family: Family, name: &str, mark: &str) -> NewEvent {
    let event: Event = match family {
        Family::Observation => EngineLost { error: mark.to_owned() }.into(),
        Family::Diagnosis => diagnosis::Failed {
            provider: "p".into(),
            model: "m".into(),
            trouble: diagnosis::Trouble::Other,
            error: mark.to_owned(),
            took: Span::ZERO,
            usage: None,
        }
        .into(),
        Family::Action => Resumed { by: mark.to_owned() }.into(),
        Family::Alert => Tested { by: mark.to_owned() }.into(),
        Family::Sample => disk(mark).into(),
    };
    NewEvent::new(subject(name), Timestamp::from_millisecond(1_000).unwrap(), event)
}

fn disk(path: &str) -> sample::Disk {
    sample::Disk { path: path.to_owned(), size: ByteCount(12), available: ByteCount(11) }
}

/// One event of each kind that does not advance its subject's version.
pub fn measurements(name: &str) -> [NewEvent; 6] {
    let vitals = Vitals {
        cpu: Percent::clamped(1.0),
        memory: Percent::clamped(2.0),
        memory_used: ByteCount(3),
        memory_limit: ByteCount(4),
        network_rx: ByteCount(5),
        network_tx: ByteCount(6),
        block_read: ByteCount(7),
        block_write: ByteCount(8),
        pids: 9,
        pids_limit: None,
        strain: hemostat_schema::container::Strain::default(),
    };
    let target = Run { id: "0123456789ab".parse().unwrap(), started_at: None };
    let container = sample::Container { vitals, holds: Span::ZERO };
    let storage = sample::Storage { target, writable: ByteCount(10), volumes: vec![] };
    let disk = disk("/");
    let events: [Event; 6] = [
        Sampled { vitals }.into(),
        Stored(storage.clone()).into(),
        DiskMeasured(disk.clone()).into(),
        container.into(),
        storage.into(),
        disk.into(),
    ];
    events.map(|event| NewEvent::new(subject(name), Timestamp::from_millisecond(1_000).unwrap(), event))
}

/// The marks of events made by [`event`], in order.
pub fn marks(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| mark(&entry.event)).collect()
}

/// The same of deliveries.
pub fn delivered(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| mark(&delivery.event)).collect()
}

fn mark(event: &Result<Recorded, String>) -> String {
    let data = event.as_ref().unwrap().data();
    let text = |field: &str| data.get(field).and_then(|value| value.as_str().map(str::to_owned));
    text("by").or(text("error")).or(text("path")).unwrap_or_default()
}

/// Acquires the lease of `group` for `owner`, with a long time to live.
pub async fn lease(log: &dyn Log, group: &str, owner: &str) -> Lease {
    log.acquire(P, group, owner, 10 * DEADLINE).await.unwrap().unwrap()
}

/// A commit of `events` alone.
pub fn of(lease: &Lease, events: impl Into<Vec<NewEvent>>) -> Commit {
    Commit { events: events.into(), ..Commit::new(lease.clone()) }
}

/// Appends one event, as the group `writer`.
pub async fn append(log: &Arc<dyn Log>, event: NewEvent) -> hemostat_schema::EventId {
    let writer = lease(&**log, "writer", "writer").await;
    log.commit(&of(&writer, [event])).await.unwrap()[0]
}
