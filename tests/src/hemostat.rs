//! One HemoStat process: the real binary, as a user starts it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use hemostat_patient::stage::Patient;
use serde_json::Value;

use crate::{PATIENCE, Story, signal, until};

/// A HemoStat process; ended when dropped.
#[derive(Debug)]
pub struct Hemostat {
    child: Child,
    log: PathBuf,
    url: String,
    http: reqwest::Client,
}

impl Hemostat {
    /// Starts `hemostat <role> --config <config>`, whose HTTP interface is at `address`; writes what it says to `log`.
    pub(crate) fn start(role: &str, config: &Path, address: &str, log: PathBuf) -> Self {
        let said = File::options().create(true).append(true).open(&log).unwrap();
        // Of the environment it has what starts redis-server and finds Docker; no setting comes from there.
        let passed_on = |name: &str| ["PATH", "HOME"].contains(&name) || name.starts_with("DOCKER_");
        let child = Command::new(binary())
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(passed_on)))
            .arg(role)
            .arg("--config")
            .arg(config)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .expect("the hemostat binary starts");
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build().unwrap();
        Self { child, log, url: format!("http://{address}"), http }
    }

    /// Waits until it says that it is ready.
    pub async fn ready(mut self) -> Self {
        until(Duration::from_secs(30), "HemoStat is ready", async || {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status} and said:\n{}", self.said());
            }
            let answer = self.http.get(format!("{}/readyz", self.url)).send().await?;
            ensure!(answer.status().is_success(), "{} {}", answer.status(), answer.text().await?);
            Ok(())
        })
        .await;
        self
    }

    /// What a `GET` of the API answers.
    ///
    /// # Errors
    /// When it does not answer, with an error, or not in JSON.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "GET {path}: {status} {body}");
        serde_json::from_str(&body).with_context(|| format!("GET {path} did not answer in JSON: {body}"))
    }

    /// What the log says of `patient`, as the API tells it.
    ///
    /// # Errors
    /// When the API does not answer.
    pub async fn story(&self, patient: &Patient) -> anyhow::Result<Story> {
        let name = &patient.name;
        Story::parse(self.get(&format!("/events?container={name}&order=oldest&limit=1000")).await?)
    }

    /// Waits until the story of `patient` is such that `check` holds, and returns it.
    pub async fn until(&self, patient: &Patient, what: &str, check: impl Fn(&Story) -> bool) -> Story {
        until(PATIENCE, what, async || {
            let story = self.story(patient).await?;
            ensure!(check(&story), "so far:\n{story}");
            Ok(story)
        })
        .await
    }

    /// Waits until `patient` was treated, is proven to have recovered, and people were told.
    pub async fn until_healed(&self, patient: &Patient) -> Story {
        let story = self.until(patient, "it is healed", |story| story.count("alert.resolved") == 1).await;
        assert_eq!(story.only("action.verified").data["outcome"], "recovered", "{story}");
        story
    }

    /// What the API says of `patient`.
    ///
    /// # Errors
    /// When the API does not answer, or does not know it.
    pub async fn container(&self, patient: &Patient) -> anyhow::Result<Value> {
        self.get(&format!("/containers/bed%2F{}", patient.name)).await
    }

    /// Waits until `patient` is known to be well.
    pub async fn until_well(&self, patient: &Patient) {
        until(PATIENCE, "the patient is known to be well", async || {
            let container = self.container(patient).await?;
            let checked = container["health"] == "healthy" || container["health"] == "none";
            let well = checked && container["symptoms"].as_array().is_some_and(Vec::is_empty);
            ensure!(well, "{container:#}");
            Ok(())
        })
        .await;
    }

    /// Where its HTTP interface is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it, and what was started on the same log before it, has said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it at once (`kill -9`).
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Freezes it, as a suspended machine would.
    pub fn freeze(&self) {
        signal::send("STOP", self.pid());
    }

    /// Ends the frost.
    pub fn thaw(&self) {
        signal::send("CONT", self.pid());
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(mut self) -> ExitStatus {
        signal::send("TERM", self.pid());
        self.ended().await
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        until(Duration::from_secs(20), "HemoStat ends", async || {
            self.child.try_wait()?.with_context(|| format!("it runs, and has said:\n{}", self.said()))
        })
        .await
    }
}

impl Drop for Hemostat {
    fn drop(&mut self) {
        // An error means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `HEMOSTAT_BINARY`, or the one that was built beside the running test.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("HEMOSTAT_BINARY") {
        return path.into();
    }
    let here = std::env::current_exe().unwrap();
    let beside = here.ancestors().nth(2).map(|folder| folder.join("hemostat")).filter(|path| path.is_file());
    beside.expect("the hemostat binary is not built; run: cargo build -p hemostat (or make test, which does)")
}
