//! Small containers in the real Docker engine, made for one test and removed after it, also after a panic.
//!
//! Their image is one busybox, imported from the local file: nothing is pulled.

#![allow(dead_code, clippy::unwrap_used, reason = "test support, of which each file uses its part")]

use std::{collections::HashMap, process::Command, sync::Arc, time::Duration};

use bollard::{
    Docker, body_full,
    exec::StartExecOptions,
    models::{ContainerCreateBody, ExecConfig, HealthConfig, HostConfig, RestartPolicy},
    query_parameters::{
        CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder,
        RemoveContainerOptionsBuilder,
    },
};
use futures::TryStreamExt;
use hemostat_core::{Policy, policy::Names};
use hemostat_runtime::Context;
use hemostat_runtime::log::{Log, MemoryLog, Order, Range};
use hemostat_schema::{ContainerId, Event, Family, HostName, Partition, Recorded, Span};

const IMAGE: (&str, &str) = ("hemostat-test-busybox", "1");
const LABEL: &str = "hemostat.test";
/// How long a test waits for what must come.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// What a container does.
#[derive(Debug, Clone, Default)]
pub struct Patient {
    /// By `sh -c`.
    pub script: &'static str,
    /// Its health check, every second, by `sh -c`.
    pub health: Option<&'static str>,
    /// In bytes.
    pub memory: Option<i64>,
    /// Docker's restart policy.
    pub restart: Option<RestartPolicy>,
}

/// The containers of one test.
#[derive(Debug)]
pub struct Bed {
    pub docker: Docker,
    run: String,
}

impl Bed {
    pub async fn new() -> Self {
        let docker = Docker::connect_with_defaults().expect("these tests need a Docker engine (see DOCKER_HOST)");
        docker.ping().await.expect("these tests need a Docker engine that answers (see DOCKER_HOST)");
        let bed = Self { docker, run: format!("{:08x}", fastrand::u32(..)) };
        bed.make_image().await;
        bed
    }

    async fn make_image(&self) {
        let (name, tag) = IMAGE;
        if self.docker.inspect_image(&format!("{name}:{tag}")).await.is_ok() {
            return;
        }
        let tar = Command::new("tar")
            .args(["--create", "--directory=/", "bin/busybox"])
            .output()
            .expect("tar makes the image of the test containers");
        assert!(
            tar.status.success() && !tar.stdout.is_empty(),
            "these tests need /bin/busybox (package busybox-static)"
        );
        let options = CreateImageOptionsBuilder::new().from_src("-").repo(name).tag(tag).build();
        let made = self.docker.create_image(Some(options), Some(body_full(tar.stdout.into())), None);
        made.try_collect::<Vec<_>>().await.expect("the engine imports the image of the test containers");
    }

    /// The name of a container of this test.
    pub fn name(&self, short: &str) -> String {
        format!("hst-{}-{short}", self.run)
    }

    pub async fn start(&self, short: &str, patient: Patient) -> ContainerId {
        let second = 1_000_000_000;
        let body = ContainerCreateBody {
            image: Some(format!("{}:{}", IMAGE.0, IMAGE.1)),
            cmd: Some(["/bin/busybox", "sh", "-c", patient.script].map(str::to_owned).into()),
            labels: Some(HashMap::from([(LABEL.to_owned(), self.run.clone())])),
            healthcheck: patient.health.map(|check| HealthConfig {
                test: Some(["CMD", "/bin/busybox", "sh", "-c", check].map(str::to_owned).into()),
                interval: Some(second),
                timeout: Some(10 * second),
                retries: Some(1),
                ..HealthConfig::default()
            }),
            host_config: Some(HostConfig {
                memory: patient.memory,
                memory_swap: patient.memory,
                restart_policy: patient.restart,
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&self.name(short)).build();
        let made = self.docker.create_container(Some(options), body).await.expect("the engine makes a container");
        self.docker.start_container(&made.id, None).await.expect("the engine starts a container");
        made.id.parse().expect("the engine gives a full id")
    }

    /// Runs a command in a container.
    pub async fn exec(&self, short: &str, script: &str) {
        let config = ExecConfig {
            cmd: Some(["/bin/busybox", "sh", "-c", script].map(str::to_owned).into()),
            ..ExecConfig::default()
        };
        let exec = self.docker.create_exec(&self.name(short), config).await.expect("the container runs");
        let detached = StartExecOptions { detach: true, ..StartExecOptions::default() };
        self.docker.start_exec(&exec.id, Some(detached)).await.expect("the container runs a command");
    }

    /// A policy that is for this test's containers only.
    pub fn policy(&self) -> Policy {
        let mine = self.name("*");
        Policy {
            only: Names::new([mine.as_str()]).expect("a glob"),
            sample_every: Span::from_secs(1),
            ..Policy::default()
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let (docker, label) = (self.docker.clone(), format!("{LABEL}={}", self.run));
        let clean = async move {
            let mine = HashMap::from([("label", vec![label.as_str()])]);
            let options = ListContainersOptionsBuilder::new().all(true).filters(&mine).build();
            for container in docker.list_containers(Some(options)).await.unwrap_or_default() {
                let force = RemoveContainerOptionsBuilder::new().force(true).build();
                let _ = docker.remove_container(&container.id.unwrap_or_default(), Some(force)).await;
            }
        };
        // A test's own runtime cannot be waited for from inside of it.
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a thread can have a runtime").block_on(clean);
        });
        let _ = cleaner.join();
    }
}

/// A log in memory, and a context on it.
pub fn context() -> Context {
    Context { lease_ttl: Duration::from_secs(1), ..Context::new(Arc::new(MemoryLog::new(1))) }
}

pub fn host() -> HostName {
    "test-host".parse().expect("a host name")
}

/// Everything that is on the log about a container (or the host).
pub async fn history(log: &dyn Log, name: &str) -> Vec<Recorded> {
    let read = log.read(Partition(0), &Family::ALL, Range::ALL, Order::OldestFirst, 100_000).await.unwrap();
    read.into_iter().map(|entry| entry.event.unwrap()).filter(|event| event.subject.short() == name).collect()
}

/// Waits until something is on the log about a container, and gives it.
pub async fn wait_for<T>(log: &dyn Log, name: &str, what: &str, wanted: impl Fn(&Recorded, &Event) -> Option<T>) -> T {
    let mut bell = log.bell(Partition(0));
    let found = tokio::time::timeout(DEADLINE, async {
        loop {
            bell.borrow_and_update();
            let history = history(log, name).await;
            if let Some(found) = history.iter().find_map(|event| wanted(event, event.event()?)) {
                return found;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), bell.changed()).await;
        }
    });
    match found.await {
        Ok(found) => found,
        Err(_) => {
            let kinds: Vec<_> = history(log, name).await.iter().map(Recorded::kind).collect();
            panic!("{name}: no {what} within {DEADLINE:?}; there is {kinds:?}")
        }
    }
}
