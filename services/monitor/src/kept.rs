//! What does the monitor keep on the log, so that another process can go on where this one stopped?
//!
//! One row for each container (what `core::observe` remembers of it) and one for the host (how far the engine's events
//! were heard). They are written in the commits of the events that changed them, so they never disagree with the log.

use std::collections::BTreeMap;

use hemostat_core::observe::State;
use hemostat_runtime::{
    log::{Error, Log, RowChange},
    rows,
};
use hemostat_schema::{ContainerName, HostName, Partition, Subject, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::warn;

use crate::watch::Reach;

const CONTAINERS: &str = "observe.1";
const HOSTS: &str = "monitor.1";

/// What is kept of a host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HostRow {
    /// Whether its engine answers, as it was told last.
    pub reach: Option<Reach>,
    /// The last event of the engine that is done with.
    pub cursor: Option<Timestamp>,
}

/// Reads everything that is kept of `host`.
pub async fn load(
    log: &dyn Log,
    partition: Partition,
    host: &HostName,
) -> Result<(HostRow, BTreeMap<ContainerName, State>), Error> {
    let row = log.rows(partition, HOSTS, &[host.to_string()]).await?.into_iter().next().flatten();
    let host_row = row.and_then(|row| readable(host.as_str(), &row)).unwrap_or_default();
    let mut states = BTreeMap::new();
    for (key, row) in log.all_rows(partition, CONTAINERS).await? {
        let Ok(Subject { host: of, container: Some(name) }) = key.parse() else { continue };
        if of == *host
            && let Some(state) = readable(&key, &row)
        {
            states.insert(name, state);
        }
    }
    Ok((host_row, states))
}

/// A row that cannot be read is as good as none: its container is seen as for the first time, which permits nothing.
fn readable<T: DeserializeOwned>(key: &str, row: &[u8]) -> Option<T> {
    rows::decode(row).inspect_err(|error| warn!("what was kept of {key} is lost: {error}")).ok()
}

/// The change that keeps `host` as it is now.
pub fn host(name: &HostName, row: &HostRow) -> Result<RowChange, Error> {
    Ok(RowChange { view: HOSTS.to_owned(), key: name.to_string(), row: Some(rows::encode(row)?) })
}

/// The change that keeps a container as it is now; with none it is forgotten.
pub fn container(subject: &Subject, state: Option<&State>) -> Result<RowChange, Error> {
    let row = state.map(rows::encode).transpose()?;
    Ok(RowChange { view: CONTAINERS.to_owned(), key: subject.to_string(), row })
}
