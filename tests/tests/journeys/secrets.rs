//! What containers hold as secret stays with them.

use hemostat_patient::stage::{Patient, PatientSpec};
use hemostat_tests::{Bed, Hemostat, Story};

/// Each planted in another place; none is a part of another text.
const SECRETS: [&str; 6] =
    ["Env1ronSecret", "Addre55Secret", "Lab3lSecret", "St33rSecret", "Argum3ntSecret", "OwnPatt3rnSecret"];

/// A patient whose health check fails whatever is done, and says with which address, and so which password.
fn unhealthy() -> PatientSpec {
    PatientSpec {
        environment: vec![
            "DB_PASSWORD=Env1ronSecret".to_owned(),
            "PATIENT_ADDRESS=Env1ronSecret,postgres://app:Addre55Secret@db,OwnPatt3rnSecret.invalid:1".to_owned(),
        ],
        ..PatientSpec::named("unhealthy").label("app.token", "Lab3lSecret").label("hemostat.note", "token=St33rSecret")
    }
}

/// A patient that does not understand its argument, prints it, and ends.
fn crashed() -> PatientSpec {
    let arguments = vec!["--stubborn=password=Argum3ntSecret,Lab3lSecret".to_owned()];
    PatientSpec { arguments, ..PatientSpec::named("crashed").label("app.token", "Lab3lSecret") }
}

/// Everything that the API tells of a patient and of all.
async fn told(hemostat: &Hemostat, patient: &Patient) -> String {
    let key = format!("bed%2F{}", patient.name);
    let mut told = String::new();
    for path in [
        format!("/events?container={}&order=oldest&limit=1000", patient.name),
        format!("/containers/{key}"),
        "/containers".to_owned(),
        "/incidents".to_owned(),
        "/parked".to_owned(),
    ] {
        told += &hemostat.get(&path).await.unwrap_or_else(|error| panic!("{error:#}")).to_string();
    }
    told
}

#[tokio::test]
async fn no_secret_of_a_container_is_in_an_event_a_line_an_answer_or_a_message() {
    let mut bed = Bed::new("secrets").await;
    bed.keeps_secret(SECRETS);
    bed.set("log_level", "debug");
    bed.set_raw("monitor.redact", "['OwnPatt\\d\\w+']");
    let hemostat = bed.up().await;
    let patients = [bed.patient(unhealthy()).await, bed.patient(crashed()).await];
    let mut all = String::new();
    for patient in &patients {
        let handled = |story: &Story| {
            ["observation.examined", "diagnosis.reached", "alert.delivered"].iter().all(|kind| story.count(kind) > 0)
        };
        let story = hemostat.until(patient, "it is diagnosed and told", handled).await;
        let examined = story.all("observation.examined");
        // What was found out is there, without what is secret.
        let text = examined.iter().map(|event| event.data.to_string()).collect::<String>();
        assert!(text.contains("[redacted]"), "{text}");
        assert!(examined.iter().any(|event| event.data["redacted"].as_u64() > Some(0)), "{text}");
        all += &told(&hemostat, patient).await;
    }
    all += &bed.slack.taken().iter().map(|message| format!("{message:?}")).collect::<String>();
    all += &hemostat.said();
    assert!(all.contains("could not connect to") && all.contains("invalid value"), "nothing was found out:\n{all}");
    for secret in SECRETS {
        assert!(!all.contains(secret), "{secret} was told");
    }
}
