//! One patient: its container's configuration, its illnesses, and operations on it.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, ensure};
use bollard::{
    Docker,
    models::{
        ContainerCreateBody, ContainerInspectResponse, HealthConfig, HostConfig, PortBinding, RestartPolicy,
        RestartPolicyNameEnum,
    },
    query_parameters::{
        CreateContainerOptions, InspectContainerOptions, RemoveContainerOptions, StartContainerOptions,
        StopContainerOptions,
    },
};

use super::image::PROGRAM;
use crate::{Illness, http};

/// How long the patient's server may take to listen after a start.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Configuration of a patient.
#[derive(Debug, Clone)]
pub struct PatientSpec {
    /// Its name without the stage's prefix.
    pub name: String,
    /// Interval of Docker's health check; `None` for no health check.
    pub health_interval: Option<Duration>,
    /// Consecutive failures that make it unhealthy.
    pub health_retries: u32,
    /// Its memory limit in bytes.
    pub memory: Option<u64>,
    /// Its CPU limit in cores.
    pub cpus: Option<f64>,
    /// Its limit of processes and threads.
    pub pids: Option<i64>,
    /// What Docker does when it exits.
    pub restart: Restart,
    /// The illness (`unhealthy`, `crash`, …) that it starts after every start, and the delay.
    pub stubborn: Option<(&'static str, Duration)>,
    /// Delay between SIGTERM and exit.
    pub stop_delay: Duration,
    /// Further arguments; with `--help` it exits at once with status 0.
    pub arguments: Vec<String>,
    /// Further labels.
    pub labels: HashMap<String, String>,
    /// Its environment, `NAME=value` each.
    pub environment: Vec<String>,
}

/// What Docker does when a patient exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    No,
    /// Starts it again.
    Always,
    /// Starts it again, unless it was stopped.
    UnlessStopped,
    /// Starts it again after an error, at most this many times.
    OnFailure(u32),
}

impl PatientSpec {
    /// A curable patient without limits, checked every half second, never restarted by Docker.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            health_interval: Some(Duration::from_millis(500)),
            health_retries: 1,
            memory: None,
            cpus: None,
            pids: None,
            restart: Restart::No,
            stubborn: None,
            stop_delay: Duration::ZERO,
            arguments: vec![],
            labels: HashMap::new(),
            environment: vec![],
        }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = self.arguments.clone();
        if let Some((illness, after)) = self.stubborn {
            arguments.extend([format!("--stubborn={illness}"), format!("--stubborn-after={}ms", after.as_millis())]);
        }
        if !self.stop_delay.is_zero() {
            arguments.push(format!("--stop-delay={}ms", self.stop_delay.as_millis()));
        }
        arguments
    }

    fn health_check(&self) -> HealthConfig {
        let Some(interval) = self.health_interval else {
            return HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() };
        };
        let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).ok();
        HealthConfig {
            test: Some(["CMD", PROGRAM, "check"].map(str::to_owned).to_vec()),
            interval: nanoseconds(interval),
            timeout: nanoseconds(Duration::from_secs(5)),
            retries: Some(self.health_retries.into()),
            ..Default::default()
        }
    }

    fn host_config(&self) -> HostConfig {
        let (name, times) = match self.restart {
            Restart::No => (RestartPolicyNameEnum::NO, None),
            Restart::Always => (RestartPolicyNameEnum::ALWAYS, None),
            Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
            Restart::OnFailure(times) => (RestartPolicyNameEnum::ON_FAILURE, Some(times.into())),
        };
        let free_port = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: None };
        let memory = self.memory.and_then(|bytes| i64::try_from(bytes).ok());
        HostConfig {
            memory,
            // The same for memory and swap together: no swap.
            memory_swap: memory,
            #[expect(clippy::cast_possible_truncation, reason = "a number of cores is small")]
            nano_cpus: self.cpus.map(|cpus| (cpus * 1e9) as i64),
            pids_limit: self.pids,
            restart_policy: Some(RestartPolicy { name: Some(name), maximum_retry_count: times }),
            port_bindings: Some(HashMap::from([("8080/tcp".to_owned(), Some(vec![free_port]))])),
            ..Default::default()
        }
    }
}

/// A running patient.
#[derive(Debug, Clone)]
pub struct Patient {
    /// The container's name.
    pub name: String,
    /// The container's id.
    pub id: String,
    docker: Docker,
}

impl Patient {
    pub(super) async fn start(
        docker: &Docker,
        name: &str,
        image: &str,
        labels: HashMap<String, String>,
        spec: PatientSpec,
    ) -> anyhow::Result<Self> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(spec.arguments()),
            env: Some(spec.environment.clone()),
            labels: Some(labels),
            healthcheck: Some(spec.health_check()),
            host_config: Some(spec.host_config()),
            ..Default::default()
        };
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..Default::default() };
        let created = docker.create_container(Some(options), body).await;
        let id = created.with_context(|| format!("could not create patient {name}"))?.id;
        let patient = Self { name: name.to_owned(), id, docker: docker.clone() };
        patient.start_again().await?;
        Ok(patient)
    }

    /// Starts an illness, through the patient's HTTP interface.
    ///
    /// # Errors
    /// When the patient does not listen within ten seconds, or refuses.
    pub async fn fall_ill(&self, illness: Illness) -> anyhow::Result<()> {
        self.post(&format!("/stress/{}", illness.name()), &illness.body().to_string()).await
    }

    /// Ends its illnesses, through the patient's HTTP interface.
    ///
    /// # Errors
    /// See [`fall_ill`](Self::fall_ill).
    pub async fn recover(&self) -> anyhow::Result<()> {
        self.post("/stress/stop", "").await
    }

    async fn post(&self, path: &str, body: &str) -> anyhow::Result<()> {
        let name = &self.name;
        let deadline = tokio::time::Instant::now() + START_TIMEOUT;
        let response = loop {
            // Looked up for each attempt: after a restart Docker publishes another port.
            let exchange = async { http::exchange(&self.address().await?, "POST", path, body).await };
            match exchange.await {
                Ok(response) => break response,
                Err(error) if tokio::time::Instant::now() >= deadline => {
                    return Err(error.context(format!("patient {name} does not respond")));
                }
                // It may be about to listen.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        ensure!(
            (200..300).contains(&response.status),
            "patient {name} refused {path}: {} {}",
            response.status,
            response.body
        );
        Ok(())
    }

    /// The current address of its HTTP interface, as `127.0.0.1:port`.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn address(&self) -> anyhow::Result<String> {
        let ports = self.inspect().await?.network_settings.and_then(|network| network.ports);
        let port = ports
            .and_then(|mut ports| ports.remove("8080/tcp").flatten())
            .and_then(|bindings| bindings.into_iter().find_map(|binding| binding.host_port))
            .with_context(|| format!("patient {} publishes no port: it is not running", self.name))?;
        Ok(format!("127.0.0.1:{port}"))
    }

    /// Docker's inspection of its container.
    ///
    /// # Errors
    /// When the engine does not respond, or does not know it.
    pub async fn inspect(&self) -> anyhow::Result<ContainerInspectResponse> {
        let inspected = self.docker.inspect_container(&self.id, None::<InspectContainerOptions>).await;
        inspected.with_context(|| format!("could not inspect patient {}", self.name))
    }

    /// Starts it, as an operator would.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        let started = self.docker.start_container(&self.id, None::<StartContainerOptions>).await;
        started.with_context(|| format!("could not start patient {}", self.name))
    }

    /// Stops it, as an operator would.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let stopped = self.docker.stop_container(&self.id, None::<StopContainerOptions>).await;
        stopped.with_context(|| format!("could not stop patient {}", self.name))
    }

    /// Removes it, as an operator would.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove(&self) -> anyhow::Result<()> {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        let removed = self.docker.remove_container(&self.id, Some(options)).await;
        removed.with_context(|| format!("could not remove patient {}", self.name))
    }
}
