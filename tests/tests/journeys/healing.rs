//! What befalls a patient, and what HemoStat does about it.

use std::collections::BTreeSet;

use anyhow::ensure;
use futures::future::join_all;
use hemostat_patient::{
    Illness,
    illness::{Crash, Memory},
    stage::PatientSpec,
};
use hemostat_tests::{Bed, PATIENCE, Story, until};

use super::sicken;

/// Healed, proved to be well, and both told: how the story of a curable patient ends.
fn is_told(story: &Story) -> bool {
    story.count("alert.resolved") == 1 && story.count("alert.delivered") == 2
}

/// The log holds exactly one healing, each event led to by the one before.
fn check_one_healing(story: &Story, symptom: &str, remedy: &str) {
    assert_eq!(story.only("observation.symptom_raised").data["symptom"], symptom, "{story}");
    assert_eq!(story.only("action.authorised").data["remedy"], remedy, "{story}");
    assert_eq!(story.only("action.verified").data["outcome"], "recovered", "{story}");
    assert_eq!(story.only("alert.resolved").data["how"], "healed", "{story}");
    let chain = [
        "observation.symptom_raised",
        "observation.examined",
        "diagnosis.reached",
        "action.authorised",
        "action.succeeded",
    ];
    for pair in chain.windows(2) {
        let (cause, effect) = (story.only(pair[0]), story.only(pair[1]));
        assert_eq!(effect.cause.as_ref(), Some(&cause.id), "{} is not led to by {}:\n{story}", pair[1], pair[0]);
    }
    let incidents: BTreeSet<_> = story.0.iter().filter_map(|event| event.incident.as_ref()).collect();
    assert_eq!(incidents.len(), 1, "it is one incident:\n{story}");
}

#[tokio::test]
async fn an_unhealthy_container_is_restarted_recovers_and_people_are_told() {
    let mut bed = Bed::new("unhealthy").await;
    let patient = bed.patient(PatientSpec::named("a")).await;
    let hemostat = bed.up().await;
    hemostat.until_well(&patient).await;
    sicken(&patient).await;
    let story = hemostat.until(&patient, "it is healed and told", is_told).await;
    check_one_healing(&story, "unhealthy", "restart");
    assert_eq!(bed.deeds(&patient).count("restart"), 1);

    let incident = story.only("action.verified").incident.clone().unwrap();
    let shown = hemostat.get(&format!("/incidents/{incident}")).await.unwrap();
    assert_eq!(shown["state"], "recovered", "{shown}");
    assert_eq!(bed.slack.taken().len(), 2, "{:?}", bed.slack.titles());

    until(PATIENCE, "nothing is pending at rest", async || {
        for stream in ["observations", "diagnoses", "actions", "alerts"] {
            let groups = bed.redis_cli(&["--json", "XINFO", "GROUPS", &format!("hemostat:{{0}}:{stream}")])?;
            let groups: serde_json::Value = serde_json::from_str(&groups)?;
            let pending = |group: &serde_json::Value| group["pending"] != 0;
            ensure!(!groups.as_array().is_some_and(|groups| groups.iter().any(pending)), "{stream}: {groups}");
        }
        Ok(())
    })
    .await;
    assert!(hemostat.stop().await.success(), "it did not end in order:\n{}", bed.said());
}

#[tokio::test]
async fn a_crashed_container_that_docker_leaves_is_started() {
    let mut bed = Bed::new("crashed").await;
    let patient = bed.patient(PatientSpec::named("a")).await;
    let hemostat = bed.up().await;
    hemostat.until_well(&patient).await;
    patient.fall_ill(Illness::Crash(Crash { code: 1 })).await.unwrap();
    let story = hemostat.until(&patient, "it is healed and told", is_told).await;
    check_one_healing(&story, "exited", "start");
    let deeds = bed.deeds(&patient);
    assert_eq!((deeds.count("start"), deeds.count("restart")), (2, 0), "{deeds:?}");
}

#[tokio::test]
async fn a_container_that_holds_too_much_memory_for_too_long_is_restarted() {
    let mut bed = Bed::new("memory").await;
    // Without a health check: one that happens to run while it is being restarted would be a symptom of its own.
    let spec = PatientSpec { memory: Some(96 << 20), health_interval: None, ..PatientSpec::named("a") };
    let patient = bed.patient(spec).await;
    let hemostat = bed.up().await;
    hemostat.until_well(&patient).await;
    patient.fall_ill(Illness::Memory(Memory { duration: 300, size_mb: 84 })).await.unwrap();
    let story = hemostat.until(&patient, "it is healed and told", is_told).await;
    check_one_healing(&story, "memory_high", "restart");
}

#[tokio::test]
async fn a_stubborn_container_is_given_up_after_three_attempts_with_growing_gaps() {
    let mut bed = Bed::new("stubborn").await;
    let spec = PatientSpec { stubborn: Some(("unhealthy", std::time::Duration::ZERO)), ..PatientSpec::named("a") };
    let patient = bed.patient(spec).await;
    let hemostat = bed.up().await;
    let given_up = |story: &Story| story.count("action.gave_up") == 1 && story.count("alert.escalated") == 1;
    let story = hemostat.until(&patient, "it is given up", given_up).await;
    let attempts = story.all("action.authorised");
    assert_eq!(attempts.len(), 3, "{story}");
    let gaps: Vec<_> = attempts.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at)).collect();
    assert!(gaps[0] < gaps[1], "{gaps:?} do not grow:\n{story}");

    // Somebody restarts it by hand and it falls ill once more: HemoStat has given up, and says so once.
    let docker = bed.stage.docker();
    docker.restart_container(&patient.id, None).await.unwrap();
    let starts = story.count("observation.started");
    let ill_again = |story: &Story| {
        let started = story.0.iter().filter(|event| event.kind == "observation.started").nth(starts);
        let sick = |event: &&hemostat_tests::Event| {
            event.kind == "observation.health_changed" && event.data["to"] == "unhealthy"
        };
        started.is_some_and(|started| story.0.iter().filter(sick).any(|event| event.at > started.at))
    };
    let story = hemostat.until(&patient, "it is ill again", ill_again).await;
    assert_eq!(story.count("action.authorised"), 3, "{story}");
    assert_eq!(story.count("alert.raised"), 1, "{story}");
    assert_eq!(bed.deeds(&patient).count("restart"), 4, "three by HemoStat and one by hand");
    let shown = hemostat.container(&patient).await.unwrap();
    assert_eq!(shown["breaker"]["position"], "tripped", "{shown}");
}

#[tokio::test]
async fn a_container_that_an_operator_stopped_is_left_alone_and_the_api_says_why() {
    let mut bed = Bed::new("stopped").await;
    let patient = bed.patient(PatientSpec::named("a")).await;
    let hemostat = bed.up().await;
    hemostat.until_well(&patient).await;
    patient.stop().await.unwrap();
    let shown = until(PATIENCE, "it is left alone", async || {
        let shown = hemostat.container(&patient).await?;
        ensure!(shown["attention"]["reason"] == "left_alone", "{}", shown["attention"]);
        Ok(shown)
    })
    .await;
    assert!(shown["attention"]["sentence"].as_str().unwrap().contains("operator"), "{shown}");
    // Somebody else falls ill and is healed: had HemoStat wanted to act on the stopped one, it would have by then.
    let other = bed.patient(PatientSpec::named("b")).await;
    hemostat.until_well(&other).await;
    sicken(&other).await;
    hemostat.until(&other, "the other one is healed", is_told).await;
    let story = hemostat.story(&patient).await.unwrap();
    assert_eq!((story.count("action.authorised"), story.count("alert.raised")), (0, 0), "{story}");
    assert_eq!(bed.deeds(&patient).count("start"), 1);
}

#[tokio::test]
async fn three_containers_that_fall_ill_at_once_are_three_alerts() {
    let mut bed = Bed::new("three").await;
    let patients = join_all(["a", "b", "c"].map(|name| bed.patient(PatientSpec::named(name)))).await;
    let hemostat = bed.up().await;
    for patient in &patients {
        hemostat.until_well(patient).await;
    }
    join_all(patients.iter().map(sicken)).await;
    for patient in &patients {
        let story = hemostat.until(patient, "it is healed and told", is_told).await;
        check_one_healing(&story, "unhealthy", "restart");
    }
    let told = bed.slack.titles();
    for patient in &patients {
        assert_eq!(told.iter().filter(|title| title.contains(&patient.name)).count(), 2, "{told:?}");
    }
}
