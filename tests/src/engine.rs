//! What was done to a container, by the Docker engine's own record.

use std::collections::HashMap;

use anyhow::Context;
use bollard::{Docker, models::EventMessage, query_parameters::EventsOptions};
use futures::TryStreamExt;
use hemostat_patient::stage::Patient;

/// What was done to one container so far, in order: `create`, `start`, `kill`, `die`, `stop`, `restart`, …
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deeds(pub Vec<String>);

impl Deeds {
    /// Reads the engine's record of `patient`.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn of(docker: &Docker, patient: &Patient) -> anyhow::Result<Self> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
        let options = EventsOptions {
            since: Some("0".to_owned()),
            until: Some(format!("{now:.9}")),
            filters: Some(HashMap::from([("container".to_owned(), vec![patient.id.clone()])])),
        };
        let events: Vec<EventMessage> =
            docker.events(Some(options)).try_collect().await.context("could not read the engine's record")?;
        // Health checks and their like carry an argument after a colon.
        let plain = |action: &String| !action.contains(':');
        Ok(Self(events.into_iter().filter_map(|event| event.action).filter(plain).collect()))
    }

    /// How often this was done.
    pub fn count(&self, deed: &str) -> usize {
        self.0.iter().filter(|found| *found == deed).count()
    }
}
