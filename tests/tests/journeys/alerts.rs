//! What becomes of an alert when Slack has a bad day.

use hemostat_patient::stage::PatientSpec;
use hemostat_tests::{Answer, Bed};

use super::sicken;

#[tokio::test]
async fn an_alert_that_slack_fails_to_take_is_delivered_once_it_can() {
    let mut bed = Bed::new("slack-500").await;
    let patient = bed.patient(PatientSpec::named("a")).await;
    bed.slack.will_answer([Answer::Status(500), Answer::Silence]);
    let hemostat = bed.up().await;
    hemostat.until_well(&patient).await;
    sicken(&patient).await;
    let story =
        hemostat.until(&patient, "both messages are delivered", |story| story.count("alert.delivered") == 2).await;
    let first = story.all("alert.delivered")[0];
    assert_eq!((&first.data["attempts"], &first.data["channel"]), (&3.into(), &"slack".into()), "{story}");
    assert_eq!(bed.slack.taken().len(), 2);
    assert!(bed.said().contains("500 Internal Server Error"), "nothing was said:\n{}", bed.said());
}

#[tokio::test]
async fn a_slack_that_never_answers_holds_nobody_up_and_is_given_up_in_the_end() {
    let mut bed = Bed::new("slack-silent").await;
    bed.set("alerts.retry_for", "3s");
    let patient = bed.patient(PatientSpec::named("a")).await;
    bed.slack.will_answer(vec![Answer::Silence; 100]);
    let hemostat = bed.up().await;
    hemostat.until_well(&patient).await;
    sicken(&patient).await;
    let story =
        hemostat.until(&patient, "both messages are given up", |story| story.count("alert.undelivered") == 2).await;
    assert_eq!(story.only("action.verified").data["outcome"], "recovered", "{story}");
    assert_eq!(story.all("alert.undelivered")[0].data["error"], "it did not answer within 1.0 s", "{story}");
    assert!(bed.said().contains("did not reach Slack"), "nothing was said:\n{}", bed.said());
}
