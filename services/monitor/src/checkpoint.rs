//! The checkpoint of a host's state, from which another process continues.
//!
//! One row per container (the state of `core::observe`) and one per host (engine status and event offset). Rows are written
//! in the same commit as the events that changed them, so they always agree with the log.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_core::observe::State;
use hemostat_runtime::{
    log::{Error, Log, Order, Range, RowChange},
    read_model::{self, CONTAINER_CHECKPOINTS, HOST_CHECKPOINTS},
};
use hemostat_schema::{ContainerName, Family, HostName, Partition, Subject};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::warn;

use crate::host_state::{EngineStatus, EventOffset};

/// Observations per read when rows are rebuilt.
const PAGE: usize = 1000;

/// The row of a host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HostCheckpoint {
    /// Whether its engine answers, as last written to the log.
    #[serde(rename = "reach")]
    pub engine_status: Option<EngineStatus>,
    /// How far the engine's events are processed.
    #[serde(rename = "progress")]
    pub offset: EventOffset,
}

/// The checkpoint of a host and its containers.
#[derive(Debug)]
pub struct Checkpoint {
    /// The host's row.
    pub host: HostCheckpoint,
    /// The states of its containers.
    pub states: BTreeMap<ContainerName, Box<State>>,
    /// Containers whose rows were missing or unreadable and must be written again.
    pub rebuilt: BTreeSet<ContainerName>,
}

/// Loads the checkpoint of `host`. Missing or unreadable rows are rebuilt from the observations on the log, so that active
/// symptoms stay known.
///
/// # Errors
/// If the log cannot be read.
pub async fn load(log: &dyn Log, partition: Partition, host: &HostName) -> Result<Checkpoint, Error> {
    let row = log.rows(partition, HOST_CHECKPOINTS, &[host.to_string()]).await?.into_iter().next().flatten();
    let host_row: Option<HostCheckpoint> = row.and_then(|row| decode(host.as_str(), &row));
    let mut checkpoint =
        Checkpoint { host: host_row.clone().unwrap_or_default(), states: BTreeMap::new(), rebuilt: BTreeSet::new() };
    for (key, row) in log.all_rows(partition, CONTAINER_CHECKPOINTS).await? {
        let Ok(Subject { host: of, container: Some(name) }) = key.parse() else { continue };
        if of != *host {
            continue;
        }
        match decode(&key, &row) {
            Some(state) => _ = checkpoint.states.insert(name, state),
            None => _ = checkpoint.rebuilt.insert(name),
        }
    }
    if host_row.is_none() || !checkpoint.rebuilt.is_empty() {
        for (name, state) in fold(log, partition, host).await? {
            if !checkpoint.states.contains_key(&name) {
                checkpoint.rebuilt.insert(name.clone());
                checkpoint.states.insert(name, state);
            }
        }
    }
    Ok(checkpoint)
}

/// Folds the observations and samples on the log into the state of each container of `host`.
async fn fold(
    log: &dyn Log,
    partition: Partition,
    host: &HostName,
) -> Result<BTreeMap<ContainerName, Box<State>>, Error> {
    let mut states: BTreeMap<ContainerName, Box<State>> = BTreeMap::new();
    let mut range = Range::ALL;
    loop {
        let page = log.read(partition, &[Family::Observation, Family::Sample], range, Order::OldestFirst, PAGE).await?;
        let Some(last) = page.last() else { break };
        range = Range::after(last.id);
        for recorded in page.iter().filter_map(|entry| entry.event.as_ref().ok()) {
            if let (Some(event), Some(name)) = (recorded.event(), &recorded.subject.container)
                && recorded.subject.host == *host
            {
                states.entry(name.clone()).or_default().evolve(recorded.at, recorded.incident.as_ref(), event);
            }
        }
    }
    states.retain(|_, state| **state != State::default());
    Ok(states)
}

/// Decodes a row; `None` if it is unreadable.
fn decode<T: DeserializeOwned>(key: &str, row: &[u8]) -> Option<T> {
    read_model::decode(row)
        .inspect_err(|error| warn!("the checkpoint of {key} is unreadable and is rebuilt from the log: {error}"))
        .ok()
}

/// The change that writes the row of a host.
pub fn host_row(name: &HostName, row: &HostCheckpoint) -> Result<RowChange, Error> {
    Ok(RowChange { view: HOST_CHECKPOINTS.to_owned(), key: name.to_string(), row: Some(read_model::encode(row)?) })
}

/// The change that writes the row of a container, or deletes it.
pub fn container_row(subject: &Subject, state: Option<&State>) -> Result<RowChange, Error> {
    let row = state.map(read_model::encode).transpose()?;
    Ok(RowChange { view: CONTAINER_CHECKPOINTS.to_owned(), key: subject.to_string(), row })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hemostat_runtime::{Context, Producer, log::MemoryLog};
    use hemostat_schema::{
        NewEvent, Span, Timestamp,
        container::Run,
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
            target: Run {
                id: "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f".parse().unwrap(),
                started_at: None,
            },
            evidence: Evidence::Health { held: Span::ZERO },
        };
        NewEvent::new(subject, at, raised)
    }

    #[tokio::test]
    async fn an_active_symptom_survives_the_loss_of_its_row() {
        let name: HostName = "host".parse().unwrap();
        let api: ContainerName = "api".parse().unwrap();
        let subject = Subject::container(name.clone(), api.clone());
        let unreadable = RowChange { row: Some(b"?".to_vec()), ..container_row(&subject, None).unwrap() };
        let host_row = host_row(&name, &HostCheckpoint::default()).unwrap();
        for rows in [vec![], vec![host_row.clone(), unreadable.clone()], vec![unreadable]] {
            let ctx = Context::new(Arc::new(MemoryLog::new(1)));
            let mut producer = Producer::acquire(&ctx, Partition(0), "monitor:host").await.unwrap();
            // More than a page of observations, also of another host.
            let mut events = vec![unhealthy("host", "api"), unhealthy("other", "db")];
            events.resize(PAGE + 10, unhealthy("other", "db"));
            producer.append(events, rows).await.unwrap();
            producer.append(vec![unhealthy("host", "web")], vec![]).await.unwrap();
            let checkpoint = load(ctx.log.as_ref(), Partition(0), &name).await.unwrap();
            let names: Vec<_> = checkpoint.rebuilt.iter().map(ToString::to_string).collect();
            assert_eq!(names, ["api", "web"]);
            assert!(checkpoint.states[&api].active_symptoms().contains_key(&Symptom::Unhealthy));
        }
    }

    #[tokio::test]
    async fn readable_rows_are_taken_as_they_are() {
        let name: HostName = "host".parse().unwrap();
        let ctx = Context::new(Arc::new(MemoryLog::new(1)));
        let mut producer = Producer::acquire(&ctx, Partition(0), "monitor:host").await.unwrap();
        let rows = vec![host_row(&name, &HostCheckpoint::default()).unwrap()];
        producer.append(vec![unhealthy("host", "api")], rows).await.unwrap();
        let checkpoint = load(ctx.log.as_ref(), Partition(0), &name).await.unwrap();
        assert!(checkpoint.states.is_empty() && checkpoint.rebuilt.is_empty(), "{checkpoint:?}");
    }

    #[test]
    fn the_row_of_a_host_keeps_its_field_names() {
        #[derive(Serialize)]
        struct Offset {
            latest: Option<Timestamp>,
            undone: BTreeMap<String, Timestamp>,
        }
        #[derive(Serialize)]
        struct Row {
            reach: Option<EngineStatus>,
            progress: Offset,
        }
        let at = Timestamp::from_second(1_795_462_698).unwrap();
        let undone = BTreeMap::from([("0123456789ab".to_owned(), at)]);
        let old = Row { reach: Some(EngineStatus::Lost), progress: Offset { latest: Some(at), undone } };
        let row: HostCheckpoint = read_model::decode(&read_model::encode(&old).unwrap()).unwrap();
        assert_eq!((row.engine_status, row.offset.since()), (Some(EngineStatus::Lost), Some(at)));
    }
}
