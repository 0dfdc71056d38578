//! The tortured processes: each of HemoStat's roles twice, producers and counters. An exited process is restarted, as a
//! service manager would do.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::ensure;
use hemostat_fake_docker::{EngineState, FakeDocker};
use hemostat_schema::HostName;
use tempfile::TempDir;

use super::{
    plan::{PARTITIONS, Plan},
    workload::HostLoad,
};
use crate::{hemostat::binary, signal, wait_until};

/// The fake Docker engine's socket, in the directory of the processes.
const ENGINE: &str = "docker.sock";
const ROLES: [&str; 5] = ["analyzer", "responder", "alerter", "projector", "archivist"];
const REPLICAS: usize = 2;

/// Minimum time between two starts of a process.
const RESTART_DELAY: Duration = Duration::from_millis(200);

pub(super) struct Processes {
    /// Serves all hosts, and has no containers.
    _engine: FakeDocker,
    hosts: Vec<HostName>,
    directory: TempDir,
    processes: Vec<Process>,
    restarts: usize,
    /// The run succeeded, so that the output need not be printed.
    passed: bool,
}

struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    /// Exits by itself when done.
    produces: bool,
    child: Option<Child>,
    started: Instant,
    done: bool,
}

impl Processes {
    /// Starts all of them.
    pub(super) async fn start(plan: &Plan, loads: &[HostLoad], counter: &Path, url: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("hemostat-torture-").tempdir().unwrap();
        let lease_ttl = plan.lease_ttl.as_millis().to_string();
        let engine = FakeDocker::at(directory.path().join(ENGINE), EngineState::new(0)).await.unwrap();
        let hosts: Vec<_> = loads.iter().map(|load| load.host.clone()).collect();
        let config = settings(directory.path(), url, &lease_ttl, &hosts);
        let mut processes = vec![];
        let mut add = |name: String, program: &Path, arguments: Vec<String>, produces| {
            let (program, started) = (program.to_owned(), Instant::now());
            processes.push(Process { name, program, arguments, produces, child: None, started, done: false });
        };
        for replica in 1..=REPLICAS {
            for role in ROLES {
                let arguments = vec![role.to_owned(), "--config".to_owned(), config.display().to_string()];
                add(format!("{role}-{replica}"), &binary(), arguments, false);
            }
            add(format!("count-{replica}"), counter, vec!["count".into(), url.to_owned(), lease_ttl.clone()], false);
        }
        for HostLoad { host, containers, events, pause } in loads {
            let numbers = [containers.to_string(), events.to_string(), pause.as_millis().to_string()];
            let arguments = ["produce", url, &lease_ttl, host.as_str()].map(str::to_owned).into_iter().chain(numbers);
            add(format!("produce-{host}"), counter, arguments.collect(), true);
        }
        for process in &mut processes {
            process.begin(directory.path());
        }
        Self { _engine: engine, hosts, directory, processes, restarts: 0, passed: false }
    }

    pub(super) fn len(&self) -> usize {
        self.processes.len()
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, process: usize) {
        if let Some(child) = &mut self.processes[process].child {
            // An error means that it has ended already.
            drop(child.kill());
        }
    }

    pub(super) fn suspend(&mut self, process: usize) {
        self.signal(process, "STOP");
    }

    pub(super) fn resume(&mut self, process: usize) {
        self.signal(process, "CONT");
    }

    fn signal(&mut self, process: usize, signal: &str) {
        // A process that was waited for may be gone, and its id reused.
        if let Some(child) = &mut self.processes[process].child
            && matches!(child.try_wait(), Ok(None))
        {
            signal::send(signal, child.id());
        }
    }

    /// Restarts processes that have exited.
    pub(super) fn restart_exited(&mut self) {
        for process in &mut self.processes {
            if let Some(child) = &mut process.child
                && let Ok(Some(status)) = child.try_wait()
            {
                process.child = None;
                process.done = process.produces && status.success();
            }
            if process.child.is_none() && !process.done && process.started.elapsed() > RESTART_DELAY {
                process.begin(self.directory.path());
                self.restarts += 1;
            }
        }
    }

    pub(super) fn has_produced(&self) -> bool {
        self.processes.iter().all(|process| process.done || !process.produces)
    }

    pub(super) fn restarts(&self) -> usize {
        self.restarts
    }

    /// Stops all with SIGTERM and returns their output.
    pub(super) async fn stop(&mut self) -> String {
        for process in &mut self.processes {
            if let Some(child) = &mut process.child {
                signal::send("TERM", child.id());
            }
        }
        for process in &mut self.processes {
            if let Some(child) = &mut process.child {
                wait_until(Duration::from_secs(30), &format!("{} ends", process.name), async || {
                    let status: Option<ExitStatus> = child.try_wait()?;
                    ensure!(status.is_some(), "it runs");
                    Ok(())
                })
                .await;
            }
        }
        self.output()
    }

    /// Runs a command of `hemostat` on the log, with all hosts configured.
    pub(super) fn run_tool(&self, command: &str, url: &str) -> anyhow::Result<()> {
        let config = settings(self.directory.path(), url, "10000", &self.hosts);
        let asked = Command::new(binary()).env_clear().arg(command).arg("--config").arg(config).output()?;
        let output = [asked.stdout, asked.stderr].map(|output| String::from_utf8_lossy(&output).into_owned());
        ensure!(asked.status.success(), "it exited with {}; output:\n{}", asked.status, output.concat());
        Ok(())
    }

    /// Marks the run as successful.
    pub(super) fn passed(&mut self) {
        self.passed = true;
    }

    fn output(&self) -> String {
        let read = |process: &Process| std::fs::read_to_string(process.log(self.directory.path())).unwrap_or_default();
        self.processes.iter().map(read).collect()
    }
}

impl Process {
    fn begin(&mut self, directory: &Path) {
        let output = File::options().create(true).append(true).open(self.log(directory)).unwrap();
        let child = Command::new(&self.program)
            .env_clear()
            .args(&self.arguments)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{} does not start: {error}", self.program.display())));
        self.started = Instant::now();
    }

    fn log(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.log", self.name))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.processes.iter_mut().filter_map(|process| process.child.as_mut()) {
            // Errors mean that it has exited already.
            drop(child.kill());
            drop(child.wait());
        }
        if !self.passed {
            #[expect(clippy::print_stderr, reason = "shown by the test runner with the failure")]
            for process in &self.processes {
                let output = std::fs::read_to_string(process.log(self.directory.path())).unwrap_or_default();
                let tail: Vec<&str> = output.lines().rev().take(6).collect();
                eprintln!("--- last output of {}:", process.name);
                tail.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

/// A configuration with short windows, on hosts whose engine has no containers: each authorised remedy gets its outcome
/// at once, because its target is gone.
fn settings(directory: &Path, url: &str, lease_ttl: &str, hosts: &[HostName]) -> PathBuf {
    let shown = |path: &str| directory.join(path).display().to_string();
    let config = directory.join(format!("{lease_ttl}.toml"));
    let text = format!(
        "data_dir = {:?}\n\
         log_level = \"warn\"\n\
         redis.url = {url:?}\n\
         redis.partitions = {PARTITIONS}\n\
         archive.url = {:?}\n\
         archive.segment_events = 1000\n\
         runtime.lease_ttl = \"{lease_ttl}ms\"\n\
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
