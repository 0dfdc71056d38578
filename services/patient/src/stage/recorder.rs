//! Records the Docker events of a stage's containers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use bollard::{Docker, query_parameters::EventsOptions};
use futures::TryStreamExt;
use tokio::task::JoinHandle;

use super::labels::RUN_LABEL;

/// The recorded actions; those of health checks are not among them.
const ACTIONS: [&str; 6] = ["start", "kill", "die", "stop", "restart", "oom"];

/// Records events as they happen, because the engine keeps only the last 256 events of all containers.
#[derive(Debug)]
pub struct EventRecorder {
    /// Container and action, in order.
    actions: Arc<Mutex<Vec<(String, String)>>>,
    writer: JoinHandle<Result<(), bollard::errors::Error>>,
}

impl EventRecorder {
    /// Records from now on.
    pub(super) fn start(docker: &Docker, run: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let filters = [
            ("type", vec!["container".to_owned()]),
            ("label", vec![format!("{RUN_LABEL}={run}")]),
            ("event", ACTIONS.map(str::to_owned).to_vec()),
        ];
        let options = EventsOptions {
            since: Some(format!("{:.9}", now.as_secs_f64())),
            filters: Some(
                filters.map(|(name, values)| (name.to_owned(), values)).into_iter().collect::<HashMap<_, _>>(),
            ),
            ..Default::default()
        };
        let mut events = docker.events(Some(options));
        let actions = Arc::<Mutex<Vec<_>>>::default();
        let written = Arc::clone(&actions);
        let writer = tokio::spawn(async move {
            while let Some(event) = events.try_next().await? {
                let id = event.actor.and_then(|actor| actor.id).unwrap_or_default();
                let action = (id, event.action.unwrap_or_default());
                written.lock().unwrap_or_else(PoisonError::into_inner).push(action);
            }
            Ok(())
        });
        Self { actions, writer }
    }

    /// The actions so far on the container with this id, in order.
    ///
    /// # Panics
    /// When the event stream has ended: a missing action would then prove nothing.
    pub fn of(&self, id: &str) -> DockerActions {
        assert!(!self.writer.is_finished(), "Docker's event stream has ended");
        let actions = self.actions.lock().unwrap_or_else(PoisonError::into_inner);
        DockerActions(actions.iter().filter(|(of, _)| of == id).map(|(_, action)| action.clone()).collect())
    }
}

impl Drop for EventRecorder {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

/// The actions on one container, in order: `start`, `kill`, `die`, `stop`, `restart`, `oom`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerActions(pub Vec<String>);

impl DockerActions {
    /// How often this action happened.
    pub fn count(&self, action: &str) -> usize {
        self.0.iter().filter(|found| *found == action).count()
    }
}
