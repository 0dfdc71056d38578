//! Runs patients in a Docker engine, for the demo, the tests and the benches, and removes them again.
//!
//! Every container of a stage has two labels: the stage's run, by which it is found, and the process that owns it.
//! Dropping a stage removes its containers, also in a panic; the next stage on the same machine removes those of killed
//! processes.

mod image;
mod labels;
mod owner;
mod patient;
mod recorder;

use std::{collections::HashMap, time::Duration};

use anyhow::Context;
use bollard::{
    Docker,
    errors::Error,
    models::ContainerSummary,
    query_parameters::{ListContainersOptions, RemoveContainerOptions, RemoveImageOptions},
};

use labels::OWNER_LABEL;
pub use labels::RUN_LABEL;
pub use patient::{Patient, PatientSpec, Restart};
pub use recorder::{DockerActions, EventRecorder};

/// The patients of one run in a Docker engine.
#[derive(Debug)]
pub struct Stage {
    docker: Docker,
    run: String,
    prefix: String,
    image: String,
}

impl Stage {
    /// A stage for this run, whose containers are named `<prefix>-<name>`. Creates the image if it is missing, and removes
    /// the containers of killed processes.
    ///
    /// # Errors
    /// When no engine responds at `DOCKER_HOST` (or the local socket), or the patient binary is not built.
    pub async fn new(run: impl Into<String>, prefix: impl Into<String>) -> anyhow::Result<Self> {
        let docker = connect().await?;
        let image = image::ensure(&docker).await?;
        sweep(&docker).await?;
        Ok(Self { docker, run: run.into(), prefix: prefix.into(), image })
    }

    /// The client of its Docker engine.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The prefix of its containers' names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The image of its patients.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Starts a patient.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn spawn(&self, spec: PatientSpec) -> anyhow::Result<Patient> {
        let mut labels =
            HashMap::from([(RUN_LABEL.to_owned(), self.run.clone()), (OWNER_LABEL.to_owned(), owner::this_process())]);
        labels.extend(spec.labels.clone());
        Patient::start(&self.docker, &format!("{}-{}", self.prefix, spec.name), &self.image, labels, spec).await
    }

    /// Records the Docker events of its containers from now on.
    pub fn recorder(&self) -> EventRecorder {
        EventRecorder::start(&self.docker, &self.run)
    }

    /// Removes all its containers; dropping the stage does the same.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn clear(&self) -> anyhow::Result<()> {
        remove(&self.docker, find(&self.docker, &format!("{RUN_LABEL}={}", self.run)).await?).await
    }

    /// Removes the patients' image, unless containers of another stage use it.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove_image(&self) -> anyhow::Result<()> {
        match self.docker.remove_image(&self.image, None::<RemoveImageOptions>, None).await {
            // 404: gone already. 409: a container uses it.
            Ok(_) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("could not remove image {}", self.image)),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A thread with a runtime of its own, because the current runtime may be shutting down.
        let (run, docker_gone) = (self.run.clone(), "the engine does not respond any more");
        let cleaner = std::thread::spawn(move || -> anyhow::Result<()> {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                let docker = connect().await.context(docker_gone)?;
                remove(&docker, find(&docker, &format!("{RUN_LABEL}={run}")).await?).await
            })
        });
        if let Ok(Err(error)) = cleaner.join() {
            #[expect(clippy::print_stderr, reason = "a destructor cannot return the error")]
            {
                eprintln!("could not remove the patients of run {}: {error:#}", self.run);
            }
        }
    }
}

/// The engine's address: `DOCKER_HOST`, or the local socket if that is unset or empty.
pub fn docker_host() -> String {
    let named = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    named.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
}

/// Connects to the engine at [`docker_host`].
///
/// # Errors
/// When it does not respond; the message says what to do.
pub async fn connect() -> anyhow::Result<Docker> {
    let host = docker_host();
    let connect = async { Docker::connect_with_host(&host)?.negotiate_version().await };
    connect.await.with_context(|| format!("no Docker engine responds at {host}: start dockerd, or set DOCKER_HOST"))
}

/// Removes the containers of processes that no longer run, and unused images.
///
/// # Errors
/// When the engine does not respond, or refuses.
pub async fn sweep_all() -> anyhow::Result<()> {
    let docker = connect().await?;
    sweep(&docker).await?;
    image::remove_unused(&docker, Duration::ZERO).await
}

/// Removes the containers of processes that no longer run.
async fn sweep(docker: &Docker) -> anyhow::Result<()> {
    let mut orphans = find(docker, OWNER_LABEL).await?;
    orphans.retain(|found| {
        let owner = found.labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL));
        owner.is_some_and(|owner| owner::is_gone(owner))
    });
    remove(docker, orphans).await
}

async fn find(docker: &Docker, label: &str) -> anyhow::Result<Vec<ContainerSummary>> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("label".to_owned(), vec![label.to_owned()])])),
        ..Default::default()
    };
    docker.list_containers(Some(options)).await.context("could not list the containers of the stage")
}

async fn remove(docker: &Docker, containers: Vec<ContainerSummary>) -> anyhow::Result<()> {
    let removals = containers.into_iter().filter_map(|container| container.id).map(async |id| {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        match docker.remove_container(&id, Some(options)).await {
            // 404: gone already. 409: its removal is already in progress.
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("could not remove container {id}")),
        }
    });
    futures::future::join_all(removals).await.into_iter().collect()
}
