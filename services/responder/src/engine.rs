//! The responder's view of a Docker engine: the state of one container, the engine's recent events, and two remedies.
//!
//! [`Docker`] implements it; tests implement their own. Each call has a deadline.

use std::fmt;

use async_trait::async_trait;
use hemostat_docker::{
    Docker, Error, RECORDED_EVENTS,
    models::{EventMessage, EventMessageTypeEnum},
    state, timestamp,
};
use hemostat_schema::{ContainerId, Span, Timestamp, container::State};

/// A container at one instant, as far as a remedy depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerState {
    /// When its present or last run began, to Docker's full precision.
    pub started_at: Option<Timestamp>,
    /// Its life-cycle state.
    pub state: State,
    /// Its own stop timeout, if it has one.
    pub stop_timeout: Option<Span>,
}

/// Whether the engine's recent events show that a run was signalled, stopped or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopEvidence {
    /// They show it.
    Present,
    /// They show that it did not happen.
    Absent,
    /// They do not reach back far enough.
    Unknown,
}

/// A Docker engine, as far as the responder uses it.
#[async_trait]
pub trait Engine: Send + Sync + fmt::Debug + 'static {
    /// The present state of a container.
    async fn container_state(&self, id: &ContainerId) -> Result<ContainerState, Error>;
    /// Whether the container was signalled, stopped or ended since `since`, by the engine's clock.
    async fn stop_evidence(&self, id: &ContainerId, since: Timestamp) -> Result<StopEvidence, Error>;
    /// Stops it within `stop_timeout` (then kills it) and starts it again.
    async fn restart(&self, id: &ContainerId, stop_timeout: Span) -> Result<(), Error>;
    /// Starts it. A container that runs already is no error.
    async fn start(&self, id: &ContainerId) -> Result<(), Error>;
}

#[async_trait]
impl Engine for Docker {
    async fn container_state(&self, id: &ContainerId) -> Result<ContainerState, Error> {
        let inspect = self.inspect(id).await?;
        let docker = inspect.state.unwrap_or_default();
        let stop_timeout = inspect.config.and_then(|config| config.stop_timeout);
        Ok(ContainerState {
            started_at: docker.started_at.as_deref().and_then(timestamp),
            state: state(docker.status)
                .ok_or_else(|| self.invalid_answer("inspect a container", "it names no state"))?,
            stop_timeout: stop_timeout.and_then(|secs| u64::try_from(secs).ok()).map(Span::from_secs),
        })
    }

    async fn stop_evidence(&self, id: &ContainerId, since: Timestamp) -> Result<StopEvidence, Error> {
        // The events of all containers show how far back the record reaches.
        Ok(evidence(&self.recorded_events().await?, id, since))
    }

    async fn restart(&self, id: &ContainerId, stop_timeout: Span) -> Result<(), Error> {
        Docker::restart(self, id, stop_timeout).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), Error> {
        Docker::start(self, id).await
    }
}

/// What `record`, all events that the engine keeps, shows about the container since `since`.
fn evidence(record: &[EventMessage], id: &ContainerId, since: Timestamp) -> StopEvidence {
    let at = |event: &EventMessage| event.time_nano.and_then(|ns| Timestamp::from_nanosecond(i128::from(ns)).ok());
    let present = record.iter().any(|event| {
        event.typ == Some(EventMessageTypeEnum::CONTAINER)
            && event.actor.as_ref().and_then(|actor| actor.id.as_deref()) == Some(id.as_str())
            && at(event).is_some_and(|at| at >= since)
            && matches!(event.action.as_deref(), Some("kill" | "stop" | "die"))
    });
    let reaches_back = record.len() < RECORDED_EVENTS || record.iter().filter_map(at).any(|at| at < since);
    match (present, reaches_back) {
        (true, _) => StopEvidence::Present,
        (false, true) => StopEvidence::Absent,
        (false, false) => StopEvidence::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";
    const OTHER: &str = "5159c58bdfaa18c4530fc0a7ad2900069766b7f1b48f3d9065e494549e028a7d";

    fn event(action: &str, id: &str, at: i64) -> EventMessage {
        serde_json::from_value(serde_json::json!({
            "Type": "container", "Action": action, "Actor": {"ID": id}, "timeNano": at * 1_000_000_000
        }))
        .unwrap()
    }

    fn evidence_in(record: &[EventMessage]) -> StopEvidence {
        evidence(record, &ID.parse().unwrap(), Timestamp::from_second(100).unwrap())
    }

    #[test]
    fn only_events_that_end_this_run_are_evidence() {
        for (record, expected) in [
            (vec![], StopEvidence::Absent),
            (vec![event("kill", ID, 100)], StopEvidence::Present),
            (vec![event("stop", ID, 101)], StopEvidence::Present),
            (vec![event("die", ID, 101)], StopEvidence::Present),
            (vec![event("start", ID, 101), event("restart", ID, 101)], StopEvidence::Absent),
            (vec![event("kill", ID, 99)], StopEvidence::Absent),
            (vec![event("kill", OTHER, 101)], StopEvidence::Absent),
            (vec![event("exec_die", ID, 101), event("health_status: unhealthy", ID, 102)], StopEvidence::Absent),
        ] {
            assert_eq!(evidence_in(&record), expected, "{record:?}");
        }
    }

    #[test]
    fn absence_is_unknown_once_the_engine_has_dropped_older_events() {
        let full = |first: i64| (0..256).map(|n| event("exec_die", OTHER, first + n)).collect::<Vec<_>>();
        assert_eq!(evidence_in(&full(99)), StopEvidence::Absent);
        assert_eq!(evidence_in(&full(100)), StopEvidence::Unknown);
    }

    #[tokio::test]
    async fn an_absent_engine_is_no_refusal() {
        let docker = Docker::new("unix:///nonexistent/docker.sock", Duration::from_secs(5));
        let error = docker.container_state(&ID.parse().unwrap()).await.unwrap_err();
        assert!(error.outcome_is_unknown(), "{error}");
        assert_eq!(
            error.to_string(),
            "no Docker engine answers at unix:///nonexistent/docker.sock: there is no socket /nonexistent/docker.sock; \
             is dockerd running? another address can be set as docker.host or DOCKER_HOST"
        );
    }
}
