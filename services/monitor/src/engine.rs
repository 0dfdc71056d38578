//! The monitor's view of a Docker engine.
//!
//! [`hemostat_docker::Docker`] implements it; tests implement what they need. Each call has a deadline, so an
//! engine that hangs never blocks the monitor.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use hemostat_docker::{
    DiskUsage, Docker, EngineInfo, Error, LogOutput,
    models::{ContainerInspectResponse, ContainerStatsResponse, ContainerTopResponse, EventMessage},
};
use hemostat_schema::{ContainerId, Timestamp};

use crate::examine::processes;

/// A Docker engine, as far as the monitor uses it. Every method refuses by default, so that a test's engine implements
/// only what the test is about.
#[async_trait]
pub trait Engine: Send + Sync + fmt::Debug + 'static {
    /// Version, clock and data directory of the engine.
    async fn info(&self) -> Result<EngineInfo, Error> {
        Err(unsupported("describe itself"))
    }

    /// Checks that the engine answers.
    async fn ping(&self) -> Result<(), Error> {
        Err(unsupported("answer a ping"))
    }

    /// The ids of all containers, also of stopped ones.
    async fn list(&self) -> Result<Vec<ContainerId>, Error> {
        Err(unsupported("list containers"))
    }

    /// Inspects a container.
    async fn inspect(&self, _id: &ContainerId) -> Result<ContainerInspectResponse, Error> {
        Err(unsupported("inspect a container"))
    }

    /// The resource counters of a running container.
    async fn stats(&self, _id: &ContainerId) -> Result<ContainerStatsResponse, Error> {
        Err(unsupported("read a container's counters"))
    }

    /// The last `lines` of a container's output, each with its timestamp in front; only those from `since` on (in whole
    /// seconds) if given.
    async fn output(&self, _id: &ContainerId, _since: Option<Timestamp>, _lines: u32) -> Result<Vec<LogOutput>, Error> {
        Err(unsupported("read a container's output"))
    }

    /// The processes of a running container.
    async fn processes(&self, _id: &ContainerId) -> Result<ContainerTopResponse, Error> {
        Err(unsupported("list a container's processes"))
    }

    /// The disk usage of every container, which the engine counts for at most `timeout` per request.
    async fn disk_usage(&self, _timeout: Duration) -> Result<Vec<DiskUsage>, Error> {
        Err(unsupported("report disk usage"))
    }

    /// The stream of container events from `since` on. It ends only with an error.
    fn events(&self, _since: Timestamp) -> BoxStream<'static, Result<EventMessage, Error>> {
        stream::iter([Err(unsupported("report events"))]).boxed()
    }
}

fn unsupported(operation: &'static str) -> Error {
    Error::Refused { host: "test".to_owned(), operation, status: 501, reason: "not implemented".to_owned() }
}

#[async_trait]
impl Engine for Docker {
    async fn info(&self) -> Result<EngineInfo, Error> {
        Docker::info(self).await
    }

    async fn ping(&self) -> Result<(), Error> {
        Docker::ping(self).await
    }

    async fn list(&self) -> Result<Vec<ContainerId>, Error> {
        Docker::list(self).await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInspectResponse, Error> {
        Docker::inspect(self, id).await
    }

    async fn stats(&self, id: &ContainerId) -> Result<ContainerStatsResponse, Error> {
        Docker::stats(self, id).await
    }

    async fn output(&self, id: &ContainerId, since: Option<Timestamp>, lines: u32) -> Result<Vec<LogOutput>, Error> {
        Docker::output(self, id, since, lines).await
    }

    async fn processes(&self, id: &ContainerId) -> Result<ContainerTopResponse, Error> {
        Docker::processes(self, id, processes::PS_OPTIONS).await
    }

    async fn disk_usage(&self, timeout: Duration) -> Result<Vec<DiskUsage>, Error> {
        Docker::disk_usage(self, timeout).await
    }

    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EventMessage, Error>> {
        Docker::events(self, since)
    }
}
