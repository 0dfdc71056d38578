//! What does the monitor keep on the log, so that another process can go on where this one stopped?
//!
//! One row for each container (what `core::observe` remembers of it) and one for the host (how far the engine's events
//! were heard). They are written in the commits of the events that changed them, so they never disagree with the log.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_core::observe::State;
use hemostat_runtime::{
    log::{Error, Log, Order, Range, RowChange},
    rows,
    views::{HOSTS, OBSERVED},
};
use hemostat_schema::{ContainerName, Event, Family, HostName, Partition, Subject};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::warn;

use crate::watch::{Progress, Reach};

/// So many observations are read at once when rows are lost.
const PAGE: usize = 1000;

/// What is kept of a host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HostRow {
    /// Whether its engine answers, as it was told last.
    pub reach: Option<Reach>,
    /// How far the engine's events are done with.
    pub progress: Progress,
}

/// Everything that is kept of a host and its containers.
#[derive(Debug)]
pub struct Kept {
    /// Of the host itself.
    pub host: HostRow,
    /// Of its containers.
    pub states: BTreeMap<ContainerName, Box<State>>,
    /// Containers whose rows are not as `states` says, and are to be kept anew.
    pub restored: BTreeSet<ContainerName>,
}

/// Reads everything that is kept of `host`. What is lost is made again from its observations, so that a symptom which
/// stands is still known to stand.
pub async fn load(log: &dyn Log, partition: Partition, host: &HostName) -> Result<Kept, Error> {
    let row = log.rows(partition, HOSTS, &[host.to_string()]).await?.into_iter().next().flatten();
    let host_row: Option<HostRow> = row.and_then(|row| readable(host.as_str(), &row));
    let mut kept =
        Kept { host: host_row.clone().unwrap_or_default(), states: BTreeMap::new(), restored: BTreeSet::new() };
    for (key, row) in log.all_rows(partition, OBSERVED).await? {
        let Ok(Subject { host: of, container: Some(name) }) = key.parse() else { continue };
        if of != *host {
            continue;
        }
        match readable(&key, &row) {
            Some(state) => _ = kept.states.insert(name, state),
            None => _ = kept.restored.insert(name),
        }
    }
    if host_row.is_none() || !kept.restored.is_empty() {
        for (name, state) in fold(log, partition, host).await? {
            if !kept.states.contains_key(&name) {
                kept.restored.insert(name.clone());
                kept.states.insert(name, state);
            }
        }
    }
    Ok(kept)
}

/// What the observations on the log add up to, of every container of `host` of which something is to be remembered.
async fn fold(
    log: &dyn Log,
    partition: Partition,
    host: &HostName,
) -> Result<BTreeMap<ContainerName, Box<State>>, Error> {
    let mut states: BTreeMap<ContainerName, Box<State>> = BTreeMap::new();
    let mut range = Range::ALL;
    loop {
        let page = log.read(partition, &[Family::Observation], range, Order::OldestFirst, PAGE).await?;
        let Some(last) = page.last() else { break };
        range = Range::after(last.id);
        for recorded in page.iter().filter_map(|entry| entry.event.as_ref().ok()) {
            if let (Some(Event::Observation(seen)), Some(name)) = (recorded.event(), &recorded.subject.container)
                && recorded.subject.host == *host
            {
                states.entry(name.clone()).or_default().evolve(recorded.at, recorded.incident.as_ref(), seen);
            }
        }
    }
    states.retain(|_, state| **state != State::default());
    Ok(states)
}

/// A row, where it can be read.
fn readable<T: DeserializeOwned>(key: &str, row: &[u8]) -> Option<T> {
    rows::decode(row).inspect_err(|error| warn!("what was kept of {key} is made again from the log: {error}")).ok()
}

/// The change that keeps `host` as it is now.
pub fn host(name: &HostName, row: &HostRow) -> Result<RowChange, Error> {
    Ok(RowChange { view: HOSTS.to_owned(), key: name.to_string(), row: Some(rows::encode(row)?) })
}

/// The change that keeps a container as it is now; with none it is forgotten.
pub fn container(subject: &Subject, state: Option<&State>) -> Result<RowChange, Error> {
    let row = state.map(rows::encode).transpose()?;
    Ok(RowChange { view: OBSERVED.to_owned(), key: subject.to_string(), row })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hemostat_runtime::{Context, Producer, log::MemoryLog};
    use hemostat_schema::{
        NewEvent, Span, Timestamp,
        container::Target,
        observation::{Evidence, Severity, Symptom, SymptomRaised},
    };

    use super::*;

    fn unhealthy(host: &str, name: &str) -> NewEvent {
        let at = Timestamp::from_second(1_795_462_698).unwrap();
        let subject = Subject::container(host.parse().unwrap(), name.parse().unwrap());
        let raised = SymptomRaised {
            symptom: Symptom::Unhealthy,
            severity: Severity::Critical,
            since: at,
            target: Target {
                id: "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f".parse().unwrap(),
                started_at: None,
            },
            evidence: Evidence::Health { held: Span::ZERO },
        };
        NewEvent::new(subject, at, raised)
    }

    #[tokio::test]
    async fn a_symptom_that_stands_outlives_the_loss_of_its_row() {
        let name: HostName = "host".parse().unwrap();
        let api: ContainerName = "api".parse().unwrap();
        let subject = Subject::container(name.clone(), api.clone());
        let unreadable = RowChange { row: Some(b"?".to_vec()), ..container(&subject, None).unwrap() };
        let host_row = host(&name, &HostRow::default()).unwrap();
        for rows in [vec![], vec![host_row.clone(), unreadable.clone()], vec![unreadable]] {
            let ctx = Context::new(Arc::new(MemoryLog::new(1)));
            let mut producer = Producer::acquire(&ctx, Partition(0), "monitor:host").await.unwrap();
            // More than a page of it, and of another host, too.
            let mut events = vec![unhealthy("host", "api"), unhealthy("other", "db")];
            events.resize(PAGE + 10, unhealthy("other", "db"));
            producer.append(events, rows).await.unwrap();
            producer.append(vec![unhealthy("host", "web")], vec![]).await.unwrap();
            let kept = load(ctx.log.as_ref(), Partition(0), &name).await.unwrap();
            let names: Vec<_> = kept.restored.iter().map(ToString::to_string).collect();
            assert_eq!(names, ["api", "web"]);
            assert!(kept.states[&api].standing().contains_key(&Symptom::Unhealthy));
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_believed_where_it_can_be_read() {
        let name: HostName = "host".parse().unwrap();
        let ctx = Context::new(Arc::new(MemoryLog::new(1)));
        let mut producer = Producer::acquire(&ctx, Partition(0), "monitor:host").await.unwrap();
        let rows = vec![host(&name, &HostRow::default()).unwrap()];
        producer.append(vec![unhealthy("host", "api")], rows).await.unwrap();
        let kept = load(ctx.log.as_ref(), Partition(0), &name).await.unwrap();
        assert!(kept.states.is_empty() && kept.restored.is_empty(), "{kept:?}");
    }
}
