//! Runs patients in a Docker engine, for the demo, the tests and the benches, and takes them away again.
//!
//! Every container of a stage carries two labels: the stage's run, by which it is found again, and the process that
//! owns it. A stage takes its containers away when it is dropped, also in a panic; what a killed process left behind is
//! taken away by the next stage on the same machine.

mod image;
mod owner;
mod patient;
mod record;

use std::{collections::HashMap, time::Duration};

use anyhow::Context;
use bollard::{
    Docker,
    errors::Error,
    models::ContainerSummary,
    query_parameters::{ListContainersOptions, RemoveContainerOptions, RemoveImageOptions},
};

pub use patient::{Patient, PatientSpec, Restart};
pub use record::{Deeds, Record};

/// The label that names the run that a container belongs to.
pub const RUN_LABEL: &str = "hemostat.stage";

/// The label that names the process that takes it away.
const OWNER_LABEL: &str = "hemostat.stage.owner";

/// A place for patients in a Docker engine.
#[derive(Debug)]
pub struct Stage {
    docker: Docker,
    run: String,
    prefix: String,
    image: String,
}

impl Stage {
    /// A stage for this run, whose containers are called `<prefix>-<name>`. Makes the image if the engine lacks it, and
    /// takes away what dead runs left behind.
    ///
    /// # Errors
    /// When no engine answers at `DOCKER_HOST` (or the local socket), or the patient binary has not been built.
    pub async fn new(run: impl Into<String>, prefix: impl Into<String>) -> anyhow::Result<Self> {
        let docker = connect().await?;
        let image = image::ensure(&docker).await?;
        sweep(&docker).await?;
        Ok(Self { docker, run: run.into(), prefix: prefix.into(), image })
    }

    /// The engine that it runs in.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// What the names of its containers begin with.
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

    /// Writes down, from now on, what is done to its containers.
    pub fn record(&self) -> Record {
        Record::begin(&self.docker, &self.run)
    }

    /// Takes all its containers away; dropping the stage does the same.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn clear(&self) -> anyhow::Result<()> {
        remove(&self.docker, find(&self.docker, &format!("{RUN_LABEL}={}", self.run)).await?).await
    }

    /// Takes the patients' image away, unless another stage's containers use it.
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
        // A thread with a runtime of its own, as the one that we are dropped in may be going down.
        let (run, docker_gone) = (self.run.clone(), "the engine does not answer any more");
        let cleaner = std::thread::spawn(move || -> anyhow::Result<()> {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                let docker = connect().await.context(docker_gone)?;
                remove(&docker, find(&docker, &format!("{RUN_LABEL}={run}")).await?).await
            })
        });
        if let Ok(Err(error)) = cleaner.join() {
            #[expect(clippy::print_stderr, reason = "a destructor has nobody to give the error to")]
            {
                eprintln!("could not take the patients of run {} away: {error:#}", self.run);
            }
        }
    }
}

/// Where the engine is: `DOCKER_HOST`, or the local socket where that is unset or empty.
pub fn docker_host() -> String {
    let named = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    named.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
}

/// Connects to the engine at `DOCKER_HOST`, or to the local socket.
///
/// # Errors
/// In one line that says what to do.
pub async fn connect() -> anyhow::Result<Docker> {
    let host = docker_host();
    let connect = async { Docker::connect_with_host(&host)?.negotiate_version().await };
    connect.await.with_context(|| format!("no Docker engine answers at {host}: start dockerd, or set DOCKER_HOST"))
}

/// Takes away what processes left behind that are no more, and the images that no patient uses.
///
/// # Errors
/// When no engine answers, or it refuses.
pub async fn sweep_all() -> anyhow::Result<()> {
    let docker = connect().await?;
    sweep(&docker).await?;
    image::remove_unused(&docker, Duration::ZERO).await
}

/// Takes away what processes left behind that are no more.
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
