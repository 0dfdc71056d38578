//! Does the fake Docker engine behave like the real one? Both get the same requests, and the parts that HemoStat reads
//! are compared: statuses, types of fields, and events. The real engine is right.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use hemostat_fake_docker::{self as simulated, ContainerSpec, EngineState, FailureKind, FakeDocker, UnixNanos};
use hemostat_patient::{
    Illness,
    illness::{Crash, Unhealthy},
    stage::{Patient, PatientSpec, Stage, docker_host},
};
use hemostat_tests::{STEP_TIMEOUT, wait_until};
use reqwest::Method;
use serde_json::Value;

/// One of the two engines, with one container.
struct Side {
    http: reqwest::Client,
    container: Target,
    name: String,
}

enum Target {
    Real(Patient),
    Simulated(FakeDocker),
}

#[derive(Debug, Clone, Copy)]
enum Failure {
    Crashes,
    TurnsUnhealthy,
}

impl Side {
    fn new(socket: &str, container: Target, name: String) -> Self {
        let http = reqwest::Client::builder().unix_socket(socket).timeout(Duration::from_secs(30)).build().unwrap();
        Self { http, container, name }
    }

    /// Status and body of the response to a request about the container.
    async fn request(&self, method: Method, path: &str) -> (u16, String) {
        let path = path.replace("{}", &self.name);
        let response = self.http.request(method, format!("http://docker/v1.41{path}")).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.request(Method::GET, path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    async fn post(&self, path: &str) -> u16 {
        self.request(Method::POST, path).await.0
    }

    async fn fall_ill(&self, ill: Failure) {
        match &self.container {
            Target::Real(patient) => {
                let illness = match ill {
                    Failure::Crashes => Illness::Crash(Crash { code: 3 }),
                    Failure::TurnsUnhealthy => Illness::Unhealthy(Unhealthy::default()),
                };
                patient.fall_ill(illness).await.unwrap();
            }
            Target::Simulated(engine) => {
                let kind = match ill {
                    Failure::Crashes => FailureKind::Exits { code: 3 },
                    Failure::TurnsUnhealthy => FailureKind::Unhealthy,
                };
                engine.change(|state, now| state.inject(&self.name, simulated::Failure::of(kind), now)).unwrap();
            }
        }
    }

    async fn wait_for_state(&self, pointer: &str, expected: &str) {
        wait_until(STEP_TIMEOUT, "the container is in the expected state", async || {
            let inspected = self.get("/containers/{}/json").await;
            let found = inspected.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            ensure!(found == expected, "{pointer} is {found:?}, not {expected:?}");
            Ok(())
        })
        .await;
    }

    /// The container's events since then, without those of the health check's exec.
    async fn events(&self, since: f64) -> Vec<String> {
        let filters = format!("{{\"type\":[\"container\"],\"container\":[\"{}\"]}}", self.name);
        let filters: String = filters.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/events?since={since:.9}&until={:.9}&filters={filters}", now());
        let (status, lines) = self.request(Method::GET, &path).await;
        assert_eq!(status, 200, "{lines}");
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let events = events.filter(|event| !event["Action"].as_str().unwrap().starts_with("exec_")).map(|event| {
            let attribute = |name: &str| event["Actor"]["Attributes"][name].as_str().map(str::to_owned);
            assert_eq!(event["Type"], "container");
            assert_eq!(event["status"], event["Action"]);
            assert_eq!(event["id"], event["Actor"]["ID"]);
            assert!(event["timeNano"].is_i64() && event["time"].is_i64(), "{event}");
            assert!(attribute("name").is_some() && attribute("image").is_some(), "{event}");
            let more = ["exitCode", "signal"].into_iter().filter_map(attribute);
            std::iter::once(event["Action"].as_str().unwrap().to_owned()).chain(more).collect::<Vec<_>>().join(" ")
        });
        let mut events: Vec<String> = events.collect();
        // A busy dockerd (20.10) may learn of a pause from containerd only after the unpause, and then repeats both events.
        let again = |events: &[String]| events.windows(3).position(|three| three == ["unpause", "pause", "unpause"]);
        while let (Target::Real(_), Some(first)) = (&self.container, again(&events)) {
            events.drain(first + 1..first + 3);
        }
        events
    }

    /// A container's whole lifecycle; returns status and events of each step.
    async fn run_lifecycle(&self) -> Vec<(&'static str, u16, Vec<String>)> {
        let mut events = vec![];
        for (step, method, path, ill, then) in [
            (
                "starting a running container",
                Method::POST,
                "/containers/{}/start",
                None,
                ("/State/Health/Status", "healthy"),
            ),
            (
                "turning unhealthy",
                Method::GET,
                "/containers/{}/json",
                Some(Failure::TurnsUnhealthy),
                ("/State/Health/Status", "unhealthy"),
            ),
            ("restarting", Method::POST, "/containers/{}/restart?t=5", None, ("/State/Health/Status", "healthy")),
            ("pausing", Method::POST, "/containers/{}/pause", None, ("/State/Status", "paused")),
            (
                "pausing a paused container",
                Method::POST,
                "/containers/{}/pause",
                None,
                ("/State/Health/Status", "unhealthy"),
            ),
            ("unpausing", Method::POST, "/containers/{}/unpause", None, ("/State/Health/Status", "healthy")),
            (
                "unpausing a running container",
                Method::POST,
                "/containers/{}/unpause",
                None,
                ("/State/Status", "running"),
            ),
            (
                "a signal that does not end it",
                Method::POST,
                "/containers/{}/kill?signal=WINCH",
                None,
                ("/State/Status", "running"),
            ),
            ("crashing", Method::GET, "/containers/{}/json", Some(Failure::Crashes), ("/State/Status", "exited")),
            ("stopping an exited container", Method::POST, "/containers/{}/stop", None, ("/State/Status", "exited")),
            ("killing an exited container", Method::POST, "/containers/{}/kill", None, ("/State/Status", "exited")),
            ("starting", Method::POST, "/containers/{}/start", None, ("/State/Health/Status", "healthy")),
            ("stopping", Method::POST, "/containers/{}/stop?t=5", None, ("/State/Status", "exited")),
            (
                "restarting an exited container",
                Method::POST,
                "/containers/{}/restart",
                None,
                ("/State/Health/Status", "healthy"),
            ),
            ("killing", Method::POST, "/containers/{}/kill", None, ("/State/Status", "exited")),
            ("starting again", Method::POST, "/containers/{}/start", None, ("/State/Health/Status", "healthy")),
            ("removing a running container", Method::DELETE, "/containers/{}", None, ("/State/Status", "running")),
        ] {
            let since = now();
            let (status, _) = self.request(method, path).await;
            if let Some(ill) = ill {
                self.fall_ill(ill).await;
            }
            self.wait_for_state(then.0, then.1).await;
            events.push((step, status, self.events(since).await));
        }
        let since = now();
        let (status, _) = self.request(Method::DELETE, "/containers/{}?force=1").await;
        wait_until(STEP_TIMEOUT, "the container is gone", async || {
            let (status, _) = self.request(Method::GET, "/containers/{}/json").await;
            ensure!(status == 404, "{status}");
            Ok(())
        })
        .await;
        events.push(("removing by force", status, self.events(since).await));
        events
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Both engines, each with an equal container.
async fn both(name: &str) -> (Stage, Side, Side) {
    both_of(name, PatientSpec::named("a")).await
}

/// The same with this configuration of the real container.
async fn both_of(name: &str, spec: PatientSpec) -> (Stage, Side, Side) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let prefix = format!("conform-{name}-{}", std::process::id());
    let stage = Stage::new(prefix.clone(), prefix).await.unwrap_or_else(|error| panic!("{error:#}"));
    let patient = stage.spawn(PatientSpec { memory: Some(64 << 20), ..spec }).await.unwrap();
    // Only from when it responds does it handle SIGTERM.
    patient.recover().await.unwrap();
    let socket = docker_host().strip_prefix("unix://").expect("a local engine").to_owned();
    let (mut state, began) = (EngineState::new(1), UnixNanos::from(SystemTime::now()));
    let spec =
        ContainerSpec { memory: Some(64 << 20), ..ContainerSpec::default() }.checked_every(Duration::from_millis(500));
    state.create(&patient.name, spec, began).unwrap();
    state.start(&patient.name, began).unwrap();
    let path = std::env::temp_dir().join(format!("{}.sock", patient.name));
    let engine = FakeDocker::at(&path, state).await.unwrap();
    let name = patient.name.clone();
    let simulated = Side::new(path.to_str().unwrap(), Target::Simulated(engine), name.clone());
    (stage, Side::new(&socket, Target::Real(patient), name), simulated)
}

#[tokio::test]
async fn the_same_requests_have_the_same_responses_and_events() {
    let (_stage, real, simulated) = both("life").await;
    let (real, simulated) = tokio::join!(real.run_lifecycle(), simulated.run_lifecycle());
    for (real, simulated) in real.iter().zip(&simulated) {
        assert_eq!(simulated, real, "simulated, then real");
    }
}

#[tokio::test]
async fn the_fields_that_hemostat_reads_exist_with_the_same_type() {
    let (_stage, real, simulated) = both("shape").await;
    for side in [&real, &simulated] {
        side.wait_for_state("/State/Health/Status", "healthy").await;
    }
    for (path, fields) in [
        ("/version", &["/ApiVersion", "/Version"][..]),
        ("/info", &["/ServerVersion", "/NCPU", "/MemTotal", "/SystemTime", "/DockerRootDir", "/CgroupVersion"]),
        (
            "/containers/{}/json",
            &[
                "/Id",
                "/Name",
                "/Image",
                "/Created",
                "/RestartCount",
                "/State/Status",
                "/State/Running",
                "/State/Paused",
                "/State/Restarting",
                "/State/OOMKilled",
                "/State/Dead",
                "/State/Pid",
                "/State/ExitCode",
                "/State/StartedAt",
                "/State/FinishedAt",
                "/State/Health/Status",
                "/State/Health/FailingStreak",
                "/State/Health/Log/0/Start",
                "/State/Health/Log/0/End",
                "/State/Health/Log/0/ExitCode",
                "/State/Health/Log/0/Output",
                "/HostConfig/NetworkMode",
                "/HostConfig/RestartPolicy/Name",
                "/HostConfig/RestartPolicy/MaximumRetryCount",
                "/HostConfig/Memory",
                "/HostConfig/NanoCpus",
                "/HostConfig/CpuPeriod",
                "/HostConfig/CpuQuota",
                "/Config/Image",
                "/Config/Labels",
                "/Config/Env",
                "/Config/Healthcheck/Test",
                "/Config/Healthcheck/Interval",
            ],
        ),
        ("/containers/{}/json?size=1", &["/SizeRw", "/SizeRootFs"]),
        (
            "/containers/{}/stats?stream=false&one-shot=1",
            &[
                "/read",
                "/preread",
                "/name",
                "/id",
                "/cpu_stats/cpu_usage/total_usage",
                "/cpu_stats/system_cpu_usage",
                "/cpu_stats/online_cpus",
                "/cpu_stats/throttling_data/periods",
                "/cpu_stats/throttling_data/throttled_periods",
                "/cpu_stats/throttling_data/throttled_time",
                "/memory_stats/usage",
                "/memory_stats/limit",
                "/memory_stats/stats/inactive_file",
                "/pids_stats/current",
                "/networks/eth0/rx_bytes",
                "/networks/eth0/tx_bytes",
                "/blkio_stats",
                "/precpu_stats/cpu_usage/total_usage",
            ],
        ),
        (
            "/containers/json?all=1&limit=1&size=1",
            &[
                "/0/Id",
                "/0/Names/0",
                "/0/Image",
                "/0/ImageID",
                "/0/Command",
                "/0/Created",
                "/0/Labels",
                "/0/State",
                "/0/Status",
                "/0/HostConfig/NetworkMode",
                "/0/SizeRootFs",
            ],
        ),
        ("/containers/{}/top", &["/Titles/0", "/Processes/0/0"]),
        ("/containers/{}/top?ps_args=-eo%20pid,pcpu,rss,args", &["/Titles/3", "/Processes/0/3"]),
        ("/system/df", &["/LayersSize", "/Images/0/Id", "/Containers/0/Id", "/Volumes"]),
    ] {
        let (real, simulated) = tokio::join!(real.get(path), simulated.get(path));
        for field in fields {
            let (real, simulated) = (real.pointer(field), simulated.pointer(field));
            assert_eq!(kind(simulated), kind(real), "{path} {field}: simulated {simulated:?}, real {real:?}");
        }
    }
}

fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "absent",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a boolean",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a string",
        Some(Value::Array(_)) => "an array",
        Some(Value::Object(_)) => "an object",
    }
}

#[tokio::test]
async fn a_containers_log_is_returned_alike() {
    // A patient prints a line when it falls ill without a request.
    let spec = PatientSpec { stubborn: Some(("unhealthy", Duration::ZERO)), ..PatientSpec::named("a") };
    let (_stage, real, simulated) = both_of("output", spec).await;
    wait_until(STEP_TIMEOUT, "the patient has printed a line", async || {
        let (_, body) = real.request(Method::GET, "/containers/{}/logs?stderr=true").await;
        ensure!(!body.is_empty(), "nothing so far");
        Ok(())
    })
    .await;
    for (limits, is_returned) in [
        ("", true),
        // The query that bollard sends.
        ("&follow=false&since=1&until=0&timestamps=true&tail=100", true),
        ("&since=4000000000", false),
        ("&until=1", false),
        ("&tail=0", false),
    ] {
        let path = format!("/containers/{{}}/logs?stdout=true&stderr=true{limits}");
        for side in [&real, &simulated] {
            let (status, body) = side.request(Method::GET, &path).await;
            assert_eq!((status, !body.is_empty()), (200, is_returned), "{limits}: {body:?}");
        }
    }
}

#[tokio::test]
async fn invalid_requests_are_refused_alike() {
    let (_stage, real, simulated) = both("refused").await;
    for (method, path) in [
        (Method::GET, "/_ping"),
        (Method::GET, "/containers/nobody/json"),
        (Method::GET, "/containers/nobody/stats?stream=false"),
        (Method::POST, "/containers/nobody/start"),
        (Method::POST, "/containers/nobody/restart"),
        (Method::DELETE, "/containers/nobody"),
        (Method::GET, "/containers/{}/logs"),
        (Method::GET, "/containers/json?filters=%7B%22colour%22%3A%5B%22red%22%5D%7D"),
        (Method::GET, "/events?until=1&since=1&filters=%7B%22colour%22%3A%5B%22red%22%5D%7D"),
        (Method::GET, "/nowhere"),
        (Method::POST, "/containers/{}/rename?name=a%20b"),
    ] {
        let (real, simulated) =
            tokio::join!(real.request(method.clone(), path), simulated.request(method.clone(), path));
        assert_eq!(simulated.0, real.0, "{method} {path}: simulated {simulated:?}, real {real:?}");
        let is_message = |body: &str| serde_json::from_str::<Value>(body).is_ok_and(|body| body["message"].is_string());
        assert_eq!(is_message(&simulated.1), is_message(&real.1), "{path}: simulated {simulated:?}, real {real:?}");
    }
    let real = real.post("/containers/{}/update").await;
    let simulated = simulated.post("/containers/{}/update").await;
    assert_eq!(simulated >= 400, real >= 400, "an update without a body: simulated {simulated}, real {real}");
}
