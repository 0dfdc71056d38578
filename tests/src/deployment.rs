//! A HemoStat deployment of one test: patients in Docker, a fake Slack, a configuration with short windows, processes.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::{Path, PathBuf},
};

use hemostat_patient::stage::{DockerActions, EventRecorder, Patient, PatientSpec, Stage};
use tempfile::TempDir;

use crate::{FakeModel, FakeSlack, Hemostat, redis::redis_cli};

/// A HemoStat deployment of one test; dropping it removes everything.
#[derive(Debug)]
pub struct TestDeployment {
    /// Its patients' containers.
    pub stage: Stage,
    /// The receiver of its alerts.
    pub slack: FakeSlack,
    recorder: EventRecorder,
    settings: BTreeMap<String, String>,
    /// The configuration file of the process that was started last.
    file: PathBuf,
    directory: TempDir,
    processes: usize,
    /// Secrets that must appear in no log and no file, besides the webhook's address.
    secrets: Vec<&'static str>,
}

impl TestDeployment {
    /// A deployment for the test `name`, which becomes part of its containers' names.
    pub async fn new(name: &str) -> Self {
        // An error means that it is installed already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let prefix = format!("bed-{name}-{}", std::process::id());
        let stage = Stage::new(prefix.clone(), prefix.clone()).await.unwrap_or_else(|error| panic!("{error:#}"));
        let recorder = stage.recorder();
        let slack = FakeSlack::start().await;
        let directory = tempfile::Builder::new().prefix("hemostat-bed-").tempdir().unwrap();
        let mut deployment = Self {
            stage,
            slack,
            recorder,
            settings: BTreeMap::new(),
            file: PathBuf::new(),
            directory,
            processes: 0,
            secrets: vec![],
        };
        deployment.set("host", "bed");
        deployment.set("data_dir", deployment.data_dir().display().to_string());
        deployment.set("monitor.interval", "500ms");
        deployment.set("thresholds.for", "2s");
        deployment.set("thresholds.clear_after", "1s");
        deployment.set("thresholds.grace", "0s");
        deployment.set("responder.stabilisation", "2s");
        deployment.set("responder.backoff.first", "1s");
        deployment.set("runtime.lease_ttl", "2s");
        let webhook = deployment.slack.url().to_owned();
        deployment.set("alerts.slack_webhook_url", webhook);
        deployment.set("alerts.slack_timeout", "1s");
        // All tests share the Docker engine: HemoStat watches only this deployment's patients.
        deployment.set_raw("monitor.exclude", "[]");
        deployment.set_raw("monitor.only", format!("[\"{prefix}-*\"]"));
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

    /// Adds secrets, which HemoStat's output and data must not contain when the deployment is dropped.
    pub fn add_secrets(&mut self, secrets: impl IntoIterator<Item = &'static str>) {
        self.secrets.extend(secrets);
    }

    /// Configures `model` in this mode, over OpenAI's API, for processes started later. Its key is a secret.
    pub fn use_model(&mut self, model: &FakeModel, mode: &str) {
        self.set("analyzer.mode", mode);
        self.set("analyzer.model", "gpt-of-the-test-bed");
        self.set("analyzer.openai_base_url", model.openai());
        self.set("analyzer.openai_api_key", model.key());
        self.secrets.push(model.key());
    }

    /// Starts a patient.
    pub async fn patient(&self, spec: PatientSpec) -> Patient {
        self.stage.spawn(spec).await.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// What Docker's own events say was done to `patient`.
    pub fn docker_actions(&self, patient: &Patient) -> DockerActions {
        self.recorder.of(&patient.id)
    }

    /// Starts `hemostat up` and waits until it is ready.
    pub async fn up(&mut self) -> Hemostat {
        self.start("up").wait_until_ready().await
    }

    /// Starts `hemostat <role>`, or a tool with its arguments, without waiting for it.
    pub fn start(&mut self, role: &str) -> Hemostat {
        self.processes += 1;
        let address = free_address();
        self.set("query.listen", &address);
        self.set("runtime.health_listen", &address);
        let config = self.directory.path().join(format!("{}-{role}.toml", self.processes));
        self.file.clone_from(&config);
        self.rewrite_settings();
        Hemostat::start(role, &config, &address, config.with_extension("log"))
    }

    /// Writes the settings into the configuration file of the process that was started last.
    pub fn rewrite_settings(&self) {
        let text: String = self.settings.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        self.rewrite_file(&text);
    }

    /// Replaces that file, as an editor does: by another one that is renamed over it.
    pub fn rewrite_file(&self, text: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &self.file).unwrap();
    }

    /// HemoStat's data directory, which also holds the data of an embedded Redis.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Runs a command on the embedded Redis and returns what `redis-cli` prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn redis_cli(&self, arguments: &[&str]) -> anyhow::Result<String> {
        redis_cli(&self.data_dir().join("redis.sock"), None, arguments)
    }

    /// The output of all its processes.
    pub fn output(&self) -> String {
        let mut logs: Vec<PathBuf> =
            std::fs::read_dir(self.directory.path()).unwrap().map(|f| f.unwrap().path()).collect();
        logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.sort();
        let output =
            |path: &PathBuf| format!("--- {}\n{}", path.display(), std::fs::read_to_string(path).unwrap_or_default());
        logs.iter().map(output).collect()
    }
}

impl Drop for TestDeployment {
    fn drop(&mut self) {
        // An embedded Redis survives a killed HemoStat; an error means that there is none.
        drop(self.redis_cli(&["SHUTDOWN", "NOSAVE"]));
        let output = self.output();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "shown by the test runner with the failure")]
            {
                eprintln!("{output}");
            }
        } else {
            let files: Vec<(PathBuf, Vec<u8>)> = files(&self.data_dir())
                .into_iter()
                .map(|file| {
                    let content = std::fs::read(&file).unwrap_or_default();
                    (file, content)
                })
                .collect();
            for secret in self.secrets.iter().copied().chain([self.slack.secret()]) {
                assert!(!output.contains(secret), "a secret is in the output:\n{output}");
                for (file, content) in &files {
                    let found = content.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
                    assert!(!found, "a secret is in {}", file.display());
                }
            }
        }
    }
}

/// All files in a directory, recursively; none if the directory does not exist.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.symlink_metadata() {
            Ok(found) if found.is_dir() => files(&path),
            Ok(found) if found.is_file() => vec![path],
            // The socket, or a file deleted meanwhile.
            _ => vec![],
        })
        .collect()
}

/// A free loopback address.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
