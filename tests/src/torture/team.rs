//! The processes that are tortured: HemoStat's roles, each twice, producers and counters. Who dies is started again, as a
//! service manager would.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::ensure;
use hemostat_fake_docker::{Simulated, World};
use hemostat_schema::HostName;
use tempfile::TempDir;

use super::{PARTITIONS, Plan, Share};
use crate::{hemostat::binary, signal, until};

/// Where the engine is, in the team's directory.
const ENGINE: &str = "docker.sock";
const ROLES: [&str; 5] = ["analyzer", "responder", "alerter", "projector", "archivist"];
const REPLICAS: usize = 2;

/// A process that ends by itself is started again after this time at the earliest.
const AGAIN: Duration = Duration::from_millis(200);

pub(super) struct Team {
    /// Serves all hosts, and has no containers.
    _engine: Simulated,
    hosts: Vec<HostName>,
    directory: TempDir,
    members: Vec<Member>,
    restarts: usize,
    /// What it has said is of no interest any more.
    is_well: bool,
}

struct Member {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    /// Ends by itself when it is through.
    produces: bool,
    child: Option<Child>,
    started: Instant,
    done: bool,
}

impl Team {
    /// Starts all of them.
    pub(super) async fn start(plan: &Plan, shares: &[Share], counter: &Path, url: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("hemostat-torture-").tempdir().unwrap();
        let lease = plan.lease.as_millis().to_string();
        let engine = Simulated::at(directory.path().join(ENGINE), World::new(0)).await.unwrap();
        let hosts: Vec<_> = shares.iter().map(|share| share.host.clone()).collect();
        let config = settings(directory.path(), url, &lease, &hosts);
        let mut members = vec![];
        let mut add = |name: String, program: &Path, arguments: Vec<String>, produces| {
            let (program, started) = (program.to_owned(), Instant::now());
            members.push(Member { name, program, arguments, produces, child: None, started, done: false });
        };
        for replica in 1..=REPLICAS {
            for role in ROLES {
                let arguments = vec![role.to_owned(), "--config".to_owned(), config.display().to_string()];
                add(format!("{role}-{replica}"), &binary(), arguments, false);
            }
            add(format!("count-{replica}"), counter, vec!["count".into(), url.to_owned(), lease.clone()], false);
        }
        for Share { host, containers, events, pause } in shares {
            let numbers = [containers.to_string(), events.to_string(), pause.as_millis().to_string()];
            let arguments = ["produce", url, &lease, host.as_str()].map(str::to_owned).into_iter().chain(numbers);
            add(format!("produce-{host}"), counter, arguments.collect(), true);
        }
        for member in &mut members {
            member.begin(directory.path());
        }
        Self { _engine: engine, hosts, directory, members, restarts: 0, is_well: false }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, member: usize) {
        if let Some(child) = &mut self.members[member].child {
            // An error means that it has ended already.
            drop(child.kill());
        }
    }

    pub(super) fn freeze(&mut self, member: usize) {
        self.signal(member, "STOP");
    }

    pub(super) fn thaw(&mut self, member: usize) {
        self.signal(member, "CONT");
    }

    fn signal(&mut self, member: usize, signal: &str) {
        // Only a process that has not been waited for is certain to be there still.
        if let Some(child) = &mut self.members[member].child
            && matches!(child.try_wait(), Ok(None))
        {
            signal::send(signal, child.id());
        }
    }

    /// Starts again who has ended.
    pub(super) fn tend(&mut self) {
        for member in &mut self.members {
            if let Some(child) = &mut member.child
                && let Ok(Some(status)) = child.try_wait()
            {
                member.child = None;
                member.done = member.produces && status.success();
            }
            if member.child.is_none() && !member.done && member.started.elapsed() > AGAIN {
                member.begin(self.directory.path());
                self.restarts += 1;
            }
        }
    }

    pub(super) fn has_produced(&self) -> bool {
        self.members.iter().all(|member| member.done || !member.produces)
    }

    pub(super) fn restarts(&self) -> usize {
        self.restarts
    }

    /// Ends all in order; everything that was said.
    pub(super) async fn stop(&mut self) -> String {
        for member in &mut self.members {
            if let Some(child) = &mut member.child {
                signal::send("TERM", child.id());
            }
        }
        for member in &mut self.members {
            if let Some(child) = &mut member.child {
                until(Duration::from_secs(30), &format!("{} ends", member.name), async || {
                    let status: Option<ExitStatus> = child.try_wait()?;
                    ensure!(status.is_some(), "it runs");
                    Ok(())
                })
                .await;
            }
        }
        self.said()
    }

    /// Runs a command of `hemostat` that looks at everything.
    pub(super) fn ask(&self, command: &str, url: &str) -> anyhow::Result<()> {
        let config = settings(self.directory.path(), url, "10000", &self.hosts);
        let asked = Command::new(binary()).env_clear().arg(command).arg("--config").arg(config).output()?;
        let said = [asked.stdout, asked.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        ensure!(asked.status.success(), "it ended with {} and said:\n{}", asked.status, said.concat());
        Ok(())
    }

    /// All is as it should be.
    pub(super) fn is_well(&mut self) {
        self.is_well = true;
    }

    fn said(&self) -> String {
        let read = |member: &Member| std::fs::read_to_string(member.log(self.directory.path())).unwrap_or_default();
        self.members.iter().map(read).collect()
    }
}

impl Member {
    fn begin(&mut self, directory: &Path) {
        let said = File::options().create(true).append(true).open(self.log(directory)).unwrap();
        let child = Command::new(&self.program)
            .env_clear()
            .args(&self.arguments)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{} does not start: {error}", self.program.display())));
        self.started = Instant::now();
    }

    fn log(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.log", self.name))
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        for child in self.members.iter_mut().filter_map(|member| member.child.as_mut()) {
            // Errors mean that it has ended already.
            drop(child.kill());
            drop(child.wait());
        }
        if !self.is_well {
            #[expect(clippy::print_stderr, reason = "shown by the test runner with the failure")]
            for member in &self.members {
                let said = std::fs::read_to_string(member.log(self.directory.path())).unwrap_or_default();
                let tail: Vec<&str> = said.lines().rev().take(6).collect();
                eprintln!("--- {} said last:", member.name);
                tail.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

/// A configuration under which an illness is dealt with in no time, on hosts whose engine has no containers: intents get
/// their outcomes at once, as what they are for is gone.
fn settings(directory: &Path, url: &str, lease: &str, hosts: &[HostName]) -> PathBuf {
    let shown = |path: &str| directory.join(path).display().to_string();
    let config = directory.join(format!("{lease}.toml"));
    let text = format!(
        "data_dir = {:?}\n\
         log_level = \"warn\"\n\
         redis.url = {url:?}\n\
         redis.partitions = {PARTITIONS}\n\
         archive.url = {:?}\n\
         archive.segment_events = 1000\n\
         runtime.lease_ttl = \"{lease}ms\"\n\
         runtime.health_listen = \"\"\n\
         responder.cooldown = \"1s\"\n\
         responder.hold = \"1s\"\n\
         responder.window = \"2s\"\n\
         responder.stabilisation = \"200ms\"\n\
         responder.storm = 1000\n\
         [responder.backoff]\n\
         first = \"100ms\"\n\
         cap = \"200ms\"\n",
        shown("data"),
        shown("archive"),
    );
    let engine = format!("unix://{}", shown(ENGINE));
    let host = |host: &HostName| format!("[[hosts]]\nname = \"{host}\"\ndocker = {engine:?}\n");
    let text = hosts.iter().map(host).fold(text, |text, host| text + &host);
    std::fs::write(&config, text).unwrap();
    config
}
