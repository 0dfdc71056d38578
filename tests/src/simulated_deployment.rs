//! A HemoStat deployment of one test on the fake Docker engine.

use std::{collections::BTreeMap, net::TcpListener, path::PathBuf};

use hemostat_fake_docker::{EngineState, FakeDocker};
use tempfile::TempDir;

use crate::Hemostat;

/// A HemoStat deployment on the fake Docker engine; dropping it removes everything.
#[derive(Debug)]
pub struct SimulatedDeployment {
    /// The engine.
    pub engine: FakeDocker,
    settings: BTreeMap<String, String>,
    directory: TempDir,
    processes: usize,
}

impl SimulatedDeployment {
    /// A deployment with these containers, all of which HemoStat watches.
    pub async fn of(state: EngineState) -> Self {
        // An error means that it is installed already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let directory = tempfile::Builder::new().prefix("hemostat-simulation-").tempdir().unwrap();
        let engine = FakeDocker::at(directory.path().join("docker.sock"), state).await.unwrap();
        let mut deployment = Self { engine, settings: BTreeMap::new(), directory, processes: 0 };
        deployment.set("host", "bed");
        deployment.set("data_dir", deployment.data_dir().display().to_string());
        deployment.set("docker.host", deployment.engine.address());
        deployment.set_raw("monitor.exclude", "[]");
        deployment.set("thresholds.grace", "0s");
        deployment
    }

    /// Sets a configuration key to a text, for processes started later.
    pub fn set(&mut self, key: &str, text: impl AsRef<str>) {
        self.set_raw(key, format!("{:?}", text.as_ref()));
    }

    /// Sets a configuration key to a TOML value, for processes started later.
    pub fn set_raw(&mut self, key: &str, toml: impl Into<String>) {
        self.settings.insert(key.to_owned(), toml.into());
    }

    /// Starts `hemostat up` and waits until it is ready.
    pub async fn up(&mut self) -> Hemostat {
        self.processes += 1;
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        self.set("query.listen", &address);
        let config = self.directory.path().join(format!("{}.toml", self.processes));
        let text: String = self.settings.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        std::fs::write(&config, text).unwrap();
        Hemostat::start("up", &config, &address, config.with_extension("log")).wait_until_ready().await
    }

    fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}
