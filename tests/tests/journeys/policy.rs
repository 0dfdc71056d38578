//! The policy changes while HemoStat runs.

use anyhow::ensure;
use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{STEP_TIMEOUT, TestDeployment, wait_until};

use super::make_unhealthy;

#[tokio::test]
async fn a_policy_changed_by_file_during_a_cooldown_decides_next_and_a_broken_file_changes_nothing() {
    let mut deployment = TestDeployment::new("policy").await;
    let patient = deployment.patient(PatientSpec::named("a")).await;
    let hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&patient).await;
    make_unhealthy(&patient).await;
    let healed = hemostat.wait_until_recovered(&patient).await;
    let first = healed.only("action.authorised").data["policy"].clone();
    assert!(first.is_string(), "{healed}");

    make_unhealthy(&patient).await;
    let refused = |reason: &'static str| {
        move |history: &hemostat_tests::ContainerHistory| {
            history.all("action.refused").iter().any(|event| event.data["refusal"]["reason"] == reason)
        }
    };
    let history = hemostat.wait_until(&patient, "it is in cooldown", refused("cooling_down")).await;
    assert_eq!(history.all("action.refused")[0].data["policy"], first, "{history}");

    // A broken file changes nothing and is told.
    deployment.rewrite_file("responder.cooldown = \"soon\"");
    let policy = wait_until(STEP_TIMEOUT, "the broken file is told", async || {
        let policy = hemostat.get("/readyz").await?["policy"].take();
        ensure!(policy["refused"][0].as_str().is_some_and(|why| why.contains("responder.cooldown")), "{policy}");
        Ok(policy)
    })
    .await;
    assert_eq!(policy["hash"], first);
    wait_until(STEP_TIMEOUT, "the refusal is on the log", async || {
        let told = hemostat.get("/events?kind=action.policy_refused").await?;
        ensure!(told["events"][0]["data"]["policy"] == first, "{told}");
        Ok(())
    })
    .await;
    assert!(deployment.output().contains("is refused, and the policy"), "{}", deployment.output());

    // The timer of the cooldown is an hour away: it fires early, because the policy changed.
    deployment.set("responder.cooldown", "1s");
    deployment.set_raw("monitor.log_lines", "61");
    deployment.rewrite_settings();
    let authorised = |history: &hemostat_tests::ContainerHistory| history.count("action.authorised") == 2;
    let history = hemostat.wait_until(&patient, "the next decision uses the new policy", authorised).await;
    let decision = history.all("action.authorised")[1];
    let second = decision.data["policy"].clone();
    assert!(second.is_string() && second != first, "{history}");
    assert_eq!(decision.data["trigger"]["timer"]["name"], "retry", "{history}");

    let changed = wait_until(STEP_TIMEOUT, "both policies are recorded", async || {
        let changed = hemostat.get("/events?kind=action.policy_changed&order=oldest").await?;
        ensure!(changed["events"].as_array().is_some_and(|events| events.len() > 1), "{changed}");
        Ok(changed)
    })
    .await;
    let hashes: Vec<_> = changed["events"].as_array().unwrap().iter().map(|event| &event["data"]["hash"]).collect();
    assert_eq!(hashes, [&first, &second], "{changed}");
    let last = &changed["events"][1]["data"];
    assert_eq!((&last["was"], &last["policy"]["container_defaults"]["cooldown"]), (&first, &"1s".into()), "{changed}");
    assert!(last["origin"].as_str().unwrap().ends_with("up.toml"), "{changed}");
    let policy = hemostat.get("/readyz").await.unwrap()["policy"].take();
    assert_eq!((&policy["hash"], &policy["waiting"][0]), (&second, &"monitor.log_lines".into()), "{policy}");
    assert_eq!(policy["refused"], serde_json::json!([]));

    let mut explain = deployment.start(&format!("explain {}", patient.name));
    assert!(explain.wait_for_exit().await.success(), "{}", explain.output());
    let shown = explain.output();
    for part in [first.as_str().unwrap(), second.as_str().unwrap(), "container_defaults.cooldown 1h → 1s"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
}
