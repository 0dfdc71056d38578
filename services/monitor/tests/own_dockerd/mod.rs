//! Runs a dockerd for a test, which the test kills and starts again.
//!
//! It runs in a network namespace of its own: a dockerd without a bridge would remove `docker0` of the machine's engine.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bollard::{
    Docker, body_full,
    models::{ContainerCreateBody, HostConfig, RestartPolicy, RestartPolicyNameEnum},
    query_parameters::{CreateContainerOptionsBuilder, ImportImageOptions},
};
use futures::TryStreamExt;

/// How long it may take to start or to end.
const DEADLINE: Duration = Duration::from_secs(60);

/// A dockerd for one test. Dropping it removes it and its containers.
#[derive(Debug)]
pub struct OwnEngine {
    directory: PathBuf,
    daemon: Option<Child>,
    /// The processes of its containers.
    containers: Vec<i64>,
}

impl OwnEngine {
    /// Starts one, and copies this image from the other engine.
    pub async fn start(name: &str, other: &Docker, image: &str) -> Self {
        let mut engine = Self { directory: std::env::temp_dir().join(name), daemon: None, containers: vec![] };
        std::fs::create_dir_all(&engine.directory).unwrap();
        engine.up().await;
        let image: Vec<_> = other.export_image(image).try_collect().await.unwrap();
        let load = engine.docker().import_image(ImportImageOptions::default(), body_full(image.concat().into()), None);
        load.try_collect::<Vec<_>>().await.unwrap();
        engine
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("unix://{}", self.directory.join("docker.sock").display())
    }

    /// Starts it, and waits until it answers.
    pub async fn up(&mut self) {
        let path = |name: &str| self.directory.join(name).display().to_string();
        let log = std::fs::File::create(self.directory.join("log")).unwrap();
        let daemon = Command::new("unshare")
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
            .args(["--net", "dockerd"])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["-H", &self.address(), "--bridge=none", "--iptables=false", "--storage-driver=vfs"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.daemon =
            Some(daemon.unwrap_or_else(|error| panic!("this test runs an engine of its own: unshare: {error}")));
        let began = Instant::now();
        let answers = async || self.connect()?.ping().await;
        while answers().await.is_err() {
            let said = || std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(began.elapsed() < DEADLINE, "this test runs an engine of its own, as root; it said:\n{}", said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Kills it and its containerd. Its containers run on.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
        let pid_file = self.directory.join("exec/containerd/containerd.pid");
        if let Ok(pid) = std::fs::read_to_string(&pid_file) {
            kill(&["-9", pid.trim()]);
        }
        // If no init process reaps orphans, dockerd would take the dead containerd for a running one.
        let _ = std::fs::remove_file(pid_file);
    }

    /// A client of it.
    pub fn docker(&self) -> Docker {
        self.connect().unwrap()
    }

    fn connect(&self) -> Result<Docker, bollard::errors::Error> {
        Docker::connect_with_unix(&self.address(), 30, bollard::API_DEFAULT_VERSION)
    }

    /// Runs a container of the image; returns its PID on this machine.
    pub async fn run(&mut self, name: &str, image: &str, restart: RestartPolicyNameEnum) -> i64 {
        let host_config = HostConfig {
            network_mode: Some("none".to_owned()),
            restart_policy: Some(RestartPolicy { name: Some(restart), maximum_retry_count: None }),
            ..Default::default()
        };
        let body =
            ContainerCreateBody { image: Some(image.to_owned()), host_config: Some(host_config), ..Default::default() };
        let docker = self.docker();
        docker.create_container(Some(CreateContainerOptionsBuilder::new().name(name).build()), body).await.unwrap();
        docker.start_container(name, None).await.unwrap();
        let pid = docker.inspect_container(name, None).await.unwrap().state.unwrap().pid.unwrap();
        self.containers.push(pid);
        pid
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // On SIGTERM it also stops its containers.
            kill(&[&daemon.id().to_string()]);
            let began = Instant::now();
            while began.elapsed() < DEADLINE && matches!(daemon.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(100));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        self.kill();
        // If it did not stop: processes that name its directory, its containers, and its mounts.
        let directory = self.directory.display().to_string();
        for pid in processes_naming(&directory) {
            kill(&["-9", &pid]);
        }
        for pid in &self.containers {
            let is_ours =
                std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains("docker"));
            if is_ours {
                kill(&["-9", &pid.to_string()]);
            }
        }
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|at| at.starts_with(&directory)) {
            let _ = Command::new("umount").args(["-l", mount]).status();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn kill(arguments: &[&str]) {
    let _ = Command::new("kill").args(arguments).stderr(Stdio::null()).status();
}

/// The PIDs of processes with `text` in their command line.
fn processes_naming(text: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let named = processes.filter(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    });
    named.filter_map(|process| process.file_name().into_string().ok()).collect()
}
