//! Containers with symptoms are examined on the real Docker engine, and the results hold no secret.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says where, and shows figures")]

mod running_monitor;

use std::{sync::Arc, time::Duration};

use hemostat_docker::Docker;
use hemostat_patient::stage::{PatientSpec, docker_host};
use hemostat_runtime::Context;
use hemostat_schema::{
    Event, Observation, Recorded,
    container::ExitBy,
    examination::{Changed, Examined, Stream},
    observation::Symptom,
};
use hemostat_tests::in_process::{context, history, policy, stage, wait_for};
use running_monitor::RunningMonitor;

fn monitor(ctx: &Context, stage: &hemostat_patient::stage::Stage) -> RunningMonitor {
    RunningMonitor::start(ctx, Arc::new(Docker::new(docker_host(), Duration::from_secs(20))), policy(stage))
}

/// The first examination of a container, and its event.
async fn examined(ctx: &Context, name: &str) -> (Recorded, Examined) {
    wait_for(ctx.log.as_ref(), name, "examination", |recorded, event| match event {
        Event::Observation(Observation::Examined(examined)) => Some((recorded.clone(), examined.clone())),
        _ => None,
    })
    .await
}

/// Its cause is the symptom, in the same incident and trace, and it comes before a diagnosis stops waiting.
async fn check_cause(ctx: &Context, name: &str, answer: &Recorded) {
    let history = history(ctx.log.as_ref(), name).await;
    let cause = history.iter().find(|event| Some(event.id) == answer.cause).expect("its cause is on the log");
    assert_eq!(cause.kind(), "observation.symptom_raised");
    assert_eq!(cause.incident, answer.incident);
    assert_eq!(cause.trace.map(|trace| trace.trace), answer.trace.map(|trace| trace.trace));
    println!("{name}: {} ms after its symptom", answer.id.ms - cause.id.ms);
    assert!(answer.id.ms - cause.id.ms < 3000);
}

#[tokio::test]
async fn an_unhealthy_container_is_examined_and_its_secrets_are_redacted() {
    const SECRETS: [&str; 3] = ["Tr0ubadour", "L4belSecret", "N0teSecret"];
    let (stage, ctx) = (stage().await, context());
    let _monitor = monitor(&ctx, &stage);
    // The check prints the address that it could not reach, and with it the password.
    let spec = PatientSpec {
        environment: vec!["APP_PASSWORD=Tr0ubadour".to_owned(), "PATIENT_ADDRESS=Tr0ubadour.invalid:1".to_owned()],
        ..PatientSpec::named("sick").label("app.token", "L4belSecret").label("hemostat.note", "token=N0teSecret")
    };
    let patient = stage.spawn(spec).await.unwrap();
    let (answer, examined) = examined(&ctx, &patient.name).await;
    assert_eq!(examined.symptoms, [Symptom::Unhealthy]);
    assert_eq!(examined.missing, [""; 0], "{examined:?}");
    let check = examined.checks.last().unwrap();
    assert!(check.code == 1 && check.output.contains("could not connect to [redacted].invalid"), "{check:?}");
    assert!(examined.processes.iter().any(|process| process.command.contains("/patient")), "{examined:?}");
    assert!(examined.redacted > 0 && examined.exit.is_none());
    check_cause(&ctx, &patient.name, &answer).await;
    let all = format!("{:?}", history(ctx.log.as_ref(), &patient.name).await);
    for secret in SECRETS {
        assert!(!all.contains(secret), "{secret} is in {all}");
    }
}

#[tokio::test]
async fn a_crashed_container_is_examined_as_far_as_possible() {
    let (stage, ctx) = (stage().await, context());
    let _monitor = monitor(&ctx, &stage);
    // It rejects its argument, prints it, and exits with code 2.
    let spec =
        PatientSpec { arguments: vec!["--stubborn=token=Sup3rS3cret".to_owned()], ..PatientSpec::named("crashed") };
    let patient = stage.spawn(spec).await.unwrap();
    let (answer, examined) = examined(&ctx, &patient.name).await;
    assert_eq!(examined.symptoms, [Symptom::Exited]);
    assert_eq!(examined.missing, [""; 0], "{examined:?}");
    let exit = examined.exit.unwrap();
    assert_eq!((exit.code, exit.by), (2, ExitBy::Crash));
    let said: Vec<_> = examined.output.iter().filter(|line| line.stream == Stream::Stderr).collect();
    assert!(
        said.iter().any(|line| line.text.contains("invalid value") && line.text.contains("[redacted]")),
        "{examined:?}"
    );
    assert!(said.iter().all(|line| line.at.is_some()));
    assert!(examined.changes.iter().any(|change| change.what == Changed::Ended { exit }), "{examined:?}");
    check_cause(&ctx, &patient.name, &answer).await;
    let all = format!("{:?}", history(ctx.log.as_ref(), &patient.name).await);
    assert!(!all.contains("Sup3rS3cret"), "{all}");
}

#[tokio::test]
async fn persisting_symptoms_are_examined_again() {
    let (stage, ctx) = (stage().await, context());
    let engine = Arc::new(Docker::new(docker_host(), Duration::from_secs(20)));
    let _monitor = RunningMonitor::examining_again(&ctx, engine, policy(&stage), Duration::from_secs(2));
    let spec = PatientSpec {
        environment: vec!["PATIENT_ADDRESS=nobody.invalid:1".to_owned()],
        ..PatientSpec::named("chronic")
    };
    let patient = stage.spawn(spec).await.unwrap();
    let (first, _) = examined(&ctx, &patient.name).await;
    let (again, found) =
        wait_for(ctx.log.as_ref(), &patient.name, "second examination", |recorded, event| match event {
            Event::Observation(Observation::Examined(found)) if recorded.id > first.id => {
                Some((recorded.clone(), found.clone()))
            }
            _ => None,
        })
        .await;
    assert_eq!((again.cause, &again.incident), (None, &first.incident));
    assert_eq!(found.symptoms, [Symptom::Unhealthy]);
    assert!(again.id.ms - first.id.ms >= 1500, "{} ms", again.id.ms - first.id.ms);
}
