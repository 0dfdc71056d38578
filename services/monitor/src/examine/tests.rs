use std::time::Duration;

use async_trait::async_trait;
use hemostat_core::testing;
use hemostat_docker::{LogOutput, models::ContainerTopResponse};
use hemostat_schema::{
    ContainerId, ContainerName, Subject,
    container::{Compose, Exit, Vitals},
    examination::{Relation, Stream},
};
use serde_json::json;

use super::{relatives::relatives, *};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_462_000 + second).unwrap()
}

/// A healthy container that has run for an hour; its id is made of its name.
pub(super) fn facts(name: &str) -> Facts {
    let id = format!("{:0<64}", name.bytes().map(|byte| format!("{byte:02x}")).collect::<String>());
    Facts {
        id: id.parse().unwrap(),
        image: "app:1".into(),
        image_id: "sha256:old".into(),
        created_at: at(-3600),
        started_at: Some(at(-3600)),
        ..testing::facts()
    }
}

pub(super) fn vitals() -> Vitals {
    testing::vitals(1.0, 1.0, 1)
}

/// An examination that found nothing.
pub(super) fn examined() -> Examined {
    Examined { symptoms: vec![Symptom::Unhealthy], ..testing::examined(facts("api").target()) }
}

/// How the engine answers a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reply {
    Answers,
    Hangs,
    Refuses,
    Gone,
}

#[derive(Debug, Clone, Copy)]
struct FakeEngine {
    inspect: Reply,
    output: Reply,
    processes: Reply,
}

async fn reply<T>(reply: Reply, answer: T) -> Result<T, Error> {
    match reply {
        Reply::Answers => Ok(answer),
        Reply::Hangs => std::future::pending().await,
        Reply::Refuses => {
            let reason = "it broke, token=engine-secret-1".to_owned();
            Err(Error::Refused { host: "here".into(), operation: "answer", status: 500, reason })
        }
        Reply::Gone => Err(Error::Gone("api".into())),
    }
}

#[async_trait]
impl Engine for FakeEngine {
    async fn inspect(&self, _: &ContainerId) -> Result<ContainerInspectResponse, Error> {
        let inspect = json!({
            "State": {
                "Status": "running", "Running": true, "OOMKilled": false, "FinishedAt": at(-3601).to_string(),
                "Health": {"Status": "unhealthy", "Log": [
                    {"Start": at(1).to_string(), "ExitCode": 0, "Output": "fine"},
                    {"Start": at(2).to_string(), "ExitCode": 1, "Output": "\u{1b}[31mlogin with Hunter22 failed\n"},
                ]}
            },
            "Config": {"Env": ["DB_PASSWORD=Hunter22"], "Labels": {"app.token": "label-secret-1"}, "Cmd": ["app"]}
        });
        reply(self.inspect, serde_json::from_value(inspect).unwrap()).await
    }
    async fn output(&self, _: &ContainerId, since: Option<Timestamp>, lines: u32) -> Result<Vec<LogOutput>, Error> {
        assert_eq!((since, lines), (Some(at(-3601)), 61));
        let line = |second: i64, text: &str| LogOutput::StdErr { message: format!("{} {text}\n", at(second)).into() };
        let lines = [
            line(-3602, "of the run before"),
            line(3, "connecting with Hunter22"),
            line(4, "-----BEGIN PRIVATE KEY-----"),
            line(5, "MIIE"),
            line(6, "-----END PRIVATE KEY-----"),
        ];
        reply(self.output, lines.to_vec()).await
    }
    async fn processes(&self, _: &ContainerId) -> Result<ContainerTopResponse, Error> {
        let top = json!({
            "Titles": ["PID", "TIME", "RSS", "COMMAND"],
            "Processes": [["7", "00:00:01", "4", "app --label label-secret-1 --token abc"]]
        });
        reply(self.processes, serde_json::from_value(top).unwrap()).await
    }
}

const ALL: FakeEngine = FakeEngine { inspect: Reply::Answers, output: Reply::Answers, processes: Reply::Answers };

async fn examined_with(engine: FakeEngine, known: Facts) -> Examined {
    let subject = Subject::container("host".parse().unwrap(), "api".parse().unwrap());
    let request = ExaminationRequest::new(subject, facts("api").target(), vec![Symptom::Unhealthy]).unwrap();
    let context = ContainerContext {
        facts: known,
        samples: vec![],
        changes: vec![],
        relatives: vec![],
        writable: Some(ByteCount(7)),
        disk: None,
    };
    examine(&engine, &request, context, &Settings::default()).await
}

#[tokio::test(start_paused = true)]
async fn all_evidence_is_collected_and_all_secrets_are_redacted() {
    let line = |second, text: &str| Line { at: Some(at(second)), stream: Stream::Stderr, text: text.to_owned() };
    let expected = Examined {
        checks: vec![
            Check { at: at(1), code: 0, output: "fine".into() },
            Check { at: at(2), code: 1, output: "login with [redacted] failed".into() },
        ],
        output: vec![
            line(3, "connecting with [redacted]"),
            line(4, "[redacted]"),
            line(5, "[redacted]"),
            line(6, "[redacted]"),
        ],
        processes: vec![Process {
            pid: 7,
            cpu: Span::from_secs(1),
            memory: ByteCount(4096),
            command: "app --label [redacted] --token [redacted]".into(),
        }],
        writable: Some(ByteCount(7)),
        redacted: 7,
        ..examined()
    };
    assert_eq!(examined_with(ALL, facts("api")).await, expected);
}

#[tokio::test(start_paused = true)]
async fn evidence_that_does_not_come_in_time_is_listed_as_missing() {
    let exited =
        Facts { state: State::Exited, exit: Some(Exit { at: at(9), code: 3, by: ExitBy::Crash }), ..facts("api") };
    let withheld = "its output and its processes, as its environment, which holds its secrets, is not known";
    let late = "no answer within 2s";
    let refused = "the Docker engine at here refused to answer: it broke, token=[redacted] (status 500)";
    let gone = "everything that Docker would know, as the container is gone";
    let newer = Facts { started_at: Some(at(10)), ..facts("api") };
    let another = "how that run ended, as a new run has started since";
    for (engine, known, missing) in [
        (ALL, exited.clone(), vec![]),
        (FakeEngine { output: Reply::Hangs, ..ALL }, facts("api"), vec![format!("its output: {late}")]),
        (FakeEngine { processes: Reply::Refuses, ..ALL }, facts("api"), vec![format!("its processes: {refused}")]),
        (
            FakeEngine { inspect: Reply::Hangs, ..ALL },
            facts("api"),
            vec![format!("docker inspect: {late}"), withheld.into()],
        ),
        (FakeEngine { inspect: Reply::Gone, output: Reply::Gone, processes: Reply::Gone }, exited, vec![gone.into()]),
        (ALL, newer, vec![another.into()]),
    ] {
        let began = Instant::now();
        let expected_exit = known.exit;
        let examined = examined_with(engine, known).await;
        assert_eq!(examined.missing, missing, "{engine:?}");
        assert!(began.elapsed() <= Duration::from_secs(2), "{engine:?}: {:?}", began.elapsed());
        assert_eq!(examined.exit, expected_exit);
        assert_eq!(examined.checks.is_empty(), engine.inspect != Reply::Answers, "{engine:?}");
        assert_eq!(
            examined.output.is_empty(),
            engine.inspect != Reply::Answers || engine.output != Reply::Answers,
            "{engine:?}"
        );
    }
}

#[test]
fn the_end_of_the_previous_run_is_known_only_while_the_container_runs() {
    let since = |running: bool, finished: i64| {
        let state = json!({"State": {"Running": running, "FinishedAt": at(finished).to_string()}});
        runs_output_since(&serde_json::from_value(state).unwrap(), Some(at(10)))
    };
    assert_eq!(since(true, 11), Some(at(11)));
    assert_eq!(since(true, 9), Some(at(10)));
    assert_eq!(since(false, 11), Some(at(10)));
}

#[test]
fn output_of_earlier_runs_counts_in_a_restart_loop() {
    let target = facts("api").target();
    assert_eq!(output_since(&target, &[Symptom::Exited]), Some(at(-3601)));
    assert_eq!(output_since(&target, &[Symptom::RestartLoop]), None);
    assert_eq!(output_since(&Run { started_at: None, ..target }, &[Symptom::Exited]), None);
}

#[test]
fn relatives_follow_from_network_and_labels_the_closest_first() {
    let compose = |service: &str, depends_on: &[&str]| {
        Some(Compose {
            project: "shop".into(),
            service: service.into(),
            number: Some(1),
            depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
        })
    };
    let me = Facts { compose: compose("api", &["db"]), network_of: Some("vpn".into()), ..facts("api") };
    let all = [
        ("api", me.clone()),
        ("api-2", Facts { compose: compose("api", &[]), ..facts("api-2") }),
        ("db-1", Facts { compose: compose("db", &[]), ..facts("db-1") }),
        (
            "db-2",
            Facts {
                compose: compose("db", &[]),
                state: State::Exited,
                exit: Some(Exit { at: at(5), code: 1, by: ExitBy::Crash }),
                ..facts("db-2")
            },
        ),
        ("web", Facts { compose: compose("web", &["api"]), ..facts("web") }),
        ("mail", Facts { compose: compose("mail", &[]), ..facts("mail") }),
        ("vpn", facts("vpn")),
        ("sidecar", Facts { network_of: Some(facts("api").id.as_str()[..12].to_owned()), ..facts("sidecar") }),
        ("stranger", facts("stranger")),
    ];
    let named: Vec<(ContainerName, &Facts)> = all.iter().map(|(name, facts)| (name.parse().unwrap(), facts)).collect();
    let found = relatives(&"api".parse().unwrap(), &me, named.iter().map(|(name, facts)| (name, *facts)));
    let short: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.relation, found.since)).collect();
    let up = Some(at(-3600));
    let expected = [
        ("db-2", Relation::Dependency, Some(at(5))),
        ("db-1", Relation::Dependency, up),
        ("vpn", Relation::Network, up),
        ("sidecar", Relation::Dependent, up),
        ("web", Relation::Dependent, up),
        ("api-2", Relation::Replica, up),
        ("mail", Relation::Project, up),
    ];
    assert_eq!(short, expected);
}
