//! A Docker engine of a test's own, to be killed and started again.

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

/// A Docker engine of a test's own; it and all that is in it go with the test.
#[derive(Debug)]
pub struct OwnEngine {
    directory: PathBuf,
    daemon: Option<Child>,
}

impl OwnEngine {
    /// Starts one, with this image out of the other engine.
    pub async fn start(name: &str, other: &Docker, image: &str) -> Self {
        let mut engine = Self { directory: std::env::temp_dir().join(name), daemon: None };
        std::fs::create_dir_all(&engine.directory).unwrap();
        engine.up().await;
        let image: Vec<_> = other.export_image(image).try_collect().await.unwrap();
        let load = engine.docker().import_image(ImportImageOptions::default(), body_full(image.concat().into()), None);
        load.try_collect::<Vec<_>>().await.unwrap();
        engine
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("unix://{}", self.directory.join("docker.sock").display())
    }

    /// Starts it, and waits until it answers.
    pub async fn up(&mut self) {
        let path = |name: &str| self.directory.join(name).display().to_string();
        let log = std::fs::File::create(self.directory.join("log")).unwrap();
        let daemon = Command::new("dockerd")
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["-H", &self.address(), "--bridge=none", "--iptables=false", "--storage-driver=vfs"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.daemon =
            Some(daemon.unwrap_or_else(|error| panic!("this test runs an engine of its own: dockerd: {error}")));
        let began = Instant::now();
        while self.docker().ping().await.is_err() {
            let said = || std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(began.elapsed() < DEADLINE, "this test runs an engine of its own, as root; it said:\n{}", said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Kills it; what runs in it goes on running.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    /// A client of it.
    pub fn docker(&self) -> Docker {
        Docker::connect_with_unix(&self.address(), 30, bollard::API_DEFAULT_VERSION).unwrap()
    }

    /// Runs a container of the image; gives the number of its process on this machine.
    pub async fn run(&self, name: &str, image: &str, restart: RestartPolicyNameEnum) -> i64 {
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
        docker.inspect_container(name, None).await.unwrap().state.unwrap().pid.unwrap()
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        // Only one that lives takes its containers away; one that was killed is started for that.
        let mut daemon = match self.daemon.take() {
            Some(daemon) => daemon,
            None => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let up = std::thread::scope(|scope| {
                    let up = scope.spawn(|| runtime.map(|runtime| runtime.block_on(self.up())).is_ok());
                    up.join().unwrap_or(false)
                });
                match self.daemon.take().filter(|_| up) {
                    Some(daemon) => daemon,
                    None => return,
                }
            }
        };
        let _ = Command::new("kill").arg(daemon.id().to_string()).status();
        let began = Instant::now();
        while began.elapsed() < DEADLINE && matches!(daemon.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = daemon.kill();
        let _ = daemon.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
