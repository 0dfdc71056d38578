//! Every call that HemoStat makes to a Docker engine, each with a deadline.
//!
//! The one time-out rule: a call has the configured timeout. Three kinds of calls get more: disk usage, which the engine
//! counts file by file, has a timeout of its own; a restart has the container's stop timeout and [`START_TIMEOUT`]; a start
//! has [`START_TIMEOUT`]. An engine that hangs therefore looks like one that is gone, and never blocks the caller.

use std::{collections::HashMap, future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use bollard::{
    container::LogOutput,
    errors::Error as ClientError,
    models::{
        ContainerInspectResponse, ContainerStateStatusEnum as Status, ContainerStatsResponse, ContainerTopResponse,
        EventMessage,
    },
    query_parameters::{
        EventsOptionsBuilder, LogsOptionsBuilder, RestartContainerOptionsBuilder, StatsOptionsBuilder,
        TopOptionsBuilder,
    },
};
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use hemostat_schema::{ByteCount, ContainerId, Span, Timestamp, container::State, observation::EngineFound};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    disk_usage::{self, DiskUsage},
    error::Error,
    link::Link,
};

/// All containers, and all containers with the size of their writable layers.
const CONTAINERS: &str = "/containers/json?all=true";
const CONTAINERS_WITH_SIZE: &str = "/containers/json?all=true&size=true";
/// The sizes of volumes. Engines before API 1.42 ignore the parameters and report everything.
const VOLUMES: &str = "/system/df?type=volume&verbose=1";

/// How long a start may take. A restart may take as long after the container has stopped.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The client's own deadline lies this much after ours, so that ours decides.
const CLIENT_SLACK: Duration = Duration::from_secs(1);

/// How many of its latest events dockerd keeps, of all kinds and containers (`daemon/events`, `eventsLimit`).
pub const RECORDED_EVENTS: usize = 256;

/// What an engine reports about itself and its host.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineInfo {
    /// Version and capacity.
    pub engine: EngineFound,
    /// The engine's own clock, which its events and `StartedAt` use.
    pub now: Timestamp,
    /// Docker's data directory on the engine's host.
    pub root: Option<PathBuf>,
}

/// A Docker engine. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Docker {
    link: Arc<Link>,
}

impl Docker {
    /// The engine at `address` (`unix:///var/run/docker.sock`, `tcp://10.0.0.5:2375`).
    ///
    /// It connects at the first call, so an engine that is down or an invalid address is reported there.
    pub fn new(address: impl Into<String>, timeout: Duration) -> Self {
        Self::over(Link::to_address(address, timeout))
    }

    /// The engine behind this link.
    pub fn over(link: Link) -> Self {
        Self { link: Arc::new(link) }
    }

    /// Version, clock and data directory of the engine.
    ///
    /// # Errors
    /// If the engine does not answer; see [`Error`]. The same holds for all calls.
    pub async fn info(&self) -> Result<EngineInfo, Error> {
        let client = self.client(self.link.timeout()).await?;
        let info = self.call("describe itself", client.info()).await?;
        let engine = EngineFound {
            version: info.server_version.unwrap_or_else(|| "unknown".to_owned()),
            api_version: client.client_version().to_string(),
            cpus: info.ncpu.and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1),
            memory: ByteCount(info.mem_total.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)),
        };
        let now = info.system_time.and_then(|time| time.parse().ok()).unwrap_or_else(Timestamp::now);
        Ok(EngineInfo { engine, now, root: info.docker_root_dir.map(PathBuf::from) })
    }

    /// Checks that the engine answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let client = self.client(self.link.timeout()).await?;
        self.call("answer a ping", client.ping()).await.map(drop)
    }

    /// The ids of all containers, also of stopped ones.
    pub async fn list(&self) -> Result<Vec<ContainerId>, Error> {
        #[derive(Deserialize)]
        struct Listed {
            #[serde(rename = "Id")]
            id: String,
        }
        let listed: Vec<Listed> = self.get(CONTAINERS, "list containers", self.link.timeout()).await?;
        Ok(listed.into_iter().filter_map(|container| container.id.parse().ok()).collect())
    }

    /// Inspects a container.
    pub async fn inspect(&self, id: &ContainerId) -> Result<ContainerInspectResponse, Error> {
        let client = self.client(self.link.timeout()).await?;
        let answer = self.call("inspect a container", client.inspect_container(id.as_str(), None)).await;
        answer.map_err(|error| error.about(id))
    }

    /// The resource counters of a running container at one instant.
    pub async fn stats(&self, id: &ContainerId) -> Result<ContainerStatsResponse, Error> {
        let client = self.client(self.link.timeout()).await?;
        let one_shot = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let first = async {
            let mut answers = client.stats(id.as_str(), Some(one_shot));
            answers.next().await.unwrap_or_else(|| Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()))
        };
        self.call("read a container's counters", first).await.map_err(|error| error.about(id))
    }

    /// The last `lines` of a container's output, each with its timestamp in front; only those from `since` on (in whole
    /// seconds) if given.
    pub async fn output(
        &self,
        id: &ContainerId,
        since: Option<Timestamp>,
        lines: u32,
    ) -> Result<Vec<LogOutput>, Error> {
        let client = self.client(self.link.timeout()).await?;
        let since = since.and_then(|since| i32::try_from(since.as_second()).ok()).unwrap_or(0);
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).since(since);
        let pieces = client.logs(id.as_str(), Some(options.tail(&lines.to_string()).build())).try_collect();
        self.call("read a container's output", pieces).await.map_err(|error| error.about(id))
    }

    /// The processes of a running container, with these options of `ps`, or with its default columns if the host's `ps`
    /// does not accept them.
    pub async fn processes(&self, id: &ContainerId, ps_options: &str) -> Result<ContainerTopResponse, Error> {
        let operation = "list a container's processes";
        let client = self.client(self.link.timeout()).await?;
        let options = TopOptionsBuilder::new().ps_args(ps_options).build();
        let answer = match self.call(operation, client.top_processes(id.as_str(), Some(options))).await {
            Err(Error::Refused { status: 500, .. }) => {
                self.call(operation, client.top_processes(id.as_str(), None)).await
            }
            answer => answer,
        };
        answer.map_err(|error| error.about(id))
    }

    /// The disk usage of every container. The engine counts files for it, for at most `timeout` per request.
    pub async fn disk_usage(&self, timeout: Duration) -> Result<Vec<DiskUsage>, Error> {
        let listed = self.get(CONTAINERS_WITH_SIZE, "report disk usage of containers", timeout).await?;
        let volumes = disk_usage::volumes(self.get(VOLUMES, "report sizes of volumes", timeout).await?);
        Ok(disk_usage::usage(listed, &volumes))
    }

    /// The stream of container events from `since` on. It ends only with an error.
    pub fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EventMessage, Error>> {
        let engine = self.clone();
        // The client's deadline covers only the head of the answer, so the stream may be silent for any time after that.
        futures::stream::once(async move {
            let client = engine.client(engine.link.timeout()).await?;
            let containers = HashMap::from([("type", vec!["container"])]);
            let options = EventsOptionsBuilder::new().since(&seconds(since)).filters(&containers).build();
            let events = client.events(Some(options));
            let explain = move |error| Error::of_client(&engine.link, "report events", error);
            Ok::<_, Error>(events.map_err(explain))
        })
        .try_flatten()
        .boxed()
    }

    /// All events that the engine still keeps, of all kinds and containers; at most [`RECORDED_EVENTS`].
    pub async fn recorded_events(&self) -> Result<Vec<EventMessage>, Error> {
        let until = seconds(self.info().await?.now);
        let client = self.client(self.link.timeout()).await?;
        let options = EventsOptionsBuilder::new().since("1").until(&until).build();
        self.call("report its recent events", client.events(Some(options)).try_collect()).await
    }

    /// Stops a container within `stop_timeout` (then kills it) and starts it again.
    pub async fn restart(&self, id: &ContainerId, stop_timeout: Span) -> Result<(), Error> {
        let limit = Duration::from(stop_timeout) + START_TIMEOUT;
        let client = self.client(limit).await?;
        // Docker takes whole seconds; rounded up, so that the container gets at least its time.
        let secs = i32::try_from(stop_timeout.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = RestartContainerOptionsBuilder::new().t(secs).build();
        let call = client.restart_container(id.as_str(), Some(options));
        self.call_within(limit, "restart the container", call).await.map_err(|error| error.about(id))
    }

    /// Starts a container. One that runs already is no error.
    pub async fn start(&self, id: &ContainerId) -> Result<(), Error> {
        let limit = START_TIMEOUT.max(self.link.timeout());
        let client = self.client(limit).await?;
        let call = client.start_container(id.as_str(), None);
        self.call_within(limit, "start the container", call).await.map_err(|error| error.about(id))
    }

    /// An error for an answer that lacks what it must have.
    pub fn invalid_answer(&self, operation: &'static str, reason: impl Into<String>) -> Error {
        Error::InvalidAnswer { host: self.link.name().to_owned(), operation, reason: reason.into() }
    }

    /// Docker's client with a deadline of its own after `limit`.
    async fn client(&self, limit: Duration) -> Result<bollard::Docker, Error> {
        let client = self.call("agree on an API version", self.link.client()).await?;
        Ok(client.clone().with_timeout(limit + CLIENT_SLACK))
    }

    /// What the engine answers to `GET path`, parsed as `T`.
    ///
    /// Docker's client parses whole answers, which for ten thousand containers are tens of megabytes, and volumes only as
    /// engines answer from API 1.52 on. `T` takes only what is needed, in both forms.
    async fn get<T: DeserializeOwned>(
        &self,
        path: &'static str,
        operation: &'static str,
        limit: Duration,
    ) -> Result<T, Error> {
        let body = self.call_within(limit, operation, self.link.get(path)).await?;
        serde_json::from_slice(&body).map_err(|error| self.invalid_answer(operation, error.to_string()))
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, Error> {
        self.call_within(self.link.timeout(), operation, answer).await
    }

    async fn call_within<T>(
        &self,
        limit: Duration,
        operation: &'static str,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, Error> {
        match timeout(limit, answer).await {
            Ok(answer) => answer.map_err(|error| Error::of_client(&self.link, operation, error)),
            Err(_) => Err(Error::Timeout { host: self.link.name().to_owned(), operation, timeout: limit }),
        }
    }
}

/// A time as Docker's API takes it.
fn seconds(at: Timestamp) -> String {
    format!("{}.{:09}", at.as_second(), at.subsec_nanosecond())
}

/// The life-cycle state for Docker's status; `None` if the answer names none.
pub fn state(status: Option<Status>) -> Option<State> {
    Some(match status? {
        Status::CREATED => State::Created,
        Status::RUNNING | Status::STOPPING => State::Running,
        Status::PAUSED => State::Paused,
        Status::RESTARTING => State::Restarting,
        Status::REMOVING => State::Removing,
        Status::EXITED => State::Exited,
        Status::DEAD => State::Dead,
        Status::EMPTY => return None,
    })
}

/// A time as Docker writes it; `None` for its zero time, the year 1.
pub fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|at: &Timestamp| *at > Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn error(address: &str) -> Error {
        Docker::new(address, Duration::from_secs(5)).info().await.unwrap_err()
    }

    #[tokio::test]
    async fn a_missing_socket_is_named_with_what_to_check() {
        let error = error("unix:///nonexistent/docker.sock").await;
        assert!(error.outcome_is_unknown());
        assert_eq!(
            error.to_string(),
            "no Docker engine answers at unix:///nonexistent/docker.sock: there is no socket /nonexistent/docker.sock; \
             is dockerd running? another address can be set as docker.host or DOCKER_HOST"
        );
    }

    #[tokio::test]
    async fn an_unknown_scheme_is_refused_with_an_example_of_a_right_address() {
        let error = error("gopher://x").await.to_string();
        assert!(error.ends_with("unix:///var/run/docker.sock or tcp://10.0.0.5:2375"), "{error}");
    }

    #[tokio::test]
    async fn an_engine_that_accepts_and_never_answers_times_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        let _listener = tokio::net::UnixListener::bind(&path).unwrap();
        let docker = Docker::new(format!("unix://{}", path.display()), Duration::from_millis(200));
        let error = docker.ping().await.unwrap_err();
        assert!(error.outcome_is_unknown() && matches!(error, Error::Timeout { .. }), "{error}");
    }

    #[test]
    fn every_status_has_its_state_and_the_year_1_is_no_time() {
        for (status, expected) in [
            ("created", Some(State::Created)),
            ("running", Some(State::Running)),
            ("stopping", Some(State::Running)),
            ("paused", Some(State::Paused)),
            ("restarting", Some(State::Restarting)),
            ("removing", Some(State::Removing)),
            ("exited", Some(State::Exited)),
            ("dead", Some(State::Dead)),
            ("", None),
        ] {
            let parsed: Status = serde_json::from_value(status.into()).unwrap();
            assert_eq!(state(Some(parsed)), expected, "{status}");
        }
        assert_eq!(state(None), None);
        assert_eq!(timestamp("0001-01-01T00:00:00Z"), None);
        assert_eq!(timestamp("2026-11-23T19:38:17.5Z"), "2026-11-23T19:38:17.5Z".parse().ok());
    }
}
