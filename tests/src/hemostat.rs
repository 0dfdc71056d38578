//! One HemoStat process: the real binary, started as a user would.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use hemostat_patient::stage::Patient;
use serde_json::Value;

use crate::{ContainerHistory, STEP_TIMEOUT, signal, wait_until};

/// A HemoStat process, killed when dropped.
#[derive(Debug)]
pub struct Hemostat {
    child: Child,
    log: PathBuf,
    url: String,
    http: reqwest::Client,
}

impl Hemostat {
    /// Starts `hemostat <role> --config <config>`, whose HTTP interface is at `address`, with its output in `log`.
    pub(crate) fn start(role: &str, config: &Path, address: &str, log: PathBuf) -> Self {
        let output = File::options().create(true).append(true).open(&log).unwrap();
        // It gets only the variables that find redis-server and Docker, so that no setting comes from the environment.
        let passed_on = |name: &str| ["PATH", "HOME"].contains(&name) || name.starts_with("DOCKER_");
        let child = Command::new(binary())
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(passed_on)))
            .args(role.split(' '))
            .arg("--config")
            .arg(config)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("the hemostat binary starts");
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build().unwrap();
        Self { child, log, url: format!("http://{address}"), http }
    }

    /// Waits until `/readyz` succeeds.
    pub async fn wait_until_ready(mut self) -> Self {
        wait_until(Duration::from_secs(30), "HemoStat is ready", async || {
            if let Some(status) = self.child.try_wait()? {
                bail!("it exited with {status}; output:\n{}", self.output());
            }
            let answer = self.http.get(format!("{}/readyz", self.url)).send().await?;
            ensure!(answer.status().is_success(), "{} {}", answer.status(), answer.text().await?);
            Ok(())
        })
        .await;
        self
    }

    /// The JSON response of the API to a `GET`.
    ///
    /// # Errors
    /// When the API does not respond, responds with an error, or not in JSON.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "GET {path}: {status} {body}");
        serde_json::from_str(&body).with_context(|| format!("GET {path} did not respond in JSON: {body}"))
    }

    /// The events about `patient`, from the API.
    ///
    /// # Errors
    /// When the API does not respond.
    pub async fn history(&self, patient: &Patient) -> anyhow::Result<ContainerHistory> {
        let name = &patient.name;
        ContainerHistory::parse(self.get(&format!("/events?container={name}&order=oldest&limit=1000")).await?)
    }

    /// Waits until `check` holds for the history of `patient`, and returns that.
    pub async fn wait_until(
        &self,
        patient: &Patient,
        what: &str,
        check: impl Fn(&ContainerHistory) -> bool,
    ) -> ContainerHistory {
        wait_until(STEP_TIMEOUT, what, async || {
            let history = self.history(patient).await?;
            ensure!(check(&history), "so far:\n{history}");
            Ok(history)
        })
        .await
    }

    /// Waits until `patient` was treated, its recovery is verified, and the alert is resolved.
    pub async fn wait_until_recovered(&self, patient: &Patient) -> ContainerHistory {
        let history = self.wait_until(patient, "it is healed", |history| history.count("alert.resolved") == 1).await;
        assert_eq!(history.only("action.verified").data["outcome"], "recovered", "{history}");
        history
    }

    /// The API's view of `patient`.
    ///
    /// # Errors
    /// When the API does not respond, or does not know the container.
    pub async fn container(&self, patient: &Patient) -> anyhow::Result<Value> {
        self.get(&format!("/containers/bed%2F{}", patient.name)).await
    }

    /// Waits until the API shows `patient` healthy and without symptoms.
    pub async fn wait_until_healthy(&self, patient: &Patient) {
        wait_until(STEP_TIMEOUT, "the patient is shown as healthy", async || {
            let container = self.container(patient).await?;
            let checked = container["health"] == "healthy" || container["health"] == "none";
            let well = checked && container["symptoms"].as_array().is_some_and(Vec::is_empty);
            ensure!(well, "{container:#}");
            Ok(())
        })
        .await;
    }

    /// The address of its HTTP interface.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The output of it and of processes started before with the same log file.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `SIGSTOP`, as if its machine were suspended.
    pub fn suspend(&self) {
        signal::send("STOP", self.pid());
    }

    /// `SIGCONT`.
    pub fn resume(&self) {
        signal::send("CONT", self.pid());
    }

    /// `SIGTERM`, then waits for its exit.
    pub async fn stop(mut self) -> ExitStatus {
        signal::send("TERM", self.pid());
        self.wait_for_exit().await
    }

    /// Waits until it exits by itself.
    pub async fn wait_for_exit(&mut self) -> ExitStatus {
        wait_until(Duration::from_secs(20), "HemoStat exits", async || {
            self.child.try_wait()?.with_context(|| format!("it is running; output:\n{}", self.output()))
        })
        .await
    }
}

impl Drop for Hemostat {
    fn drop(&mut self) {
        // An error means that it has exited already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `HEMOSTAT_BINARY`, or the binary that was built beside the running test.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("HEMOSTAT_BINARY") {
        return path.into();
    }
    let here = std::env::current_exe().unwrap();
    let beside = here.ancestors().nth(2).map(|folder| folder.join("hemostat")).filter(|path| path.is_file());
    beside.expect("the hemostat binary is not built; run: cargo build -p hemostat (or make test, which does)")
}
