//! Secrets of containers appear nowhere in HemoStat.

use hemostat_patient::stage::{Patient, PatientSpec};
use hemostat_tests::{ContainerHistory, Hemostat, TestDeployment};

/// One per place where a container can hold a secret; none is a part of another text.
const SECRETS: [&str; 6] =
    ["Env1ronSecret", "Addre55Secret", "Lab3lSecret", "St33rSecret", "Argum3ntSecret", "OwnPatt3rnSecret"];

/// A patient whose health check always fails with a message that contains an address with a password.
fn unhealthy() -> PatientSpec {
    PatientSpec {
        environment: vec![
            "DB_PASSWORD=Env1ronSecret".to_owned(),
            "PATIENT_ADDRESS=Env1ronSecret,postgres://app:Addre55Secret@db,OwnPatt3rnSecret.invalid:1".to_owned(),
        ],
        ..PatientSpec::named("unhealthy").label("app.token", "Lab3lSecret").label("hemostat.note", "token=St33rSecret")
    }
}

/// A patient that prints its invalid argument and exits.
fn crashed() -> PatientSpec {
    let arguments = vec!["--stubborn=password=Argum3ntSecret,Lab3lSecret".to_owned()];
    PatientSpec { arguments, ..PatientSpec::named("crashed").label("app.token", "Lab3lSecret") }
}

/// All responses of the API about the patient and about all containers.
async fn api_responses(hemostat: &Hemostat, patient: &Patient) -> String {
    let key = format!("bed%2F{}", patient.name);
    let mut responses = String::new();
    for path in [
        format!("/events?container={}&order=oldest&limit=1000", patient.name),
        format!("/containers/{key}"),
        "/containers".to_owned(),
        "/incidents".to_owned(),
        "/parked".to_owned(),
    ] {
        responses += &hemostat.get(&path).await.unwrap_or_else(|error| panic!("{error:#}")).to_string();
    }
    responses
}

#[tokio::test]
async fn no_secret_of_a_container_is_in_an_event_a_line_an_answer_or_a_message() {
    let mut deployment = TestDeployment::new("secrets").await;
    deployment.add_secrets(SECRETS);
    deployment.set("log_level", "debug");
    deployment.set_raw("monitor.redact", "['OwnPatt\\d\\w+']");
    let hemostat = deployment.up().await;
    let patients = [deployment.patient(unhealthy()).await, deployment.patient(crashed()).await];
    let mut all = String::new();
    for patient in &patients {
        let handled = |history: &ContainerHistory| {
            ["observation.examined", "diagnosis.reached", "alert.delivered"].iter().all(|kind| history.count(kind) > 0)
        };
        let history = hemostat.wait_until(patient, "it is diagnosed and the alert is delivered", handled).await;
        let examined = history.all("observation.examined");
        // The examination is there, with its secrets redacted.
        let text = examined.iter().map(|event| event.data.to_string()).collect::<String>();
        assert!(text.contains("[redacted]"), "{text}");
        assert!(examined.iter().any(|event| event.data["redacted"].as_u64() > Some(0)), "{text}");
        all += &api_responses(&hemostat, patient).await;
    }
    all += &deployment.slack.messages().iter().map(|message| format!("{message:?}")).collect::<String>();
    all += &hemostat.output();
    assert!(
        all.contains("could not connect to") && all.contains("invalid value"),
        "the examination found nothing:\n{all}"
    );
    for secret in SECRETS {
        assert!(!all.contains(secret), "{secret} was leaked");
    }
}
