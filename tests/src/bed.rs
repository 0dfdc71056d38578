//! One test's own world: a directory, patients, a fake Slack, a configuration with short windows, HemoStat processes.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::{Path, PathBuf},
};

use hemostat_patient::stage::{Deeds, Patient, PatientSpec, Record, Stage};
use tempfile::TempDir;

use crate::{FakeModel, FakeSlack, Hemostat, redis::redis_cli};

/// One test's own world; all of it is taken away when it is dropped.
#[derive(Debug)]
pub struct Bed {
    /// Where its patients live.
    pub stage: Stage,
    /// Where its alerts go.
    pub slack: FakeSlack,
    record: Record,
    settings: BTreeMap<String, String>,
    directory: TempDir,
    processes: usize,
    /// What must turn up nowhere, beside the webhook's address.
    secrets: Vec<&'static str>,
}

impl Bed {
    /// A bed for the test of this name, which becomes part of its containers' names.
    pub async fn new(name: &str) -> Self {
        // An error means that an earlier bed of this process has done it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let prefix = format!("bed-{name}-{}", std::process::id());
        let stage = Stage::new(prefix.clone(), prefix.clone()).await.unwrap_or_else(|error| panic!("{error:#}"));
        let record = stage.record();
        let slack = FakeSlack::start().await;
        let directory = tempfile::Builder::new().prefix("hemostat-bed-").tempdir().unwrap();
        let mut bed =
            Self { stage, slack, record, settings: BTreeMap::new(), directory, processes: 0, secrets: vec![] };
        bed.set("host", "bed");
        bed.set("data_dir", bed.data_dir().display().to_string());
        bed.set("monitor.interval", "500ms");
        bed.set("thresholds.for", "2s");
        bed.set("thresholds.clear_after", "1s");
        bed.set("thresholds.grace", "0s");
        bed.set("responder.stabilisation", "2s");
        bed.set("responder.backoff.first", "1s");
        bed.set("runtime.lease_ttl", "2s");
        let webhook = bed.slack.url().to_owned();
        bed.set("alerts.slack_webhook_url", webhook);
        bed.set("alerts.slack_timeout", "1s");
        // The engine is everybody's: each HemoStat looks after its own patients only.
        bed.set_raw("monitor.exclude", "[]");
        bed.set_raw("monitor.only", format!("[\"{prefix}-*\"]"));
        bed
    }

    /// With this text for this key of the configuration, from the next start on.
    pub fn set(&mut self, key: &str, text: impl AsRef<str>) {
        self.set_raw(key, format!("{:?}", text.as_ref()));
    }

    /// With this value, written as TOML, for this key of the configuration, from the next start on.
    pub fn set_raw(&mut self, key: &str, toml: impl Into<String>) {
        self.settings.insert(key.to_owned(), toml.into());
    }

    /// These are secret: whatever HemoStat says or stores when the bed is taken away must not hold them.
    pub fn keeps_secret(&mut self, secrets: impl IntoIterator<Item = &'static str>) {
        self.secrets.extend(secrets);
    }

    /// Asks `model` in this mode, by OpenAI's API, from the next start on. Its key must turn up nowhere.
    pub fn asks(&mut self, model: &FakeModel, mode: &str) {
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

    /// What the engine's own record says was done to `patient`.
    pub fn deeds(&self, patient: &Patient) -> Deeds {
        self.record.of(&patient.id)
    }

    /// Starts `hemostat up` and waits until it is ready.
    pub async fn up(&mut self) -> Hemostat {
        self.start("up").ready().await
    }

    /// Starts `hemostat <role>`, ready or not.
    pub fn start(&mut self, role: &str) -> Hemostat {
        self.processes += 1;
        let address = free_address();
        self.set("query.listen", &address);
        self.set("runtime.health_listen", &address);
        let config = self.directory.path().join(format!("{}-{role}.toml", self.processes));
        let text: String = self.settings.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        std::fs::write(&config, text).unwrap();
        Hemostat::start(role, &config, &address, config.with_extension("log"))
    }

    /// The data directory of its HemoStat, which an embedded Redis keeps its data in.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// What `redis-cli` prints for a command to the embedded Redis.
    ///
    /// # Errors
    /// When it fails.
    pub fn redis_cli(&self, arguments: &[&str]) -> anyhow::Result<String> {
        redis_cli(&self.data_dir().join("redis.sock"), None, arguments)
    }

    /// Everything that its HemoStats have said.
    pub fn said(&self) -> String {
        let mut logs: Vec<PathBuf> =
            std::fs::read_dir(self.directory.path()).unwrap().map(|f| f.unwrap().path()).collect();
        logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.sort();
        let said =
            |path: &PathBuf| format!("--- {}\n{}", path.display(), std::fs::read_to_string(path).unwrap_or_default());
        logs.iter().map(said).collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // An embedded Redis outlives a HemoStat that was killed; an error means that there is none.
        drop(self.redis_cli(&["SHUTDOWN", "NOSAVE"]));
        let said = self.said();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "shown by the test runner with the failure")]
            {
                eprintln!("{said}");
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
                assert!(!said.contains(secret), "a secret was told:\n{said}");
                for (file, content) in &files {
                    let found = content.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
                    assert!(!found, "a secret is in {}", file.display());
                }
            }
        }
    }
}

/// All files in a directory, at any depth; none where there is no such directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.symlink_metadata() {
            Ok(found) if found.is_dir() => files(&path),
            Ok(found) if found.is_file() => vec![path],
            // The socket, or gone meanwhile.
            _ => vec![],
        })
        .collect()
}

/// An address on which nobody listens just now.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
