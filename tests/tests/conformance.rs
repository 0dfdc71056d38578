//! Is the simulated engine like the real one? The same requests are sent to both, and what HemoStat reads of the answers
//! is compared: statuses, the types of fields, and the events that follow. The real engine is right.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use hemostat_fake_docker::{self as simulated, Kind, Moment, Simulated, Spec, World};
use hemostat_patient::{
    Illness,
    illness::{Crash, Unhealthy},
    stage::{Patient, PatientSpec, Stage, docker_host},
};
use hemostat_tests::{PATIENCE, until};
use reqwest::Method;
use serde_json::Value;

/// One of the two engines, with one container in it.
struct Side {
    http: reqwest::Client,
    container: Subject,
    name: String,
}

enum Subject {
    Real(Patient),
    Simulated(Simulated),
}

#[derive(Debug, Clone, Copy)]
enum Ill {
    Crashes,
    TurnsUnhealthy,
}

impl Side {
    fn new(socket: &str, container: Subject, name: String) -> Self {
        let http = reqwest::Client::builder().unix_socket(socket).timeout(Duration::from_secs(30)).build().unwrap();
        Self { http, container, name }
    }

    /// What is answered to a request about the container: status and body.
    async fn ask(&self, method: Method, path: &str) -> (u16, String) {
        let path = path.replace("{}", &self.name);
        let answer = self.http.request(method, format!("http://docker/v1.41{path}")).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    async fn post(&self, path: &str) -> u16 {
        self.ask(Method::POST, path).await.0
    }

    async fn fall_ill(&self, ill: Ill) {
        match &self.container {
            Subject::Real(patient) => {
                let illness = match ill {
                    Ill::Crashes => Illness::Crash(Crash { code: 3 }),
                    Ill::TurnsUnhealthy => Illness::Unhealthy(Unhealthy::default()),
                };
                patient.fall_ill(illness).await.unwrap();
            }
            Subject::Simulated(engine) => {
                let kind = match ill {
                    Ill::Crashes => Kind::Exits { code: 3 },
                    Ill::TurnsUnhealthy => Kind::Unhealthy,
                };
                engine.change(|world, now| world.fall_ill(&self.name, simulated::Illness::of(kind), now)).unwrap();
            }
        }
    }

    async fn until_state(&self, pointer: &str, expected: &str) {
        until(PATIENCE, "the container is as it should be", async || {
            let inspected = self.get("/containers/{}/json").await;
            let found = inspected.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            ensure!(found == expected, "{pointer} is {found:?}, not {expected:?}");
            Ok(())
        })
        .await;
    }

    /// What the engine tells of the container since then, without its health checks' own messages.
    async fn events(&self, since: f64) -> Vec<String> {
        let filters = format!("{{\"type\":[\"container\"],\"container\":[\"{}\"]}}", self.name);
        let filters: String = filters.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/events?since={since:.9}&until={:.9}&filters={filters}", now());
        let (status, lines) = self.ask(Method::GET, &path).await;
        assert_eq!(status, 200, "{lines}");
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told = events.filter(|event| !event["Action"].as_str().unwrap().starts_with("exec_")).map(|event| {
            let attribute = |name: &str| event["Actor"]["Attributes"][name].as_str().map(str::to_owned);
            assert_eq!(event["Type"], "container");
            assert_eq!(event["status"], event["Action"]);
            assert_eq!(event["id"], event["Actor"]["ID"]);
            assert!(event["timeNano"].is_i64() && event["time"].is_i64(), "{event}");
            assert!(attribute("name").is_some() && attribute("image").is_some(), "{event}");
            let more = ["exitCode", "signal"].into_iter().filter_map(attribute);
            std::iter::once(event["Action"].as_str().unwrap().to_owned()).chain(more).collect::<Vec<_>>().join(" ")
        });
        let mut told: Vec<String> = told.collect();
        // A busy dockerd (20.10) may hear of a freeze from containerd only when it has thawed the container, and tells both anew.
        let again = |told: &[String]| told.windows(3).position(|three| three == ["unpause", "pause", "unpause"]);
        while let (Subject::Real(_), Some(first)) = (&self.container, again(&told)) {
            told.drain(first + 1..first + 3);
        }
        told
    }

    /// All that is done to the container, and what was told of it and answered, step by step.
    async fn live(&self) -> Vec<(&'static str, u16, Vec<String>)> {
        let mut told = vec![];
        for (step, method, path, ill, then) in [
            ("starting what runs", Method::POST, "/containers/{}/start", None, ("/State/Health/Status", "healthy")),
            (
                "turning unhealthy",
                Method::GET,
                "/containers/{}/json",
                Some(Ill::TurnsUnhealthy),
                ("/State/Health/Status", "unhealthy"),
            ),
            ("restarting", Method::POST, "/containers/{}/restart?t=5", None, ("/State/Health/Status", "healthy")),
            ("pausing", Method::POST, "/containers/{}/pause", None, ("/State/Status", "paused")),
            (
                "pausing what is paused",
                Method::POST,
                "/containers/{}/pause",
                None,
                ("/State/Health/Status", "unhealthy"),
            ),
            ("unpausing", Method::POST, "/containers/{}/unpause", None, ("/State/Health/Status", "healthy")),
            (
                "unpausing what is not paused",
                Method::POST,
                "/containers/{}/unpause",
                None,
                ("/State/Status", "running"),
            ),
            (
                "a signal that ends nothing",
                Method::POST,
                "/containers/{}/kill?signal=WINCH",
                None,
                ("/State/Status", "running"),
            ),
            ("crashing", Method::GET, "/containers/{}/json", Some(Ill::Crashes), ("/State/Status", "exited")),
            ("stopping what has ended", Method::POST, "/containers/{}/stop", None, ("/State/Status", "exited")),
            ("killing what has ended", Method::POST, "/containers/{}/kill", None, ("/State/Status", "exited")),
            ("starting", Method::POST, "/containers/{}/start", None, ("/State/Health/Status", "healthy")),
            ("stopping", Method::POST, "/containers/{}/stop?t=5", None, ("/State/Status", "exited")),
            (
                "restarting what has ended",
                Method::POST,
                "/containers/{}/restart",
                None,
                ("/State/Health/Status", "healthy"),
            ),
            ("killing", Method::POST, "/containers/{}/kill", None, ("/State/Status", "exited")),
            ("starting again", Method::POST, "/containers/{}/start", None, ("/State/Health/Status", "healthy")),
            ("removing what runs", Method::DELETE, "/containers/{}", None, ("/State/Status", "running")),
        ] {
            let since = now();
            let (status, _) = self.ask(method, path).await;
            if let Some(ill) = ill {
                self.fall_ill(ill).await;
            }
            self.until_state(then.0, then.1).await;
            told.push((step, status, self.events(since).await));
        }
        let since = now();
        let (status, _) = self.ask(Method::DELETE, "/containers/{}?force=1").await;
        until(PATIENCE, "the container is gone", async || {
            let (status, _) = self.ask(Method::GET, "/containers/{}/json").await;
            ensure!(status == 404, "{status}");
            Ok(())
        })
        .await;
        told.push(("removing by force", status, self.events(since).await));
        told
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Both engines, each with a container that is alike.
async fn both(name: &str) -> (Stage, Side, Side) {
    both_of(name, PatientSpec::named("a")).await
}

/// The same, where the real one is set up so.
async fn both_of(name: &str, spec: PatientSpec) -> (Stage, Side, Side) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let prefix = format!("conform-{name}-{}", std::process::id());
    let stage = Stage::new(prefix.clone(), prefix).await.unwrap_or_else(|error| panic!("{error:#}"));
    let patient = stage.spawn(PatientSpec { memory: Some(64 << 20), ..spec }).await.unwrap();
    // From when it answers, it also hears the signal to stop.
    patient.recover().await.unwrap();
    let socket = docker_host().strip_prefix("unix://").expect("a local engine").to_owned();
    let (mut world, began) = (World::new(1), Moment::from(SystemTime::now()));
    let spec = Spec { memory: Some(64 << 20), ..Spec::default() }.checked_every(Duration::from_millis(500));
    world.create(&patient.name, spec, began).unwrap();
    world.start(&patient.name, began).unwrap();
    let path = std::env::temp_dir().join(format!("{}.sock", patient.name));
    let engine = Simulated::at(&path, world).await.unwrap();
    let name = patient.name.clone();
    let simulated = Side::new(path.to_str().unwrap(), Subject::Simulated(engine), name.clone());
    (stage, Side::new(&socket, Subject::Real(patient), name), simulated)
}

#[tokio::test]
async fn the_same_things_done_have_the_same_answers_and_events() {
    let (_stage, real, simulated) = both("life").await;
    let (real, simulated) = tokio::join!(real.live(), simulated.live());
    for (real, simulated) in real.iter().zip(&simulated) {
        assert_eq!(simulated, real, "simulated, then real");
    }
}

#[tokio::test]
async fn what_hemostat_reads_is_there_and_of_the_same_type() {
    let (_stage, real, simulated) = both("shape").await;
    for side in [&real, &simulated] {
        side.until_state("/State/Health/Status", "healthy").await;
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
async fn what_was_printed_is_told_alike() {
    // A patient prints a line when it falls ill by itself.
    let spec = PatientSpec { stubborn: Some(("unhealthy", Duration::ZERO)), ..PatientSpec::named("a") };
    let (_stage, real, simulated) = both_of("output", spec).await;
    until(PATIENCE, "the patient has printed a line", async || {
        let (_, body) = real.ask(Method::GET, "/containers/{}/logs?stderr=true").await;
        ensure!(!body.is_empty(), "nothing so far");
        Ok(())
    })
    .await;
    for (limits, is_told) in [
        ("", true),
        // As bollard asks.
        ("&follow=false&since=1&until=0&timestamps=true&tail=100", true),
        ("&since=4000000000", false),
        ("&until=1", false),
        ("&tail=0", false),
    ] {
        let path = format!("/containers/{{}}/logs?stdout=true&stderr=true{limits}");
        for side in [&real, &simulated] {
            let (status, body) = side.ask(Method::GET, &path).await;
            assert_eq!((status, !body.is_empty()), (200, is_told), "{limits}: {body:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_alike() {
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
        let (real, simulated) = tokio::join!(real.ask(method.clone(), path), simulated.ask(method.clone(), path));
        assert_eq!(simulated.0, real.0, "{method} {path}: simulated {simulated:?}, real {real:?}");
        let is_message = |body: &str| serde_json::from_str::<Value>(body).is_ok_and(|body| body["message"].is_string());
        assert_eq!(is_message(&simulated.1), is_message(&real.1), "{path}: simulated {simulated:?}, real {real:?}");
    }
    let real = real.post("/containers/{}/update").await;
    let simulated = simulated.post("/containers/{}/update").await;
    assert_eq!(simulated >= 400, real >= 400, "an update without a body: simulated {simulated}, real {real}");
}
