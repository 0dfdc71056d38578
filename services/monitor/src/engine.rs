//! What the monitor asks of a Docker engine, and how it asks.
//!
//! [`Engine`] is the narrow view that the rest of the monitor has; [`Docker`] is the only implementation outside of
//! tests. Every answer has a deadline, so an engine that hangs looks like one that is gone, and never stops us.

use std::{collections::HashMap, fmt, future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bollard::{
    container::LogOutput,
    errors::Error as DockerError,
    models::{ContainerInspectResponse, ContainerStatsResponse, ContainerTopResponse, EventMessage},
    query_parameters::{EventsOptionsBuilder, LogsOptionsBuilder, StatsOptionsBuilder, TopOptionsBuilder},
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use hemostat_docker::{Link, Trouble};
use hemostat_schema::{ByteCount, ContainerId, Timestamp, observation::EngineFound};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    disk::{self, Usage},
    examine::processes,
};

/// Where engines list all containers, and where with their sizes.
const CONTAINERS: &str = "/containers/json?all=true";
const SIZES: &str = "/containers/json?all=true&size=true";
/// Where engines tell of their volumes. Those before API 1.42 tell all of everything, and mind none of the parameters.
const VOLUMES: &str = "/system/df?type=volume&verbose=1";

/// Something the engine did not do for us.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such container (any more).
    #[error("container {0} is gone")]
    Gone(String),
    /// Nobody answers there.
    #[error("no Docker engine answers at {host}: {reason}; {remedy}")]
    Unreachable {
        /// Where we asked.
        host: String,
        /// What happened.
        reason: String,
        /// What a person should look at.
        remedy: &'static str,
    },
    /// Somebody is there, but says nothing.
    #[error("the Docker engine at {host} did not {doing} within {limit:?}; is dockerd stuck or overloaded?")]
    Hanging {
        /// Where we asked.
        host: String,
        /// For what we asked.
        doing: &'static str,
        /// How long we waited.
        limit: Duration,
    },
    /// It answered, but with an error or with something that we do not understand.
    #[error("the Docker engine at {host} did not {doing}: {reason}")]
    Refused {
        /// Where we asked.
        host: String,
        /// For what we asked.
        doing: &'static str,
        /// What it said.
        reason: String,
    },
}

impl Error {
    /// Whether the engine as a whole is out of reach, rather than one answer bad.
    pub fn is_about_the_engine(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Hanging { .. })
    }
}

/// What an engine says about itself and its host.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// What of it is worth telling.
    pub engine: EngineFound,
    /// The engine's own clock, which its events and `StartedAt` go by.
    pub now: Timestamp,
    /// The directory on its host in which it keeps everything.
    pub root: Option<PathBuf>,
}

/// A Docker engine, as far as the monitor is concerned.
#[async_trait]
pub trait Engine: Send + Sync + fmt::Debug + 'static {
    /// What it says about itself.
    async fn about(&self) -> Result<About, Error>;
    /// Whether it answers at all.
    async fn ping(&self) -> Result<(), Error>;
    /// Every container, also those that do not run.
    async fn list(&self) -> Result<Vec<ContainerId>, Error>;
    /// All about one container.
    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInspectResponse, Error>;
    /// The counters of one running container, at one instant.
    async fn stats(&self, id: &ContainerId) -> Result<ContainerStatsResponse, Error>;
    /// The last `lines` of what a container printed, each with its time before it; from `since` on (to the second), or
    /// ever.
    async fn output(&self, id: &ContainerId, since: Option<Timestamp>, lines: u32) -> Result<Vec<LogOutput>, Error>;
    /// The processes of a running container.
    async fn processes(&self, id: &ContainerId) -> Result<ContainerTopResponse, Error>;
    /// What every container keeps on disk. The engine counts files for it, for so long at most.
    async fn disk_usage(&self, limit: Duration) -> Result<Vec<Usage>, Error>;
    /// What happens to containers, from `since` on. It ends only by an error.
    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EventMessage, Error>>;
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
}

/// A Docker engine, wherever it is.
#[derive(Debug, Clone)]
pub struct Docker {
    link: Arc<Link>,
}

impl Docker {
    /// The engine at `host` (`unix:///var/run/docker.sock`, `tcp://10.0.0.5:2375`), each answer within `limit`.
    ///
    /// Nothing is connected yet: an engine that is down is found out by the first question.
    pub fn new(host: impl Into<String>, limit: Duration) -> Self {
        Self::over(Link::to(host, limit))
    }

    /// The engine at the other end of this link.
    pub fn over(link: Link) -> Self {
        Self { link: Arc::new(link) }
    }

    fn host(&self) -> String {
        self.link.name().to_owned()
    }

    async fn client(&self) -> Result<&bollard::Docker, Error> {
        self.within("agree on an API version", self.link.client()).await
    }

    /// What the engine answers to `GET path`, read as far as `T` wants it.
    ///
    /// Bollard reads whole answers, which of ten thousand containers fill tens of megabytes, and of volumes only what
    /// engines answer from API 1.52 on. So the answer is taken as bytes: from the one call that gives them, sent to where
    /// they are.
    async fn read<T: DeserializeOwned>(
        &self,
        path: &'static str,
        doing: &'static str,
        limit: Duration,
    ) -> Result<T, Error> {
        let client = self.client().await?.clone().with_timeout(limit).with_request_modifier(move |mut request| {
            let address = request.uri().to_string().replace("/containers/all/export", path);
            if let Ok(address) = address.parse() {
                *request.uri_mut() = address;
            }
            request
        });
        let answer = client.export_container("all").try_fold(vec![], async |mut all: Vec<u8>, part| {
            all.extend_from_slice(&part);
            Ok(all)
        });
        let answer = self.within_time(limit, doing, answer).await?;
        serde_json::from_slice(&answer).map_err(|error| Error::Refused {
            host: self.host(),
            doing,
            reason: format!("its answer could not be read: {error}"),
        })
    }

    async fn within<T>(
        &self,
        doing: &'static str,
        answer: impl Future<Output = Result<T, DockerError>>,
    ) -> Result<T, Error> {
        self.within_time(self.link.limit(), doing, answer).await
    }

    async fn within_time<T>(
        &self,
        limit: Duration,
        doing: &'static str,
        answer: impl Future<Output = Result<T, DockerError>>,
    ) -> Result<T, Error> {
        match timeout(limit, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.explain(doing, error)),
            Err(_) => Err(Error::Hanging { host: self.host(), doing, limit }),
        }
    }

    fn hanging(&self, doing: &'static str) -> Error {
        Error::Hanging { host: self.host(), doing, limit: self.link.limit() }
    }

    fn explain(&self, doing: &'static str, error: DockerError) -> Error {
        let host = self.host();
        match error {
            DockerError::DockerResponseServerError { status_code, message } => {
                Error::Refused { host, doing, reason: format!("{message} (status {status_code})") }
            }
            DockerError::RequestTimeoutError => self.hanging(doing),
            DockerError::JsonDataError { message, .. } => {
                Error::Refused { host, doing, reason: format!("its answer could not be read: {message}") }
            }
            error => {
                let Trouble { reason, remedy } = self.link.trouble(&error);
                Error::Unreachable { host, reason, remedy }
            }
        }
    }

    fn about_container(&self, id: &ContainerId, doing: &'static str, error: Error) -> Error {
        match error {
            Error::Refused { reason, .. } if reason.ends_with("(status 404)") => Error::Gone(id.short().to_owned()),
            Error::Refused { host, reason, .. } => {
                Error::Refused { host, doing, reason: format!("{}: {reason}", id.short()) }
            }
            other => other,
        }
    }
}

#[async_trait]
impl Engine for Docker {
    async fn about(&self) -> Result<About, Error> {
        let client = self.client().await?;
        let info = self.within("describe itself", client.info()).await?;
        let engine = EngineFound {
            version: info.server_version.unwrap_or_else(|| "unknown".to_owned()),
            api_version: client.client_version().to_string(),
            cpus: info.ncpu.and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1),
            memory: ByteCount(info.mem_total.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)),
        };
        let now = info.system_time.and_then(|time| time.parse().ok()).unwrap_or_else(Timestamp::now);
        Ok(About { engine, now, root: info.docker_root_dir.map(PathBuf::from) })
    }

    async fn ping(&self) -> Result<(), Error> {
        self.within("answer a ping", self.client().await?.ping()).await.map(drop)
    }

    async fn list(&self) -> Result<Vec<ContainerId>, Error> {
        let listed: Vec<Listed> = self.read(CONTAINERS, "list containers", self.link.limit()).await?;
        Ok(listed.into_iter().filter_map(|container| container.id.parse().ok()).collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInspectResponse, Error> {
        let doing = "inspect a container";
        let answer = self.within(doing, self.client().await?.inspect_container(id.as_str(), None)).await;
        answer.map_err(|error| self.about_container(id, doing, error))
    }

    async fn stats(&self, id: &ContainerId) -> Result<ContainerStatsResponse, Error> {
        let doing = "read a container's counters";
        let client = self.client().await?;
        let once = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let first = async {
            let mut answers = client.stats(id.as_str(), Some(once));
            answers.next().await.unwrap_or_else(|| Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()))
        };
        self.within(doing, first).await.map_err(|error| self.about_container(id, doing, error))
    }

    async fn output(&self, id: &ContainerId, since: Option<Timestamp>, lines: u32) -> Result<Vec<LogOutput>, Error> {
        let doing = "tell what a container printed";
        let client = self.client().await?;
        let since = since.and_then(|since| i32::try_from(since.as_second()).ok()).unwrap_or(0);
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).since(since);
        let pieces = client.logs(id.as_str(), Some(options.tail(&lines.to_string()).build())).try_collect();
        self.within(doing, pieces).await.map_err(|error| self.about_container(id, doing, error))
    }

    async fn processes(&self, id: &ContainerId) -> Result<ContainerTopResponse, Error> {
        let doing = "list a container's processes";
        let client = self.client().await?;
        let columns = TopOptionsBuilder::new().ps_args(processes::COLUMNS).build();
        let answer = match self.within(doing, client.top_processes(id.as_str(), Some(columns))).await {
            // The host's ps does not know them.
            Err(Error::Refused { reason, .. }) if reason.ends_with("(status 500)") => {
                self.within(doing, client.top_processes(id.as_str(), None)).await
            }
            answer => answer,
        };
        answer.map_err(|error| self.about_container(id, doing, error))
    }

    async fn disk_usage(&self, limit: Duration) -> Result<Vec<Usage>, Error> {
        let listed = self.read(SIZES, "tell what containers keep on disk", limit).await?;
        let volumes = disk::volumes(self.read(VOLUMES, "tell how large its volumes are", limit).await?);
        Ok(disk::usage(listed, &volumes))
    }

    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EventMessage, Error>> {
        let engine = self.clone();
        // Bollard sends nothing before the stream is polled, and its own deadline covers only the answer's head, so
        // the stream may then be silent for as long as nothing happens.
        futures::stream::once(async move {
            let containers = HashMap::from([("type", vec!["container"])]);
            let since = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond());
            let options = EventsOptionsBuilder::new().since(&since).filters(&containers).build();
            let events = engine.client().await?.events(Some(options));
            Ok::<_, Error>(events.map(move |event| event.map_err(|error| engine.explain("tell its events", error))))
        })
        .flat_map(|opened| match opened {
            Ok(events) => events.boxed(),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(host: &str) -> String {
        Docker::new(host, Duration::from_secs(5)).about().await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn an_absent_socket_is_named_with_what_to_look_at() {
        let told = told("unix:///nonexistent/docker.sock").await;
        assert_eq!(
            told,
            "no Docker engine answers at unix:///nonexistent/docker.sock: there is no socket /nonexistent/docker.sock; \
             is dockerd running? another address can be set as docker.host or DOCKER_HOST"
        );
    }

    #[tokio::test]
    async fn an_address_of_another_kind_is_refused_with_one_that_would_do() {
        assert!(told("gopher://x").await.ends_with("unix:///var/run/docker.sock or tcp://10.0.0.5:2375"));
    }

    #[tokio::test]
    async fn an_engine_that_accepts_and_says_nothing_is_found_out() {
        let dir = std::env::temp_dir().join(format!("hemostat-mute-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("docker.sock");
        let _ = std::fs::remove_file(&path);
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let docker = Docker::new(format!("unix://{}", path.display()), Duration::from_millis(200));
        let error = docker.ping().await.unwrap_err();
        assert!(error.is_about_the_engine() && matches!(error, Error::Hanging { .. }), "{error}");
        drop(listener);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
