//! One test's own world without Docker: a simulated engine, a directory, a configuration, HemoStat processes.

use std::{collections::BTreeMap, net::TcpListener, path::PathBuf};

use hemostat_fake_docker::{Simulated, World};
use tempfile::TempDir;

use crate::Hemostat;

/// One test's own world without Docker; all of it is taken away when it is dropped.
#[derive(Debug)]
pub struct Simulation {
    /// The engine.
    pub engine: Simulated,
    settings: BTreeMap<String, String>,
    directory: TempDir,
    processes: usize,
}

impl Simulation {
    /// With these containers; HemoStat looks after all of them.
    pub async fn of(world: World) -> Self {
        // Once for the whole process; an error says that another world was sooner.
        drop(rustls::crypto::ring::default_provider().install_default());
        let directory = tempfile::Builder::new().prefix("hemostat-simulation-").tempdir().unwrap();
        let engine = Simulated::at(directory.path().join("docker.sock"), world).await.unwrap();
        let mut simulation = Self { engine, settings: BTreeMap::new(), directory, processes: 0 };
        simulation.set("host", "bed");
        simulation.set("data_dir", simulation.data_dir().display().to_string());
        simulation.set("docker.host", simulation.engine.address());
        simulation.set_raw("monitor.exclude", "[]");
        simulation.set("thresholds.grace", "0s");
        simulation
    }

    /// With this text for this key of the configuration, from the next start on.
    pub fn set(&mut self, key: &str, text: impl AsRef<str>) {
        self.set_raw(key, format!("{:?}", text.as_ref()));
    }

    /// With this value, written as TOML, for this key of the configuration, from the next start on.
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
        Hemostat::start("up", &config, &address, config.with_extension("log")).ready().await
    }

    fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}
