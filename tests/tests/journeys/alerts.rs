//! Delivery of alerts while Slack fails.

use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{SlackResponse, TestDeployment};

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
    assert!(deployment.output().contains("did not reach Slack"), "nothing was logged:\n{}", deployment.output());
}
