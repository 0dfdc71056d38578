//! What the responder asks of a Docker engine: a look at one container, its recent past, and the two remedies.
//!
//! [`Engine`] is the narrow view that the rest of the responder has; [`Docker`] is the only implementation outside of
//! tests. Every answer has a deadline, so an engine that hangs looks like one that is gone.

use std::{fmt, future::Future, time::Duration};

use async_trait::async_trait;
use bollard::{
    errors::Error as DockerError,
    models::{ContainerStateStatusEnum as Status, EventMessage, EventMessageTypeEnum},
    query_parameters::{EventsOptionsBuilder, RestartContainerOptionsBuilder},
};
use futures::TryStreamExt;
use hemostat_docker::{Link, Trouble};
use hemostat_schema::{ContainerId, Span, Timestamp, container::State};
use tokio::time::timeout;

/// dockerd keeps so many of its latest events, of all kinds and containers (`daemon/events`, `eventsLimit`).
const EVENTS_KEPT: usize = 256;

/// A call may take so much longer than the container may take to stop: Docker kills, waits, and starts.
const BEYOND_STOPPING: Duration = Duration::from_secs(30);

/// Something the engine did not do for us.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such container (any more).
    #[error("the container is gone: it was removed or recreated")]
    Gone,
    /// The engine said no.
    #[error("the Docker engine refused to {doing}: {message}")]
    Refused {
        /// What was asked of it.
        doing: &'static str,
        /// What it said.
        message: String,
    },
    /// It cannot be told whether the engine did it: nobody answered, or not in time.
    #[error("the Docker engine at {host} did not {doing}: {reason}; {remedy}")]
    NoAnswer {
        /// Where we asked.
        host: String,
        /// What was asked of it.
        doing: &'static str,
        /// What happened instead.
        reason: String,
        /// What a person should look at.
        remedy: &'static str,
    },
}

/// A container at one instant, as far as a remedy depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// When its present or last run began, to Docker's full precision.
    pub started_at: Option<Timestamp>,
    /// Its life cycle.
    pub state: State,
    /// How long it may take to stop, where it says so itself.
    pub stop_timeout: Option<Span>,
}

/// Whether somebody has asked the engine to end a run, or it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traces {
    /// The engine's record shows it.
    Touched,
    /// The engine's record shows that it has not happened.
    Untouched,
    /// The record does not reach back far enough to tell.
    Forgotten,
}

/// A Docker engine, as far as the responder is concerned.
#[async_trait]
pub trait Engine: Send + Sync + fmt::Debug + 'static {
    /// The container as it is now.
    async fn look(&self, id: &ContainerId) -> Result<Found, Error>;
    /// Whether the container was signalled, stopped or ended since `since`, by the engine's own clock.
    async fn traces(&self, id: &ContainerId, since: Timestamp) -> Result<Traces, Error>;
    /// Stops it within `stop_timeout` (then kills it) and starts it again.
    async fn restart(&self, id: &ContainerId, stop_timeout: Span) -> Result<(), Error>;
    /// Starts it. A container that runs already is fine.
    async fn start(&self, id: &ContainerId) -> Result<(), Error>;
}

/// A Docker engine, wherever it is.
#[derive(Debug)]
pub struct Docker {
    link: Link,
}

impl Docker {
    /// The engine at `host` (`unix:///var/run/docker.sock`, `tcp://10.0.0.5:2375`), each answer within `limit`, or
    /// within the container's stop timeout and 30 s where it is to be restarted.
    ///
    /// Nothing is connected yet: an engine that is down is found out by the first question.
    pub fn new(host: impl Into<String>, limit: Duration) -> Self {
        Self::over(Link::to(host, limit))
    }

    /// The engine at the other end of this link.
    pub fn over(link: Link) -> Self {
        Self { link }
    }

    /// How long a question may take that is not a remedy.
    fn limit(&self) -> Duration {
        self.link.limit()
    }

    /// A client whose own deadline is beyond `limit`.
    async fn client(&self, limit: Duration) -> Result<bollard::Docker, Error> {
        let client = self.within(self.limit(), "agree on an API version", self.link.client()).await?;
        Ok(client.clone().with_timeout(limit + Duration::from_secs(1)))
    }

    async fn within<T>(
        &self,
        limit: Duration,
        doing: &'static str,
        answer: impl Future<Output = Result<T, DockerError>>,
    ) -> Result<T, Error> {
        let no_answer = |reason, remedy| Error::NoAnswer { host: self.link.name().to_owned(), doing, reason, remedy };
        match timeout(limit, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(DockerError::DockerResponseServerError { status_code: 404, .. })) => Err(Error::Gone),
            Ok(Err(DockerError::DockerResponseServerError { message, .. })) => Err(Error::Refused { doing, message }),
            Ok(Err(error)) => {
                let Trouble { reason, remedy } = self.link.trouble(&error);
                Err(no_answer(reason, remedy))
            }
            Err(_) => Err(no_answer(format!("no answer within {limit:?}"), "is dockerd stuck or overloaded?")),
        }
    }
}

#[async_trait]
impl Engine for Docker {
    async fn look(&self, id: &ContainerId) -> Result<Found, Error> {
        let client = self.client(self.limit()).await?;
        let doing = "inspect the container";
        let inspect = self.within(self.limit(), doing, client.inspect_container(id.as_str(), None)).await?;
        let docker = inspect.state.unwrap_or_default();
        let stop_timeout = inspect.config.and_then(|config| config.stop_timeout);
        Ok(Found {
            // Docker's "never" is the year 1.
            started_at: docker
                .started_at
                .and_then(|at| at.parse().ok())
                .filter(|at: &Timestamp| *at > Timestamp::UNIX_EPOCH),
            state: match docker.status {
                Some(Status::CREATED) => State::Created,
                Some(Status::RUNNING | Status::STOPPING) => State::Running,
                Some(Status::PAUSED) => State::Paused,
                Some(Status::RESTARTING) => State::Restarting,
                Some(Status::REMOVING) => State::Removing,
                Some(Status::EXITED) => State::Exited,
                Some(Status::DEAD) => State::Dead,
                Some(Status::EMPTY) | None => {
                    return Err(Error::Refused { doing, message: "its answer names no state".to_owned() });
                }
            },
            stop_timeout: stop_timeout.and_then(|secs| u64::try_from(secs).ok()).map(Span::from_secs),
        })
    }

    async fn traces(&self, id: &ContainerId, since: Timestamp) -> Result<Traces, Error> {
        let client = self.client(self.limit()).await?;
        let doing = "tell its recent events";
        let info = self.within(self.limit(), doing, client.info()).await?;
        let now = info.system_time.and_then(|time| time.parse().ok()).unwrap_or_else(Timestamp::now);
        // All that it remembers, of all containers: only so can be told how far back it remembers.
        let until = format!("{}.{:09}", now.as_second(), now.subsec_nanosecond());
        let options = EventsOptionsBuilder::new().since("1").until(&until).build();
        let record: Vec<_> = self.within(self.limit(), doing, client.events(Some(options)).try_collect()).await?;
        Ok(read_traces(&record, id, since))
    }

    async fn restart(&self, id: &ContainerId, stop_timeout: Span) -> Result<(), Error> {
        let limit = Duration::from(stop_timeout) + BEYOND_STOPPING;
        let client = self.client(limit).await?;
        // Docker counts whole seconds; a container is never given less than it may have.
        let secs = i32::try_from(stop_timeout.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = RestartContainerOptionsBuilder::new().t(secs).build();
        self.within(limit, "restart the container", client.restart_container(id.as_str(), Some(options))).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), Error> {
        let limit = BEYOND_STOPPING.max(self.limit());
        let client = self.client(limit).await?;
        self.within(limit, "start the container", client.start_container(id.as_str(), None)).await
    }
}

/// What `record`, all that the engine remembers, says about the container since `since`.
fn read_traces(record: &[EventMessage], id: &ContainerId, since: Timestamp) -> Traces {
    let at = |event: &EventMessage| event.time_nano.and_then(|ns| Timestamp::from_nanosecond(i128::from(ns)).ok());
    let touched = record.iter().any(|event| {
        event.typ == Some(EventMessageTypeEnum::CONTAINER)
            && event.actor.as_ref().and_then(|actor| actor.id.as_deref()) == Some(id.as_str())
            && at(event).is_some_and(|at| at >= since)
            && matches!(event.action.as_deref(), Some("kill" | "stop" | "die"))
    });
    let reaches_back = record.len() < EVENTS_KEPT || record.iter().filter_map(at).any(|at| at < since);
    match (touched, reaches_back) {
        (true, _) => Traces::Touched,
        (false, true) => Traces::Untouched,
        (false, false) => Traces::Forgotten,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";
    const OTHER: &str = "5159c58bdfaa18c4530fc0a7ad2900069766b7f1b48f3d9065e494549e028a7d";

    fn event(action: &str, id: &str, at: i64) -> EventMessage {
        serde_json::from_value(serde_json::json!({
            "Type": "container", "Action": action, "Actor": {"ID": id}, "timeNano": at * 1_000_000_000
        }))
        .unwrap()
    }

    fn traces(record: &[EventMessage]) -> Traces {
        read_traces(record, &ID.parse().unwrap(), Timestamp::from_second(100).unwrap())
    }

    #[test]
    fn only_what_ends_this_run_is_a_trace() {
        for (record, expected) in [
            (vec![], Traces::Untouched),
            (vec![event("kill", ID, 100)], Traces::Touched),
            (vec![event("stop", ID, 101)], Traces::Touched),
            (vec![event("die", ID, 101)], Traces::Touched),
            (vec![event("start", ID, 101), event("restart", ID, 101)], Traces::Untouched),
            (vec![event("kill", ID, 99)], Traces::Untouched),
            (vec![event("kill", OTHER, 101)], Traces::Untouched),
            (vec![event("exec_die", ID, 101), event("health_status: unhealthy", ID, 102)], Traces::Untouched),
        ] {
            assert_eq!(traces(&record), expected, "{record:?}");
        }
    }

    #[test]
    fn silence_proves_nothing_once_the_engine_has_forgotten() {
        let full = |first: i64| (0..256).map(|n| event("exec_die", OTHER, first + n)).collect::<Vec<_>>();
        assert_eq!(traces(&full(99)), Traces::Untouched);
        assert_eq!(traces(&full(100)), Traces::Forgotten);
    }

    #[tokio::test]
    async fn an_absent_engine_is_told_from_one_that_refuses() {
        let docker = Docker::new("unix:///nonexistent/docker.sock", Duration::from_secs(5));
        let error = docker.look(&ID.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "the Docker engine at unix:///nonexistent/docker.sock did not agree on an API version: there is no socket \
             /nonexistent/docker.sock; is dockerd running? another address can be set as docker.host or DOCKER_HOST"
        );
    }
}
