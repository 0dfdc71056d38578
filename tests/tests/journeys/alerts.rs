//! Delivery of alerts while Slack fails.

use anyhow::ensure;
use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{ContainerHistory, FakeSlack, STEP_TIMEOUT, SlackResponse, TestDeployment, wait_until};

use super::make_unhealthy;

#[tokio::test]
async fn an_alert_is_delivered_after_slack_recovers() {
    let mut deployment = TestDeployment::new("slack-500").await;
    let patient = deployment.patient(PatientSpec::named("a")).await;
    deployment.slack.enqueue([SlackResponse::Status(500), SlackResponse::NoResponse]);
    let hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&patient).await;
    make_unhealthy(&patient).await;
    let history = hemostat
        .wait_until(&patient, "both messages are delivered", |history| history.count("alert.delivered") == 2)
        .await;
    let first = history.all("alert.delivered")[0];
    assert_eq!((&first.data["attempts"], &first.data["channel"]), (&3.into(), &"slack".into()), "{history}");
    assert_eq!(deployment.slack.messages().len(), 2);
    assert!(deployment.output().contains("500 Internal Server Error"), "nothing was logged:\n{}", deployment.output());
}

#[tokio::test]
async fn a_slack_that_never_responds_blocks_nothing_and_its_messages_are_given_up() {
    let mut deployment = TestDeployment::new("slack-silent").await;
    deployment.set("alerts.retry_for", "3s");
    let patient = deployment.patient(PatientSpec::named("a")).await;
    deployment.slack.enqueue(vec![SlackResponse::NoResponse; 100]);
    let hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&patient).await;
    make_unhealthy(&patient).await;
    let history = hemostat
        .wait_until(&patient, "both messages are given up", |history| history.count("alert.undelivered") == 2)
        .await;
    assert_eq!(history.only("action.verified").data["outcome"], "recovered", "{history}");
    assert_eq!(history.all("alert.undelivered")[0].data["error"], "it did not answer within 1.0 s", "{history}");
    assert!(
        deployment.output().contains("did not reach the channel slack"),
        "nothing was logged:\n{}",
        deployment.output()
    );
}

#[tokio::test]
async fn a_dead_channel_is_told_once_when_it_is_back_and_delays_no_other() {
    let mut deployment = TestDeployment::new("slack-dead").await;
    let well = FakeSlack::start().await;
    let other = format!(r#"[{{ name = "well", kind = "slack", url = "{}" }}]"#, well.url());
    deployment.set_raw("alerts.channels", other);
    deployment.slack.enqueue(vec![SlackResponse::Status(500); 10_000]);
    let patient = deployment.patient(PatientSpec::named("a")).await;
    let mut hemostat = deployment.up().await;
    hemostat.wait_until_healthy(&patient).await;
    make_unhealthy(&patient).await;
    // The whole story arrives at the channel that is well, while the other one refuses its beginning.
    well.wait_for_messages(2, STEP_TIMEOUT).await;
    assert_eq!(deployment.slack.messages().len(), 0);
    for restart in 1..=2 {
        let before = deployment.slack.requests();
        wait_until(STEP_TIMEOUT, &format!("an attempt before restart {restart}"), async || {
            ensure!(deployment.slack.requests() > before, "there were {before}");
            Ok(())
        })
        .await;
        assert!(hemostat.stop().await.success(), "it did not exit with success:\n{}", deployment.output());
        hemostat = deployment.up().await;
    }
    deployment.slack.recover();
    let history = hemostat
        .wait_until(&patient, "both channels are told both", |history| history.count("alert.delivered") == 4)
        .await;
    assert_eq!(deployment.slack.titles(), well.titles(), "each message once, in order");
    let delivered = history.all("alert.delivered");
    let attempts = |channel: &str| -> Vec<u64> {
        let of_channel = delivered.iter().filter(|event| event.data["channel"] == channel);
        of_channel.map(|event| event.data["attempts"].as_u64().unwrap()).collect()
    };
    assert_eq!(attempts("well"), [1, 1], "{history}");
    let [raised, resolved] = attempts("slack")[..] else { panic!("two deliveries\n{history}") };
    assert!(raised >= 3 && resolved == 1, "attempts {raised} and {resolved}\n{history}");
    assert_eq!(
        raised + resolved,
        deployment.slack.requests() as u64,
        "attempts are counted across restarts\n{history}"
    );
    assert_eq!(history.count("alert.undelivered"), 0, "{history}");
}

#[tokio::test]
async fn a_channel_that_is_added_is_told_what_is_open_and_not_what_is_over() {
    let mut deployment = TestDeployment::new("slack-added").await;
    // HemoStat only reports, so the incident stays open.
    deployment.set("responder.mode", "observe");
    let (ill, removed) =
        (deployment.patient(PatientSpec::named("ill")).await, deployment.patient(PatientSpec::named("removed")).await);
    let hemostat = deployment.up().await;
    for patient in [&removed, &ill] {
        hemostat.wait_until_healthy(patient).await;
        make_unhealthy(patient).await;
    }
    let told = async |patient, alerts: usize| {
        let is_told = |history: &ContainerHistory| history.count("alert.delivered") >= alerts;
        hemostat.wait_until(patient, "its alerts are delivered", is_told).await;
    };
    // Each is raised, and escalated since HemoStat may do nothing; one of them is over.
    told(&removed, 2).await;
    told(&ill, 2).await;
    removed.remove().await.unwrap();
    told(&removed, 3).await;
    assert!(hemostat.stop().await.success());

    let added = FakeSlack::start().await;
    let entry = format!(r#"[{{ name = "added", kind = "slack", url = "{}" }}]"#, added.url());
    deployment.set_raw("alerts.channels", entry);
    let before = deployment.slack.titles();
    let hemostat = deployment.up().await;
    added.wait_for_messages(1, STEP_TIMEOUT).await;
    hemostat
        .wait_until(&ill, "the new channel is told", |history| {
            history.all("alert.delivered").iter().any(|event| event.data["channel"] == "added")
        })
        .await;
    let [title] = &added.titles()[..] else { panic!("only the open incident: {:?}", added.titles()) };
    assert!(title.contains("needs you"), "{title}");
    assert_eq!(deployment.slack.titles(), before, "the channel that was there is told nothing again");
}
