//! What was done to a stage's containers, by the Docker engine's own record.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use bollard::{Docker, query_parameters::EventsOptions};
use futures::TryStreamExt;
use tokio::task::JoinHandle;

use super::RUN_LABEL;

/// What is written down; what health checks do is not.
const DEEDS: [&str; 6] = ["start", "kill", "die", "stop", "restart", "oom"];

/// What was done to a stage's containers, written down as it happens: the engine itself remembers only the last 256
/// events of all containers together.
#[derive(Debug)]
pub struct Record {
    /// Container and deed, in order.
    deeds: Arc<Mutex<Vec<(String, String)>>>,
    writer: JoinHandle<Result<(), bollard::errors::Error>>,
}

impl Record {
    /// Writes down everything from now on.
    pub(super) fn begin(docker: &Docker, run: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let filters = [
            ("type", vec!["container".to_owned()]),
            ("label", vec![format!("{RUN_LABEL}={run}")]),
            ("event", DEEDS.map(str::to_owned).to_vec()),
        ];
        let options = EventsOptions {
            since: Some(format!("{:.9}", now.as_secs_f64())),
            filters: Some(
                filters.map(|(name, values)| (name.to_owned(), values)).into_iter().collect::<HashMap<_, _>>(),
            ),
            ..Default::default()
        };
        let mut events = docker.events(Some(options));
        let deeds = Arc::<Mutex<Vec<_>>>::default();
        let written = Arc::clone(&deeds);
        let writer = tokio::spawn(async move {
            while let Some(event) = events.try_next().await? {
                let id = event.actor.and_then(|actor| actor.id).unwrap_or_default();
                let deed = (id, event.action.unwrap_or_default());
                written.lock().unwrap_or_else(PoisonError::into_inner).push(deed);
            }
            Ok(())
        });
        Self { deeds, writer }
    }

    /// What was done so far to the container of this id, in order.
    ///
    /// # Panics
    /// When the engine's events broke off: what is missing from the record proves nothing then.
    pub fn of(&self, id: &str) -> Deeds {
        assert!(!self.writer.is_finished(), "the engine's record broke off");
        let deeds = self.deeds.lock().unwrap_or_else(PoisonError::into_inner);
        Deeds(deeds.iter().filter(|(of, _)| of == id).map(|(_, deed)| deed.clone()).collect())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

/// What was done to one container, in order: `start`, `kill`, `die`, `stop`, `restart`, `oom`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deeds(pub Vec<String>);

impl Deeds {
    /// How often this was done.
    pub fn count(&self, deed: &str) -> usize {
        self.0.iter().filter(|found| *found == deed).count()
    }
}
